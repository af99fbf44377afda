//! Responses: their bodies and the headers that all have in common.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use crate::error::{Error, ProblemOptions, problem};
use crate::service::Allowance;

/// The body of a response.
pub type Body = Full<Bytes>;

/// A response with this status, media type and body. Answers are about one moment: nobody may keep them.
#[must_use]
pub fn with(status: u16, media_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response of the native surface.
#[must_use]
pub fn json(status: u16, body: Vec<u8>) -> Response<Body> {
    with(status, "application/json", body)
}

/// An error as the native surface says it.
#[must_use]
pub fn error(error: &Error, options: &ProblemOptions<'_>) -> Response<Body> {
    let row = error.row();
    let mut response = with(
        row.http,
        "application/problem+json",
        problem(error, options),
    );
    retry_after(&mut response, error);
    response
}

/// Says what the sender may still send, as `draft-ietf-httpapi-ratelimit-headers` has it: the policy, and what is left of it.
pub fn rate_limit(response: &mut Response<Body>, allowance: &Allowance) {
    let Allowance { burst, left, .. } = allowance;
    let fields = [
        (
            "ratelimit-policy",
            format!("\"send\";q={burst};w={}", allowance.window()),
        ),
        ("ratelimit", format!("\"send\";r={left};t=1")),
    ];
    for (name, value) in fields {
        // Numbers and quotes are always fit for a header.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// Adds `Retry-After` where a retry makes sense.
pub fn retry_after(response: &mut Response<Body>, error: &Error) {
    let seconds = error.row().retry_after;
    if seconds > 0 {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn errors_carry_status_and_retry() {
        let response = error(&Error::of(Kind::Busy), &ProblemOptions::default());
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let response = error(&Error::of(Kind::KeyReused), &ProblemOptions::default());
        assert_eq!(response.status(), 422);
        assert!(response.headers().get(RETRY_AFTER).is_none());
    }
}
