//! `waybill pull`: a user's log, over HTTP or QUIC.

use std::process::ExitCode;

use serde_json::{Value, json};
use waybill_client::Connection;

use super::token;
use crate::args::Pull;
use crate::http::{Api, block_on, segment};
use crate::output::{Failure, REFUSED, USAGE};

/// Entries asked for at a time.
const PAGE: u32 = 200;
/// How long the server may hold a poll open, in seconds.
const WAIT_SECONDS: u32 = 25;
/// Platform of the tokens issued here: 7, Linux.
const PLATFORM: u8 = 7;
/// Life of the tokens issued here, in seconds.
const TOKEN_SECONDS: u64 = 12 * 3600;

pub fn run(args: &Pull) -> Result<ExitCode, Failure> {
    let api = Api::new(&args.server)?;
    block_on(async {
        let api = match args.server.token {
            Some(_) => api,
            None => {
                let answer = token::issue(&api, &args.user, PLATFORM, Some(TOKEN_SECONDS)).await?;
                api.with_token(token::text(&answer)?.to_owned())
            }
        };
        if args.quic { over_quic(args, &api).await } else { over_http(args, &api).await }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn over_http(args: &Pull, api: &Api) -> Result<(), Failure> {
    let mut after = args.after;
    loop {
        let wait = if args.follow { format!("&wait={WAIT_SECONDS}") } else { String::new() };
        let path = format!("/v1/users/{}/log?after={after}&limit={PAGE}{wait}", segment(&args.user));
        let page = api.get(&path).await?;
        let entries = page.get("entries").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for entry in entries {
            let seq = entry.get("seq").and_then(Value::as_u64);
            if seq != Some(after + 1) {
                return Err(Failure::new(REFUSED, format!("a gap in the log: after {after} comes {seq:?}")));
            }
            after += 1;
            print(args, entry);
        }
        let more = page.get("more").and_then(Value::as_bool).unwrap_or(false);
        if !more && !args.follow {
            return Ok(());
        }
    }
}

fn print(args: &Pull, entry: &Value) {
    if args.json {
        println!("{entry}");
        return;
    }
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| entry.get(name).map(ToString::to_string).unwrap_or_default();
    let content = entry.get("content").map(ToString::to_string).unwrap_or_default();
    println!("{:>6}  {}  from {}  type {}  {content}", number("seq"), number("time"), text("sender"), number("contentType"));
}
