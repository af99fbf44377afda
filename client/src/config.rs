//! What a client needs to know to be opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use waybill_core::id::Seq;

use crate::connector::{Connector, Identity};
use crate::error::Error;
use crate::link::Transport;
use crate::link::http::{Target, bearer};
use crate::link::poll::PollWay;
use crate::link::quic::QuicWay;
use crate::link::socket::SocketWay;
use crate::link::{Snapshots, Way};
use crate::sync::Pace;
use crate::trust::Trust;

/// Whose log is kept in step with which server, and where. At least one transport must be named; the client uses the best that
/// works.
#[derive(Clone)]
pub struct Config {
    pub(crate) user: String,
    pub(crate) token: String,
    pub(crate) device: String,
    platform: u8,
    of_another: bool,
    pub(crate) store: Option<PathBuf>,
    pub(crate) after: Seq,
    quic: Option<(String, Trust)>,
    http: Option<(String, Option<Trust>)>,
    web_socket: bool,
    pub(crate) pace: Pace,
}

impl Config {
    /// A user with a token of theirs, no device, no transport, and a store in memory.
    #[must_use]
    pub fn new(user: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            token: token.into(),
            device: String::new(),
            platform: 0,
            of_another: false,
            store: None,
            after: Seq(0),
            quic: None,
            http: None,
            web_socket: true,
            pace: Pace::default(),
        }
    }

    /// On this device, of this platform as OpenIM numbers them (1 iOS, 2 Android, 3 Windows, 4 macOS, 5 Web, 7 Linux). What
    /// is stored is reported as this device's, and messages count as delivered by that. Each running program needs an id of
    /// its own: a second one with the same id ends the first.
    #[must_use]
    pub fn device(mut self, id: impl Into<String>, platform: u8) -> Self {
        self.device = id.into();
        self.platform = platform;
        self
    }

    /// The token is a business account's and the log is another user's. Nothing is reported then.
    #[must_use]
    pub fn log_of_another(mut self) -> Self {
        self.of_another = true;
        self
    }

    /// Keeps everything in this SQLite file: one for each server, user and device.
    #[must_use]
    pub fn store(mut self, file: impl Into<PathBuf>) -> Self {
        self.store = Some(file.into());
        self
    }

    /// Begins after this entry, when the store is a fresh one. By default it begins with the first entry that the server has.
    #[must_use]
    pub fn begin_after(mut self, after: Seq) -> Self {
        self.after = after;
        self
    }

    /// The server's QUIC address, `host:port`, and whom to trust there. The best transport.
    #[must_use]
    pub fn quic(mut self, server: impl Into<String>, trust: Trust) -> Self {
        self.quic = Some((server.into(), trust));
        self
    }

    /// The server's HTTP address, `http://host:port`: for networks that let no QUIC through, by WebSocket or, where that does
    /// not work either, by long poll; and for snapshots.
    #[must_use]
    pub fn http(mut self, url: impl Into<String>) -> Self {
        self.http = Some((url.into(), None));
        self
    }

    /// The same over TLS, `https://host:port`.
    #[must_use]
    pub fn https(mut self, url: impl Into<String>, trust: Trust) -> Self {
        self.http = Some((url.into(), Some(trust)));
        self
    }

    /// Whether to try the WebSocket before the long poll, over HTTP. By default it is tried.
    #[must_use]
    pub fn web_socket(mut self, yes: bool) -> Self {
        self.web_socket = yes;
        self
    }

    /// Holds at most so many entries that were not [forgotten](crate::Client::forget); then nothing more is fetched. For
    /// programs that hand entries on rather than keep them.
    #[must_use]
    pub fn room(mut self, entries: u64) -> Self {
        self.pace.room = Some(entries.max(1));
        self
    }

    /// Waits before reconnecting: between nothing and `first`, then up to twice as long each time, up to `most`. By default
    /// half a second and a minute.
    #[must_use]
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        (self.pace.backoff, self.pace.backoff_most) = (first, most);
        self
    }

    /// What is stored is acknowledged after so long, or as soon as so many entries wait for it. By default a second and 256.
    #[must_use]
    pub fn acknowledge(mut self, after: Duration, entries: u64) -> Self {
        (self.pace.acknowledge_after, self.pace.acknowledge_entries) = (after, entries.max(1));
        self
    }

    /// How often a better transport than the one in use is tried. By default every five minutes.
    #[must_use]
    pub fn try_better_every(mut self, time: Duration) -> Self {
        self.pace.better = time;
        self
    }

    /// Messages that may be sent without having been answered: one to each receiver, so that those keep their order, and so many
    /// in all. By default 32.
    #[must_use]
    pub fn in_flight(mut self, messages: usize) -> Self {
        self.pace.sends = messages.max(1);
        self
    }

    pub(crate) fn reports(&self) -> bool {
        !self.device.is_empty() && !self.of_another
    }

    /// The device whose cursor is reported; an empty id for none.
    fn reported_device(&self) -> (&str, u8) {
        match self.reports() {
            true => (&self.device, self.platform),
            false => ("", self.platform),
        }
    }

    /// Whose log it is, where that is not the token's own.
    fn other(&self) -> String {
        match self.of_another {
            true => self.user.clone(),
            false => String::new(),
        }
    }

    /// The transports, the best one first, and where snapshots come from.
    pub(crate) fn ways(&self) -> Result<Ways, Error> {
        let mut ways: Vec<(Transport, Arc<dyn Way>)> = Vec::new();
        // A token that cannot be said will not be taken either, however often it is tried.
        bearer(&self.token)?;
        if let Some((server, trust)) = &self.quic {
            let mut identity = Identity::new(&self.token);
            if self.reports() {
                identity = identity.device(&self.device, self.platform);
            }
            let connector = Connector::new(trust.clone())?;
            let user = if self.of_another {
                self.user.as_str()
            } else {
                ""
            };
            let way = QuicWay::new(connector, server, identity, user.to_owned());
            ways.push((Transport::Quic, Arc::new(way)));
        }
        let mut snapshots: Option<Arc<dyn Snapshots>> = None;
        if let Some((url, trust)) = &self.http {
            let target = Target::read(url, trust.as_ref(), b"http/1.1")?;
            if self.web_socket {
                let (device, of) = (self.reported_device(), self.other());
                let way = SocketWay::new(target.clone(), &self.token, device, of);
                ways.push((Transport::WebSocket, Arc::new(way)));
            }
            let way = PollWay::new(target, &self.token, &self.user, &self.device);
            snapshots = Some(Arc::new(way.clone()));
            ways.push((Transport::LongPoll, Arc::new(way)));
        }
        if ways.is_empty() {
            return Err(Error::setup("no transport was named: quic, http or https"));
        }
        ways.sort_by_key(|(transport, _)| *transport);
        Ok((ways, snapshots))
    }
}

type Ways = (Vec<(Transport, Arc<dyn Way>)>, Option<Arc<dyn Snapshots>>);
