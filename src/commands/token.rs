//! `waybill token`: issues a token over the API.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::args::Token;
use crate::http::{Api, block_on};
use crate::output::{Failure, REFUSED, print_line};

pub fn run(args: &Token) -> Result<ExitCode, Failure> {
    let api = Api::new(&args.server)?;
    let answer = block_on(issue(&api, &args.user, args.platform, args.expires_in))?;
    let _ = if args.json {
        print_line(&answer)?
    } else {
        print_line(text(&answer)?)?
    };
    Ok(ExitCode::SUCCESS)
}

/// Asks for a token.
async fn issue(
    api: &Api,
    user: &str,
    platform: u8,
    expires_in: Option<u64>,
) -> Result<Value, Failure> {
    let mut body = json!({"user": user, "platform": platform});
    if let Some(seconds) = expires_in {
        body["expiresIn"] = json!(seconds);
    }
    api.post("/v1/tokens", None, &body).await
}

/// The token in an answer.
fn text(answer: &Value) -> Result<&str, Failure> {
    let token = answer.get("token").and_then(Value::as_str);
    token.ok_or_else(|| Failure::new(REFUSED, "the server's answer holds no token"))
}
