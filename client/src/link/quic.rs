//! The log over QUIC: a pull in the first flight of a resumed connection, then a tail.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::timeout;
use waybill_core::id::Seq;
use waybill_core::wire::{Outgoing, Page};

use super::{
    ANSWER, CONNECT, Doing, First, Link, Opened, PAGE, READ_AHEAD, Way, is_elsewhere, silent,
};
use crate::connection::Connection;
use crate::connector::{Connector, Identity, PullFirst};
use crate::error::Error;
use crate::log_entry::LogEntry;
use crate::message::Sent;
use crate::sync::{Batch, Reached};

/// Addresses of a name that are tried.
const ADDRESSES: usize = 4;

/// A way over QUIC.
pub(crate) struct QuicWay(Arc<Inner>);

struct Inner {
    connector: Connector,
    /// Host and port.
    server: String,
    /// The name that the server's certificate has, unless it is pinned.
    name: String,
    identity: Identity,
    /// Whose log; empty for one's own.
    user: String,
}

impl QuicWay {
    pub(crate) fn new(
        connector: Connector,
        server: &str,
        identity: Identity,
        user: String,
    ) -> Self {
        let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
        let name = host.trim_matches(['[', ']']).to_owned();
        Self(Arc::new(Inner {
            connector,
            server: server.to_owned(),
            name,
            identity,
            user,
        }))
    }
}

impl Way for QuicWay {
    fn connect(&self, after: Seq) -> Doing<Result<Opened, Error>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let connecting = timeout(CONNECT, inner.connect(after));
            connecting.await.map_err(|_| silent("QUIC"))?
        })
    }

    fn moved(&self) {
        // Where there is no new socket the old one may still do.
        let _ = self.0.connector.move_socket();
    }
}

impl Inner {
    async fn connect(&self, after: Seq) -> Result<Opened, Error> {
        let addresses = tokio::net::lookup_host(&self.server).await;
        let addresses =
            addresses.map_err(|error| Error::Lost(format!("{}: {error}", self.server)))?;
        let mut last = Error::Lost(format!("{} has no address", self.server));
        let pull = PullFirst {
            user: self.user.clone(),
            after,
            limit: PAGE,
        };
        let addresses: Vec<_> = addresses.take(ADDRESSES).collect();
        for address in &addresses {
            // One that says nothing must not keep the others from being tried.
            let patience = CONNECT / u32::try_from(addresses.len()).unwrap_or(1);
            let pulling =
                self.connector
                    .connect_pulling(*address, &self.name, &self.identity, &pull);
            let pulled = timeout(patience, pulling).await;
            match pulled.unwrap_or_else(|_| Err(silent("QUIC"))) {
                Ok((connection, page, _)) => return self.opened(connection, Some(page)),
                // The log is not what was expected: what it is, the welcome says.
                Err(error) if error.code().is_some_and(is_elsewhere) && self.user.is_empty() => {
                    let connection = self
                        .connector
                        .connect(*address, &self.name, &self.identity)
                        .await?;
                    return self.opened(connection, None);
                }
                Err(error) if error.code().is_some() => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn opened(&self, connection: Connection, page: Option<Page>) -> Result<Opened, Error> {
        let (epoch, floor, head) = match &page {
            Some(page) => (page.head.epoch, page.head.floor, page.head.head),
            None => {
                let welcome = connection.welcome();
                (welcome.epoch, welcome.floor, welcome.head)
            }
        };
        let reached = Reached { epoch, floor, head };
        let first = page.map(batch).transpose()?;
        let link = QuicLink {
            connection,
            user: self.user.clone(),
            first: First::new(first),
        };
        Ok(Opened {
            link: Arc::new(link),
            reached,
        })
    }
}

fn batch(page: Page) -> Result<Batch, Error> {
    let entries = page.entries.iter().map(LogEntry::try_from);
    Ok(Batch {
        epoch: page.head.epoch,
        head: page.head.head,
        entries: entries
            .collect::<Result<_, _>>()
            .map_err(|error| Error::Protocol(error.to_string()))?,
    })
}

struct QuicLink {
    connection: Connection,
    user: String,
    first: First,
}

impl Link for QuicLink {
    fn follow(&self, after: Seq) -> mpsc::Receiver<Result<Batch, Error>> {
        let (to, batches) = mpsc::channel(READ_AHEAD);
        let first = self.first.take(after);
        let (connection, user) = (self.connection.clone(), self.user.clone());
        tokio::spawn(async move {
            if let Err(error) = read(&connection, &user, after, first, &to).await {
                // Nobody waits any more.
                let _ = to.send(Err(error)).await;
            }
        });
        batches
    }

    fn send(&self, message: Outgoing) -> Doing<Result<Sent, Error>> {
        let connection = self.connection.clone();
        Box::pin(async move {
            let sent = timeout(ANSWER, connection.send(message)).await;
            sent.map_err(|_| silent("QUIC"))?
                .map(|sent| Sent::of(&sent))
        })
    }

    fn acknowledge(&self, seq: Seq) -> Doing<Result<(), Error>> {
        let connection = self.connection.clone();
        Box::pin(async move {
            let noted = timeout(ANSWER, connection.acknowledge(seq)).await;
            noted.map_err(|_| silent("QUIC"))?.map(|_| ())
        })
    }

    fn close(&self) -> Doing<()> {
        Box::pin(self.connection.clone().close())
    }
}

/// Hands on what comes, until nobody takes it.
async fn read(
    connection: &Connection,
    user: &str,
    mut after: Seq,
    first: Option<Batch>,
    to: &mpsc::Sender<Result<Batch, Error>>,
) -> Result<(), Error> {
    if let Some(first) = first {
        after = first.entries.last().map_or(after, |last| last.seq);
        if to.send(Ok(first)).await.is_err() {
            return Ok(());
        }
    }
    let opening = timeout(ANSWER, connection.tail(user, after)).await;
    let mut tail = opening.map_err(|_| silent("QUIC"))??;
    loop {
        let page = tokio::select! {
            page = tail.next() => page?,
            () = to.closed() => return Ok(()),
        };
        if to.send(Ok(batch(page)?)).await.is_err() {
            return Ok(());
        }
    }
}
