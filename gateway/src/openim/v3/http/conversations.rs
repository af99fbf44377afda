//! Conversations: which a user has, and what is set for them.

use serde::Deserialize;
use serde_json::{Value, json};
use waybill_core::record::Surface;

use super::users::peer_of;
use super::{Asked, Given, Pagination, no_route, not_offered};
use crate::error::{Error, Kind};
use crate::openim::v3::{names, proto, translate};
use crate::service::{Change, Named, Outline};

/// Most conversations named in one request.
const MOST: usize = 1_000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    #[serde(rename = "userID", alias = "ownerUserID")]
    user_id: String,
    #[serde(rename = "versionID")]
    version_id: String,
    version: u64,
    #[serde(rename = "conversationIDs")]
    conversation_ids: Option<Vec<String>>,
    pagination: Pagination,
}

pub(super) async fn answer(asked: &Asked<'_>) -> Given {
    match asked.call.path {
        "/conversation/get_incremental_conversations" => incremental(asked),
        "/conversation/get_owner_conversation" => page(asked).await,
        "/conversation/get_all_conversations" => all(asked).await,
        "/conversation/get_conversations" => some(asked).await,
        "/conversation/get_full_conversation_ids" => ids(asked).await,
        "/conversation/get_not_notify_conversation_ids" => muted(asked).await,
        "/conversation/get_pinned_conversation_ids" => pinned(asked).await,
        "/conversation/set_conversations" => set(asked).await,
        _ => no_route(),
    }
}

/// Whose conversations they are.
fn owner<'a>(asked: &'a Asked<'_>, wanted: &'a Wanted) -> &'a str {
    if wanted.user_id.is_empty() {
        &asked.principal.user
    } else {
        &wanted.user_id
    }
}

/// The identity of the history: after a restore, what a client has is of another version.
fn version_id(asked: &Asked<'_>) -> String {
    asked.service.epoch().to_string()
}

/// Never 0, which is the version of a client that has none.
fn version(asked: &Asked<'_>, owner: &str) -> Result<u64, Error> {
    let version = asked
        .service
        .conversations_version(&asked.principal, owner)?;
    Ok(version.saturating_add(1))
}

pub(super) fn row(owner: &str, outline: &Outline) -> proto::Conversation {
    proto::Conversation {
        owner_user_id: owner.to_owned(),
        conversation_id: names::of(owner, &outline.place),
        recv_msg_opt: outline.receive_option.into(),
        conversation_type: names::session_type(&outline.place),
        user_id: outline.place.peer.clone(),
        is_pinned: outline.pinned,
        min_seq: match outline.cleared.0 {
            0 => 0,
            cleared => translate::number(cleared.saturating_add(1)),
        },
        ..proto::Conversation::default()
    }
}

fn shown(owner: &str, outline: &Outline) -> Value {
    let row = row(owner, outline);
    json!({
        "ownerUserID": row.owner_user_id,
        "conversationID": row.conversation_id,
        "recvMsgOpt": row.recv_msg_opt,
        "conversationType": row.conversation_type,
        "userID": row.user_id,
        "groupID": "",
        "isPinned": row.is_pinned,
        "attachedInfo": "",
        "isPrivateChat": false,
        "groupAtType": 0,
        "ex": "",
        "burnDuration": 0,
        "minSeq": row.min_seq,
        "maxSeq": 0,
        "msgDestructTime": 0,
        "latestMsgDestructTime": 0,
        "isMsgDestruct": false,
    })
}

/// What has changed: nothing, or everything is read again. There is one version for all of it.
fn incremental(asked: &Asked<'_>) -> Given {
    let wanted: Wanted = asked.body()?;
    let owner = owner(asked, &wanted);
    let (version, version_id) = (version(asked, owner)?, version_id(asked));
    let same = wanted.version == version && wanted.version_id == version_id;
    Ok(json!({
        "version": version, "versionID": version_id, "full": !same,
        "delete": [], "insert": [], "update": [],
    }))
}

async fn outlines(asked: &Asked<'_>, owner: &str) -> Result<Vec<Outline>, Error> {
    asked.service.outlines(&asked.principal, owner).await
}

async fn page(asked: &Asked<'_>) -> Given {
    let wanted: Wanted = asked.body()?;
    let owner = owner(asked, &wanted);
    let outlines = outlines(asked, owner).await?;
    let page = wanted.pagination.of(&outlines);
    let rows: Vec<Value> = page.iter().map(|outline| shown(owner, outline)).collect();
    Ok(json!({ "total": outlines.len(), "conversations": rows }))
}

async fn all(asked: &Asked<'_>) -> Given {
    let wanted: Wanted = asked.body()?;
    let owner = owner(asked, &wanted);
    let outlines = outlines(asked, owner).await?;
    let rows: Vec<Value> = outlines
        .iter()
        .map(|outline| shown(owner, outline))
        .collect();
    Ok(json!({ "conversations": rows }))
}

async fn some(asked: &Asked<'_>) -> Given {
    let wanted: Wanted = asked.body()?;
    let owner = owner(asked, &wanted);
    let ids = wanted.conversation_ids.as_deref().unwrap_or_default();
    let outlines = named(asked, owner, ids).await?;
    let rows: Vec<Value> = outlines
        .iter()
        .map(|outline| shown(owner, outline))
        .collect();
    Ok(json!({ "conversations": rows }))
}

/// Those of these conversations that a user has.
pub(super) async fn named(
    asked: &Asked<'_>,
    owner: &str,
    ids: &[String],
) -> Result<Vec<Outline>, Error> {
    if ids.len() > MOST {
        let what = format!("a request names at most {MOST} conversations");
        return Err(Error::at(Kind::InvalidField, "conversationIDs", what));
    }
    let named: Vec<Named<'_>> = ids.iter().filter_map(|id| peer_of(owner, id)).collect();
    asked
        .service
        .outlines_of(&asked.principal, owner, &named)
        .await
}

async fn ids(asked: &Asked<'_>) -> Given {
    let wanted: Wanted = asked.body()?;
    let owner = owner(asked, &wanted);
    // First the version: a change that comes in between is read again.
    let version = version(asked, owner)?;
    let outlines = outlines(asked, owner).await?;
    let ids: Vec<String> = outlines
        .iter()
        .map(|outline| names::of(owner, &outline.place))
        .collect();
    Ok(json!({
        "version": version, "versionID": version_id(asked), "equal": false, "conversationIDs": ids,
    }))
}

async fn chosen(asked: &Asked<'_>, which: fn(&Outline) -> bool) -> Given {
    let wanted: Wanted = asked.body()?;
    let owner = owner(asked, &wanted);
    let outlines = outlines(asked, owner).await?;
    let found = outlines.iter().filter(|outline| which(outline));
    let ids: Vec<String> = found
        .map(|outline| names::of(owner, &outline.place))
        .collect();
    Ok(json!({ "conversationIDs": ids }))
}

async fn muted(asked: &Asked<'_>) -> Given {
    chosen(asked, |outline| outline.receive_option != 0).await
}

async fn pinned(asked: &Asked<'_>) -> Given {
    chosen(asked, |outline| outline.pinned).await
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Settings {
    #[serde(rename = "conversationID")]
    conversation_id: String,
    recv_msg_opt: Option<u8>,
    is_pinned: Option<bool>,
    is_private_chat: Option<bool>,
    ex: Option<String>,
    attached_info: Option<String>,
    burn_duration: Option<i32>,
    is_msg_destruct: Option<bool>,
    msg_destruct_time: Option<i64>,
    group_at_type: Option<i32>,
    min_seq: Option<i64>,
}

impl Settings {
    /// Whether it asks for something that there is not yet.
    fn asks_for_more(&self) -> bool {
        let text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        self.is_private_chat == Some(true)
            || text(&self.ex)
            || text(&self.attached_info)
            || self.is_msg_destruct == Some(true)
            || self.burn_duration.is_some_and(|time| time != 0)
            || self.msg_destruct_time.is_some_and(|time| time != 0)
            || self.group_at_type.is_some_and(|kind| kind != 0)
    }
}

async fn set(asked: &Asked<'_>) -> Given {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Set {
        #[serde(rename = "userIDs")]
        user_ids: Vec<String>,
        conversation: Settings,
    }
    let wanted: Set = asked.body()?;
    let settings = wanted.conversation;
    if settings.asks_for_more() {
        return not_offered("this setting of a conversation");
    }
    let change = Change {
        pinned: settings.is_pinned,
        receive_option: settings.recv_msg_opt,
        hidden: None,
    };
    if wanted.user_ids.is_empty() || wanted.user_ids.len() > MOST {
        let what = format!("a request names from 1 to {MOST} users");
        return Err(Error::at(Kind::InvalidField, "userIDs", what));
    }
    // All may be changed, or none is.
    for user in &wanted.user_ids {
        if !asked.principal.may_act_for(user) {
            return Err(Error::of(Kind::Forbidden));
        }
    }
    for user in &wanted.user_ids {
        let named = peer_of(user, &settings.conversation_id);
        let named = named.ok_or_else(|| Error::of(Kind::UnknownConversation))?;
        let (service, principal) = (asked.service, &asked.principal);
        if let Some(min) = settings.min_seq.filter(|min| *min > 1) {
            let up_to = waybill_core::id::ConversationSeq(u64::try_from(min - 1).unwrap_or(0));
            service
                .clear_conversation(principal, Surface::OpenImV3, user, named, up_to)
                .await?;
        }
        if change != Change::default() {
            service
                .set_conversation(principal, Surface::OpenImV3, user, named, change)
                .await?;
        }
    }
    Ok(json!({}))
}
