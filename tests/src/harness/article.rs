//! The request of the article that the product answers to, as it stands there, and ways to change a part of it and leave
//! every other byte alone. It knows no server.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The article's request, byte for byte.
pub const REQUEST: &str = include_str!("../../../gateway/tests/fixtures/seed-send-msg.json");

/// The receiver in it.
pub const RECEIVER: &str = "18712345678";

/// Anything that has a content, kept as it was written.
#[derive(Deserialize)]
pub struct WithContent<'a> {
    /// The content.
    #[serde(borrow)]
    pub content: &'a RawValue,
}

/// The `content` of a request as it was written.
///
/// # Panics
/// When it is no request.
#[must_use]
pub fn content(request: &str) -> &str {
    let request: WithContent<'_> = serde_json::from_str(request).expect("a request");
    request.content.get()
}

/// The article's request with this `content` instead of its own.
#[must_use]
pub fn with_content(other: &str) -> String {
    REQUEST.replace(content(REQUEST), other)
}

/// The article's content with one more key in front.
#[must_use]
pub fn content_with(key: &str, value: u64) -> String {
    content(REQUEST).replacen('{', &format!("{{\"{key}\": {value},"), 1)
}
