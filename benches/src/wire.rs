//! A TCP connection of a load generator: bytes out, bytes in, and patience that ends.
//!
//! It must not know any protocol.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::{Error, IoContext as _, Result};

/// A server that answers nothing for this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// Room for answers before the buffer has to grow, in bytes.
const BUFFER: usize = 16 << 10;

/// A connection with what was read and not yet used.
pub struct Wire {
    system: &'static str,
    stream: TcpStream,
    buffer: Vec<u8>,
    used: usize,
    moved: Moved,
}

/// Bytes that went through a connection, without the headers of TCP and IP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// From the server.
    pub received: u64,
    /// To the server.
    pub sent: u64,
}

impl Wire {
    /// Connects to `address`; `system` names the server in errors.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(system: &'static str, address: SocketAddr) -> Result<Self> {
        let what = || format!("connecting to {system} at {address}");
        let stream = TcpStream::connect(address).await.doing(what())?;
        stream.set_nodelay(true).doing(what())?;
        Ok(Self {
            system,
            stream,
            buffer: Vec::with_capacity(BUFFER),
            used: 0,
            moved: Moved::default(),
        })
    }

    /// The name of the server.
    #[must_use]
    pub fn system(&self) -> &'static str {
        self.system
    }

    /// What went through so far.
    #[must_use]
    pub fn moved(&self) -> Moved {
        self.moved
    }

    /// What was read and not yet used.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    /// Marks the first `length` pending bytes as used.
    pub fn consume(&mut self, length: usize) {
        self.used = (self.used + length).min(self.buffer.len());
    }

    /// Waits for more bytes; `outstanding` is what the error says when none come.
    ///
    /// # Errors
    /// [`Error::Stalled`] after [`PATIENCE`]; [`Error::Server`] when the server closes the connection.
    pub async fn read(&mut self, outstanding: usize) -> Result<()> {
        if self.fill(outstanding).await? == 0 {
            return Err(Error::Server {
                system: self.system,
                detail: "closed the connection".into(),
            });
        }
        Ok(())
    }

    /// Waits for more bytes; false at the end of the connection.
    ///
    /// # Errors
    /// [`Error::Stalled`] after [`PATIENCE`].
    pub async fn read_more(&mut self) -> Result<bool> {
        Ok(self.fill(1).await? > 0)
    }

    /// Waits for more bytes for as long as it takes.
    ///
    /// # Errors
    /// [`Error::Server`] when the server closes the connection.
    pub async fn wait(&mut self) -> Result<()> {
        if self.some().await? == 0 {
            return Err(Error::Server {
                system: self.system,
                detail: "closed the connection".into(),
            });
        }
        Ok(())
    }

    async fn fill(&mut self, outstanding: usize) -> Result<usize> {
        let stalled = Error::Stalled {
            system: self.system,
            seconds: PATIENCE.as_secs(),
            outstanding,
        };
        tokio::time::timeout(PATIENCE, self.some())
            .await
            .map_err(|_| stalled)?
    }

    async fn some(&mut self) -> Result<usize> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let read = self.stream.read_buf(&mut self.buffer).await;
        let read = read.doing(format!("reading from {}", self.system))?;
        self.moved.received += read as u64;
        Ok(read)
    }

    /// Sends `bytes`.
    ///
    /// # Errors
    /// When the connection is broken, or nothing is taken for [`PATIENCE`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.moved.sent += bytes.len() as u64;
        tokio::time::timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .map_err(|_| Error::Stalled {
                system: self.system,
                seconds: PATIENCE.as_secs(),
                outstanding: 0,
            })?
            .doing(format!("writing to {}", self.system))
    }
}

/// A port of this machine.
#[must_use]
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::Wire;

    #[tokio::test]
    async fn what_is_used_makes_room_and_the_end_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut peer, _) = listener.accept().await.unwrap();
            peer.write_all(b"abcdef").await.unwrap();
        });
        let mut wire = Wire::open("test", address).await.unwrap();
        while wire.pending().len() < 6 {
            wire.read(1).await.unwrap();
        }
        wire.consume(4);
        assert_eq!(wire.pending(), b"ef");
        assert!(
            wire.read(1)
                .await
                .unwrap_err()
                .to_string()
                .contains("closed")
        );
        wire.consume(100);
        assert_eq!(wire.pending(), b"");
    }
}
