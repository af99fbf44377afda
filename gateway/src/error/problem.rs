//! Errors as RFC 9457 `application/problem+json`.

use serde::Serialize;

use super::Error;

/// Prefix of problem types. A name, not an address: programs compare it, nobody fetches it.
const TYPE_PREFIX: &str = "urn:waybill:problem:";

/// What a surface adds to a problem.
#[derive(Clone, Debug, Default)]
pub struct ProblemOptions<'a> {
    /// The caller's trace id.
    pub operation_id: Option<&'a str>,
    /// The first seq still present, for a pull that is too old.
    pub floor: Option<u64>,
    /// The last seq, for a pull that is too old or ahead.
    pub head: Option<u64>,
    /// The epoch of the server's log, for a pull that is of another history.
    pub epoch: Option<&'a str>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(rename = "errCode")]
    code: i32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault<'a>>,
    #[serde(rename = "operationID", skip_serializing_if = "Option::is_none")]
    operation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
}

#[derive(Serialize)]
struct Fault<'a> {
    pointer: &'a str,
    detail: &'a str,
}

/// The body of a problem. `errCode` is the code of OpenIM's newer dialect, for callers that know those.
#[must_use]
pub fn problem(error: &Error, options: &ProblemOptions<'_>) -> Vec<u8> {
    let row = error.row();
    let errors = error
        .pointer
        .as_deref()
        .map(|pointer| Fault {
            pointer,
            detail: &error.detail,
        })
        .into_iter()
        .collect();
    let body = Body {
        r#type: format!("{TYPE_PREFIX}{}", row.slug),
        title: row.title,
        status: row.http,
        detail: &error.detail,
        code: row.v3,
        errors,
        operation_id: options.operation_id,
        floor: options.floor,
        head: options.head,
        epoch: options.epoch,
    };
    // Numbers and texts always serialise.
    serde_json::to_vec(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::error::{Kind, TABLE};

    fn parsed(error: &Error, options: &ProblemOptions<'_>) -> Value {
        serde_json::from_slice(&problem(error, options)).unwrap()
    }

    #[test]
    fn every_kind_makes_a_problem() {
        for row in TABLE {
            let value = parsed(&Error::of(row.kind), &ProblemOptions::default());
            assert_eq!(value["type"], format!("urn:waybill:problem:{}", row.slug));
            assert_eq!(value["status"], row.http);
            assert_eq!(value["title"], row.title);
            assert!(value.get("errors").is_none() && value.get("floor").is_none());
        }
    }

    #[test]
    fn a_problem_names_the_place_and_what_a_client_needs() {
        let error = Error::at(Kind::InvalidField, "/to/user", "must be a \"text\"");
        let options = ProblemOptions {
            operation_id: Some("op"),
            floor: Some(5),
            head: Some(9),
            epoch: Some("00ff"),
        };
        let value = parsed(&error, &options);
        assert_eq!(
            value["errors"],
            json!([{ "pointer": "/to/user", "detail": "must be a \"text\"" }])
        );
        assert_eq!(value["detail"], "must be a \"text\"");
        assert_eq!(value["operationID"], "op");
        assert_eq!(
            (&value["floor"], &value["head"], &value["epoch"]),
            (&json!(5), &json!(9), &json!("00ff"))
        );
    }
}
