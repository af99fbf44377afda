//! The native surface over HTTP: JSON, bearer tokens, RFC 9457 problems. Requests are read strictly: an unknown field is
//! refused, so that a typing error does not go unnoticed.

mod conversations;
pub(crate) mod encode;
mod events;
mod lists;
pub(crate) mod log;
pub(crate) mod messages;
mod status;
pub(crate) mod strict;
mod tasks;
mod tokens;
mod users;

use std::sync::Arc;

use hyper::header::{ALLOW, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Response};
use waybill_core::fact::Mark;

use super::address::{self, Query};
use super::call::{Answered, Call};
use super::lines::Lines;
use super::origin;
use super::respond::{self, Body};
use crate::auth::Principal;
use crate::config::Config;
use crate::error::{Error, Kind, ProblemOptions, problem};
use crate::openim::go::scan;
use crate::service::{Allowance, Service};
use crate::telemetry::metrics::Route;

/// What a handler gives: a response, or an error that becomes a problem.
pub(crate) type Result<T = Response<Body>> = std::result::Result<T, Refusal>;

/// An error on its way to a problem, with what a client of a log needs to go on.
pub(crate) struct Refusal {
    error: Error,
    operation_id: String,
    span: Option<waybill_log::Span>,
    /// Boxed, because it is seldom there.
    allowance: Option<Box<Allowance>>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            error,
            operation_id: String::new(),
            span: None,
            allowance: None,
        }
    }
}

/// A request that could not be read at all.
pub(super) fn refuse(error: &Error) -> Answered {
    Answered {
        response: respond::error(error, &ProblemOptions::default()),
        route: Route::Other,
        operation_id: String::new(),
        kind: Some(error.kind),
    }
}

/// Answers a browser that asks whether a page may ask.
pub(super) fn preflight(config: &Config, headers: &HeaderMap) -> Answered {
    match origin::check(config, headers) {
        Ok(()) => Answered {
            response: origin::preflight(),
            route: Route::Other,
            operation_id: String::new(),
            kind: None,
        },
        Err(error) => refuse(&error),
    }
}

/// Answers a request below `/v1/`.
pub(super) async fn answer(service: &Service, call: &Call<'_>) -> Answered {
    let (route, result) = dispatch(service, call).await;
    answered(service, route, result)
}

/// Whether the body of a request is read line by line, by [`answer_lines`].
pub(super) fn has_lines(head: &Parts) -> bool {
    let path = head.uri.path();
    lists::uploaded(&head.method, path).is_some()
        || lists::is_listed(&head.method, path, &head.headers)
}

/// Answers a request whose body is read line by line; that of the call is empty.
pub(super) async fn answer_lines<B>(service: &Service, call: &Call<'_>, lines: Lines<B>) -> Answered
where
    B: hyper::body::Body<Data = bytes::Bytes> + Unpin,
{
    match lists::uploaded(call.method, call.path) {
        Some(name) => {
            let result = lists::fill(service, call, name, lines).await;
            answered(service, Route::Audience, result)
        }
        None => answered(
            service,
            Route::Post,
            lists::post(service, call, lines).await,
        ),
    }
}

fn answered(service: &Service, route: Route, result: Result) -> Answered {
    match result {
        Ok(response) => Answered {
            response,
            route,
            operation_id: String::new(),
            kind: None,
        },
        Err(refusal) => refused(service, route, refusal),
    }
}

/// A refusal as a problem, in one line.
fn problem_of(service: &Service, refusal: &Refusal) -> String {
    let epoch = refusal.span.map(|_| service.epoch().to_string());
    let problem = problem(&refusal.error, &refusal.options(epoch.as_deref()));
    String::from_utf8(problem).unwrap_or_default()
}

impl Refusal {
    fn options<'a>(&'a self, epoch: Option<&'a str>) -> ProblemOptions<'a> {
        ProblemOptions {
            operation_id: Some(self.operation_id.as_str()).filter(|id| !id.is_empty()),
            floor: self.span.map(|span| span.floor.0),
            head: self.span.map(|span| span.head.0),
            epoch,
        }
    }
}

fn refused(service: &Service, route: Route, refusal: Refusal) -> Answered {
    let epoch = refusal.span.map(|_| service.epoch().to_string());
    let mut response = respond::error(&refusal.error, &refusal.options(epoch.as_deref()));
    let Refusal {
        error,
        operation_id,
        allowance,
        ..
    } = refusal;
    if let Some(allowance) = allowance {
        respond::rate_limit(&mut response, &allowance);
    }
    if response.status() == hyper::StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let kind = Some(error.kind);
    Answered {
        response,
        route,
        operation_id,
        kind,
    }
}

/// A path's template, and the answer.
async fn dispatch(service: &Service, call: &Call<'_>) -> (Route, Result) {
    let rest = call.path.strip_prefix("/v1/").unwrap_or("");
    let mut parts = [""; 6];
    let mut count = 0;
    for segment in rest.split('/') {
        let Some(part) = parts.get_mut(count) else {
            return (Route::Other, Err(Error::of(Kind::NoRoute).into()));
        };
        *part = segment;
        count += 1;
    }
    match &parts[..count] {
        ["messages"] => match *call.method {
            Method::POST => (Route::Send, messages::send(service, call).await),
            Method::GET => (Route::FindMessage, messages::find(service, call).await),
            _ => method(Route::Send, "GET, POST"),
        },
        // No id looks like this.
        ["messages", "recall"] => match *call.method {
            Method::POST => (Route::Recall, messages::recall_by_key(service, call).await),
            _ => method(Route::Recall, "POST"),
        },
        ["messages", id] => match *call.method {
            Method::GET => (Route::GetMessage, messages::get(service, call, id).await),
            Method::PATCH => (Route::Change, messages::change(service, call, id).await),
            _ => method(Route::GetMessage, "GET, PATCH"),
        },
        ["messages", id, "recall"] => match *call.method {
            Method::POST => (
                Route::Recall,
                tasks::recall_message(service, call, id).await,
            ),
            _ => method(Route::Recall, "POST"),
        },
        ["messages", id, "opened"] => match *call.method {
            Method::POST => (
                Route::Mark,
                status::mark(service, call, id, Mark::Opened).await,
            ),
            _ => method(Route::Mark, "POST"),
        },
        ["messages", id, "confirmed"] => match *call.method {
            Method::POST => (
                Route::Mark,
                status::mark(service, call, id, Mark::Confirmed).await,
            ),
            _ => method(Route::Mark, "POST"),
        },
        ["accounts", account, "status"] => match *call.method {
            Method::GET => (Route::Status, status::get(service, call, account).await),
            _ => method(Route::Status, "GET"),
        },
        ["users", user] => match *call.method {
            Method::GET => (Route::User, users::get(service, call, user)),
            Method::PUT => (Route::User, users::put(service, call, user).await),
            Method::DELETE => (Route::User, users::delete(service, call, user).await),
            _ => method(Route::User, "DELETE, GET, PUT"),
        },
        ["users", user, "snapshot"] => match *call.method {
            Method::GET => (
                Route::Snapshot,
                conversations::snapshot(service, call, user).await,
            ),
            _ => method(Route::Snapshot, "GET"),
        },
        ["users", user, "conversations", rest @ ..] => {
            conversation(service, call, user, rest).await
        }
        ["tasks", rest @ ..] => task(service, call, rest).await,
        ["audiences", name] => match *call.method {
            // Lists are put line by line: see `answer_lines`.
            Method::GET => (Route::Audience, lists::get(service, call, name).await),
            _ => method(Route::Audience, "GET, PUT"),
        },
        ["users", user, "log"] => match *call.method {
            Method::GET => (Route::Pull, log::pull(service, call, user).await),
            _ => method(Route::Pull, "GET"),
        },
        ["users", user, "presence"] => match *call.method {
            Method::GET => (Route::Presence, users::presence(service, call, user)),
            _ => method(Route::Presence, "GET"),
        },
        ["users", user, "devices", device, "cursor"] => match *call.method {
            Method::PUT => (
                Route::Cursor,
                log::cursor(service, call, user, device).await,
            ),
            _ => method(Route::Cursor, "PUT"),
        },
        ["tickets"] => match *call.method {
            Method::POST => (Route::Ticket, tokens::ticket(service, call)),
            _ => method(Route::Ticket, "POST"),
        },
        ["tokens"] => match *call.method {
            Method::POST => (Route::IssueToken, tokens::issue(service, call).await),
            Method::DELETE => (Route::RevokeTokens, tokens::revoke(service, call).await),
            _ => method(Route::IssueToken, "POST, DELETE"),
        },
        ["me"] => match *call.method {
            Method::GET => (Route::Me, tokens::me(service, call)),
            _ => method(Route::Me, "GET"),
        },
        _ => (Route::Other, Err(Error::of(Kind::NoRoute).into())),
    }
}

/// Below `/v1/users/{user}/conversations`.
async fn conversation(
    service: &Service,
    call: &Call<'_>,
    user: &str,
    rest: &[&str],
) -> (Route, Result) {
    match rest {
        [] => match *call.method {
            Method::GET => (
                Route::Conversations,
                conversations::list(service, call, user).await,
            ),
            _ => method(Route::Conversations, "GET"),
        },
        [of] => match *call.method {
            Method::GET => (
                Route::Conversation,
                conversations::get(service, call, user, of).await,
            ),
            Method::PATCH => (
                Route::Conversation,
                conversations::change(service, call, user, of).await,
            ),
            _ => method(Route::Conversation, "GET, PATCH"),
        },
        [of, "messages"] => match *call.method {
            Method::GET => (
                Route::History,
                conversations::history(service, call, user, of).await,
            ),
            Method::DELETE => (
                Route::History,
                conversations::delete(service, call, user, of).await,
            ),
            _ => method(Route::History, "DELETE, GET"),
        },
        [of, "read"] => match *call.method {
            Method::PUT => (
                Route::Read,
                conversations::read(service, call, user, of).await,
            ),
            _ => method(Route::Read, "PUT"),
        },
        _ => (Route::Other, Err(Error::of(Kind::NoRoute).into())),
    }
}

/// Below `/v1/tasks`.
async fn task(service: &Service, call: &Call<'_>, rest: &[&str]) -> (Route, Result) {
    match rest {
        [] => match *call.method {
            Method::POST => (Route::Post, tasks::post(service, call).await),
            _ => method(Route::Post, "POST"),
        },
        [task] => match *call.method {
            Method::GET => (Route::Task, tasks::get(service, call, task).await),
            Method::PATCH => (
                Route::Change,
                messages::change_task(service, call, task).await,
            ),
            _ => method(Route::Task, "GET, PATCH"),
        },
        [task, "receivers"] => match *call.method {
            Method::GET => (
                Route::Receivers,
                tasks::receivers(service, call, task).await,
            ),
            _ => method(Route::Receivers, "GET"),
        },
        [task, "recall"] => match *call.method {
            Method::POST => (Route::Recall, tasks::recall(service, call, task).await),
            _ => method(Route::Recall, "POST"),
        },
        _ => (Route::Other, Err(Error::of(Kind::NoRoute).into())),
    }
}

fn method(route: Route, allowed: &'static str) -> (Route, Result) {
    // The one answer of the surface with a header of its own; it is a response, not an error, so that it can carry it.
    let mut response = respond::error(&Error::of(Kind::Method), &ProblemOptions::default());
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    (route, Ok(response))
}

/// Who is calling.
fn principal(service: &Service, call: &Call<'_>) -> Result<Arc<Principal>> {
    let header = call
        .header(&AUTHORIZATION)
        .map_err(|_| Error::of(Kind::TokenMalformed))?;
    if header.is_empty() {
        return Err(Error::of(Kind::NoToken).into());
    }
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        let text = "the Authorization header must be \"Bearer\" and a token";
        return Err(Error::new(Kind::NoToken, text).into());
    }
    Ok(service.authenticate(token.trim())?)
}

/// Reads a request that is all in its body: one JSON object without unknown fields. What is kept as it is, is checked by
/// whoever keeps it.
fn json<'a, T: serde::Deserialize<'a>>(service: &Service, call: &Call<'a>) -> Result<T> {
    Query::read(call.query, &[])?;
    body(service, call)
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Checks a body that has nothing to say: it is empty, or an object without fields.
fn no_body(service: &Service, call: &Call<'_>) -> Result<()> {
    if !call.body.is_empty() {
        body::<Nothing>(service, call)?;
    }
    Ok(())
}

fn body<'a, T: serde::Deserialize<'a>>(service: &Service, call: &Call<'a>) -> Result<T> {
    let text = std::str::from_utf8(call.body)
        .map_err(|_| Error::new(Kind::Malformed, "the body is not UTF-8"))?;
    // A list of values would be taken for the fields in their order.
    let is_object = text.trim_start().starts_with('{');
    let wrong = match serde_json::from_str(text) {
        Ok(body) if is_object => return Ok(body),
        Ok(_) => "it must be a JSON object".to_owned(),
        Err(error) => error.to_string(),
    };
    // A wrong field may be met before the text turns out to be no JSON at all, or too deep: that is said first.
    let depth = usize::try_from(service.limits().json_depth).unwrap_or(usize::MAX);
    let refused = match scan::first_value(text, depth) {
        Ok(tape) if tape.root().text().len() == text.trim().len() => {
            Error::new(Kind::InvalidField, format!("the body: {wrong}"))
        }
        Ok(_) => Error::new(Kind::Malformed, format!("the body: {wrong}")),
        Err(error) => Error::new(Kind::Malformed, format!("the body: {error}")),
    };
    Err(refused.into())
}

/// The text of a path segment. No name of a thing is empty; to the services an empty one would be the caller's own.
fn segment(text: &str) -> Result<String> {
    if text.is_empty() {
        return Err(Error::new(Kind::InvalidId, "a part of the path is empty").into());
    }
    Ok(address::segment(text)?)
}
