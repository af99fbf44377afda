//! `/v1/messages/{serverMsgID}/opened|confirmed` and `/v1/accounts/{account}/status`: what becomes of messages.

use std::time::Duration;

use serde::Serialize;
use waybill_core::fact::Mark;
use waybill_core::id::StatusNo;
use waybill_core::record::Surface;
use waybill_log::reader::STATUS_CHANGES;

use super::encode::conversation_name;
use super::log::{MAX_WAIT_SECONDS, lost};
use super::messages::answer;
use super::{Result, no_body, principal, segment};
use crate::error::{Error, Kind};
use crate::http::address::Query;
use crate::http::call::Call;
use crate::service::{ChangeView, Service};

#[derive(Serialize)]
struct Marked {
    state: &'static str,
}

/// `POST /v1/messages/{serverMsgID}/opened` and `…/confirmed`
pub(super) async fn mark(service: &Service, call: &Call<'_>, id: &str, mark: Mark) -> Result {
    let principal = principal(service, call)?;
    Query::read(call.query, &[])?;
    no_body(service, call)?;
    let confirmed = service
        .mark(&principal, Surface::NativeHttp, &segment(id)?, mark)
        .await?;
    let state = if confirmed { "confirmed" } else { "opened" };
    answer(&Marked { state })
}

#[derive(Serialize)]
struct StatusBody<'a> {
    tracked: bool,
    head: u64,
    changes: Vec<ChangeBody<'a>>,
    more: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeBody<'a> {
    n: u64,
    time: u64,
    state: &'static str,
    receiver: &'a str,
    conversation: &'static str,
    /// Of what is delivered or read.
    #[serde(skip_serializing_if = "Option::is_none")]
    up_to: Option<u64>,
    /// Of what is opened or confirmed.
    #[serde(rename = "serverMsgID", skip_serializing_if = "Option::is_none")]
    server_msg_id: Option<&'a str>,
}

impl<'a> From<&'a ChangeView> for ChangeBody<'a> {
    fn from(view: &'a ChangeView) -> Self {
        let id = view.server_msg_id.as_deref();
        Self {
            n: view.n.0,
            time: view.time.0,
            state: view.state,
            receiver: &view.receiver,
            conversation: conversation_name(view.place_kind),
            up_to: id.is_none().then_some(view.conversation_seq.0),
            server_msg_id: id,
        }
    }
}

/// `GET /v1/accounts/{account}/status?after=&limit=&wait=`
pub(super) async fn get(service: &Service, call: &Call<'_>, account: &str) -> Result {
    let principal = principal(service, call)?;
    let account = segment(account)?;
    let query = Query::read(call.query, &["after", "limit", "wait"])?;
    let after = StatusNo(query.number("after", 0, u64::MAX)?.unwrap_or(0));
    let limit = query
        .number("limit", 1, STATUS_CHANGES as u64)?
        .unwrap_or(100);
    let limit = usize::try_from(limit).unwrap_or(STATUS_CHANGES);
    let wait = query.number("wait", 0, MAX_WAIT_SECONDS)?.unwrap_or(0);
    let wait = Duration::from_secs(wait.min(service.limits().long_poll_seconds));
    let found = service
        .status(&principal, &account, after, limit, wait)
        .await?;
    let view = match found {
        Ok(view) => view,
        Err(span) => {
            let text = format!("the changes end at {}", span.head);
            return Err(lost(Error::at(Kind::Ahead, "after", text), span));
        }
    };
    let last = view.changes.last().map_or(after, |change| change.n);
    answer(&StatusBody {
        tracked: view.tracked,
        head: view.head.0,
        changes: view.changes.iter().map(Into::into).collect(),
        more: last < view.head,
    })
}
