//! What to do next: events in, wishes out, no I/O and no clock. Times are milliseconds of a clock that only grows.
//!
//! At most one batch of entries is being stored, one acknowledgement is under way, and one connection is being made beside the
//! one in use. Everything that a connection brings carries its number, so that what comes from one that was given up is
//! recognised.

use waybill_core::id::Seq;
use waybill_core::wire::Code;

use super::backoff::Backoff;
use super::outgoing::Outgoing;
use super::reports::Reports;
use super::words::{Event, LinkId, News, Reached, Wish};
use super::{Batch, End, Pace, check, millis};
use crate::error::Error;
use crate::store::{Position, Snapshot};

/// Shortest time after which an acknowledgement is repeated that the server had no room for, in milliseconds.
const AGAIN: u64 = 1_000;

/// Longest time that a closing client waits for what is under way, in milliseconds.
const GOODBYE: u64 = 3_000;

/// Where the connection stands.
#[derive(Debug)]
enum Line {
    /// Nothing is there; the next attempt is due at this time.
    Waiting { until: u64 },
    /// An attempt is under way.
    Connecting { link: LinkId, way: usize },
    /// Connected.
    Online {
        link: LinkId,
        way: usize,
        since: u64,
    },
    /// Nothing more is done.
    Ended,
}

/// See the module.
pub(crate) struct Machine {
    pace: Pace,
    backoff: Backoff,
    now: u64,
    /// How many ways there are, the best one first.
    ways: usize,
    /// The way that worked last.
    preferred: usize,
    /// Ways tried since the last wait.
    tried: Vec<usize>,
    /// The longest wait that the server has asked for since then.
    asked: u64,
    links: LinkId,
    line: Line,
    /// An attempt to change to a better way, beside the connection in use.
    probe: Option<(LinkId, usize)>,
    better_at: u64,
    position: Position,
    /// The store is at work on the log.
    storing: bool,
    /// What the server said when the connection in use was made.
    reached: Option<Reached>,
    /// The server says that our log is longer than its own: it is of another history.
    ahead: bool,
    /// The connection brings entries.
    following: bool,
    outgoing: Outgoing,
    /// `None` when this client has no device whose cursor could be reported.
    reports: Option<Reports>,
    closing: Option<u64>,
    wishes: Vec<Wish>,
}

impl Machine {
    /// A machine for a store that stands at a position, with messages that wait to be sent, and their
    /// lanes. `ways` counts the transports, the
    /// best one first; `preferred` is the one that worked last.
    pub(crate) fn new(
        pace: Pace,
        ways: usize,
        preferred: usize,
        has_device: bool,
        position: Position,
        outbox: Vec<(u64, u64)>,
        seed: u64,
    ) -> Self {
        Self {
            backoff: Backoff::new(pace.backoff, pace.backoff_most, seed),
            pace,
            now: 0,
            ways,
            preferred: preferred.min(ways.saturating_sub(1)),
            tried: Vec::new(),
            asked: 0,
            links: 0,
            line: Line::Waiting { until: 0 },
            probe: None,
            better_at: 0,
            position,
            storing: false,
            reached: None,
            ahead: false,
            following: false,
            outgoing: Outgoing::new(outbox),
            reports: has_device.then(Reports::default),
            closing: None,
            wishes: Vec::new(),
        }
    }

    /// Takes an event in.
    pub(crate) fn handle(&mut self, now: u64, event: Event) {
        self.now = self.now.max(now);
        if matches!(self.line, Line::Ended) {
            return;
        }
        match event {
            Event::Tick => {}
            Event::Connected(link, reached) => self.connected(link, reached),
            Event::Trouble(link, error) => self.trouble(link, error),
            Event::Snapshot(link, reached, snapshot) => self.snapshot(link, reached, snapshot),
            Event::NoSnapshot(link, error) => self.no_snapshot(link, error),
            Event::Batch(link, batch) => self.batch(link, batch),
            Event::Stored(position) => self.stored(position),
            Event::Queued(id, lane) => self.outgoing.add(id, lane),
            Event::Answered(link, id, error) => self.answered(link, id, error),
            Event::Gone(id) => self.outgoing.done(id),
            Event::Acknowledged(link, seq, error) => self.acknowledged(link, seq, error),
            Event::Forgotten(until) => self.position.forgotten = until,
            Event::Moved => self.moved(),
            Event::Close => self.closing = Some(self.now + GOODBYE),
        }
        self.act();
    }

    /// What is to be done now.
    pub(crate) fn wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    /// The connection whose next entries may be handed in; `None` while none may.
    pub(crate) fn reads(&self) -> Option<LinkId> {
        let held = self.position.cursor.0 - self.position.forgotten.0.min(self.position.cursor.0);
        let full = self.pace.room.is_some_and(|room| held >= room);
        match self.line {
            Line::Online { link, .. } if self.following && !self.storing && !full => Some(link),
            _ => None,
        }
    }

    /// When to come back with [`Event::Tick`], if nothing happens before.
    pub(crate) fn wake(&self) -> Option<u64> {
        let line = match self.line {
            Line::Waiting { until } => Some(until),
            Line::Online { way, .. }
                if way > 0 && self.probe.is_none() && self.closing.is_none() =>
            {
                Some(self.better_at)
            }
            _ => None,
        };
        let online = self.online().is_some();
        let send = self.outgoing.wake(self.now).filter(|_| online);
        let report = self.report_at().filter(|_| self.following && !self.storing);
        [line, send, report, self.closing]
            .into_iter()
            .flatten()
            .min()
    }

    fn online(&self) -> Option<LinkId> {
        match self.line {
            Line::Online { link, .. } => Some(link),
            _ => None,
        }
    }

    /// Everything that follows from where things stand, rather than from one event.
    fn act(&mut self) {
        if let Line::Waiting { until } = self.line
            && self.now >= until
            && self.closing.is_none()
        {
            self.tried.clear();
            self.asked = 0;
            self.connect(self.preferred);
        }
        if let Line::Online { link, way, since } = self.line {
            if self.now >= since.saturating_add(millis(self.pace.stable)) {
                self.backoff.reset();
            }
            if way > 0
                && self.probe.is_none()
                && self.now >= self.better_at
                && self.closing.is_none()
            {
                self.probe(0);
            }
            while self.closing.is_none()
                && let Some(id) = self.outgoing.next(self.now, self.pace.sends)
            {
                self.wishes.push(Wish::Send { link, id });
            }
            self.report(link);
        }
        if let Some(until) = self.closing {
            let idle = match self.online() {
                None => true,
                Some(_) => !self.storing && !self.outgoing.busy() && self.is_reported(),
            };
            if idle || self.now >= until {
                self.end(End::Closed);
            }
        }
    }

    fn connect(&mut self, way: usize) {
        self.links += 1;
        let link = self.links;
        self.tried.push(way);
        self.line = Line::Connecting { link, way };
        let after = self.position.cursor;
        self.wishes.push(Wish::Connect { link, way, after });
    }

    fn probe(&mut self, way: usize) {
        self.links += 1;
        let link = self.links;
        self.probe = Some((link, way));
        let after = self.position.cursor;
        self.wishes.push(Wish::Connect { link, way, after });
    }

    fn connected(&mut self, link: LinkId, reached: Reached) {
        let (way, fresh) = match (&self.line, self.probe) {
            (Line::Connecting { link: now, way }, _) if *now == link => (*way, true),
            (_, Some((probe, way))) if probe == link => {
                self.probe = None;
                if let Some(old) = self.online() {
                    self.wishes.push(Wish::Drop { link: old });
                    self.off_line();
                }
                (way, false)
            }
            _ => return self.wishes.push(Wish::Drop { link }),
        };
        let since = self.now;
        self.line = Line::Online { link, way, since };
        self.better_at = self.now.saturating_add(millis(self.pace.better));
        if way != self.preferred {
            self.preferred = way;
            self.wishes.push(Wish::Remember { way });
        }
        self.wishes.push(Wish::Tell(News::Online { way }));
        self.reached = Some(reached);
        // Beside another connection the cursor may have moved since the server said where its log ends.
        self.ahead |= fresh && self.position.cursor > reached.head;
        self.settle_history();
    }

    /// Whether the server's log goes on where ours ends. If so, follows it; if not, does first what is needed.
    fn settle_history(&mut self) {
        let (Some(link), Some(reached)) = (self.online(), self.reached) else {
            return;
        };
        // The store's own end brings us back here.
        if self.storing || self.following {
            return;
        }
        let Reached { epoch, floor, head } = reached;
        let other = self.position.epoch != Some(epoch);
        if other || self.ahead {
            self.ahead = false;
            self.storing = true;
            self.wishes.push(Wish::Begin { epoch, head });
        } else if self.position.cursor.0.saturating_add(1) < floor.0 {
            self.storing = true;
            self.wishes.push(Wish::Snapshot { link, reached });
        } else {
            self.follow(link);
        }
    }

    fn follow(&mut self, link: LinkId) {
        self.following = true;
        let after = self.position.cursor;
        self.wishes.push(Wish::Follow { link, after });
    }

    fn batch(&mut self, link: LinkId, batch: Batch) {
        if self.online() != Some(link) || self.storing {
            return;
        }
        if let Err(error) = check::batch(&self.position, &batch) {
            return self.trouble(link, error);
        }
        if batch.entries.is_empty() {
            return;
        }
        self.storing = true;
        self.wishes.push(Wish::Store(batch));
    }

    /// A snapshot is as good when the connection that it was taken for is gone.
    fn snapshot(&mut self, link: LinkId, reached: Reached, snapshot: Snapshot) {
        match check::snapshot(&reached, &snapshot) {
            Ok(()) => {
                let head = reached.head;
                self.wishes.push(Wish::Skip { head, snapshot });
            }
            Err(error) => self.no_snapshot(link, error),
        }
    }

    fn no_snapshot(&mut self, link: LinkId, error: Error) {
        self.storing = false;
        self.trouble(link, error);
        self.settle_history();
    }

    fn stored(&mut self, position: Position) {
        self.storing = false;
        let before = self.position;
        let other = position.epoch != before.epoch || position.cursor < before.cursor;
        self.position = position;
        if let Some(reports) = &mut self.reports {
            if other {
                reports.again(self.now);
            } else {
                reports.moved(before.cursor, self.now);
            }
        }
        self.settle_history();
    }

    fn trouble(&mut self, link: LinkId, error: Error) {
        if self.probe.is_some_and(|(probe, _)| probe == link) {
            return self.probe_failed(error);
        }
        let was_online = match self.line {
            Line::Connecting { link: now, .. } if now == link => false,
            Line::Online { link: now, .. } if now == link => true,
            // It was given up before.
            _ => return,
        };
        self.wishes.push(Wish::Drop { link });
        // A better connection that is being made supersedes this one.
        let superseded = error.code() == Some(Code::SUPERSEDED) && self.probe.is_some();
        if let Some(end) = End::of(&error)
            && !superseded
        {
            return self.end(end);
        }
        self.ahead |= error.code() == Some(Code::AHEAD);
        if was_online {
            self.off_line();
        }
        if let Some((probe, way)) = self.probe.take() {
            self.line = Line::Connecting { link: probe, way };
            self.tried = vec![way];
            return;
        }
        self.asked = self.asked.max(error.retry_after_ms());
        let untried = (0..self.ways).find(|way| !self.tried.contains(way));
        match untried.filter(|_| !error.is_later() && !was_online && self.closing.is_none()) {
            Some(way) => self.connect(way),
            None => self.wait(error),
        }
    }

    fn probe_failed(&mut self, error: Error) {
        let way = self.probe.take().map_or(0, |(_, way)| way);
        let Line::Online { way: current, .. } = self.line else {
            return;
        };
        if !error.is_later() && way + 1 < current {
            self.probe(way + 1);
        } else {
            self.better_at = self.now.saturating_add(millis(self.pace.better));
        }
    }

    fn wait(&mut self, error: Error) {
        let retry_ms = self.backoff.next(self.asked);
        let until = self.now.saturating_add(retry_ms);
        self.line = Line::Waiting { until };
        self.wishes
            .push(Wish::Tell(News::Offline { error, retry_ms }));
    }

    /// What belonged to the connection that is gone.
    fn off_line(&mut self) {
        self.following = false;
        self.reached = None;
        self.outgoing.lost();
        if let Some(reports) = &mut self.reports {
            reports.again(self.now);
        }
    }

    fn moved(&mut self) {
        self.backoff.reset();
        if let Line::Waiting { until } = &mut self.line {
            *until = self.now;
        }
    }

    fn answered(&mut self, link: LinkId, id: u64, error: Option<Error>) {
        let Some(error) = error else {
            // Done, on whatever connection. Of two that say so the store believes the first.
            self.outgoing.done(id);
            return self.wishes.push(Wish::Settle { id, refusal: None });
        };
        if self.online() != Some(link) {
            // It is on its way again, or will be.
            return;
        }
        match &error {
            Error::Refused(failure) if failure.retryable => {
                let wait = u64::from(failure.retry_after_ms).max(millis(self.pace.backoff));
                self.outgoing.again(id, self.now.saturating_add(wait));
            }
            Error::Refused(_) if matches!(End::of(&error), Some(End::Token(_))) => {
                self.trouble(link, error);
            }
            Error::Refused(_) | Error::TooLarge(_) => {
                self.outgoing.done(id);
                let refusal = Some(error);
                self.wishes.push(Wish::Settle { id, refusal });
            }
            _ => self.trouble(link, error),
        }
    }

    /// Whether there is nothing more to acknowledge. A history that is not shown yet is not acknowledged.
    fn is_reported(&self) -> bool {
        let reports = self.reports.as_ref().filter(|_| !self.position.building);
        reports.is_none_or(|reports| reports.is_done(self.position.cursor))
    }

    /// When the next acknowledgement is due.
    fn report_at(&self) -> Option<u64> {
        let reports = self.reports.as_ref().filter(|_| !self.position.building)?;
        let at_once = self.closing.is_some();
        reports.due(&self.pace, self.position.cursor, at_once)
    }

    fn report(&mut self, link: LinkId) {
        if self.storing || !self.following || self.report_at().is_none_or(|at| at > self.now) {
            return;
        }
        let seq = self.position.cursor;
        if let Some(reports) = &mut self.reports {
            reports.begin();
            self.wishes.push(Wish::Acknowledge { link, seq });
        }
    }

    fn acknowledged(&mut self, link: LinkId, seq: Seq, error: Option<Error>) {
        if self.online() != Some(link) {
            return;
        }
        match error {
            Some(error) if !matches!(error, Error::Refused(_)) => self.trouble(link, error),
            Some(error) if matches!(End::of(&error), Some(End::Token(_))) => {
                self.trouble(link, error);
            }
            Some(error) if error.is_later() => {
                if let Some(reports) = &mut self.reports {
                    reports.later(self.now + error.retry_after_ms().max(AGAIN));
                }
            }
            // One that the server will not take is not repeated; the next one may be better.
            _ => {
                if let Some(reports) = &mut self.reports {
                    reports.end(seq, self.now);
                }
            }
        }
    }

    fn end(&mut self, end: End) {
        if let Line::Connecting { link, .. } | Line::Online { link, .. } = self.line {
            self.wishes.push(Wish::Drop { link });
        }
        if let Some((link, _)) = self.probe.take() {
            self.wishes.push(Wish::Drop { link });
        }
        self.line = Line::Ended;
        self.wishes.push(Wish::End(end));
    }
}
