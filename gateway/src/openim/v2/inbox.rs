//! The endpoints of the v2 dialect about users' logs: how far they go, entries by seq, deletions, the floor, and what became of
//! a send. A user's token acts for that user alone; a manager's for anybody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use waybill_core::id::Seq;
use waybill_core::record::Surface;

use super::asked::{
    Asked, Done, OPERATION_ID, REQUIRED, asked, field, forbidden, quoted, refused, shape,
};
use super::handlers::Outcome;
use super::reply::Reply;
use crate::error::{Error, Kind as ErrorKind};
use crate::http::Call;
use crate::openim::go::bind::{Kind, Rule, Shape};
use crate::service::{Service, Told, View};
use waybill_core::content::NOTICE_TYPE;

/// Most seqs in one request.
const SEQS: &[Rule] = &[Rule::Required, Rule::Lte(1_000)];

static NEWEST_SEQ: Shape = shape!(
    "ParamsUserNewestSeq",
    field("reqIdentifier", "ReqIdentifier", Kind::Int32, REQUIRED),
    field("sendID", "SendID", Kind::Text, REQUIRED),
    field("msgIncr", "MsgIncr", Kind::Int32, REQUIRED)
);
static PULL_BY_SEQ: Shape = shape!(
    "ParamsUserPullMsgBySeqList",
    field("reqIdentifier", "ReqIdentifier", Kind::Int32, REQUIRED),
    field("sendID", "SendID", Kind::Text, REQUIRED),
    field("seqList", "SeqList", Kind::Uint32s, SEQS)
);
static DEL_MSG: Shape = shape!(
    "DelMsgReq",
    field("userID", "UserID", Kind::Text, REQUIRED),
    field("seqList", "SeqList", Kind::Uint32s, SEQS)
);
static CLEAR_MSG: Shape = shape!(
    "CleanUpMsgReq",
    field("userID", "UserID", Kind::Text, REQUIRED)
);
static SET_MIN_SEQ: Shape = shape!(
    "SetMsgMinSeqReq",
    field("userID", "UserID", Kind::Text, REQUIRED),
    field("groupID", "GroupID", Kind::Text, &[]),
    field("minSeq", "MinSeq", Kind::Uint32, REQUIRED)
);
static CHECK_SENT: Shape = Shape {
    name: "CheckMsgIsSendSuccessReq",
    type_name: "base_info.CheckMsgIsSendSuccessReq",
    fields: &[field("operationID", "OperationID", Kind::Text, &[])],
};

/// Answers the endpoints of this module; `None` for another path.
pub(super) async fn answer(service: &Service, call: &Call<'_>) -> Option<Outcome> {
    let (shape, status) = match call.path {
        "/msg/newest_seq" => (&NEWEST_SEQ, 400),
        "/msg/pull_msg_by_seq" => (&PULL_BY_SEQ, 400),
        "/msg/del_msg" => (&DEL_MSG, 400),
        "/msg/clear_msg" => (&CLEAR_MSG, 500),
        "/msg/set_msg_min_seq" => (&SET_MIN_SEQ, 500),
        "/msg/check_msg_is_send_success" => (&CHECK_SENT, 400),
        _ => return None,
    };
    let asked = match asked(service, call, shape, status) {
        Ok(asked) => asked,
        Err(outcome) => return Some(outcome),
    };
    let done = match call.path {
        "/msg/newest_seq" => newest(service, &asked),
        "/msg/pull_msg_by_seq" => pull(service, &asked).await,
        "/msg/del_msg" => delete(service, &asked).await,
        "/msg/clear_msg" => trim(service, &asked, None).await,
        "/msg/set_msg_min_seq" => set_floor(service, &asked).await,
        _ => check(service, &asked),
    };
    Some(asked.outcome(done))
}

/// The original's answer to a token of somebody else.
fn not_own(asked: &Asked<'_>) -> Result<(), (Reply, Error)> {
    if asked.principal.may_act_for(asked.values.text(2)) {
        return Ok(());
    }
    let reply = Reply::error(400, 400, "token validate error");
    Err((reply, forbidden()))
}

fn newest(service: &Service, asked: &Asked<'_>) -> Done {
    not_own(asked)?;
    let span = service
        .span(&asked.principal, asked.values.text(2))
        .map_err(|error| refused(error, None))?;
    // A log that was never trimmed has no lower end in the original.
    let floor = if span.floor.0 > 1 { span.floor.0 } else { 0 };
    Ok(Reply::json(format!(
        "{{\"data\":{{\"maxSeq\":{},\"minSeq\":{floor}}},\"errCode\":0,\"errMsg\":\"\",\"msgIncr\":{},\"reqIdentifier\":{}}}",
        span.head,
        asked.values.number(3),
        asked.values.number(1)
    )))
}

async fn pull(service: &Service, asked: &Asked<'_>) -> Done {
    not_own(asked)?;
    let user = asked.values.text(2);
    let seqs = seqs(asked, 3);
    let found = service.entries_at(&asked.principal, user, &seqs).await;
    let found = found.map_err(|error| refused(error, None))?;
    let mut wanted = seqs;
    wanted.sort_unstable();
    wanted.dedup();
    let messages: Vec<String> = wanted
        .iter()
        .map(|seq| {
            let view = found.binary_search_by_key(seq, |view| view.seq.0).ok();
            match view.and_then(|at| found.get(at)) {
                Some(view) => message(user, view),
                None => format!("{{\"seq\":{seq}}}"),
            }
        })
        .collect();
    Ok(Reply::json(format!(
        "{{\"data\":[{}],\"errCode\":0,\"errMsg\":\"\",\"reqIdentifier\":{}}}",
        messages.join(","),
        asked.values.number(1)
    )))
}

fn seqs(asked: &Asked<'_>, index: usize) -> Vec<u64> {
    let numbers = asked.values.numbers(index).iter();
    numbers.filter_map(|seq| u64::try_from(*seq).ok()).collect()
}

/// An entry as `MsgData` in Go's JSON: zero values are left out, the content is in base64. What is no message, or was erased,
/// is a placeholder.
fn message(owner: &str, view: &View) -> String {
    let Told::Message(told) = &view.told else {
        return format!("{{\"seq\":{}}}", view.seq);
    };
    let Some(said) = &told.message else {
        return format!("{{\"seq\":{},\"status\":4}}", view.seq);
    };
    let peer = view.place.peer.as_str();
    let receiver = if told.sender == owner { peer } else { owner };
    let session = if view.place.kind == 2 { 4 } else { 1 };
    let content = STANDARD.encode(content(told.content_type, &said.content));
    let mut out = String::from("{");
    for (name, text) in [
        ("sendID", told.sender.as_str()),
        ("recvID", receiver),
        ("clientMsgID", &told.client_msg_id),
        ("serverMsgID", &told.server_msg_id),
        ("senderNickname", &said.sender_nickname),
        ("senderFaceURL", &said.sender_face_url),
        ("content", &content),
    ] {
        if !text.is_empty() {
            out.push_str(&format!("\"{name}\":{},", quoted(text)));
        }
    }
    if said.sender_platform != 0 {
        out.push_str(&format!("\"senderPlatformID\":{},", said.sender_platform));
    }
    let created = said.created.map_or(view.time.0, |created| created.0);
    out.push_str(&format!(
        "\"sessionType\":{session},\"contentType\":{},\"seq\":{},\"sendTime\":{},\"createTime\":{created}}}",
        told.content_type, view.seq, view.time.0
    ));
    out
}

/// The bytes that the original keeps for a content: a text and a revocation bare, a notice in its frame, the rest as JSON.
fn content(content_type: u32, json: &str) -> Vec<u8> {
    let member = |name: &str| {
        let value: Option<serde_json::Value> = serde_json::from_str(json).ok();
        let text = value.and_then(|value| value.get(name)?.as_str().map(str::to_owned));
        text.map_or_else(|| json.as_bytes().to_vec(), String::into_bytes)
    };
    match content_type {
        101 => member("text"),
        111 => member("revokeMsgClientID"),
        kind if kind == NOTICE_TYPE => {
            // Field 3 of `TipsComm`, with its length.
            let mut out = vec![0x1a];
            let mut length = json.len();
            while length >= 0x80 {
                out.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            out.push(length as u8);
            out.extend_from_slice(json.as_bytes());
            out
        }
        _ => json.as_bytes().to_vec(),
    }
}

async fn delete(service: &Service, asked: &Asked<'_>) -> Done {
    let user = asked.values.text(1);
    service
        .remove_at(&asked.principal, Surface::OpenImV2, user, &seqs(asked, 2))
        .await
        .map_err(|error| refused(error, None))?;
    Ok(Reply::common(0, "", None))
}

async fn trim(service: &Service, asked: &Asked<'_>, floor: Option<Seq>) -> Done {
    let user = asked.values.text(1);
    service
        .trim_log(&asked.principal, Surface::OpenImV2, user, floor)
        .await
        .map_err(|error| refused(error, None))?;
    Ok(Reply::common(0, "", None))
}

async fn set_floor(service: &Service, asked: &Asked<'_>) -> Done {
    if !asked.values.text(2).is_empty() {
        let error = Error::at(
            ErrorKind::UnknownGroup,
            "groupID",
            "there are no groups yet",
        );
        return Err(refused(error, None));
    }
    let floor = u64::try_from(asked.values.number(3)).unwrap_or(0);
    trim(service, asked, Some(Seq(floor))).await
}

/// Whether the last send with this operationID succeeded. Where the original says "success" of what it does not know, this
/// says that it does not know.
fn check(service: &Service, asked: &Asked<'_>) -> Done {
    if !asked.principal.is_business() {
        return Err(refused(forbidden(), None));
    }
    match service.operation(&asked.principal, asked.values.text(0)) {
        Some(succeeded) => Ok(Reply::json(format!(
            "{{\"errCode\":0,\"errMsg\":\"\",\"status\":{}}}",
            u8::from(!succeeded)
        ))),
        None => {
            let text = "no recent send with this operationID is known: send again with the same clientMsgID to learn its outcome";
            Err(refused(Error::new(ErrorKind::UnknownMessage, text), None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_have_the_bytes_of_the_original() {
        assert_eq!(content(101, r#"{"text":"a\"b"}"#), b"a\"b");
        assert_eq!(content(111, r#"{"revokeMsgClientID":"c"}"#), b"c");
        assert_eq!(content(110, r#"{"data":"d"}"#), br#"{"data":"d"}"#);
        // The original's example: a notice of 171 bytes.
        let notice = format!("{{\"ex\":\"{}\"}}", "x".repeat(162));
        let framed = content(1400, &notice);
        assert_eq!(framed[..3], [0x1a, 0xab, 0x01]);
        assert_eq!(&framed[3..], notice.as_bytes());
    }
}
