//! Requests of the v2 family other than sends: their shapes, who makes them, and refusals as the original's services give them.

use std::sync::Arc;

use super::handlers::{Outcome, bound, token, unbound};
use super::reply::Reply;
use crate::auth::Principal;
use crate::error::{Error, Kind as ErrorKind};
use crate::http::Call;
use crate::openim::go::bind::{Field, Kind, Rule, Shape, Values};
use crate::openim::go::text::quote_into;
use crate::service::Service;

const NO_PERMISSION: &str = "no permission";

pub(super) const fn field(
    json: &'static str,
    go: &'static str,
    kind: Kind,
    rules: &'static [Rule],
) -> Field {
    Field {
        json,
        go,
        kind,
        rules,
    }
}

pub(super) const REQUIRED: &[Rule] = &[Rule::Required];
pub(super) const OPERATION_ID: Field = field("operationID", "OperationID", Kind::Text, REQUIRED);

macro_rules! shape {
    ($name:literal, $($field:expr),+ $(,)?) => {
        Shape { name: $name, type_name: concat!("base_info.", $name), fields: &[OPERATION_ID, $($field),+] }
    };
}
pub(super) use shape;

/// A request that could be read, and who makes it.
pub(super) struct Asked<'a> {
    pub values: Values<'a>,
    pub principal: Arc<Principal>,
}

impl Asked<'_> {
    pub fn outcome(&self, done: Result<Reply, (Reply, Error)>) -> Outcome {
        match done {
            Ok(reply) => Outcome::ok(reply, self.values.text(0)),
            Err((reply, error)) => Outcome::refused(reply, self.values.text(0), error),
        }
    }
}

/// Reads a request and its token. The original's text for a bad token repeats the token; this one does not.
pub(super) fn asked<'a>(
    service: &Service,
    call: &'a Call<'_>,
    shape: &'static Shape,
    status: u16,
) -> Result<Asked<'a>, Outcome> {
    let values = bound(service, call, shape).map_err(|error| unbound("", error))?;
    match token(call).and_then(|token| service.authenticate(token)) {
        Ok(principal) => Ok(Asked { values, principal }),
        Err(error) => {
            let id = values.text(0);
            let text = format!("{id} GetUserIDFromToken failed {error}");
            Err(Outcome::refused(
                Reply::error(status, 500, &text),
                id,
                error,
            ))
        }
    }
}

pub(super) type Done = Result<Reply, (Reply, Error)>;

/// A refusal as the original's services give it.
pub(super) fn refused(error: Error, data: Option<&str>) -> (Reply, Error) {
    let row = error.row();
    let reply = match (error.kind, row.v2_http) {
        (ErrorKind::Forbidden, _) => Reply::common(801, NO_PERMISSION, data),
        (_, 200) => Reply::common(row.v2, &error.detail, data),
        _ => Reply::of(&error),
    };
    (reply, error)
}

pub(super) fn forbidden() -> Error {
    Error::of(ErrorKind::Forbidden)
}

pub(super) fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote_into(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}
