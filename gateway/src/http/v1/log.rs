//! `/v1/users/{user}/…`: the user's log, and how far devices have stored it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use waybill_core::id::Seq;
use waybill_core::record::Surface;
use waybill_log::Span;

use super::messages::answer;
use super::strict::Whole;
use super::{Refusal, Result, encode, events, json, principal, segment};
use crate::error::{Error, Kind};
use crate::http::address::Query;
use crate::http::call::Call;
use crate::service::{Pulled, Service};
use crate::telemetry::metrics::TransportLabel;

/// Most entries that a caller may ask for.
pub(crate) const MAX_PAGE_ENTRIES: u64 = waybill_log::reader::PAGE_ENTRIES as u64;

/// Longest wait that a caller may ask for, in seconds; the configured one may be shorter.
pub(super) const MAX_WAIT_SECONDS: u64 = 60;

/// `GET /v1/users/{user}/log?after=&limit=&wait=&epoch=`, or the log as a stream of events.
pub(super) async fn pull(service: &Service, call: &Call<'_>, user: &str) -> Result {
    if events::are_wanted(call) {
        return events::begin(service, call, user);
    }
    let principal = principal(service, call)?;
    let user = segment(user)?;
    let query = Query::read(call.query, &["after", "limit", "wait", "epoch"])?;
    let limits = service.limits();
    let after = Seq(query.number("after", 0, u64::MAX)?.unwrap_or(0));
    let limit = query
        .number("limit", 1, MAX_PAGE_ENTRIES)?
        .unwrap_or(limits.page_entries);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let wait = query.number("wait", 0, MAX_WAIT_SECONDS)?.unwrap_or(0);
    let wait = Duration::from_secs(wait.min(limits.long_poll_seconds));
    if query
        .text("epoch")
        .is_some_and(|epoch| epoch != service.epoch().to_string())
    {
        let span = service.span(&principal, &user)?;
        return Err(lost(Error::of(Kind::OtherEpoch), span));
    }
    match service
        .pull_wait(&principal, &user, after, limit, wait)
        .await?
    {
        Pulled::Page(page) => {
            let label = TransportLabel { transport: "http" };
            let count = page.entries.len() as u64;
            service
                .metrics()
                .entries_pulled
                .get_or_create(&label)
                .inc_by(count);
            answer(&encode::PageBody::from(&page))
        }
        Pulled::TooOld(span) => Err(too_old(span)),
        Pulled::Ahead(span) => Err(ahead(span)),
    }
}

pub(super) fn too_old(span: Span) -> Refusal {
    lost(Error::too_old(span.floor), span)
}

pub(super) fn ahead(span: Span) -> Refusal {
    lost(Error::ahead(span.head), span)
}

pub(super) fn lost(error: Error, span: Span) -> Refusal {
    Refusal {
        span: Some(span),
        ..Refusal::from(error)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CursorBody {
    seq: Whole<u64>,
}

#[derive(Serialize)]
struct Cursor {
    seq: u64,
}

/// `PUT /v1/users/{user}/devices/{device}/cursor`
pub(super) async fn cursor(service: &Service, call: &Call<'_>, user: &str, device: &str) -> Result {
    let principal = principal(service, call)?;
    let (user, device) = (segment(user)?, segment(device)?);
    let CursorBody { seq: Whole(seq) } = json(service, call)?;
    let seq = service
        .acknowledge(&principal, Surface::NativeHttp, &user, &device, Seq(seq))
        .await?;
    answer(&Cursor { seq: seq.0 })
}
