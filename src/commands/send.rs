//! `waybill send`: one message over the API.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::args::Send;
use crate::http::{Api, block_on};
use crate::output::{Failure, USAGE, print_line};

const TEXT: u32 = 101;
const NOTIFICATION: u32 = 1400;

pub fn run(args: Send) -> Result<ExitCode, Failure> {
    let api = Api::new(&args.server)?;
    let (content_type, content) = content(&args)?;
    let mut body =
        json!({"to": {"user": args.to}, "contentType": content_type, "content": content});
    if let Some(sender) = &args.sender {
        body["sender"] = json!(sender);
    }
    let answer = block_on(api.post("/v1/messages", args.key.as_deref(), &body))?;
    let _ = if args.json {
        print_line(&answer)?
    } else {
        let id = answer
            .get("serverMsgID")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let seq = answer
            .pointer("/receivers/0/seq")
            .map(ToString::to_string)
            .unwrap_or_default();
        print_line(format_args!("{id}  seq {seq} of {}", args.to))?
    };
    Ok(ExitCode::SUCCESS)
}

fn content(args: &Send) -> Result<(u32, Value), Failure> {
    if let (Some(content), Some(content_type)) = (&args.content, args.content_type) {
        let value = serde_json::from_str(content)
            .map_err(|error| Failure::new(USAGE, format!("--content: {error}")))?;
        return Ok((content_type, value));
    }
    let text = args.text.as_deref().unwrap_or_default();
    Ok(match &args.name {
        None => (TEXT, json!({"text": text})),
        Some(name) => (
            NOTIFICATION,
            json!({
                "notificationName": name, "notificationFaceURL": args.face.as_deref().unwrap_or_default(),
                "notificationType": args.notification_type, "text": text, "mixType": 0,
            }),
        ),
    })
}
