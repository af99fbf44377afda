//! `/v1/messages`: send, and find again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use waybill_core::body::{OfflinePush, StatusLine};
use waybill_core::fact::Options;
use waybill_core::id::Time;
use waybill_core::record::Surface;

use super::strict::{Flags, Object, Whole};
use super::{Refusal, Result, encode, json, principal, segment};
use crate::auth::Principal;
use crate::content;
use crate::error::{Error, Kind};
use crate::http::address::Query;
use crate::http::call::Call;
use crate::http::respond;
use crate::service::{Allowance, AskedTerms, Outgoing, Service, WantedChange};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SendBody<'a> {
    #[serde(borrow, default)]
    sender: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) to: Object<ToBody<'a>>,
    content_type: Whole<i64>,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(rename = "clientMsgID", borrow, default)]
    client_msg_id: Cow<'a, str>,
    #[serde(default)]
    options: Flags,
    offline_push: Option<Object<PushBody>>,
    #[serde(rename = "operationID", borrow, default)]
    pub(super) operation_id: Cow<'a, str>,
    #[serde(borrow, default)]
    sender_nickname: Cow<'a, str>,
    #[serde(rename = "senderFaceURL", borrow, default)]
    sender_face_url: Cow<'a, str>,
    #[serde(rename = "senderPlatformID", default)]
    sender_platform: Whole<i32>,
    create_time: Option<Whole<u64>>,
    #[serde(borrow, default)]
    collapse_key: Cow<'a, str>,
    expire_at: Option<Whole<u64>>,
    not_before: Option<Whole<u64>>,
    #[serde(default)]
    pub(crate) online_only: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToBody<'a> {
    #[serde(borrow)]
    pub(super) user: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) users: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    pub(super) audience: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) everybody: Option<Cow<'a, str>>,
}

impl ToBody<'_> {
    pub(super) fn is_nobody(&self) -> bool {
        let Self {
            user,
            users,
            audience,
            everybody,
        } = self;
        user.is_none() && users.is_none() && audience.is_none() && everybody.is_none()
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PushBody {
    #[serde(default)]
    title: String,
    #[serde(default)]
    desc: String,
    #[serde(default)]
    ex: String,
    #[serde(rename = "iOSPushSound", default)]
    ios_push_sound: String,
    #[serde(rename = "iOSBadgeCount", default)]
    ios_badge_count: bool,
}

/// `POST /v1/messages`
pub(super) async fn send(service: &Service, call: &Call<'_>) -> Result {
    // The token first: who has none learns nothing of what would be accepted.
    let principal = principal(service, call)?;
    let body: SendBody<'_> = json(service, call)?;
    let operation_id = body.operation_id.to_string();
    match send_body(service, call, &principal, &body).await {
        Ok((response, allowance)) => {
            let mut response = response?;
            if let Some(allowance) = allowance {
                respond::rate_limit(&mut response, &allowance);
            }
            Ok(response)
        }
        Err(error) => Err(Refusal {
            allowance: service.spent(&principal, &error).map(Box::new),
            operation_id,
            ..Refusal::from(error)
        }),
    }
}

/// Sends, or tells those online: the answer, and what the sender may still send.
async fn send_body(
    service: &Service,
    call: &Call<'_>,
    principal: &Principal,
    body: &SendBody<'_>,
) -> std::result::Result<(Result, Option<Allowance>), Error> {
    let receiver = receiver(body)?;
    let key = call.idempotency_key()?;
    let outgoing = outgoing(service, key, call.peer, body, receiver)?;
    let surface = Surface::NativeHttp;
    if body.online_only {
        let sent = service.send_online(principal, surface, outgoing).await?;
        let response = answer(&encode::OnlineSent::from(&sent));
        return Ok((response, sent.allowance));
    }
    let prepared = service.prepare(principal, surface, outgoing)?;
    let sent = service.send(prepared).await?;
    Ok((answer(&encode::Sent::from(&sent)), sent.allowance))
}

/// The one user that a message goes to, and at once.
pub(crate) fn receiver<'a>(body: &'a SendBody<'_>) -> std::result::Result<&'a str, Error> {
    let to = &body.to.0;
    let others = to.users.is_some() || to.audience.is_some() || to.everybody.is_some();
    let Some(receiver) = to.user.as_deref().filter(|_| !others) else {
        let detail = "a message goes to one user; several are a task: POST /v1/tasks";
        return Err(Error::at(Kind::InvalidField, "/to", detail));
    };
    if body.not_before.is_some() {
        let detail = "a message that waits is a task: POST /v1/tasks";
        return Err(Error::at(Kind::InvalidField, "/notBefore", detail));
    }
    Ok(receiver)
}

/// Refuses what is for those online only, where messages are kept.
pub(super) fn is_kept(body: &SendBody<'_>) -> std::result::Result<(), Error> {
    if body.online_only {
        let detail = "a message for those online only goes to one user: POST /v1/messages";
        return Err(Error::at(Kind::InvalidField, "/onlineOnly", detail));
    }
    Ok(())
}

/// What a body asks to be sent, to this receiver.
pub(crate) fn outgoing<'a>(
    service: &Service,
    key: &'a str,
    peer: SocketAddr,
    body: &'a SendBody<'_>,
    receiver: &'a str,
) -> std::result::Result<Outgoing<'a>, Error> {
    let limits = service.limits();
    let depth = usize::try_from(limits.json_depth).unwrap_or(usize::MAX);
    let content = body.content.get();
    let checked = content::check(body.content_type.0, content, depth, limits.content_bytes)?;
    Ok(Outgoing {
        sender: &body.sender,
        receiver,
        kind: checked.conversation,
        checked,
        content,
        client_msg_id: &body.client_msg_id,
        key,
        operation_id: &body.operation_id,
        sender_nickname: &body.sender_nickname,
        sender_face_url: &body.sender_face_url,
        sender_platform: body.sender_platform.0,
        options_off: options_off(&body.options.0, checked.off)?,
        offline_push: body.offline_push.clone().map(|Object(push)| OfflinePush {
            title: push.title,
            desc: push.desc,
            ex: push.ex,
            ios_push_sound: push.ios_push_sound,
            ios_badge_count: push.ios_badge_count,
        }),
        created: time(body.create_time),
        address: peer.ip().to_string(),
        terms: AskedTerms {
            collapse_key: &body.collapse_key,
            expires: time(body.expire_at),
            not_before: time(body.not_before),
        },
    })
}

fn time(millis: Option<Whole<u64>>) -> Option<Time> {
    millis.map(|millis| Time(millis.0))
}

/// The options that are off: those of the contentType, but for what the caller says.
fn options_off(
    options: &BTreeMap<String, bool>,
    mut off: Options,
) -> std::result::Result<Options, Error> {
    for (name, on) in options {
        let option = Options::named(name).ok_or_else(|| {
            let known: Vec<_> = Options::NAMES.iter().map(|(name, _)| *name).collect();
            let detail = format!("{name:?} is no option; options are: {}", known.join(", "));
            let name = name.replace('~', "~0").replace('/', "~1");
            Error::at(Kind::InvalidField, format!("/options/{name}"), detail)
        })?;
        off = if *on {
            off.without(option)
        } else {
            off.with(option)
        };
    }
    Ok(off)
}

/// `GET /v1/messages/{serverMsgID}`
pub(super) async fn get(service: &Service, call: &Call<'_>, id: &str) -> Result {
    let principal = principal(service, call)?;
    Query::read(call.query, &[])?;
    let found = service.message(&principal, &segment(id)?).await?;
    answer(&encode::MessageBody::from(&found))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangeBody<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    status_line: Option<Object<LineBody>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineBody {
    text: String,
    #[serde(default)]
    color: String,
}

#[derive(Serialize)]
struct Changed {
    changed: u32,
}

fn wanted(body: ChangeBody<'_>) -> WantedChange {
    WantedChange {
        content: body.content.map(|content| content.get().to_owned()),
        status_line: body.status_line.map(|Object(line)| StatusLine {
            text: line.text,
            color: line.color,
        }),
    }
}

/// `PATCH /v1/messages/{serverMsgID}`
pub(super) async fn change(service: &Service, call: &Call<'_>, id: &str) -> Result {
    let principal = principal(service, call)?;
    let wanted = wanted(json(service, call)?);
    let surface = Surface::NativeHttp;
    let changed = service
        .change_message(&principal, surface, &segment(id)?, wanted)
        .await?;
    answer(&Changed { changed })
}

/// `PATCH /v1/tasks/{task}`
pub(super) async fn change_task(service: &Service, call: &Call<'_>, task: &str) -> Result {
    let principal = principal(service, call)?;
    let wanted = wanted(json(service, call)?);
    let surface = Surface::NativeHttp;
    let changed = service
        .change_task(&principal, surface, &segment(task)?, wanted)
        .await?;
    answer(&Changed { changed })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyBody<'a> {
    #[serde(borrow)]
    sender: Option<Cow<'a, str>>,
    #[serde(rename = "clientMsgID", borrow)]
    client_msg_id: Cow<'a, str>,
}

#[derive(Serialize)]
struct RecalledBody {
    recalled: u32,
}

/// `POST /v1/messages/recall`
pub(super) async fn recall_by_key(service: &Service, call: &Call<'_>) -> Result {
    let principal = principal(service, call)?;
    let body: KeyBody<'_> = json(service, call)?;
    let sender = body.sender.as_deref().unwrap_or(&principal.user);
    let recalled = service
        .recall_by_key(&principal, Surface::NativeHttp, sender, &body.client_msg_id)
        .await?;
    answer(&RecalledBody { recalled })
}

#[derive(Serialize)]
struct Found<'a> {
    messages: Vec<encode::MessageBody<'a>>,
}

/// `GET /v1/messages?sender=&clientMsgID=`
pub(super) async fn find(service: &Service, call: &Call<'_>) -> Result {
    let principal = principal(service, call)?;
    let query = Query::read(call.query, &["sender", "clientMsgID"])?;
    let key = query
        .text("clientMsgID")
        .ok_or_else(|| Error::at(Kind::InvalidField, "clientMsgID", "clientMsgID is missing"))?;
    let found = service
        .find(&principal, query.text("sender").unwrap_or(""), key)
        .await?;
    answer(&Found {
        messages: found.iter().map(Into::into).collect(),
    })
}

/// A good answer.
pub(super) fn answer<T: Serialize>(body: &T) -> Result {
    let bytes = serde_json::to_vec(body).map_err(|_| Error::of(Kind::Internal))?;
    Ok(respond::json(200, bytes))
}
