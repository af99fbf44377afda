//! Pages that show what the server does, for whoever tries it out: served in development only. They use nothing but the native
//! surface, and load nothing from elsewhere.

use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response};

use super::respond::{self, Body};
use crate::config::Config;

/// The path of the page that shows a user's notices as they come.
pub const INBOX: &str = "/examples/inbox.html";

const FILES: [(&str, &str, &str); 3] = [
    (
        INBOX,
        "text/html; charset=utf-8",
        include_str!("../../../examples/inbox.html"),
    ),
    (
        "/examples/inbox.css",
        "text/css; charset=utf-8",
        include_str!("../../../examples/inbox.css"),
    ),
    (
        "/examples/inbox.js",
        "text/javascript; charset=utf-8",
        include_str!("../../../examples/inbox.js"),
    ),
];

/// What the pages may load: pictures from anywhere, all else from here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: http: https:; \
                      connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The file at this path, if there is one and this is a server for trying things out.
pub fn answer(config: &Config, method: &Method, path: &str) -> Option<Response<Body>> {
    if !config.is_development() || *method != Method::GET {
        return None;
    }
    let (_, media_type, text) = FILES.iter().find(|(name, ..)| *name == path)?;
    let mut response = respond::with(200, media_type, *text);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(response)
}
