//! A session of long polls: the next request goes out when the answer to the last one is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hub::{Hub, Taker};
use super::session::{Counted, NOWHERE};
use crate::error::{Error, Result};
use crate::http1::Connection;
use crate::target::{self, Page, Requests, server_error};

/// Seconds for which a poll waits: less than a load generator's patience with an answer.
const WAIT: u64 = 10;

/// Entries of a page.
const PAGE: u32 = 200;

/// See the module.
pub struct Session {
    user: u32,
    connection: Connection,
    requests: Requests,
    out: String,
    counted: Arc<Counted>,
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open(hub: &Hub, user: u32, cursor: &AtomicU64) -> Result<Self> {
        let mut session = Self {
            user,
            connection: target::http(hub.http()).await?,
            requests: Requests::new(hub.http(), hub.token(user)?),
            out: String::new(),
            counted: Arc::default(),
        };
        if cursor.load(Ordering::Relaxed) == NOWHERE {
            let page = session.ask(0, 1, 0).await?.0;
            cursor.store(page.head, Ordering::Relaxed);
        }
        Ok(session)
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn counted(&self) -> Arc<Counted> {
        Arc::clone(&self.counted)
    }

    /// Takes the next page.
    ///
    /// # Errors
    /// When the server refuses or the connection is gone.
    pub async fn next(&mut self, taker: &Taker) -> Result<()> {
        let (page, body) = self.ask(taker.cursor(), PAGE, WAIT).await?;
        for entry in page.entries {
            taker.seq(entry.seq);
        }
        taker.bytes(body);
        Ok(())
    }

    async fn ask(&mut self, after: u64, limit: u32, wait: u64) -> Result<(Page, &[u8])> {
        self.requests
            .pull_after(self.user, after, limit, wait, &mut self.out);
        let counted = &self.counted;
        let answer = self.connection.call(self.out.as_bytes()).await?;
        counted.set(answer.moved);
        let (status, body) = (answer.status, answer.body);
        if status != 200 {
            let text = String::from_utf8_lossy(body);
            return Err(Error::Refused {
                system: target::NAME,
                detail: format!("status {status}: {text}"),
            });
        }
        let page =
            serde_json::from_slice(body).map_err(|e| server_error(format!("a page: {e}")))?;
        Ok((page, body))
    }
}
