//! A relay between a client and a server that can record the client's first flight and hold back the end of its handshake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// Longest datagram that is relayed.
const MAX_DATAGRAM: usize = 65_535;

#[derive(Default)]
struct State {
    /// Datagrams of the client since the last [`Relay::record`].
    recorded: Mutex<Vec<Vec<u8>>>,
    /// After the server's first answer, only early data passes; the rest waits.
    holding: AtomicBool,
    answered: AtomicBool,
    held: Mutex<Vec<Vec<u8>>>,
    released: Notify,
}

/// See the module.
pub struct Relay {
    pub address: SocketAddr,
    server: SocketAddr,
    state: Arc<State>,
}

/// Whether a datagram begins with a packet of early data (RFC 9000, 17.2.3). The second bit says nothing (RFC 9287).
fn is_early(datagram: &[u8]) -> bool {
    datagram
        .first()
        .is_some_and(|first| first & 0b1011_0000 == 0b1001_0000)
}

/// Whether a datagram begins with a packet of a handshake, and not with one of a connection that is past it.
fn is_handshake(datagram: &[u8]) -> bool {
    datagram
        .first()
        .is_some_and(|first| first & 0b1000_0000 != 0)
}

impl Relay {
    pub async fn start(server: SocketAddr) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = front.local_addr().unwrap();
        let state = Arc::new(State::default());
        tokio::spawn(run(front, server, Arc::clone(&state)));
        Self {
            address,
            server,
            state,
        }
    }

    /// Begins to record what the client sends.
    pub fn record(&self) {
        self.state.recorded.lock().clear();
    }

    /// From the server's next answer to a handshake on, holds back everything but early data.
    pub fn hold(&self) {
        self.state.answered.store(false, Ordering::SeqCst);
        self.state.holding.store(true, Ordering::SeqCst);
    }

    /// Lets what was held back pass, and all that follows.
    pub fn release(&self) {
        self.state.holding.store(false, Ordering::SeqCst);
        self.state.released.notify_one();
    }

    /// Sends what was recorded to the server again, from another address.
    pub async fn replay(&self) {
        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let recorded = self.state.recorded.lock().clone();
        assert!(!recorded.is_empty());
        for datagram in recorded {
            other.send_to(&datagram, self.server).await.unwrap();
        }
        // The server's handshake answers come here; nobody listens.
    }
}

async fn run(front: Arc<UdpSocket>, server: SocketAddr, state: Arc<State>) {
    let back = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    back.connect(server).await.unwrap();
    let (mut up, mut down) = (vec![0; MAX_DATAGRAM], vec![0; MAX_DATAGRAM]);
    let mut client = None;
    loop {
        tokio::select! {
            got = front.recv_from(&mut up) => {
                let (bytes, from) = got.unwrap();
                client = Some(from);
                let datagram = &up[..bytes];
                state.recorded.lock().push(datagram.to_vec());
                let holding = state.holding.load(Ordering::SeqCst)
                    && state.answered.load(Ordering::SeqCst)
                    && !is_early(datagram);
                if holding {
                    state.held.lock().push(datagram.to_vec());
                } else {
                    back.send(datagram).await.unwrap();
                }
            }
            got = back.recv(&mut down) => {
                // The server may be away for a while.
                let Ok(bytes) = got else { continue };
                if is_handshake(&down[..bytes]) {
                    state.answered.store(true, Ordering::SeqCst);
                }
                if let Some(client) = client {
                    front.send_to(&down[..bytes], client).await.unwrap();
                }
            }
            () = state.released.notified() => {
                let held = std::mem::take(&mut *state.held.lock());
                for datagram in held {
                    back.send(&datagram).await.unwrap();
                }
            }
        }
    }
}
