//! What users do to messages: read, recall, delete, clear; and how far conversations go.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use waybill_core::id::ConversationSeq;
use waybill_core::limits::MAX_REMOVED;
use waybill_core::record::Surface;

use super::conversations::named as outlines_of;
use super::users::peer_of;
use super::{Asked, Given, no_route, send};
use crate::error::{Error, Kind};
use crate::openim::v3::{names, translate};
use crate::service::{Named, Outline};

/// Most places in one request.
const MOST_SEQS: usize = 10_000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    #[serde(rename = "conversationID")]
    conversation_id: String,
    #[serde(rename = "conversationIDs")]
    conversation_ids: Option<Vec<String>>,
    #[serde(rename = "userID")]
    user_id: String,
    #[serde(rename = "hasReadSeq")]
    has_read_seq: u64,
    seqs: Option<Vec<u64>>,
    seq: u64,
}

impl Wanted {
    fn user<'a>(&'a self, asked: &'a Asked<'_>) -> &'a str {
        if self.user_id.is_empty() {
            &asked.principal.user
        } else {
            &self.user_id
        }
    }

    fn named(&self, user: &str) -> Result<Named<'_>, Error> {
        let named = peer_of(user, &self.conversation_id);
        named.ok_or_else(|| Error::of(Kind::UnknownConversation))
    }

    fn seqs(&self) -> Result<&[u64], Error> {
        let seqs = self.seqs.as_deref().unwrap_or_default();
        if seqs.len() > MOST_SEQS {
            let what = format!("a request names at most {MOST_SEQS} messages");
            return Err(Error::at(Kind::InvalidField, "seqs", what));
        }
        Ok(seqs)
    }
}

pub(super) async fn answer(asked: &Asked<'_>) -> Given {
    match asked.call.path {
        "/msg/send_msg" => send::one(asked).await,
        "/msg/batch_send_msg" => send::many(asked).await,
        "/msg/send_business_notification" => send::business(asked),
        "/msg/mark_conversation_as_read"
        | "/msg/mark_msgs_as_read"
        | "/msg/set_conversation_has_read_seq" => read(asked).await,
        "/msg/get_conversations_has_read_and_max_seq" => positions(asked).await,
        "/msg/revoke_msg" => recall(asked).await,
        "/msg/delete_msgs" => delete(asked).await,
        "/msg/clear_conversation_msg" => clear(asked).await,
        "/msg/user_clear_all_msg" => clear_all(asked).await,
        "/msg/get_server_time" => {
            let now = crate::service::now_seconds().saturating_mul(1_000);
            Ok(json!({ "serverTime": now }))
        }
        _ => no_route(),
    }
}

/// The user has read up to the furthest place that is named.
async fn read(asked: &Asked<'_>) -> Given {
    let wanted: Wanted = asked.body()?;
    let user = wanted.user(asked);
    let named = wanted.named(user)?;
    let furthest = wanted.seqs()?.iter().copied().max().unwrap_or(0);
    let up_to = furthest.max(wanted.has_read_seq);
    if up_to > 0 {
        let mut up_to = ConversationSeq(up_to);
        if asked.service.was_restored() {
            // The client may have read what was lost.
            let found = asked
                .service
                .outlines_of(&asked.principal, user, &[named])
                .await?;
            up_to = found
                .first()
                .map_or(up_to, |outline| outline.head.min(up_to));
        }
        asked
            .service
            .read_conversation(&asked.principal, Surface::OpenImV3, user, named, up_to)
            .await?;
    }
    Ok(json!({}))
}

async fn positions(asked: &Asked<'_>) -> Given {
    let wanted: Wanted = asked.body()?;
    let user = wanted.user(asked);
    let ids = wanted.conversation_ids.as_deref().unwrap_or_default();
    let outlines = if ids.is_empty() {
        asked.service.outlines(&asked.principal, user).await?
    } else {
        outlines_of(asked, user, ids).await?
    };
    let seqs: Map<String, Value> = outlines
        .iter()
        .map(|outline| (names::of(user, &outline.place), position(outline)))
        .collect();
    Ok(json!({ "seqs": seqs }))
}

fn position(outline: &Outline) -> Value {
    json!({
        "maxSeq": outline.head.0,
        "hasReadSeq": outline.read_as_counted(),
        "maxSeqTime": translate::number(outline.last_time.0),
    })
}

/// Recalls a message from everybody: its sender may, and business systems. To them a notice is named by its account.
async fn recall(asked: &Asked<'_>) -> Given {
    let wanted: Wanted = asked.body()?;
    let user = wanted.user(asked);
    let named = wanted.named(user)?;
    let (service, principal) = (asked.service, &asked.principal);
    let seqs = vec![wanted.seq];
    let mut found = service
        .messages_at(principal, user, named, seqs.clone())
        .await?;
    if found.is_empty() && named.kind == 2 && principal.is_business() {
        let from_account = Named {
            kind: 2,
            peer: user,
        };
        found = service
            .messages_at(principal, named.peer, from_account, seqs)
            .await?;
    }
    let message = found
        .first()
        .ok_or_else(|| Error::of(Kind::UnknownMessage))?;
    if message.withdrawn.is_some() {
        return Err(Error::of(Kind::MessageRecalled));
    }
    service
        .recall_message(principal, Surface::OpenImV3, &message.told.server_msg_id)
        .await?;
    Ok(json!({}))
}

async fn delete(asked: &Asked<'_>) -> Given {
    let wanted: Wanted = asked.body()?;
    let user = wanted.user(asked);
    let named = wanted.named(user)?;
    let mut seqs = wanted.seqs()?.to_vec();
    seqs.sort_unstable();
    seqs.dedup();
    for part in seqs.chunks(MAX_REMOVED) {
        let messages = part.iter().map(|seq| ConversationSeq(*seq)).collect();
        asked
            .service
            .remove_messages(&asked.principal, Surface::OpenImV3, user, named, messages)
            .await?;
    }
    Ok(json!({}))
}

async fn clear(asked: &Asked<'_>) -> Given {
    let wanted: Wanted = asked.body()?;
    let user = wanted.user(asked);
    let ids = wanted.conversation_ids.as_deref().unwrap_or_default();
    let outlines = outlines_of(asked, user, ids).await?;
    clear_each(asked, user, &outlines).await
}

async fn clear_all(asked: &Asked<'_>) -> Given {
    let wanted: Wanted = asked.body()?;
    let user = wanted.user(asked);
    let outlines = asked.service.outlines(&asked.principal, user).await?;
    clear_each(asked, user, &outlines).await
}

async fn clear_each(asked: &Asked<'_>, user: &str, outlines: &[Outline]) -> Given {
    for outline in outlines {
        let named = Named {
            kind: outline.place.kind,
            peer: &outline.place.peer,
        };
        asked
            .service
            .clear_conversation(
                &asked.principal,
                Surface::OpenImV3,
                user,
                named,
                outline.head,
            )
            .await?;
    }
    Ok(json!({}))
}
