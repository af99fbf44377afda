//! The log by long poll over HTTP, for networks that let nothing else through.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use waybill_core::id::Seq;
use waybill_core::wire::Outgoing;

use super::http::{Http, Lane, Problem, Target, segment};
use super::json::{self, epoch, wrong};
use super::{ANSWER, Doing, First, Link, Opened, PAGE, READ_AHEAD, Snapshots, Way, is_elsewhere};
use crate::error::Error;
use crate::message::Sent;
use crate::store::{SNAPSHOT_CONVERSATIONS, Snapshot};
use crate::sync::{Batch, Reached};

/// How long the server may hold a poll open, in seconds.
const WAIT_SECONDS: u64 = 25;

/// Conversations asked for at a time.
const CONVERSATIONS: usize = 100;

/// Most pages of conversations that are asked for: many more than it takes to have [`SNAPSHOT_CONVERSATIONS`].
const CONVERSATION_PAGES: usize = 1_000;

/// A way by long poll.
#[derive(Clone)]
pub(crate) struct PollWay {
    target: Target,
    token: String,
    /// Whose log.
    user: String,
    /// The device whose cursor is reported; empty for none.
    device: String,
}

impl PollWay {
    pub(crate) fn new(target: Target, token: &str, user: &str, device: &str) -> Self {
        Self {
            target,
            token: token.to_owned(),
            user: user.to_owned(),
            device: device.to_owned(),
        }
    }

    fn link(&self) -> Result<Inner, Error> {
        Ok(Inner {
            http: Http::new(self.target.clone(), &self.token)?,
            user: segment(&self.user),
            device: segment(&self.device),
        })
    }
}

impl Way for PollWay {
    fn connect(&self, after: Seq) -> Doing<Result<Opened, Error>> {
        let way = self.clone();
        Box::pin(async move {
            let inner = way.link()?;
            let (reached, first) = match inner.pull(after, None).await {
                Ok((reached, batch)) => (reached, Some(batch)),
                Err(problem) => (problem.reached()?, None),
            };
            let link = PollLink {
                inner: Arc::new(inner),
                first: First::new(first),
            };
            Ok(Opened {
                link: Arc::new(link),
                reached,
            })
        })
    }
}

impl Snapshots for PollWay {
    fn take(&self) -> Doing<Result<Snapshot, Error>> {
        let way = self.clone();
        Box::pin(async move {
            way.link()?
                .snapshot()
                .await
                .map_err(|problem| problem.error)
        })
    }
}

impl Problem {
    /// The ends of the log, where the problem is that the cursor is not between them.
    fn reached(self) -> Result<Reached, Error> {
        match json::reached(&self.body) {
            Ok(reached) if self.error.code().is_some_and(is_elsewhere) => Ok(reached),
            _ => Err(self.error),
        }
    }
}

struct Inner {
    http: Http,
    user: String,
    device: String,
}

impl Inner {
    async fn pull(&self, after: Seq, wait: Option<u64>) -> Result<(Reached, Batch), Problem> {
        let user = &self.user;
        let (wait, patience) = match wait {
            Some(seconds) => (
                format!("&wait={seconds}"),
                ANSWER + Duration::from_secs(seconds),
            ),
            None => (String::new(), ANSWER),
        };
        let path = format!("/v1/users/{user}/log?after={after}&limit={PAGE}{wait}");
        let answer = self
            .http
            .ask(Lane::Read, Method::GET, &path, None, patience);
        Ok(json::page(&answer.await?)?)
    }

    async fn snapshot(&self) -> Result<Snapshot, Problem> {
        #[derive(Deserialize)]
        struct Head {
            epoch: String,
            seq: u64,
        }
        #[derive(Deserialize)]
        struct List {
            conversations: Vec<Box<RawValue>>,
            cursor: Option<String>,
        }
        let user = &self.user;
        let ask = async |path: String| {
            self.http
                .ask(Lane::Other, Method::GET, &path, None, ANSWER)
                .await
        };
        let answer = ask(format!("/v1/users/{user}/snapshot?limit={CONVERSATIONS}")).await?;
        let Head { epoch: text, seq } = serde_json::from_slice(&answer).map_err(wrong)?;
        let mut list: List = serde_json::from_slice(&answer).map_err(wrong)?;
        let mut conversations: Vec<String> = Vec::new();
        for page in 1.. {
            let more = list.conversations.into_iter().map(|it| it.get().to_owned());
            conversations.extend(more);
            let Some(cursor) = list.cursor else { break };
            if conversations.len() >= SNAPSHOT_CONVERSATIONS as usize {
                break;
            }
            if page == CONVERSATION_PAGES {
                let text = "a list of conversations without an end";
                return Err(Error::Protocol(text.to_owned()).into());
            }
            // Later pages are of a later moment. What has changed since the first is among the entries after `seq`.
            let cursor = segment(&cursor);
            let path =
                format!("/v1/users/{user}/conversations?limit={CONVERSATIONS}&cursor={cursor}");
            list = serde_json::from_slice(&ask(path).await?).map_err(wrong)?;
        }
        Ok(Snapshot {
            epoch: epoch(&text)?,
            seq: Seq(seq),
            conversations,
        })
    }
}

struct PollLink {
    inner: Arc<Inner>,
    first: First,
}

impl Link for PollLink {
    fn follow(&self, after: Seq) -> mpsc::Receiver<Result<Batch, Error>> {
        let (to, batches) = mpsc::channel(READ_AHEAD);
        let first = self.first.take(after);
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            let reading = read(&inner, after, first, &to);
            let ended = tokio::select! {
                ended = reading => ended,
                () = to.closed() => Ok(()),
            };
            if let Err(error) = ended {
                let _ = to.send(Err(error)).await;
            }
        });
        batches
    }

    fn send(&self, message: Outgoing) -> Doing<Result<Sent, Error>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let body = json::message(&message)?;
            let answer =
                inner
                    .http
                    .ask(Lane::Send, Method::POST, "/v1/messages", Some(body), ANSWER);
            let answer = answer.await.map_err(|problem| problem.error)?;
            Sent::read(&answer).map_err(wrong)
        })
    }

    fn acknowledge(&self, seq: Seq) -> Doing<Result<(), Error>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let Inner { http, user, device } = &*inner;
            let path = format!("/v1/users/{user}/devices/{device}/cursor");
            let body = format!(r#"{{"seq":{seq}}}"#).into_bytes();
            let noted = http.ask(Lane::Other, Method::PUT, &path, Some(body), ANSWER);
            noted.await.map(|_| ()).map_err(|problem| problem.error)
        })
    }

    fn close(&self) -> Doing<()> {
        Box::pin(async {})
    }
}

async fn read(
    inner: &Inner,
    mut after: Seq,
    first: Option<Batch>,
    to: &mpsc::Sender<Result<Batch, Error>>,
) -> Result<(), Error> {
    let mut next = first;
    loop {
        let batch = match next.take() {
            Some(batch) => batch,
            None => {
                let pulled = inner.pull(after, Some(WAIT_SECONDS)).await;
                pulled.map_err(|problem| problem.error)?.1
            }
        };
        let Some(last) = batch.entries.last() else {
            continue;
        };
        after = last.seq;
        if to.send(Ok(batch)).await.is_err() {
            return Ok(());
        }
    }
}
