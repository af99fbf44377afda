//! What an operator can set: values from flags, environment and a TOML file, in that order of precedence, over defaults.
//! Every key stands in one table ([`keys`]); an unknown one is refused by name. It opens nothing and generates nothing.

mod keys;
mod limits;
mod moment;
mod problem;
mod source;
mod validate;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use waybill_core::policy::UnknownReceiver;

use crate::telemetry::Secret;

pub use keys::{Help, help};
pub use limits::{LIMITS, LimitKey, Limits};
pub use problem::{ConfigError, Problem, Source};

/// The id of the manager when none is configured.
pub const DEFAULT_MANAGER: &str = "openIM123456";

/// Everything an operator can set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// Where the server listens.
    pub listen: Listen,
    /// The certificate; without it HTTP is plain, and QUIC makes itself one for development.
    pub tls: Option<Tls>,
    /// Origins of web pages that may ask the native surface; `None`: those of this machine in development, else none.
    pub allowed_origins: Option<Vec<String>>,
    /// Business accounts and tokens, as OpenIM knows them.
    pub openim: OpenIm,
    /// What becomes of a message to somebody who was never seen.
    pub unknown_receiver: UnknownReceiver,
    /// Whether the managers learn what becomes of their messages, and when.
    pub track_managers: bool,
    /// Whether the ledger notes messages for those online only: sender, audience size and commitment.
    pub audit_online_only: bool,
    /// The title of pushes whose sender gives none; empty to let the kind of message decide.
    pub push_title: String,
    /// Memory the whole process should stay within, in MiB; caches and buffers follow from it.
    pub memory_mib: u64,
    /// How much a restart may have to apply again.
    pub recovery: Recovery,
    /// What concerns copies of the ledger that are put back.
    pub restore: Restore,
    /// Which log lines are written: a filter of `tracing-subscriber`, such as `info` or `waybill_gateway=debug,info`.
    pub log: String,
    /// Bounds of the edge.
    pub limits: Limits,
}

/// Addresses to listen on. Port 0 takes a free one.
#[derive(Clone, Debug)]
pub struct Listen {
    /// HTTP, all dialects.
    pub http: Vec<SocketAddr>,
    /// QUIC.
    pub quic: SocketAddr,
    /// WebSocket, for OpenIM's client SDKs.
    pub ws: SocketAddr,
    /// Health and metrics.
    pub ops: SocketAddr,
}

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Business accounts and tokens.
#[derive(Clone, Debug)]
pub struct OpenIm {
    /// The accounts that may send in anybody's name and issue tokens; the first owns `admin.token`.
    pub managers: Vec<Manager>,
    /// What `/auth/*` asks for; generated at first start when absent.
    pub secret: Option<Secret>,
    /// Signs tokens; generated at first start when absent.
    pub access_secret: Option<Secret>,
    /// A secret that still verifies tokens.
    pub access_secret_old: Option<Secret>,
    /// Until when it does, in seconds since the Unix epoch.
    pub access_secret_old_until: Option<u64>,
    /// Lifetime of tokens from `/auth/*` and of `admin.token`, in days.
    pub token_days: u64,
    /// Lifetime of tokens from `POST /v1/tokens` when the caller names none, in seconds.
    pub v1_token_seconds: u64,
}

/// A business account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// Its user id.
    pub id: String,
    /// Its shown name.
    pub nickname: String,
    /// Link to its picture.
    pub face: String,
    /// Whether an operationID of this account's v2 calls is a key: the same one again is a retry. Off by default,
    /// because sample code repeats one constant text.
    pub operation_id_is_key: bool,
}

/// The recovery budget: when one of these is used up, the views are flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Records since the last flush.
    pub records: u64,
    /// Effects since the last flush, in MiB.
    pub mib: u64,
    /// Age of the oldest record since the last flush, in seconds.
    pub seconds: u64,
}

/// What concerns copies of the ledger that are put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// How many places each log leaves out when its ledger was put back from a copy: more than a log can have grown since the copy
    /// was made.
    pub gap: u64,
    /// The register of erasures; without one, the file `erasures` of the data directory.
    pub erasures: Option<PathBuf>,
}

/// What was given on the command line; it outranks environment and file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--http`, any number of times; given once, only these addresses are listened on.
    pub http: Vec<SocketAddr>,
    /// `--quic`
    pub quic: Option<SocketAddr>,
    /// `--ws`
    pub ws: Option<SocketAddr>,
    /// `--ops`
    pub ops: Option<SocketAddr>,
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./data"),
            listen: Listen {
                http: vec![loopback(10_002), loopback(10_000)],
                quic: loopback(10_003),
                ws: loopback(10_001),
                ops: loopback(9_464),
            },
            tls: None,
            allowed_origins: None,
            openim: OpenIm {
                managers: vec![Manager::named(DEFAULT_MANAGER)],
                secret: None,
                access_secret: None,
                access_secret_old: None,
                access_secret_old_until: None,
                token_days: 3_650,
                v1_token_seconds: 86_400,
            },
            unknown_receiver: UnknownReceiver::Accept,
            track_managers: true,
            audit_online_only: true,
            push_title: String::new(),
            memory_mib: 1_024,
            recovery: Recovery {
                records: 50_000,
                mib: 48,
                seconds: 60,
            },
            restore: Restore {
                gap: 1_000,
                erasures: None,
            },
            log: "info".to_owned(),
            limits: Limits::default(),
        }
    }
}

impl Manager {
    /// A manager with only an id.
    #[must_use]
    pub fn named(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            nickname: String::new(),
            face: String::new(),
            operation_id_is_key: false,
        }
    }
}

impl Config {
    /// Reads the file (when there is one), the environment's `WAYBILL_*` variables and the flags, and checks the whole.
    ///
    /// # Errors
    /// Every problem found, each with the key and the place it came from.
    pub fn load<I>(
        file: Option<&Path>,
        environment: I,
        overrides: Overrides,
    ) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item = (String, String)>,
    {
        let mut problems = Vec::new();
        let mut config = Self::default();
        if let Some(path) = file {
            config.take_all(source::file(path, &mut problems), &mut problems);
        }
        config.take_all(
            source::environment(environment, &mut problems),
            &mut problems,
        );
        config.override_with(overrides);
        config.validate(&mut problems);
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(problems))
        }
    }

    fn take_all(&mut self, settings: Vec<source::Setting>, problems: &mut Vec<Problem>) {
        for setting in settings {
            if let Err(what) = keys::set(self, &setting.key, &setting.value) {
                problems.push(Problem {
                    key: setting.key,
                    source: setting.source,
                    what,
                });
            }
        }
    }

    fn override_with(&mut self, overrides: Overrides) {
        if let Some(data) = overrides.data {
            self.data = data;
        }
        if !overrides.http.is_empty() {
            self.listen.http = overrides.http;
        }
        if let Some(quic) = overrides.quic {
            self.listen.quic = quic;
        }
        if let Some(ws) = overrides.ws {
            self.listen.ws = ws;
        }
        if let Some(ops) = overrides.ops {
            self.listen.ops = ops;
        }
    }

    /// Whether this is a server for trying things out: only the machine itself can reach its HTTP.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.listen
            .http
            .iter()
            .all(|address| address.ip().is_loopback())
    }

    /// The configured manager with this user id.
    #[must_use]
    pub fn manager(&self, id: &str) -> Option<&Manager> {
        self.openim.managers.iter().find(|manager| manager.id == id)
    }
}

#[cfg(test)]
mod tests;
