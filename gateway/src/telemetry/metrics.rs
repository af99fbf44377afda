//! What is counted, and how it is called in Prometheus. No label has unbounded values: no user, no key, no path.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use waybill_core::record::Surface;

use super::live::LiveMetrics;

/// Bounds of latency buckets, in seconds: half a millisecond to ten seconds.
pub(super) const LATENCY: [f64; 14] = [
    0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.5, 10.0,
];

macro_rules! routes {
    ($($(#[doc = $doc:literal])+ $route:ident: $name:literal;)+) => {
        /// An address of the HTTP surface, as metrics know it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Route {
            $($(#[doc = $doc])+ $route,)+
        }

        impl Route {
            const ALL: &[Self] = &[$(Self::$route),+];

            /// Its name: a template of the path.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$route => $name,)+
                }
            }
        }
    };
}

routes! {
    /// OpenIM v2: send.
    V2Send: "/manager/send_msg";
    /// OpenIM v2: send to several.
    V2BatchSend: "/manager/batch_send_msg";
    /// OpenIM v2: register.
    V2Register: "/auth/user_register";
    /// OpenIM v2: token.
    V2Token: "/auth/user_token";
    /// OpenIM v2: parse token.
    V2ParseToken: "/auth/parse_token";
    /// OpenIM v2: everything else.
    V2Other: "openim v2, others";
    /// OpenIM v3: send.
    V3Send: "openim v3, sends";
    /// OpenIM v3: everything else.
    V3Other: "openim v3, others";
    /// Native: send.
    Send: "POST /v1/messages";
    /// Native: look up by key.
    FindMessage: "GET /v1/messages";
    /// Native: look up by id.
    GetMessage: "/v1/messages/{id}";
    /// Native: recall a message or a task.
    Recall: "POST /v1/messages/{id}/recall";
    /// Native: change a message or a task.
    Change: "PATCH /v1/messages/{id}";
    /// Native: open or confirm a message.
    Mark: "POST /v1/messages/{id}/opened";
    /// Native: what becomes of an account's messages.
    Status: "/v1/accounts/{id}/status";
    /// Native: send to several.
    Post: "POST /v1/tasks";
    /// Native: a task.
    Task: "/v1/tasks/{task}";
    /// Native: the receivers of a task.
    Receivers: "/v1/tasks/{task}/receivers";
    /// Native: an audience.
    Audience: "/v1/audiences/{name}";
    /// Native: a user of the directory.
    User: "/v1/users/{user}";
    /// Native: a user's conversations and the place in the log they stand for.
    Snapshot: "/v1/users/{user}/snapshot";
    /// Native: a user's conversations.
    Conversations: "/v1/users/{user}/conversations";
    /// Native: a conversation.
    Conversation: "/v1/users/{user}/conversations/{conversation}";
    /// Native: the messages of a conversation.
    History: "/v1/users/{user}/conversations/{conversation}/messages";
    /// Native: what is read.
    Read: "/v1/users/{user}/conversations/{conversation}/read";
    /// Native: pull.
    Pull: "/v1/users/{user}/log";
    /// Native: reached.
    Cursor: "/v1/users/{user}/devices/{device}/cursor";
    /// Native: the WebSocket.
    Socket: "/v1/socket";
    /// Native: a ticket.
    Ticket: "/v1/tickets";
    /// Native: who is online.
    Presence: "/v1/users/{user}/presence";
    /// The example pages.
    Example: "/examples";
    /// Native: issue a token.
    IssueToken: "POST /v1/tokens";
    /// Native: revoke tokens.
    RevokeTokens: "DELETE /v1/tokens";
    /// Native: who am I.
    Me: "/v1/me";
    /// Anything else.
    Other: "other";
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StatusLabel {
    route: &'static str,
    status: &'static str,
}

/// A label with values from a closed set.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Reason {
    /// The reason.
    pub reason: &'static str,
}

/// A label for the way in.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct TransportLabel {
    /// `http`, or one of [`Transport`](crate::registry::Transport).
    pub transport: &'static str,
}

/// What became of a send.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum SendOutcome {
    /// It is durable.
    Sent,
    /// It was a retry: the first answer again.
    Repeated,
    /// It was refused.
    Refused,
    /// The server was busy.
    Busy,
    /// The outcome is not known.
    Unknown,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SendLabel {
    surface: &'static str,
    outcome: SendOutcome,
}

const OUTCOMES: [SendOutcome; 5] = [
    SendOutcome::Sent,
    SendOutcome::Repeated,
    SendOutcome::Refused,
    SendOutcome::Busy,
    SendOutcome::Unknown,
];

/// Names of surfaces, by their numbers in records.
const SURFACES: [&str; 5] = ["server", "http", "quic", "v2", "v3"];

/// The counters and gauges of the edge.
pub struct Metrics {
    registry: Registry,
    routes: Vec<RouteMetrics>,
    /// By surface and outcome.
    sends: Vec<[Counter; OUTCOMES.len()]>,
    /// Open connections, by transport.
    pub connections: Family<TransportLabel, Gauge>,
    /// Connections not taken, by the bound that stood in the way.
    pub connections_refused: Family<Reason, Counter>,
    /// Requests whose token was refused, by what was wrong with it.
    pub auth_failures: Family<Reason, Counter>,
    /// Entries handed out, by transport.
    pub entries_pulled: Family<TransportLabel, Counter>,
    /// What is measured of live connections.
    pub live: LiveMetrics,
}

/// The metrics of one route, found once: nothing is looked up while a request runs.
struct RouteMetrics {
    duration: Histogram,
    statuses: [Counter; 5],
}

impl Metrics {
    /// Registers everything.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        let mut registry = Registry::with_prefix("waybill");
        registry.register("build", "The program.", Info::new([("version", version)]));
        let routes = routes(&mut registry);
        let sends = sends(&mut registry);
        let connections = Family::default();
        let live = LiveMetrics::new(&mut registry, &connections);
        let metrics = Self {
            registry,
            routes,
            sends,
            connections,
            connections_refused: Family::default(),
            auth_failures: Family::default(),
            entries_pulled: Family::default(),
            live,
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("connections", "Open connections.", self.connections.clone());
        registry.register(
            "connections_refused",
            "Connections not taken, by the bound in the way.",
            self.connections_refused.clone(),
        );
        registry.register(
            "auth_failures",
            "Requests whose token was refused.",
            self.auth_failures.clone(),
        );
        registry.register(
            "entries_pulled",
            "Entries of user logs handed out.",
            self.entries_pulled.clone(),
        );
        self
    }

    /// The registry, for parts that bring their own metrics. Only before the server starts.
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Notes an answered request.
    pub fn answered(&self, route: Route, status: u16, took: Duration) {
        let Some(metrics) = self.routes.get(route as usize) else {
            return;
        };
        metrics.duration.observe(took.as_secs_f64());
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        metrics.statuses[class].inc();
    }

    /// Notes what became of a send.
    pub fn sent(&self, surface: Surface, outcome: SendOutcome) {
        let counters = self.sends.get(surface as usize);
        if let Some(counter) = counters.and_then(|counters| counters.get(outcome as usize)) {
            counter.inc();
        }
    }

    /// All metrics as OpenMetrics text.
    ///
    /// # Errors
    /// When a part's own metric cannot be written.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

fn routes(registry: &mut Registry) -> Vec<RouteMetrics> {
    let durations =
        Family::<RouteLabel, Histogram>::new_with_constructor(|| Histogram::new(LATENCY));
    let requests = Family::<StatusLabel, Counter>::default();
    let of_route = |route: &Route| {
        let route = route.name();
        RouteMetrics {
            duration: durations.get_or_create(&RouteLabel { route }).clone(),
            statuses: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|status| {
                requests
                    .get_or_create(&StatusLabel { route, status })
                    .clone()
            }),
        }
    };
    let routes = Route::ALL.iter().map(of_route).collect();
    let help = "Time from the head of a request to its answer.";
    registry.register("http_request_duration_seconds", help, durations);
    registry.register(
        "http_requests",
        "Requests answered, by class of status.",
        requests,
    );
    routes
}

fn sends(registry: &mut Registry) -> Vec<[Counter; OUTCOMES.len()]> {
    let sends = Family::<SendLabel, Counter>::default();
    let of_surface = |surface: &'static str| {
        OUTCOMES.map(|outcome| sends.get_or_create(&SendLabel { surface, outcome }).clone())
    };
    let counters = SURFACES.into_iter().map(of_surface).collect();
    registry.register("sends", "Sends, by what became of them.", sends);
    counters
}

/// The media type of [`Metrics::render`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_can_be_read() {
        let metrics = Metrics::new("1.2.3");
        metrics.answered(Route::V2Send, 200, Duration::from_micros(700));
        metrics.answered(Route::V2Send, 400, Duration::from_millis(3));
        metrics.answered(Route::Other, 999, Duration::ZERO);
        metrics.sent(Surface::OpenImV2, SendOutcome::Sent);
        metrics
            .auth_failures
            .get_or_create(&Reason {
                reason: "token-expired",
            })
            .inc();
        let text = metrics.render().unwrap();
        for line in [
            r#"waybill_build_info{version="1.2.3"} 1"#,
            r#"waybill_http_requests_total{route="/manager/send_msg",status="2xx"} 1"#,
            r#"waybill_http_requests_total{route="/manager/send_msg",status="4xx"} 1"#,
            r#"waybill_http_requests_total{route="other",status="5xx"} 1"#,
            r#"waybill_http_request_duration_seconds_count{route="/manager/send_msg"} 2"#,
            r#"waybill_http_request_duration_seconds_bucket{le="0.001",route="/manager/send_msg"} 1"#,
            r#"waybill_sends_total{surface="v2",outcome="Sent"} 1"#,
            r#"waybill_auth_failures_total{reason="token-expired"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
        let surfaces = [
            Surface::Server,
            Surface::NativeHttp,
            Surface::NativeQuic,
            Surface::OpenImV2,
        ];
        for (number, surface) in surfaces.into_iter().enumerate() {
            assert_eq!(surface as usize, number, "the place of its name");
        }
        for (number, outcome) in OUTCOMES.into_iter().enumerate() {
            assert_eq!(outcome as usize, number);
        }
    }
}
