//! `waybill pull`: a user's log, over HTTP or QUIC. It writes nothing: without a token of its own it reads as the manager.

use std::process::ExitCode;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use waybill_client::{Connector, Fingerprint, Identity, Trust};
use waybill_core::id::Seq;
use waybill_core::wire::{Entry, NoteEntry, Page, Place, SKIPPED};

use super::FINGERPRINT_FILE;
use crate::args::Pull;
use crate::http::{Api, block_on, segment};
use crate::output::{Failure, REFUSED, Reader, USAGE, print_line};

/// Entries asked for at a time.
const PAGE: u32 = 200;
/// How long the server may hold a poll open, in seconds.
const WAIT_SECONDS: u32 = 25;

pub fn run(args: &Pull) -> Result<ExitCode, Failure> {
    let api = Api::new(&args.server)?;
    block_on(async {
        if args.quic {
            over_quic(args, &api).await
        } else {
            over_http(args, &api).await
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn over_http(args: &Pull, api: &Api) -> Result<(), Failure> {
    let mut after = args.after;
    loop {
        let wait = if args.follow {
            format!("&wait={WAIT_SECONDS}")
        } else {
            String::new()
        };
        let path = format!(
            "/v1/users/{}/log?after={after}&limit={PAGE}{wait}",
            segment(&args.user)
        );
        let page: HttpPage =
            serde_json::from_slice(&api.get_bytes(&path).await?).map_err(Failure::with(REFUSED))?;
        for raw in page.entries {
            let entry: Value = serde_json::from_str(raw.get()).map_err(Failure::with(REFUSED))?;
            let seq = entry.get("seq").and_then(Value::as_u64).unwrap_or_default();
            advance(&mut after, seq)?;
            if print(args, raw.get(), &entry)? == Reader::Gone {
                return Ok(());
            }
        }
        if !page.more && !args.follow {
            return Ok(());
        }
    }
}

/// The part of a page that matters here; entries are printed as they came.
#[derive(serde::Deserialize)]
struct HttpPage {
    entries: Vec<Box<RawValue>>,
    more: bool,
}

async fn over_quic(args: &Pull, api: &Api) -> Result<(), Failure> {
    let connector =
        Connector::new(Trust::Pinned(fingerprint(args)?)).map_err(Failure::with(USAGE))?;
    let identity = Identity::new(api.token());
    let connection = connector
        .connect(args.quic_server, "localhost", &identity)
        .await
        .map_err(Failure::with(REFUSED))?;
    let mut after = args.after;
    if args.follow {
        let mut tail = connection
            .tail(&args.user, Seq(after))
            .await
            .map_err(Failure::with(REFUSED))?;
        loop {
            let page = tail.next().await.map_err(Failure::with(REFUSED))?;
            if take(args, &mut after, &page)? == Reader::Gone {
                connection.close().await;
                return Ok(());
            }
        }
    }
    loop {
        let page = connection
            .pull(&args.user, Seq(after), PAGE)
            .await
            .map_err(Failure::with(REFUSED))?;
        let reader = take(args, &mut after, &page)?;
        if reader == Reader::Gone || !page.head.more {
            connection.close().await;
            return Ok(());
        }
    }
}

fn fingerprint(args: &Pull) -> Result<Fingerprint, Failure> {
    let text = match &args.fingerprint {
        Some(text) => text.clone(),
        None => {
            let path = args.server.data.join("secrets").join(FINGERPRINT_FILE);
            std::fs::read_to_string(&path).map_err(|error| {
                let text = format!(
                    "{}: {error}; give --data the server's data directory, or --fingerprint",
                    path.display()
                );
                Failure::new(USAGE, text)
            })?
        }
    };
    text.trim().parse().map_err(Failure::with(USAGE))
}

fn take(args: &Pull, after: &mut u64, page: &Page) -> Result<Reader, Failure> {
    for entry in &page.entries {
        advance(after, entry.seq.0)?;
        let described = describe(entry)?;
        let raw = serde_json::to_string(&described).map_err(Failure::with(REFUSED))?;
        let value = serde_json::from_str(&raw).map_err(Failure::with(REFUSED))?;
        if print(args, &raw, &value)? == Reader::Gone {
            return Ok(Reader::Gone);
        }
    }
    Ok(Reader::There)
}

/// An entry with the names that it has over HTTP.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    seq: u64,
    time: u64,
    kind: u8,
    #[serde(flatten)]
    message: Option<DescribedMessage>,
    #[serde(flatten)]
    note: Option<DescribedNote>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribedMessage {
    conversation: Value,
    conversation_seq: u64,
    sender: String,
    #[serde(rename = "serverMsgID")]
    server_msg_id: String,
    #[serde(rename = "clientMsgID")]
    client_msg_id: String,
    content_type: u32,
    notification_type: i32,
    sender_nickname: String,
    #[serde(rename = "senderFaceURL")]
    sender_face_url: String,
    erased: bool,
    /// As it was sent, byte for byte; `null` where the message was erased.
    content: Option<Box<RawValue>>,
}

/// An entry that is no message, as it is over HTTP.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribedNote {
    conversation: Value,
    conversation_seq: u64,
    by: String,
    #[serde(rename = "serverMsgID", skip_serializing_if = "Option::is_none")]
    server_msg_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conversation_seqs: Vec<u64>,
}

impl From<NoteEntry> for DescribedNote {
    fn from(note: NoteEntry) -> Self {
        let settings = note.settings.map(|settings| {
            json!({
                "pinned": settings.pinned,
                "receiveOption": settings.receive_option,
                "hidden": settings.hidden,
            })
        });
        Self {
            conversation: json!({"kind": kind(note.place.kind), "peer": note.place.peer}),
            conversation_seq: note.conversation_seq.0,
            by: note.by,
            server_msg_id: note.server_msg_id.as_ref().map(|id| hex(id)),
            settings,
            conversation_seqs: note.messages.iter().map(|seq| seq.0).collect(),
        }
    }
}

fn describe(entry: &Entry) -> Result<Described, Failure> {
    let message = entry
        .as_message()
        .map_err(Failure::with(REFUSED))?
        .map(|message| DescribedMessage {
            conversation: json!({"kind": kind(message.place.kind), "peer": message.place.peer}),
            conversation_seq: message.conversation_seq.0,
            sender: message.sender,
            server_msg_id: hex(&message.server_msg_id),
            client_msg_id: message.client_msg_id,
            content_type: message.content_type,
            notification_type: message.notification_type,
            sender_nickname: message.sender_nickname,
            sender_face_url: message.sender_face_url,
            erased: message.erased,
            content: String::from_utf8(message.content)
                .ok()
                .and_then(|text| RawValue::from_string(text).ok()),
        });
    let note = entry.as_note().map_err(Failure::with(REFUSED))?;
    Ok(Described {
        seq: entry.seq.0,
        time: entry.time.0,
        kind: entry.kind,
        message,
        note: note.map(DescribedNote::from),
    })
}

/// The name that a kind of conversation has over HTTP; the number of one that this program does not know.
fn kind(number: u8) -> Value {
    match number {
        Place::SINGLE => json!("single"),
        Place::NOTIFICATION => json!("notification"),
        other => json!(other),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A log has no gaps: the next entry is the one after the last.
fn advance(after: &mut u64, seq: u64) -> Result<(), Failure> {
    if seq != *after + 1 {
        return Err(Failure::new(
            REFUSED,
            format!("a gap in the log: after {after} comes {seq}"),
        ));
    }
    *after = seq;
    Ok(())
}

fn print(args: &Pull, raw: &str, entry: &Value) -> Result<Reader, Failure> {
    if args.json {
        return print_line(raw);
    }
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| entry.get(name).map(ToString::to_string).unwrap_or_default();
    let content = entry
        .get("content")
        .map(ToString::to_string)
        .unwrap_or_default();
    if entry.get("kind").and_then(Value::as_u64) == Some(u64::from(SKIPPED)) {
        return print_line(format_args!(
            "{:>6}  {}  left out after a restore",
            number("seq"),
            number("time")
        ));
    }
    if let Some(by) = entry.get("by").and_then(Value::as_str) {
        let what = match entry.get("kind").and_then(Value::as_u64) {
            Some(2) => "read up to",
            Some(3) => "settings",
            Some(4) => "recalled",
            Some(5) => "deleted",
            Some(6) => "deleted up to",
            Some(7) => "opened or confirmed",
            Some(8) => "changed",
            _ => "something else",
        };
        return print_line(format_args!(
            "{:>6}  {}  by {by}  {what} {}",
            number("seq"),
            number("time"),
            number("conversationSeq")
        ));
    }
    print_line(format_args!(
        "{:>6}  {}  from {}  type {}  {content}",
        number("seq"),
        number("time"),
        text("sender"),
        number("contentType")
    ))
}
