//! A session over QUIC: a connection with one tail, as the client library makes them.

use std::sync::atomic::{AtomicU64, Ordering};

use waybill_client::{Connection, Tail};
use waybill_core::id::Seq;

use super::hub::{Hub, Taker};
use super::session::NOWHERE;
use crate::error::Result;
use crate::target::server_error;

/// See the module.
pub struct Session {
    connection: Connection,
    tail: Tail,
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open(hub: &Hub, user: u32, cursor: &AtomicU64) -> Result<Self> {
        let connection = hub.quic(user).await?;
        let after = match cursor.load(Ordering::Relaxed) {
            NOWHERE => connection.welcome().head,
            seq => Seq(seq),
        };
        cursor.store(after.0, Ordering::Relaxed);
        let tail = connection.tail("", after).await;
        let tail = tail.map_err(|e| server_error(e.to_string()))?;
        Ok(Self { connection, tail })
    }

    /// Its connection.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Takes the next page.
    ///
    /// # Errors
    /// When the tail has ended.
    pub async fn next(&mut self, taker: &Taker) -> Result<()> {
        let page = self.tail.next().await;
        for entry in page.map_err(|e| server_error(e.to_string()))?.entries {
            taker.seq(entry.seq.0);
            taker.bytes(&entry.payload);
        }
        Ok(())
    }
}
