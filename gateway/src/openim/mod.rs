//! OpenIM's dialects: translate its requests to commands and its answers from outcomes. No rule of the domain lives here.

pub mod go;
pub mod v2;
pub mod v3;

use hyper::HeaderMap;

/// A dialect of OpenIM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// v2: the operationID stands in the body.
    V2,
    /// v3: the operationID is a header.
    V3,
}

impl Dialect {
    /// Which dialect a request speaks on a path that both have: the only place that decides it.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key("operationid") {
            Self::V3
        } else {
            Self::V2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_the_dialects_apart() {
        let mut headers = HeaderMap::new();
        assert_eq!(Dialect::of(&headers), Dialect::V2);
        headers.insert("token", hyper::header::HeaderValue::from_static("t"));
        assert_eq!(Dialect::of(&headers), Dialect::V2);
        headers.insert("operationID", hyper::header::HeaderValue::from_static(""));
        assert_eq!(Dialect::of(&headers), Dialect::V3);
    }
}
