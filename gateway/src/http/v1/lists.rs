//! Lists of users, line by line: `PUT /v1/audiences/{name}`, and `POST /v1/tasks` with a body of lines. However long they are, no
//! more of them is held than one command takes.

use std::collections::HashSet;

use bytes::Bytes;
use hyper::body::Body;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Method};
use serde::Serialize;
use waybill_core::limits::MAX_FILLED;
use waybill_core::record::Surface;

use super::messages::{SendBody, answer, is_kept, outgoing};
use super::tasks::Taken;
use super::{Refusal, Result, json, principal, segment};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::http::address::Query;
use crate::http::call::Call;
use crate::http::lines::Lines;
use crate::service::{AudienceView, Part, Service, TaskTo};

/// Most ids of one request. A longer list goes into an audience, in several requests.
const MAX_IDS: u64 = 1_000_000;

/// Longest line, in bytes: an id of 64 bytes, each of them escaped.
const MAX_LINE_BYTES: usize = 512;

/// What a body of lines calls itself.
const MEDIA_TYPE: &str = "application/x-ndjson";

/// The name of the audience whose list this request brings.
pub(super) fn uploaded<'a>(method: &Method, path: &'a str) -> Option<&'a str> {
    let name = path.strip_prefix("/v1/audiences/")?;
    (method == Method::PUT && !name.contains('/')).then_some(name)
}

/// Whether this request sends to a list that follows line by line.
pub(super) fn is_listed(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("");
    method == Method::POST && path == "/v1/tasks" && kind.trim().eq_ignore_ascii_case(MEDIA_TYPE)
}

/// The ids in a body of lines.
struct Ids<B> {
    lines: Lines<B>,
    count: u64,
}

impl<B: Body<Data = Bytes> + Unpin> Ids<B> {
    fn new(lines: Lines<B>) -> Self {
        Self { lines, count: 0 }
    }

    /// The next ones, as many as one command takes; fewer, or none, at the end. A line that is no id refuses those that would come
    /// with it.
    async fn next(&mut self) -> std::result::Result<Vec<String>, Error> {
        let mut found = Vec::new();
        while found.len() < MAX_FILLED
            && let Some((number, line)) = self.lines.next(MAX_LINE_BYTES).await?
        {
            self.count += 1;
            if self.count > MAX_IDS {
                let detail = format!("a request has at most {MAX_IDS} ids");
                return Err(Error::new(Kind::BodyTooLarge, detail));
            }
            let id: String = serde_json::from_slice(&line).map_err(|error| {
                let detail = format!("line {number} is no JSON text: {error}");
                Error::new(Kind::Malformed, detail)
            })?;
            waybill_core::id::check_id(&id).map_err(|error| {
                Error::new(Kind::InvalidId, format!("line {number}: the id {error}"))
            })?;
            found.push(id);
        }
        Ok(found)
    }
}

/// `POST /v1/tasks` as lines: the message, without `to`, then its receivers.
pub(super) async fn post<B>(service: &Service, call: &Call<'_>, mut lines: Lines<B>) -> Result
where
    B: Body<Data = Bytes> + Unpin,
{
    let principal = principal(service, call)?;
    // Before a line is read: it may be long until the last.
    service.require_business(&principal)?;
    let longest = usize::try_from(service.limits().http_body_bytes).unwrap_or(usize::MAX);
    let first = lines.next(longest).await?;
    let first = first.map(|(_, line)| line).unwrap_or_default();
    let call = Call {
        body: &first,
        ..*call
    };
    let body: SendBody<'_> = json(service, &call)?;
    let taken = async {
        if !body.to.0.is_nobody() {
            let detail = "the lines that follow say to whom";
            return Err(Error::at(Kind::InvalidField, "/to", detail));
        }
        is_kept(&body)?;
        let outgoing = outgoing(service, call.idempotency_key()?, call.peer, &body, "")?;
        let surface = Surface::NativeHttp;
        let mut ids = Ids::new(lines);
        let mut users = ids.next().await?;
        if users.len() < MAX_FILLED {
            // A short list is the same request as one in `to.users`, so that either repeats the other.
            let mut named = HashSet::new();
            users.retain(|user| named.insert(user.clone()));
            let to = TaskTo::Users(users);
            return service.post(&principal, surface, outgoing, to).await;
        }
        let mut list = service.begin_list(&principal, surface, outgoing).await?;
        while !users.is_empty() {
            service.add_to_list(&mut list, &users).await?;
            users = ids.next().await?;
        }
        service.finish_list(list).await
    };
    match taken.await {
        Ok(taken) => answer(&Taken::from(&taken)),
        Err(error) => Err(Refusal {
            operation_id: body.operation_id.to_string(),
            ..Refusal::from(error)
        }),
    }
}

#[derive(Serialize)]
struct AudienceBody {
    audience: u64,
    lines: u64,
    members: u64,
    refused: u64,
    complete: bool,
}

impl From<AudienceView> for AudienceBody {
    fn from(view: AudienceView) -> Self {
        Self {
            audience: view.audience,
            lines: view.lines,
            members: view.members,
            refused: view.refused,
            complete: view.complete,
        }
    }
}

/// `PUT /v1/audiences/{name}?audience=&line=&last=`: lines of JSON, each a text, the id of a user.
pub(super) async fn fill<B>(
    service: &Service,
    call: &Call<'_>,
    name: &str,
    lines: Lines<B>,
) -> Result
where
    B: Body<Data = Bytes> + Unpin,
{
    let principal = principal(service, call)?;
    service.require_business(&principal)?;
    let query = Query::read(call.query, &["audience", "line", "last"])?;
    let last = match query.text("last") {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => {
            return Err(Error::at(Kind::InvalidField, "last", "it is true or false").into());
        }
    };
    let name = segment(name)?;
    let mut part = Part {
        audience: query.number("audience", 1, u64::MAX)?,
        line: query.number("line", 0, u64::MAX)?.unwrap_or(0),
        users: Vec::new(),
        last: false,
    };
    let mut ids = Ids::new(lines);
    // First its number, so that whatever happens then is told with it.
    if part.audience.is_none() {
        let begun = put(service, &principal, &name, part.clone()).await?;
        part.audience = Some(begun.audience);
    }
    loop {
        part.users = ids.next().await.map_err(|error| taken(error, &part))?;
        part.last = last && part.users.is_empty();
        let view = put(service, &principal, &name, part.clone()).await;
        let view = view.map_err(|error| taken(error, &part))?;
        if part.users.is_empty() {
            return answer(&AudienceBody::from(view));
        }
        part.line = part.line.saturating_add(part.users.len() as u64);
    }
}

async fn put(
    service: &Service,
    principal: &Principal,
    name: &str,
    part: Part,
) -> std::result::Result<AudienceView, Error> {
    // An upload may be longer than its token lives.
    service.still_stands(principal)?;
    service
        .fill_audience(principal, Surface::NativeHttp, name, part)
        .await
}

/// Says with an error how much of the list was taken until then, so that the rest can follow.
fn taken(error: Error, part: &Part) -> Error {
    let (audience, lines) = (part.audience.unwrap_or_default(), part.line);
    let detail = format!(
        "{}; of audience {audience} {lines} lines are taken",
        error.detail
    );
    Error {
        detail: detail.into(),
        ..error
    }
}

/// `GET /v1/audiences/{name}?audience=`
pub(super) async fn get(service: &Service, call: &Call<'_>, name: &str) -> Result {
    let principal = principal(service, call)?;
    let query = Query::read(call.query, &["audience"])?;
    let generation = query.number("audience", 1, u64::MAX)?;
    let view = service
        .audience(&principal, &segment(name)?, generation)
        .await?;
    answer(&AudienceBody::from(view))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::Full;

    use super::*;

    async fn read(text: &'static str) -> std::result::Result<Vec<String>, Kind> {
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        let lines = Lines::new(&HeaderMap::new(), body, Duration::from_secs(1)).unwrap();
        Ids::new(lines).next().await.map_err(|error| error.kind)
    }

    #[tokio::test]
    async fn lines_are_json_texts() {
        let three = vec!["a".to_owned(), "李".to_owned(), "c".to_owned()];
        assert_eq!(read("\"a\"\n\"李\"\r\n\n\"c\"").await, Ok(three));
        assert_eq!(read("").await, Ok(Vec::new()));
        assert_eq!(read("\"a\"\nb").await, Err(Kind::Malformed));
        assert_eq!(read("7").await, Err(Kind::Malformed));
        assert_eq!(read("\"\"").await, Err(Kind::InvalidId));
    }

    #[test]
    fn only_lists_are_read_by_lines() {
        assert_eq!(uploaded(&Method::PUT, "/v1/audiences/a"), Some("a"));
        assert_eq!(uploaded(&Method::GET, "/v1/audiences/a"), None);
        assert_eq!(uploaded(&Method::PUT, "/v1/audiences/a/b"), None);
        let mut headers = HeaderMap::new();
        assert!(!is_listed(&Method::POST, "/v1/tasks", &headers));
        let kind = "application/x-ndjson; charset=utf-8".parse().unwrap();
        headers.insert(CONTENT_TYPE, kind);
        assert!(is_listed(&Method::POST, "/v1/tasks", &headers));
        assert!(!is_listed(&Method::POST, "/v1/messages", &headers));
    }
}
