//! What is due at a time: messages that begin to be delivered, and messages whose time is over. How it stands is in the views,
//! so a crash loses nothing; any number of proposals of one thing make one.

use std::time::Duration;

use tracing::{debug, warn};
use waybill_core::command::Ask;
use waybill_core::id::UserNo;
use waybill_core::record::Surface;
use waybill_core::state::TimerKind;
use waybill_log::reader::Timer;

use super::{Service, now};
use crate::error::{Error, Kind};
use crate::shutdown::Stopping;

/// Most things that are proposed one after the other before the clock is looked at again.
const BATCH: usize = 64;
/// How often the earliest is looked for: it may have been set since. So nothing is later than this, but for a busy server.
const LONGEST_SLEEP: Duration = Duration::from_millis(250);

impl Service {
    /// Proposes what is due, until the server stops.
    pub async fn keep_time(&self, mut stopping: Stopping) {
        loop {
            let timers = self.0.reader.timers(BATCH).unwrap_or_else(|error| {
                warn!(%error, "timers cannot be read");
                Vec::new()
            });
            let now = now();
            let due = timers.iter().take_while(|timer| timer.time <= now);
            let mut met = 0;
            for timer in due {
                met += usize::from(self.meet(timer).await);
            }
            if met == BATCH {
                continue;
            }
            let next = timers.iter().find(|timer| timer.time > now);
            let wait = next.map_or(LONGEST_SLEEP, |timer| {
                Duration::from_millis(timer.time.0 - now.0).min(LONGEST_SLEEP)
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stopping.draining() => return,
            }
        }
    }

    /// Proposes one; says whether it is done with.
    async fn meet(&self, timer: &Timer) -> bool {
        let message = timer.message;
        let ask = match timer.due {
            TimerKind::Release => Ask::Release { message },
            TimerKind::Expire => Ask::Expire { message },
        };
        match self.ask(UserNo(0), Surface::Server, ask).await {
            Ok(_) => {
                debug!(%message, due = ?timer.due, "met what was due");
                true
            }
            Err(Error {
                kind: Kind::Stale, ..
            }) => false,
            Err(error) => {
                warn!(%error, %message, "what is due waits for the next try");
                false
            }
        }
    }
}
