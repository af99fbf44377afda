//! `/v1/tasks…`: messages to many.

use serde::Serialize;
use waybill_core::record::Surface;
use waybill_log::reader::RECEIVERS;

use super::encode::StandingBody;
use super::messages::{SendBody, ToBody, answer, is_kept, outgoing};
use super::{Refusal, Result, json, no_body, principal, segment};
use crate::error::{Error, Kind};
use crate::http::address::Query;
use crate::http::call::Call;
use crate::service::{Service, TaskReceiver, TaskReceiverView, TaskTaken, TaskTo, Wanted};

#[derive(Serialize)]
pub(super) struct Taken<'a> {
    task: &'a str,
    time: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    receivers: Option<Vec<ReceiverBody<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReceiverBody<'a> {
    user: &'a str,
    #[serde(rename = "serverMsgID", skip_serializing_if = "Option::is_none")]
    server_msg_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody<'a>>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(rename = "type")]
    problem: String,
    detail: &'a str,
}

impl<'a> From<&'a TaskTaken> for Taken<'a> {
    fn from(taken: &'a TaskTaken) -> Self {
        let receivers = taken.receivers.as_ref();
        Self {
            task: &taken.task,
            time: taken.time.0,
            repeated: taken.repeated,
            receivers: receivers.map(|receivers| receivers.iter().map(Into::into).collect()),
        }
    }
}

impl<'a> From<&'a TaskReceiver> for ReceiverBody<'a> {
    fn from(receiver: &'a TaskReceiver) -> Self {
        let sent = receiver.result.as_ref().ok();
        let error = receiver.result.as_ref().err();
        Self {
            user: &receiver.user,
            server_msg_id: sent.map(|sent| sent.server_msg_id.as_str()),
            seq: sent.and_then(|sent| sent.seq).map(|seq| seq.0),
            new: sent.map(|sent| sent.new),
            error: error.map(|error| ErrorBody {
                problem: format!("urn:waybill:problem:{}", error.row().slug),
                detail: &error.detail,
            }),
        }
    }
}

/// `POST /v1/tasks`
pub(super) async fn post(service: &Service, call: &Call<'_>) -> Result {
    let principal = principal(service, call)?;
    let body: SendBody<'_> = json(service, call)?;
    let operation_id = body.operation_id.to_string();
    let taken = async {
        let to = match &body.to.0 {
            ToBody {
                users: Some(users),
                user: None,
                audience: None,
                everybody: None,
            } => TaskTo::Users(users.iter().map(ToString::to_string).collect()),
            ToBody {
                users: None,
                user: None,
                audience: Some(name),
                everybody: None,
            } => TaskTo::Audience(name.to_string()),
            ToBody {
                users: None,
                user: None,
                audience: None,
                everybody: Some(everybody),
            } => match everybody.as_ref() {
                "registered" => TaskTo::Registered,
                "seen" => TaskTo::Seen,
                _ => {
                    let detail = "everybody is \"registered\" or \"seen\"";
                    return Err(Error::at(Kind::InvalidField, "/to/everybody", detail));
                }
            },
            _ => {
                let detail = "a task goes to one of users, audience and everybody";
                return Err(Error::at(Kind::InvalidField, "/to", detail));
            }
        };
        is_kept(&body)?;
        let outgoing = outgoing(service, call.idempotency_key()?, call.peer, &body, "")?;
        service
            .post(&principal, Surface::NativeHttp, outgoing, to)
            .await
    };
    match taken.await {
        Ok(taken) => answer(&Taken::from(&taken)),
        Err(error) => Err(Refusal {
            operation_id,
            ..Refusal::from(error)
        }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskBody<'a> {
    task: &'a str,
    time: u64,
    sender: &'a str,
    content_type: u32,
    /// How many receivers there are, once that is known.
    receivers: Option<u64>,
    delivered: u64,
    done: bool,
    recalled: bool,
    /// How many receivers were told of the recall.
    told: u64,
}

/// `GET /v1/tasks/{task}`
pub(super) async fn get(service: &Service, call: &Call<'_>, task: &str) -> Result {
    let principal = principal(service, call)?;
    Query::read(call.query, &[])?;
    let view = service.task(&principal, &segment(task)?).await?;
    answer(&TaskBody {
        task: &view.task,
        time: view.time.0,
        sender: &view.sender,
        content_type: view.content_type,
        receivers: view.progress.receivers,
        delivered: view.progress.delivered,
        done: view.progress.done,
        recalled: view.progress.recalled,
        told: view.progress.told,
    })
}

#[derive(Serialize)]
struct TaskStanding<'a> {
    user: &'a str,
    #[serde(flatten)]
    standing: StandingBody,
    /// Why the receiver was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody<'a>>,
    #[serde(rename = "serverMsgID", skip_serializing_if = "str::is_empty")]
    server_msg_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

impl<'a> From<&'a TaskReceiverView> for TaskStanding<'a> {
    fn from(view: &'a TaskReceiverView) -> Self {
        Self {
            user: &view.user,
            standing: StandingBody::from(&view.standing),
            error: view.standing.reason.map(|kind| ErrorBody {
                problem: format!("urn:waybill:problem:{}", kind.row().slug),
                detail: kind.row().title,
            }),
            server_msg_id: &view.server_msg_id,
            seq: view.seq.map(|seq| seq.0),
        }
    }
}

#[derive(Serialize)]
struct Receivers<'a> {
    receivers: Vec<TaskStanding<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
}

/// `GET /v1/tasks/{task}/receivers?state=&not=&cursor=&limit=`
pub(super) async fn receivers(service: &Service, call: &Call<'_>, task: &str) -> Result {
    let principal = principal(service, call)?;
    let query = Query::read(call.query, &["state", "not", "cursor", "limit"])?;
    let cursor = query.number("cursor", 0, u64::MAX)?;
    let limit = query.number("limit", 1, RECEIVERS as u64)?.unwrap_or(100);
    let limit = usize::try_from(limit).unwrap_or(RECEIVERS);
    let wanted = match (query.text("state"), query.text("not")) {
        (None, None) => Wanted::All,
        (Some("refused"), None) => Wanted::Refused,
        (Some(state), None) => Wanted::State(state),
        (None, Some(state)) => Wanted::Not(state),
        (Some(_), Some(_)) => {
            let detail = "state and not cannot both be asked for";
            return Err(Error::at(Kind::InvalidField, "not", detail).into());
        }
    };
    let page = service
        .task_receivers(&principal, &segment(task)?, wanted, cursor, limit)
        .await?;
    answer(&Receivers {
        receivers: page.receivers.iter().map(TaskStanding::from).collect(),
        cursor: page.cursor.as_deref(),
    })
}

#[derive(Serialize)]
struct Recalled {
    recalled: u32,
}

/// `POST /v1/tasks/{task}/recall`
pub(super) async fn recall(service: &Service, call: &Call<'_>, task: &str) -> Result {
    let principal = principal(service, call)?;
    Query::read(call.query, &[])?;
    no_body(service, call)?;
    let recalled = service
        .recall_task(&principal, Surface::NativeHttp, &segment(task)?)
        .await?;
    answer(&Recalled { recalled })
}

/// `POST /v1/messages/{serverMsgID}/recall`
pub(super) async fn recall_message(service: &Service, call: &Call<'_>, id: &str) -> Result {
    let principal = principal(service, call)?;
    Query::read(call.query, &[])?;
    no_body(service, call)?;
    let recalled = service
        .recall_message(&principal, Surface::NativeHttp, &segment(id)?)
        .await?;
    answer(&Recalled { recalled })
}
