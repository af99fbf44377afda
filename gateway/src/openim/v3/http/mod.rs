//! The HTTP half of the dialect: one envelope, status 200 whatever happens, one function for each path.

mod accounts;
mod conversations;
mod empty;
mod jssdk;
mod messages;
mod send;
mod users;

use std::sync::Arc;

use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::http::respond;
use crate::http::{Answered, Call};
use crate::openim::v3::Online;
use crate::service::Service;
use crate::telemetry::metrics::Route;

const TOKEN: HeaderName = HeaderName::from_static("token");
const OPERATION_ID: HeaderName = HeaderName::from_static("operationid");

/// Bytes of a request for users: some 700 conversations in a page of the web SDK.
const USERS_BODY: u64 = 8 * 1024 * 1024;

/// What a path gives: the `data` of the envelope.
type Given = Result<Value, Error>;

/// A request that was told apart from others, and who makes it.
struct Asked<'a> {
    service: &'a Service,
    online: &'a Online,
    call: &'a Call<'a>,
    principal: Arc<Principal>,
    operation_id: &'a str,
}

impl Asked<'_> {
    /// The request's body.
    fn body<T: for<'b> Deserialize<'b>>(&self) -> Result<T, Error> {
        body(self.call)
    }

    /// Only business systems may.
    fn business(&self) -> Result<(), Error> {
        if self.principal.is_business() {
            Ok(())
        } else {
            Err(Error::of(Kind::Forbidden))
        }
    }
}

fn body<T: for<'b> Deserialize<'b>>(call: &Call<'_>) -> Result<T, Error> {
    serde_json::from_slice(call.body)
        .map_err(|error| Error::new(Kind::Malformed, format!("the body cannot be read: {error}")))
}

/// How long the body of a request may be. The web SDK names the users of n conversations in n² ids; so much is read for those only
/// who have a good token.
#[must_use]
pub fn body_bytes(service: &Service, head: &Parts) -> u64 {
    let limit = service.limits().http_body_bytes;
    let long = head.uri.path() == "/user/get_users_info" && limit < USERS_BODY;
    let token = || head.headers.get(&TOKEN)?.to_str().ok();
    if long && token().is_some_and(|token| service.authenticate(token).is_ok()) {
        USERS_BODY
    } else {
        limit
    }
}

/// Answers a request of the dialect.
pub async fn answer(service: &Service, online: &Online, call: &Call<'_>) -> Answered {
    if call.method != Method::POST {
        return respond(Err(Error::of(Kind::Method)), Route::Other, "");
    }
    let route = match call.path {
        "/msg/send_msg" | "/msg/batch_send_msg" => Route::V3Send,
        _ => Route::V3Other,
    };
    let operation_id = call.header(&OPERATION_ID).unwrap_or_default();
    let given = given(service, online, call, operation_id).await;
    respond(given, route, operation_id)
}

/// A request that could not be read at all.
pub fn refuse(error: &Error) -> Answered {
    respond(Err(error.clone()), Route::Other, "")
}

async fn given(service: &Service, online: &Online, call: &Call<'_>, operation_id: &str) -> Given {
    if operation_id.is_empty() {
        let what = "the header operationID is empty";
        return Err(Error::at(Kind::InvalidField, "operationID", what));
    }
    // The two that need no token.
    match call.path {
        "/auth/get_admin_token" => return accounts::admin_token(service, call).await,
        "/auth/parse_token" => return accounts::parse_token(service, call),
        _ => {}
    }
    let principal = call
        .header(&TOKEN)
        .and_then(|token| service.authenticate(token))?;
    let asked = Asked {
        service,
        online,
        call,
        principal,
        operation_id,
    };
    match call.path.split('/').nth(1) {
        Some("auth") => accounts::answer(&asked).await,
        Some("user") => users::answer(&asked).await,
        Some("conversation") => conversations::answer(&asked).await,
        Some("msg") => messages::answer(&asked).await,
        Some("jssdk") => jssdk::answer(&asked).await,
        _ => empty::answer(&asked),
    }
}

/// There is no such path: only this call fails.
fn no_route() -> Given {
    Err(Error::of(Kind::NoRoute))
}

/// The server does not do this yet.
fn not_offered(path: &str) -> Given {
    Err(Error::new(
        Kind::NotOffered,
        format!("{path} is not offered yet"),
    ))
}

fn respond(given: Given, route: Route, operation_id: &str) -> Answered {
    let (envelope, kind) = match given {
        Ok(data) => {
            let envelope = json!({ "errCode": 0, "errMsg": "", "errDlt": "", "data": data });
            (envelope, None)
        }
        Err(error) => {
            let row = error.row();
            let envelope =
                json!({ "errCode": row.v3, "errMsg": row.title, "errDlt": error.detail });
            (envelope, Some(error.kind))
        }
    };
    let mut response = respond::with(200, "application/json", envelope.to_string());
    cors(response.headers_mut());
    Answered {
        response,
        route,
        operation_id: operation_id.to_owned(),
        kind,
    }
}

/// Web pages of any origin may read answers; they carry no credentials.
fn cors(headers: &mut HeaderMap) {
    for name in [
        "access-control-allow-origin",
        "access-control-allow-methods",
        "access-control-allow-headers",
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("*"));
    }
}

/// A page of a list.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Pagination {
    page_number: usize,
    show_number: usize,
}

impl Pagination {
    /// What of a list is on the page.
    fn of<T: Clone>(self, list: &[T]) -> Vec<T> {
        let size = self.show_number.clamp(1, 1_000);
        let before = self.page_number.saturating_sub(1).saturating_mul(size);
        list.iter().skip(before).take(size).cloned().collect()
    }
}
