//! `/v1/tokens` and `/v1/me`.

use serde::{Deserialize, Serialize};
use waybill_core::command::Unknown;
use waybill_core::record::Surface;

use super::messages::answer;
use super::strict::Whole;
use super::{Result, json, no_body, principal};
use crate::auth::{Role, TICKET_LIFE, platform_name};
use crate::error::{Error, Kind};
use crate::http::address::Query;
use crate::http::call::Call;
use crate::http::respond;
use crate::service::{Service, Which};

/// The platform of a token whose caller names none: Web.
const DEFAULT_PLATFORM: u8 = 5;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IssueBody {
    user: String,
    platform: Option<Whole<u8>>,
    expires_in: Option<Whole<u64>>,
}

#[derive(Serialize)]
struct IssuedBody<'a> {
    user: &'a str,
    platform: u8,
    token: &'a str,
    expires: u64,
}

/// `POST /v1/tokens`: for managers. A user who was never seen becomes known by this.
pub(super) async fn issue(service: &Service, call: &Call<'_>) -> Result {
    let principal = principal(service, call)?;
    let body: IssueBody = json(service, call)?;
    service.may_issue_for(&principal, &body.user)?;
    let platform = body
        .platform
        .map_or(DEFAULT_PLATFORM, |platform| platform.0);
    if platform_name(platform).is_none() {
        let detail = "platform must be from 1 to 8";
        return Err(Error::at(Kind::InvalidField, "/platform", detail).into());
    }
    let lifetime = body.expires_in.map(|seconds| seconds.0);
    let issued = service
        .issue_token(
            principal.number,
            Surface::NativeHttp,
            &body.user,
            platform,
            lifetime.unwrap_or(service.config().openim.v1_token_seconds),
            Unknown::See,
        )
        .await?;
    answer(&IssuedBody {
        user: &issued.user,
        platform: issued.platform,
        token: issued.minted.token.expose(),
        expires: issued.minted.expires,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TicketBody<'a> {
    ticket: &'a str,
    expires_in: u64,
}

/// `POST /v1/tickets`: what stands in the address of one stream of events or WebSocket, in the caller's name.
pub(super) fn ticket(service: &Service, call: &Call<'_>) -> Result {
    let principal = principal(service, call)?;
    Query::read(call.query, &[])?;
    no_body(service, call)?;
    let ticket = service.give_ticket(&principal)?;
    answer(&TicketBody {
        ticket: &ticket,
        expires_in: TICKET_LIFE.as_secs(),
    })
}

/// `DELETE /v1/tokens`: the token of the call; with `?user=` all of a user, with `&platform=` those of one platform.
pub(super) async fn revoke(service: &Service, call: &Call<'_>) -> Result {
    let principal = principal(service, call)?;
    let query = Query::read(call.query, &["user", "platform"])?;
    no_body(service, call)?;
    let platform = query
        .number("platform", 1, 8)?
        .and_then(|number| u8::try_from(number).ok());
    let (user, which) = match (query.text("user"), platform) {
        (None, None) => ("", Which::One(principal.token)),
        (Some(""), _) => {
            return Err(Error::at(Kind::InvalidId, "user", "user is empty").into());
        }
        (user, Some(platform)) => (user.unwrap_or(""), Which::Platform(platform)),
        (Some(user), None) => (user, Which::All),
    };
    service
        .revoke(&principal, Surface::NativeHttp, user, which)
        .await?;
    let mut response = respond::json(204, Vec::new());
    response.headers_mut().remove(hyper::header::CONTENT_TYPE);
    Ok(response)
}

#[derive(Serialize)]
struct MeBody<'a> {
    user: &'a str,
    role: &'static str,
    platform: u8,
    expires: u64,
    registered: bool,
    epoch: String,
    floor: u64,
    head: u64,
}

/// `GET /v1/me`
pub(super) fn me(service: &Service, call: &Call<'_>) -> Result {
    let principal = principal(service, call)?;
    Query::read(call.query, &[])?;
    let me = service.me(&principal)?;
    answer(&MeBody {
        user: &me.user,
        role: match me.role {
            Role::User => "user",
            Role::Business => "business",
            Role::Operator => "operator",
        },
        platform: me.platform,
        expires: me.expires,
        registered: me.registered,
        epoch: service.epoch().to_string(),
        floor: me.span.floor.0,
        head: me.span.head.0,
    })
}
