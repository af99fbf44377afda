//! `/v1/tasks…` and `/v1/audiences…`: messages to many, and who they are.

use serde::Serialize;
use waybill_core::record::Surface;
use waybill_log::reader::RECEIVERS;

use super::encode::StandingBody;
use super::messages::{SendBody, ToBody, answer, outgoing};
use super::{Refusal, Result, json, no_body, principal, segment};
use crate::error::{Error, Kind};
use crate::http::address::Query;
use crate::http::call::Call;
use crate::service::{
    AudienceView, Part, Service, TaskReceiver, TaskReceiverView, TaskTaken, TaskTo, Wanted,
};

#[derive(Serialize)]
struct Taken<'a> {
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
        let outgoing = outgoing(service, call, &body, "")?;
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

#[derive(Serialize)]
struct AudienceBody {
    audience: u64,
    lines: u64,
    members: u64,
    refused: u64,
    complete: bool,
}

impl From<AudienceView> for AudienceBody {
    fn from(view: AudienceView) -> Self {
        Self {
            audience: view.audience,
            lines: view.lines,
            members: view.members,
            refused: view.refused,
            complete: view.complete,
        }
    }
}

/// `PUT /v1/audiences/{name}?audience=&line=&last=`: lines of JSON, each a text, the id of a user.
pub(super) async fn fill_audience(service: &Service, call: &Call<'_>, name: &str) -> Result {
    let principal = principal(service, call)?;
    let query = Query::read(call.query, &["audience", "line", "last"])?;
    let last = match query.text("last") {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => {
            return Err(Error::at(Kind::InvalidField, "last", "it is true or false").into());
        }
    };
    let part = Part {
        audience: query.number("audience", 1, u64::MAX)?,
        line: query.number("line", 0, u64::MAX)?.unwrap_or(0),
        users: lines(call.body)?,
        last,
    };
    let view = service
        .fill_audience(&principal, Surface::NativeHttp, &segment(name)?, part)
        .await?;
    answer(&AudienceBody::from(view))
}

/// `GET /v1/audiences/{name}?audience=`
pub(super) async fn get_audience(service: &Service, call: &Call<'_>, name: &str) -> Result {
    let principal = principal(service, call)?;
    let query = Query::read(call.query, &["audience"])?;
    let generation = query.number("audience", 1, u64::MAX)?;
    let view = service
        .audience(&principal, &segment(name)?, generation)
        .await?;
    answer(&AudienceBody::from(view))
}

/// The ids in a body of lines. A line that cannot be read refuses the whole part, by its number: nothing of it was taken.
fn lines(body: &[u8]) -> std::result::Result<Vec<String>, Error> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Error::new(Kind::Malformed, "the body is not UTF-8"))?;
    let lines = text.lines().zip(1_usize..);
    let filled = lines.filter(|(line, _)| !line.trim().is_empty());
    filled
        .map(|(line, number)| {
            let id: String = serde_json::from_str(line).map_err(|error| {
                let detail = format!("line {number} is no JSON text: {error}");
                Error::new(Kind::Malformed, detail)
            })?;
            waybill_core::id::check_id(&id).map_err(|error| {
                Error::new(Kind::InvalidId, format!("line {number}: the id {error}"))
            })?;
            Ok(id)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_texts() {
        let read = |text: &str| lines(text.as_bytes()).map_err(|error| error.kind);
        assert_eq!(
            read("\"a\"\n\"李\"\r\n\n\"c\""),
            Ok(vec!["a".into(), "李".into(), "c".into()])
        );
        assert_eq!(read(""), Ok(Vec::new()));
        assert_eq!(read("\"a\"\nb"), Err(Kind::Malformed));
        assert_eq!(read("7"), Err(Kind::Malformed));
        assert_eq!(read("\"\""), Err(Kind::InvalidId));
    }
}
