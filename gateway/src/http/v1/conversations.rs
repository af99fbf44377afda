//! `/v1/users/{user}/conversations…` and `/v1/users/{user}/snapshot`.

use serde::{Deserialize, Serialize};
use waybill_core::id::ConversationSeq;
use waybill_core::limits::MAX_REMOVED;
use waybill_core::record::Surface;
use waybill_log::reader::{Direction, HISTORY_ENTRIES, LIST_ENTRIES};

use super::messages::answer;
use super::strict::Whole;
use super::{Result, encode, json, principal, segment};
use crate::error::{Error, Kind};
use crate::http::address::Query;
use crate::http::call::Call;
use crate::service::{Change, Named, Service};

/// Conversations and messages of a page, where the caller does not say.
const DEFAULT_LIMIT: u64 = 100;

fn limit(query: &Query, most: usize) -> std::result::Result<usize, Error> {
    let asked = query.number("limit", 1, most as u64)?;
    Ok(usize::try_from(asked.unwrap_or(DEFAULT_LIMIT)).unwrap_or(most))
}

fn flag(query: &Query, name: &'static str) -> std::result::Result<bool, Error> {
    match query.text(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Error::at(Kind::InvalidField, name, "it is true or false")),
    }
}

fn named(text: &str) -> std::result::Result<Named<'_>, Error> {
    Named::read(text).ok_or_else(|| {
        let detail = "a conversation is named single:<user> or notification:<account>";
        Error::at(Kind::InvalidField, "conversation", detail)
    })
}

/// `GET /v1/users/{user}/conversations?limit=&cursor=&hidden=`
pub(super) async fn list(service: &Service, call: &Call<'_>, user: &str) -> Result {
    let principal = principal(service, call)?;
    let query = Query::read(call.query, &["limit", "cursor", "hidden"])?;
    let (limit, hidden) = (limit(&query, LIST_ENTRIES)?, flag(&query, "hidden")?);
    let user = segment(user)?;
    let list = service
        .conversations(&principal, &user, query.text("cursor"), limit, hidden)
        .await?;
    answer(&encode::ListBody::page(&list))
}

/// `GET /v1/users/{user}/snapshot?limit=`
pub(super) async fn snapshot(service: &Service, call: &Call<'_>, user: &str) -> Result {
    let principal = principal(service, call)?;
    let query = Query::read(call.query, &["limit"])?;
    let limit = limit(&query, LIST_ENTRIES)?;
    let (seq, list) = service.snapshot(&principal, &segment(user)?, limit).await?;
    let epoch = service.epoch().to_string();
    answer(&encode::ListBody::snapshot(&list, epoch, seq.0))
}

/// `GET /v1/users/{user}/conversations/{conversation}`
pub(super) async fn get(service: &Service, call: &Call<'_>, user: &str, of: &str) -> Result {
    let principal = principal(service, call)?;
    Query::read(call.query, &[])?;
    let (user, of) = (segment(user)?, segment(of)?);
    let (view, types) = service.conversation(&principal, &user, named(&of)?).await?;
    answer(&encode::ListedBody::from(&view).with_types(&types))
}

/// `GET /v1/users/{user}/conversations/{conversation}/messages?before=&after=&limit=&type=`
pub(super) async fn history(service: &Service, call: &Call<'_>, user: &str, of: &str) -> Result {
    let principal = principal(service, call)?;
    let query = Query::read(call.query, &["before", "after", "limit", "type"])?;
    let (user, of) = (segment(user)?, segment(of)?);
    let before = query.number("before", 0, u64::MAX)?;
    let after = query.number("after", 0, u64::MAX)?;
    let direction = match (before, after) {
        (Some(_), Some(_)) => {
            let detail = "a page goes before a place or after one, not both";
            return Err(Error::at(Kind::InvalidField, "before", detail).into());
        }
        (_, Some(after)) => Direction::After(ConversationSeq(after)),
        (before, None) => Direction::Before(ConversationSeq(before.unwrap_or(u64::MAX))),
    };
    let of_type = query.text("type").map(|text| {
        let wrong = || Error::at(Kind::InvalidField, "type", "it is no notificationType");
        // A plus sign, which `parse` takes, is none of a number here.
        let digits = text.strip_prefix('-').unwrap_or(text);
        let number = digits.starts_with(|first: char| first.is_ascii_digit());
        let parsed = number.then(|| text.parse::<i32>().ok()).flatten();
        parsed.ok_or_else(wrong)
    });
    let (of_type, limit) = (of_type.transpose()?, limit(&query, HISTORY_ENTRIES)?);
    let page = service
        .history(&principal, &user, named(&of)?, direction, limit, of_type)
        .await?;
    answer(&encode::HistoryPageBody::from(&page))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadBody {
    conversation_seq: Whole<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReadAnswer {
    conversation_seq: u64,
    unread: u64,
}

/// `PUT /v1/users/{user}/conversations/{conversation}/read`
pub(super) async fn read(service: &Service, call: &Call<'_>, user: &str, of: &str) -> Result {
    let principal = principal(service, call)?;
    let (user, of) = (segment(user)?, segment(of)?);
    let body: ReadBody = json(service, call)?;
    let up_to = ConversationSeq(body.conversation_seq.0);
    let (up_to, unread) = service
        .read_conversation(&principal, Surface::NativeHttp, &user, named(&of)?, up_to)
        .await?;
    answer(&ReadAnswer {
        conversation_seq: up_to.0,
        unread,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangeBody {
    pinned: Option<bool>,
    receive_option: Option<Whole<u8>>,
    hidden: Option<bool>,
}

/// `PATCH /v1/users/{user}/conversations/{conversation}`
pub(super) async fn change(service: &Service, call: &Call<'_>, user: &str, of: &str) -> Result {
    let principal = principal(service, call)?;
    let (user, of) = (segment(user)?, segment(of)?);
    let body: ChangeBody = json(service, call)?;
    let change = Change {
        pinned: body.pinned,
        receive_option: body.receive_option.map(|option| option.0),
        hidden: body.hidden,
    };
    service
        .set_conversation(&principal, Surface::NativeHttp, &user, named(&of)?, change)
        .await?;
    let (view, types) = service.conversation(&principal, &user, named(&of)?).await?;
    answer(&encode::ListedBody::from(&view).with_types(&types))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeleteBody {
    conversation_seqs: Option<Vec<Whole<u64>>>,
    up_to: Option<Whole<u64>>,
}

#[derive(Serialize)]
struct Nothing {}

/// `DELETE /v1/users/{user}/conversations/{conversation}/messages`: for this user alone.
pub(super) async fn delete(service: &Service, call: &Call<'_>, user: &str, of: &str) -> Result {
    let principal = principal(service, call)?;
    let (user, of) = (segment(user)?, segment(of)?);
    let body: DeleteBody = json(service, call)?;
    let (surface, named) = (Surface::NativeHttp, named(&of)?);
    match (body.conversation_seqs, body.up_to) {
        (Some(seqs), None) => {
            if seqs.is_empty() || seqs.len() > MAX_REMOVED {
                let detail = format!("it names 1 to {MAX_REMOVED} messages");
                return Err(Error::at(Kind::InvalidField, "/conversationSeqs", detail).into());
            }
            let seqs = seqs.into_iter().map(|seq| ConversationSeq(seq.0)).collect();
            service
                .remove_messages(&principal, surface, &user, named, seqs)
                .await?;
        }
        (None, Some(up_to)) => {
            let up_to = ConversationSeq(up_to.0);
            service
                .clear_conversation(&principal, surface, &user, named, up_to)
                .await?;
        }
        _ => {
            let detail = "the body has conversationSeqs or upTo";
            return Err(Error::at(Kind::InvalidField, "/", detail).into());
        }
    }
    answer(&Nothing {})
}
