//! A server in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use waybill_client::{Connection, Connector, Error, Fingerprint, Identity, Outgoing, Trust};
use waybill_gateway::quic::{Certificate, Counters, Listener, Options};
use waybill_gateway::secrets::SecretDir;

use crate::memory::Memory;

pub const RESET_KEY: [u8; 64] = [3; 64];

pub struct Server {
    pub memory: Arc<Memory>,
    pub address: SocketAddr,
    pub counters: Arc<Counters>,
    pub pin: Fingerprint,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// A certificate of its own, in a directory that is gone afterwards.
pub fn certificate() -> Certificate {
    let data = tempfile::tempdir().unwrap();
    Certificate::development(&SecretDir::open(data.path()).unwrap()).unwrap()
}

pub fn options() -> Options {
    Options {
        drain: Duration::from_secs(5),
        ..Options::default()
    }
}

impl Server {
    pub fn start() -> Self {
        Self::with(options(), Arc::default())
    }

    pub fn with(options: Options, memory: Arc<Memory>) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::on(any, &certificate(), options, memory)
    }

    pub fn on(
        address: SocketAddr,
        certificate: &Certificate,
        options: Options,
        memory: Arc<Memory>,
    ) -> Self {
        let listener = Listener::bind(
            address,
            certificate,
            &RESET_KEY,
            options,
            Arc::clone(&memory),
        )
        .unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            memory,
            address: listener.address(),
            counters: listener.counters(),
            pin: Fingerprint(certificate.fingerprint().0),
            stop: Some(stop),
            task: tokio::spawn(listener.run(async {
                let _ = stopped.await;
            })),
        }
    }

    pub fn connector(&self) -> Connector {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Connector::on(any, Trust::Pinned(self.pin)).unwrap()
    }

    pub async fn try_connect(&self, user: &str) -> Result<Connection, Error> {
        self.connector()
            .connect(self.address, "localhost", &identity(user))
            .await
    }

    pub async fn connect(&self, user: &str) -> Connection {
        self.try_connect(user).await.unwrap()
    }

    /// Begins to stop.
    pub fn stop(&mut self) {
        self.stop.take();
    }

    /// Stops and waits until it has.
    pub async fn stopped(mut self) {
        self.stop();
        self.task.await.unwrap();
    }

    /// Waits until the memory is as wanted. Fails by the test runner's own limit only.
    pub async fn until(&self, wanted: impl Fn(&Memory) -> bool) {
        while !wanted(&self.memory) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

pub fn identity(user: &str) -> Identity {
    Identity::new(format!("token-of-{user}")).device("device-1", 2)
}

pub fn message(to: &str, id: &str, content: &str) -> Outgoing {
    Outgoing {
        receiver: to.to_owned(),
        content_type: 1400,
        client_msg_id: id.to_owned(),
        content: content.into(),
        ..Outgoing::default()
    }
}
