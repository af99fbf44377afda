//! Sending by business systems.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use waybill_core::body::OfflinePush;
use waybill_core::command::ConversationKind;
use waybill_core::content::NOTICE_TYPE;
use waybill_core::fact::Options;
use waybill_core::id::{Time, check_id};
use waybill_core::record::Surface;

use super::{Asked, Given, not_offered};
use crate::content::Checked;
use crate::error::{Error, Kind};
use crate::openim::v3::online::Told;
use crate::openim::v3::{content, names, translate};
use crate::random;
use crate::service::{AskedTerms, Outgoing, TaskSent, TaskTo, now_seconds};

/// Most receivers of one request.
const MOST: usize = 10_000;

/// [`OfflinePush`] by OpenIM's names.
#[derive(Deserialize)]
#[serde(remote = "OfflinePush")]
struct PushNames {
    #[serde(default)]
    title: String,
    #[serde(default)]
    desc: String,
    #[serde(default)]
    ex: String,
    #[serde(default, rename = "iOSPushSound")]
    ios_push_sound: String,
    #[serde(default, rename = "iOSBadgeCount")]
    ios_badge_count: bool,
}

#[derive(Deserialize)]
struct PushAsked(#[serde(with = "PushNames")] OfflinePush);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SendAsked {
    #[serde(default, rename = "sendID")]
    send_id: String,
    #[serde(default, rename = "recvID")]
    recv_id: String,
    #[serde(default, rename = "recvIDs")]
    recv_ids: Vec<String>,
    #[serde(default, rename = "groupID")]
    group_id: String,
    #[serde(default)]
    is_send_all: bool,
    #[serde(default, rename = "clientMsgID")]
    client_msg_id: String,
    #[serde(default)]
    sender_nickname: String,
    #[serde(default, rename = "senderFaceURL")]
    sender_face_url: String,
    #[serde(default, rename = "senderPlatformID")]
    sender_platform: i32,
    content: Box<RawValue>,
    content_type: i64,
    #[serde(default)]
    session_type: i32,
    #[serde(default)]
    is_online_only: bool,
    #[serde(default)]
    not_offline_push: bool,
    #[serde(default)]
    send_time: i64,
    #[serde(default)]
    offline_push_info: Option<PushAsked>,
}

/// A request that may be done.
struct Ready {
    wanted: SendAsked,
    kept: String,
    checked: Checked,
    kind: ConversationKind,
}

fn ready(asked: &Asked<'_>) -> Result<Ready, Error> {
    asked.business()?;
    let wanted: SendAsked = asked.body()?;
    check_id(&wanted.send_id)
        .map_err(|error| Error::at(Kind::InvalidId, "sendID", format!("sendID {error}")))?;
    if !content::is_chat(wanted.content_type) && wanted.content_type != i64::from(NOTICE_TYPE) {
        let what = "unsupported content type";
        return Err(Error::at(Kind::ContentType, "contentType", what));
    }
    let limits = asked.service.limits();
    let depth = usize::try_from(limits.json_depth).unwrap_or(usize::MAX);
    let text = wanted.content.get();
    let (kept, checked) = content::taken(wanted.content_type, text, depth, limits.content_bytes)?;
    let kind = match (checked.conversation, wanted.session_type) {
        (ConversationKind::Notification, _) | (_, names::NOTIFICATION) => {
            ConversationKind::Notification
        }
        (_, names::SINGLE) => ConversationKind::Single,
        (_, 2 | 3) if wanted.group_id.is_empty() => {
            return Err(Error::at(Kind::NoReceiver, "groupID", "groupID is empty"));
        }
        (_, 2 | 3) => {
            return Err(Error::at(
                Kind::UnknownGroup,
                "groupID",
                "there are no groups yet",
            ));
        }
        _ => {
            return Err(Error::at(
                Kind::SessionType,
                "sessionType",
                "there is no such sessionType",
            ));
        }
    };
    Ok(Ready {
        wanted,
        kept,
        checked,
        kind,
    })
}

/// What makes this call a retry of another: the header, else the clientMsgID, which the service takes itself; else, for accounts
/// configured so, the operationID.
fn key<'a>(asked: &'a Asked<'_>, ready: &Ready) -> Result<Cow<'a, str>, Error> {
    let (own, traced) = (ready.wanted.client_msg_id.as_str(), asked.operation_id);
    let given = asked.call.idempotency_key()?;
    let key = asked
        .service
        .retry_key(&asked.principal, given, own, traced);
    Ok(key)
}

fn outgoing<'a>(
    asked: &'a Asked<'_>,
    ready: &'a Ready,
    receiver: &'a str,
    key: &'a str,
) -> Outgoing<'a> {
    let wanted = &ready.wanted;
    let mut options_off = ready.checked.off;
    if wanted.not_offline_push {
        options_off = options_off.with(Options::OFFLINE_PUSH);
    }
    Outgoing {
        sender: &wanted.send_id,
        receiver,
        kind: ready.kind,
        checked: ready.checked,
        content: &ready.kept,
        client_msg_id: &wanted.client_msg_id,
        key,
        operation_id: asked.operation_id,
        sender_nickname: &wanted.sender_nickname,
        sender_face_url: &wanted.sender_face_url,
        sender_platform: wanted.sender_platform,
        options_off,
        offline_push: wanted.offline_push_info.as_ref().map(|push| push.0.clone()),
        created: u64::try_from(wanted.send_time)
            .ok()
            .filter(|time| *time > 0)
            .map(Time),
        address: asked.call.peer.ip().to_string(),
        terms: AskedTerms::default(),
    }
}

/// `POST /msg/send_msg`
pub(super) async fn one(asked: &Asked<'_>) -> Given {
    let done = one_checked(asked).await;
    note(asked, &done);
    done
}

async fn one_checked(asked: &Asked<'_>) -> Given {
    let ready = ready(asked)?;
    let receiver = &ready.wanted.recv_id;
    if receiver.is_empty() {
        return Err(Error::at(Kind::NoReceiver, "recvID", "recvID is empty"));
    }
    let key = key(asked, &ready)?;
    let service = asked.service;
    let outgoing = outgoing(asked, &ready, receiver, &key);
    if ready.wanted.is_online_only {
        let sent = service
            .send_online(&asked.principal, Surface::OpenImV3, outgoing)
            .await?;
        return Ok(json!({
            "serverMsgID": sent.server_msg_id,
            "clientMsgID": sent.client_msg_id,
            "sendTime": sent.time.0,
        }));
    }
    let prepared = service.prepare(&asked.principal, Surface::OpenImV3, outgoing)?;
    let sent = service.send(prepared).await?;
    Ok(json!({
        "serverMsgID": sent.server_msg_id,
        "clientMsgID": sent.client_msg_id,
        "sendTime": sent.time.0,
    }))
}

/// Notes for `/msg/check_msg_is_send_success` what became of a send, where that is known.
fn note(asked: &Asked<'_>, done: &Given) {
    let known = !done
        .as_ref()
        .is_err_and(|error| error.kind == Kind::OutcomeUnknown);
    if known {
        let succeeded = done.is_ok();
        asked
            .service
            .note_operation(&asked.principal, asked.operation_id, succeeded);
    }
}

/// `POST /msg/batch_send_msg`: to each receiver for itself, or to everybody who is registered.
pub(super) async fn many(asked: &Asked<'_>) -> Given {
    let ready = ready(asked)?;
    if ready.wanted.is_online_only {
        let what = "isOnlineOnly goes to one user: nothing was sent";
        return Err(Error::at(Kind::NotOffered, "isOnlineOnly", what));
    }
    let key = key(asked, &ready)?;
    let (service, principal) = (asked.service, &asked.principal);
    if ready.wanted.is_send_all {
        let outgoing = outgoing(asked, &ready, "", &key);
        let to = TaskTo::Registered;
        service
            .post(principal, Surface::OpenImV3, outgoing, to)
            .await?;
        return Ok(json!({ "results": [], "failedUserIDs": [] }));
    }
    let (good, mut failed) = receivers(&ready.wanted.recv_ids)?;
    let outgoing = outgoing(asked, &ready, "", &key);
    let (sent, others) = service
        .post_batch(principal, Surface::OpenImV3, outgoing, &good)
        .await?;
    failed.extend(others.into_iter().map(Value::from));
    let result = |(user, sent): &(String, TaskSent)| {
        json!({
            "serverMsgID": sent.server_msg_id,
            "clientMsgID": sent.client_msg_id,
            "sendTime": sent.time.0,
            "recvID": user,
        })
    };
    let results: Vec<_> = sent.iter().map(result).collect();
    Ok(json!({ "results": results, "failedUserIDs": failed }))
}

/// Those who can get it, each once, and those who cannot.
fn receivers(ids: &[String]) -> Result<(Vec<String>, Vec<Value>), Error> {
    if ids.is_empty() || ids.len() > MOST {
        let what = format!("recvIDs must name from 1 to {MOST} users");
        return Err(Error::at(Kind::NoReceiver, "recvIDs", what));
    }
    let (mut named, mut good, mut failed) = (HashSet::new(), Vec::new(), Vec::new());
    for id in ids.iter().filter(|id| named.insert(id.as_str())) {
        match check_id(id) {
            Ok(()) => good.push(id.clone()),
            Err(_) => failed.push(Value::from(id.as_str())),
        }
    }
    Ok((good, failed))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BusinessAsked {
    key: String,
    data: String,
    #[serde(rename = "sendUserID")]
    send_user_id: String,
    #[serde(rename = "recvUserID")]
    recv_user_id: String,
    #[serde(rename = "recvGroupID")]
    recv_group_id: String,
    #[serde(rename = "sendMsg")]
    send_msg: bool,
    #[serde(rename = "reliabilityLevel")]
    reliability_level: Option<i32>,
}

/// `POST /msg/send_business_notification`: a text that only a program reads, told to who is connected and kept nowhere. What is
/// to be kept is sent as a notice.
pub(super) fn business(asked: &Asked<'_>) -> Given {
    asked.business()?;
    let wanted: BusinessAsked = asked.body()?;
    match (
        wanted.recv_user_id.is_empty(),
        wanted.recv_group_id.is_empty(),
    ) {
        (false, true) => {}
        (true, false) => {
            return Err(Error::at(
                Kind::UnknownGroup,
                "recvGroupID",
                "there are no groups yet",
            ));
        }
        _ => {
            let what = "either recvUserID or recvGroupID must be given";
            return Err(Error::at(Kind::NoReceiver, "recvUserID", what));
        }
    }
    if wanted.send_msg || wanted.reliability_level.unwrap_or(1) != 1 {
        return not_offered("a business notification that is kept");
    }
    for (name, id) in [
        ("sendUserID", &wanted.send_user_id),
        ("recvUserID", &wanted.recv_user_id),
    ] {
        check_id(id)
            .map_err(|error| Error::at(Kind::InvalidId, name, format!("{name} {error}")))?;
    }
    let limit = asked.service.limits().content_bytes;
    if (wanted.key.len() + wanted.data.len()) as u64 > limit {
        return Err(Error::of(Kind::ContentTooLarge));
    }
    let id = hex::encode(random::bytes::<16>()?);
    let now = now_seconds().saturating_mul(1_000);
    let message = translate::business(
        &wanted.send_user_id,
        &wanted.recv_user_id,
        &id,
        now,
        &wanted.key,
        &wanted.data,
    );
    let told = Told {
        conversation: names::notifications(&wanted.send_user_id, &wanted.recv_user_id),
        message,
        operation_id: asked.operation_id.to_owned(),
    };
    let (connections, _) = asked.online.tell(&wanted.recv_user_id, &Arc::new(told));
    Ok(json!({ "serverMsgID": id, "clientMsgID": id, "sendTime": now, "connections": connections }))
}
