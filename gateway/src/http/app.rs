//! From a request to the surface that answers it: the native one under `/v1`, OpenIM's dialect everywhere else.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::ORIGIN;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use tracing::{debug, info, warn};

use super::call::{Answered, Call};
use super::lines::Lines;
use super::listener::Handler;
use super::respond::Body;
use super::{body, examples, origin, v1};
use crate::openim::v3::Online;
use crate::openim::{Dialect, v2, v3};
use crate::service::Service;
use crate::socket;
use crate::telemetry::metrics::Route;

/// Answers the requests of the HTTP listeners.
#[derive(Clone)]
pub struct App {
    service: Service,
    online: Online,
}

impl App {
    /// An application over a service.
    #[must_use]
    pub fn new(service: Service, online: Online) -> Self {
        Self { service, online }
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answered {
        if request.uri().path() == socket::PATH {
            return socket::answer(&self.service, request, peer);
        }
        let config = self.service.config();
        let example = examples::answer(config, request.method(), request.uri().path());
        if let Some(response) = example {
            return Answered {
                response,
                route: Route::Example,
                operation_id: String::new(),
                kind: None,
            };
        }
        let (head, incoming) = request.into_parts();
        let path = head.uri.path();
        let native = path.starts_with("/v1/");
        let dialect = Dialect::of(path, &head.headers);
        let limits = self.service.limits();
        let patience = Duration::from_secs(limits.body_seconds);
        if native && v1::has_lines(&head) {
            return match Lines::new(&head.headers, incoming, patience) {
                Ok(lines) => {
                    let none = Bytes::new();
                    let call = call(&head, &none, peer);
                    v1::answer_lines(&self.service, &call, lines).await
                }
                Err(error) => v1::refuse(&error),
            };
        }
        let read = match head.method {
            // Whatever a body says there is not asked for.
            Method::GET | Method::HEAD | Method::OPTIONS => Ok(Bytes::new()),
            _ => {
                let most = match dialect {
                    Dialect::V3 if !native => v3::body_bytes(&self.service, &head),
                    _ => limits.http_body_bytes,
                };
                body::read(&head.headers, incoming, most, patience).await
            }
        };
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) if native => return v1::refuse(&error),
            Err(error) => {
                return match dialect {
                    Dialect::V2 => v2::refuse(&error),
                    Dialect::V3 => v3::refuse(&error),
                };
            }
        };
        let call = call(&head, &bytes, peer);
        if native {
            v1::answer(&self.service, &call).await
        } else {
            match dialect {
                Dialect::V2 => v2::answer(&self.service, &call).await,
                Dialect::V3 => v3::answer(&self.service, &self.online, &call).await,
            }
        }
    }
}

fn call<'a>(head: &'a Parts, body: &'a Bytes, peer: SocketAddr) -> Call<'a> {
    Call {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query(),
        headers: &head.headers,
        body,
        peer,
        hold: head.extensions.get(),
    }
}

impl Handler for App {
    async fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let began = Instant::now();
        let origin = request.headers().get(ORIGIN).cloned();
        let native = request.uri().path().starts_with("/v1/");
        let mut answered = if native && origin::is_preflight(request.method(), request.headers()) {
            v1::preflight(self.service.config(), request.headers())
        } else {
            self.answer(request, peer).await
        };
        if native {
            let config = self.service.config();
            origin::allow(config, origin.as_ref(), &mut answered.response);
        }
        let took = began.elapsed();
        let status = answered.response.status().as_u16();
        self.service
            .metrics()
            .answered(answered.route, status, took);
        say(&answered, status, took, peer);
        answered.response
    }
}

/// Most bytes of an operationID in a line of the log: a refused request may have one of any length.
const LOGGED_BYTES: usize = 128;

fn beginning(text: &str) -> &str {
    let most = text.len().min(LOGGED_BYTES);
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// One line for each request, without what it said: failures of ours as warnings, refusals as information, the rest for
/// whoever looks closely.
fn say(answered: &Answered, status: u16, took: Duration, peer: SocketAddr) {
    let route = answered.route.name();
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let operation_id = beginning(&answered.operation_id);
    match answered.kind.map(|kind| kind.row()) {
        Some(row) if row.http >= 500 => {
            warn!(route, status, took_us, operation_id, %peer, error = row.slug, "request failed");
        }
        Some(row) => {
            info!(route, status, took_us, operation_id, %peer, error = row.slug, "request refused");
        }
        None => debug!(route, status, took_us, operation_id, %peer, "request answered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_operation_id_is_cut_between_characters() {
        assert_eq!(beginning("op"), "op");
        assert_eq!(beginning(&"号".repeat(100)), "号".repeat(LOGGED_BYTES / 3));
    }
}
