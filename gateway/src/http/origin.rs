//! Which web pages may ask the native surface: by the `Origin` that browsers say, which pages cannot forge. It knows no route.

use std::net::IpAddr;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, Method, Response};

use super::respond::Body;
use crate::config::Config;
use crate::error::{Error, Kind};

/// What pages may ask with.
const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID";

/// Headers of answers that pages may read besides those that they always may.
const EXPOSED: &str = "Allow, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate";

/// How long a browser may remember what a preflight said, in seconds.
const REMEMBERED: &str = "600";

/// Whether a request may come from where it comes from: programs say no origin, and are not judged by it.
///
/// # Errors
/// When it comes from a page of an origin that is not allowed.
pub fn check(config: &Config, headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(ORIGIN) {
        Some(origin) if !is_allowed(config, origin) => {
            let text = "pages of this origin may not ask here: see allowed_origins";
            Err(Error::new(Kind::ForeignOrigin, text))
        }
        _ => Ok(()),
    }
}

/// Whether this is a browser's question whether a page may ask.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a browser's question whether a page may ask, to which [`allow`] is still added.
pub fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = hyper::StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(METHODS),
    );
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(HEADERS),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
    response
}

/// Lets the page that has asked read the answer, if it may.
pub fn allow(config: &Config, origin: Option<&HeaderValue>, response: &mut Response<Body>) {
    let Some(origin) = origin else {
        return;
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if is_allowed(config, origin) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED),
        );
    }
}

fn is_allowed(config: &Config, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    match &config.allowed_origins {
        Some(allowed) => allowed.iter().any(|allowed| allowed == origin),
        None => config.is_development() && is_loopback(origin),
    }
}

/// Whether a page comes from the machine that its browser runs on.
fn is_loopback(origin: &str) -> bool {
    let Some((_, rest)) = origin.split_once("://") else {
        return false;
    };
    let host = match rest.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if port.is_empty() || port.starts_with(':') => host,
            _ => return false,
        },
        None => rest.rsplit_once(':').map_or(rest, |(host, _)| host),
    };
    host == "localhost" || host.parse().is_ok_and(|host: IpAddr| host.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(config: &Config, origin: &str) -> Option<Kind> {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, origin.parse().unwrap());
        check(config, &headers).err().map(|error| error.kind)
    }

    #[test]
    fn in_development_pages_of_this_machine_may_ask_and_no_others() {
        let config = Config::default();
        for good in [
            "http://localhost",
            "http://localhost:8080",
            "https://127.0.0.1:1",
            "http://127.9.9.9",
            "http://[::1]:3000",
        ] {
            assert_eq!(kind(&config, good), None, "{good}");
        }
        for bad in [
            "null",
            "http://localhost.example.com",
            "http://example.com",
            "http://127.0.0.1.example.com:80",
            "http://128.0.0.1",
            "http://[::1]x",
            "file://",
            "localhost",
            "http://[::2]",
        ] {
            assert_eq!(kind(&config, bad), Some(Kind::ForeignOrigin), "{bad}");
        }
        assert!(check(&config, &HeaderMap::new()).is_ok(), "no browser");
    }

    #[test]
    fn elsewhere_those_may_ask_that_are_named() {
        let open = Config {
            listen: crate::config::Listen {
                http: vec!["0.0.0.0:10002".parse().unwrap()],
                ..Config::default().listen
            },
            ..Config::default()
        };
        assert_eq!(
            kind(&open, "http://localhost"),
            Some(Kind::ForeignOrigin),
            "it is no development"
        );
        let named = Config {
            allowed_origins: Some(vec!["https://oa.example.com".to_owned()]),
            ..Config::default()
        };
        assert_eq!(kind(&named, "https://oa.example.com"), None);
        for bad in [
            "http://oa.example.com",
            "https://oa.example.com:8443",
            "https://oa.example.com.cn",
            "http://localhost",
        ] {
            assert_eq!(kind(&named, bad), Some(Kind::ForeignOrigin), "{bad}");
        }
    }

    #[test]
    fn answers_are_readable_for_those_who_may_ask() {
        let config = Config::default();
        let origin = HeaderValue::from_static("http://localhost:1");
        let mut response = preflight();
        allow(&config, Some(&origin), &mut response);
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], origin);
        assert_eq!(response.headers()[VARY], "Origin");
        let mut response = preflight();
        let foreign = HeaderValue::from_static("http://example.com");
        allow(&config, Some(&foreign), &mut response);
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(response.headers()[VARY], "Origin");
    }
}
