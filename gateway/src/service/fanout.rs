//! Goes on with messages that are on their way to many: one chunk after the other, so that they take no more than their share
//! of the writer. A crash loses nothing: how far each is stands in the views, and any number of proposals of one step make one.

use std::time::{Duration, Instant};

use tracing::{debug, warn};
use waybill_core::command::Ask;
use waybill_core::id::UserNo;
use waybill_core::outcome::Outcome;
use waybill_core::record::Surface;
use waybill_log::Stride;
use waybill_log::reader::Due;

use super::Service;
use crate::error::{Error, Kind};
use crate::shutdown::Stopping;

/// After a chunk as much time passes as it took, times this: fan-outs take at most this part of the writer's time.
const REST: u32 = 1;
/// But no longer than this.
const LONGEST_REST: Duration = Duration::from_millis(100);
/// How long a refused or failed step waits for another try.
const RETRY: Duration = Duration::from_millis(200);

impl Service {
    /// Goes on with fan-outs, and with the recalls of such, until the server stops.
    pub async fn fan_out(&self, mut stopping: Stopping) {
        let mut changes = self.0.reader.watch_fanouts();
        let mut stride = Stride::default();
        loop {
            changes.mark_unchanged();
            let due = self.0.reader.due_fanouts().unwrap_or_else(|error| {
                warn!(%error, "fan-outs cannot be read");
                Vec::new()
            });
            if due.is_empty() {
                stride = Stride::default();
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = stopping.draining() => return,
                }
                continue;
            }
            // Each sender has its turn, so that a long one keeps nobody from theirs.
            for one in due {
                let most = stride.after(self.0.reader.counters());
                let rest = self.go_on(one, most).await;
                tokio::select! {
                    () = tokio::time::sleep(rest) => {}
                    () = stopping.draining() => return,
                }
            }
        }
    }

    /// Takes one step; says how long to rest after it.
    async fn go_on(&self, due: Due, most: u16) -> Duration {
        let began = Instant::now();
        let ask = Ask::FanoutNext {
            message: due.message,
            from: due.from,
            most,
        };
        match self.ask(UserNo(0), Surface::Server, ask).await {
            Ok(Outcome::Progress { next, served }) => {
                debug!(message = %due.message, next = %next, served, "fanned out");
                (began.elapsed() * REST).min(LONGEST_REST)
            }
            // It has moved on: by a recall, say.
            Err(Error {
                kind: Kind::Stale, ..
            }) => Duration::ZERO,
            Ok(_) => RETRY,
            Err(error) => {
                warn!(%error, message = %due.message, "a fan-out waits for the next try");
                RETRY
            }
        }
    }
}
