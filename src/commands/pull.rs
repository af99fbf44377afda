//! `waybill pull`: a user's log, over HTTP or QUIC. It writes nothing: without a token of its own it reads as the manager.

use std::process::ExitCode;

use serde_json::Value;
use serde_json::value::RawValue;
use waybill_client::{Connector, Fingerprint, Identity, LogEntry, Page, Trust};
use waybill_core::id::Seq;
use waybill_core::wire::SKIPPED;

use super::FINGERPRINT_FILE;
use crate::args::Pull;
use crate::http::{Api, block_on, segment};
use crate::output::{Failure, REFUSED, Reader, USAGE, print_line};

/// Entries asked for at a time.
const PAGE: u32 = 200;

pub fn run(args: &Pull) -> Result<ExitCode, Failure> {
    let api = Api::new(&args.server)?;
    block_on(async {
        if args.follow {
            super::follow::follow(args, &api).await
        } else if args.quic {
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
        let user = segment(&args.user);
        let path = format!("/v1/users/{user}/log?after={after}&limit={PAGE}");
        let page: HttpPage =
            serde_json::from_slice(&api.get_bytes(&path).await?).map_err(Failure::with(REFUSED))?;
        for raw in page.entries {
            let entry = LogEntry::read(raw.get()).map_err(Failure::with(REFUSED))?;
            advance(&mut after, entry.seq.0)?;
            if print_entry(args, entry.json())? == Reader::Gone {
                return Ok(());
            }
        }
        if !page.more {
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

/// Whom to trust over QUIC.
pub fn fingerprint(args: &Pull) -> Result<Fingerprint, Failure> {
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
        let entry = LogEntry::try_from(entry).map_err(Failure::with(REFUSED))?;
        if print_entry(args, entry.json())? == Reader::Gone {
            return Ok(Reader::Gone);
        }
    }
    Ok(Reader::There)
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

/// Prints an entry, as JSON or for people.
pub fn print_entry(args: &Pull, raw: &str) -> Result<Reader, Failure> {
    if args.json {
        return print_line(raw);
    }
    let entry: Value = serde_json::from_str(raw).map_err(Failure::with(REFUSED))?;
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
