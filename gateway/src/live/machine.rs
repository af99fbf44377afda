//! One connection: the logs it follows, the bytes its peer will still take, and its times. A log is followed by a cursor, never by
//! a queue: while the cursor is behind the log's end, pages are read; at the end, the connection waits for the log to grow. At
//! most one page is in hand, and none is read while the peer has no room for it, so a slow peer lags and costs nothing.

use std::collections::VecDeque;
use std::time::Duration;

use waybill_core::id::Seq;

use super::farewell::End;

/// A time, since a beginning that the driver has chosen.
pub type Moment = Duration;

/// How much a peer is given before it has taken what came earlier, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// All in all. What is larger than this, such as one very long entry, goes alone.
    pub bytes: usize,
    /// One page. At most [`Window::bytes`].
    pub page: usize,
    /// Tails at one time.
    pub tails: usize,
    /// Pulls that wait at one time.
    pub pulls: usize,
}

/// How long what may take. `None`: for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// How long after the last sign of life the peer is asked for one.
    pub ping: Option<Duration>,
    /// How long after the last sign of life it is given up.
    pub silence: Option<Duration>,
    /// How long a peer may take nothing of what was written for it.
    pub patience: Option<Duration>,
    /// When the token's time is over.
    pub expires: Option<Moment>,
    /// When the connection has lived long enough.
    pub lived_out: Option<Moment>,
}

/// What is to be read, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The number of the request that it is for.
    pub request: u64,
    /// From after this seq.
    pub after: Seq,
    /// Most entries; `None` when bytes alone count.
    pub limit: Option<u32>,
    /// About so many bytes.
    pub bytes: usize,
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish<P> {
    /// Read a page, and say what came of it: [`Machine::took`], or [`Machine::drop_job`] when it failed.
    Read(Read),
    /// Write this page. Its bytes are room again when the peer has taken them.
    Write {
        /// The number of the request that it is for.
        request: u64,
        /// The page.
        page: P,
        /// Its size.
        bytes: usize,
        /// The last entry in it; `None` when it is empty.
        last: Option<Seq>,
        /// The end of the log when it was read.
        head: Seq,
    },
    /// Ask for a sign of life.
    Ping,
    /// Say goodbye and end. Nothing is wished after this.
    Close(End),
}

/// A page that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Took<P> {
    /// As it is written.
    pub page: P,
    /// Its size.
    pub bytes: usize,
    /// The last entry in it; `None` when it is empty.
    pub last: Option<Seq>,
    /// The end of the log when it was read.
    pub head: Seq,
}

/// What becomes of a device's word that it has stored its log up to a seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// It is news: to be reported.
    Report(Seq),
    /// It is none; the device's cursor stays where it is.
    Stays(Seq),
    /// The log does not reach so far: refused.
    Ahead,
}

/// Why a job is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many tails are open as may be.
    Tails,
    /// As many pulls wait as may.
    Pulls,
    /// The number is of a request that is not answered yet.
    Repeated,
}

/// What is asked of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// One page, of at most so many entries; also an empty one.
    Pull {
        /// Most entries.
        limit: u32,
    },
    /// All entries, and those that come.
    Tail {
        /// The end of the log, looked up after the driver began to watch it.
        head: Seq,
    },
}

#[derive(Debug)]
struct Asked {
    request: u64,
    after: Seq,
    job: Job,
}

impl Asked {
    fn has_more(&self) -> bool {
        match self.job {
            Job::Pull { .. } => true,
            Job::Tail { head } => head > self.after,
        }
    }
}

#[derive(Debug)]
struct Hand<P> {
    request: u64,
    took: Took<P>,
}

/// One connection.
#[derive(Debug)]
pub struct Machine<P> {
    window: Window,
    timing: Timing,
    /// What is asked; whoever was served last stands last.
    asked: VecDeque<Asked>,
    /// Bytes that the peer has not taken.
    outstanding: usize,
    /// Since when it has taken nothing, while something is outstanding.
    blocked: Option<Moment>,
    /// What is being read.
    reading: Option<u64>,
    hand: Option<Hand<P>>,
    heard: Moment,
    /// A sign of life was asked for since the last one.
    pinged: bool,
    /// How far the device is known to have stored its log.
    reached: Seq,
    end: Option<End>,
    is_over: bool,
}

impl<P> Machine<P> {
    /// A connection that begins now.
    #[must_use]
    pub fn new(window: Window, timing: Timing, now: Moment) -> Self {
        Self {
            window,
            timing,
            asked: VecDeque::new(),
            outstanding: 0,
            blocked: None,
            reading: None,
            hand: None,
            heard: now,
            pinged: false,
            reached: Seq(0),
            end: None,
            is_over: false,
        }
    }

    /// Takes a request to read a log from after a seq.
    ///
    /// # Errors
    /// When there are too many of its kind, or its number is in use.
    pub fn ask(&mut self, request: u64, after: Seq, job: Job) -> Result<(), Refused> {
        if self.asked.iter().any(|asked| asked.request == request) {
            return Err(Refused::Repeated);
        }
        let is_tail = |job: &Job| matches!(job, Job::Tail { .. });
        let alike = self.asked.iter();
        let alike = alike.filter(|asked| is_tail(&asked.job) == is_tail(&job));
        match (alike.count(), job) {
            (open, Job::Tail { .. }) if open >= self.window.tails => return Err(Refused::Tails),
            (waiting, Job::Pull { .. }) if waiting >= self.window.pulls => {
                return Err(Refused::Pulls);
            }
            _ => {}
        }
        self.asked.push_back(Asked {
            request,
            after,
            job,
        });
        Ok(())
    }

    /// Forgets a request: it failed, or the peer wants no more. Returns whether it was there.
    pub fn drop_job(&mut self, request: u64) -> bool {
        if self.reading == Some(request) {
            self.reading = None;
        }
        if self
            .hand
            .as_ref()
            .is_some_and(|hand| hand.request == request)
        {
            self.hand = None;
        }
        let before = self.asked.len();
        self.asked.retain(|asked| asked.request != request);
        before > self.asked.len()
    }

    /// How many requests are open.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.asked.len()
    }

    /// The log that a tail follows has grown. Heads never fall.
    pub fn grown(&mut self, request: u64, to: Seq) {
        if let Some(asked) = self.find(request)
            && let Job::Tail { head } = &mut asked.job
        {
            *head = to.max(*head);
        }
    }

    /// A page was read, as wished.
    pub fn took(&mut self, request: u64, took: Took<P>) {
        // It may be of a request that was dropped meanwhile.
        if self.reading != Some(request) {
            return;
        }
        self.reading = None;
        let Some(asked) = self.find(request) else {
            return;
        };
        if let Job::Tail { head } = &mut asked.job {
            *head = took.head.max(*head);
            // It may have grown since this was read; then it is read again.
            if took.last.is_none() {
                return;
            }
        }
        self.hand = Some(Hand { request, took });
    }

    /// The peer has taken so many bytes.
    pub fn room(&mut self, bytes: usize, now: Moment) {
        self.outstanding = self.outstanding.saturating_sub(bytes);
        self.blocked = (self.outstanding > 0).then_some(now);
    }

    /// Something else is written than a page: an answer, a notice. It takes room like one.
    pub fn wrote(&mut self, bytes: usize, now: Moment) {
        self.outstanding = self.outstanding.saturating_add(bytes);
        self.blocked.get_or_insert(now);
    }

    /// Whether the peer would take anything now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.outstanding < self.window.bytes
    }

    /// The peer is there.
    pub fn heard(&mut self, now: Moment) {
        self.heard = now;
        self.pinged = false;
    }

    /// The device says that it has stored its log up to `seq`; the log ends at `head`. Backwards changes nothing. What lies beyond
    /// what this connection was sent is taken too, since the device may have it from elsewhere; beyond the log it is not.
    pub fn acknowledge(&mut self, seq: Seq, head: Seq) -> Acknowledgement {
        if seq > head {
            return Acknowledgement::Ahead;
        }
        if seq <= self.reached {
            return Acknowledgement::Stays(self.reached);
        }
        Acknowledgement::Report(seq)
    }

    /// The device's cursor is known to be here.
    pub fn reached(&mut self, seq: Seq) {
        self.reached = seq.max(self.reached);
    }

    /// The connection is to end. The first reason stays.
    pub fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// When something may be wished that nothing but time brings about.
    #[must_use]
    pub fn wakes(&self) -> Option<Moment> {
        let Timing {
            ping,
            silence,
            patience,
            expires,
            lived_out,
        } = self.timing;
        let after_heard = |span: Option<Duration>| span.map(|span| self.heard + span);
        let blocked = self.blocked.zip(patience);
        [
            after_heard(ping.filter(|_| !self.pinged)),
            after_heard(silence),
            blocked.map(|(since, patience)| since + patience),
            expires,
            lived_out,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is to be done next; `None` until something happens, or [`Machine::wakes`].
    pub fn next(&mut self, now: Moment) -> Option<Wish<P>> {
        if self.is_over {
            return None;
        }
        self.look_at_the_clock(now);
        if let Some(end) = self.end {
            self.is_over = true;
            return Some(Wish::Close(end));
        }
        if let Some(wish) = self.write(now) {
            return Some(wish);
        }
        let ping = self.timing.ping;
        if !self.pinged && ping.is_some_and(|ping| self.heard + ping <= now) {
            self.pinged = true;
            return Some(Wish::Ping);
        }
        self.read().map(Wish::Read)
    }

    fn look_at_the_clock(&mut self, now: Moment) {
        let past = |moment: Option<Moment>| moment.is_some_and(|moment| moment <= now);
        let Timing {
            silence,
            patience,
            expires,
            lived_out,
            ..
        } = self.timing;
        let blocked = self.blocked.zip(patience);
        let due = [
            (past(expires), End::Expired),
            (
                past(blocked.map(|(since, patience)| since + patience)),
                End::TooSlow,
            ),
            (
                past(silence.map(|silence| self.heard + silence)),
                End::Silent,
            ),
            (past(lived_out), End::LivedOut),
        ];
        if let Some((_, end)) = due.into_iter().find(|(is_due, _)| *is_due) {
            self.end(end);
        }
    }

    /// The page in hand, when the peer has room for it.
    fn write(&mut self, now: Moment) -> Option<Wish<P>> {
        let hand = self.hand.as_ref()?;
        let fits = self.outstanding.saturating_add(hand.took.bytes) <= self.window.bytes;
        if !fits && self.outstanding > 0 {
            return None;
        }
        let Hand { request, took } = self.hand.take()?;
        let at = self.asked.iter().position(|asked| asked.request == request);
        // Whoever was served stands behind the others.
        if let Some(mut asked) = at.and_then(|at| self.asked.remove(at))
            && matches!(asked.job, Job::Tail { .. })
        {
            asked.after = took.last.unwrap_or(asked.after);
            self.asked.push_back(asked);
        }
        let Took {
            page,
            bytes,
            last,
            head,
        } = took;
        self.wrote(bytes, now);
        Some(Wish::Write {
            request,
            page,
            bytes,
            last,
            head,
        })
    }

    /// What to read, when the peer has room for a page and none is on its way.
    fn read(&mut self) -> Option<Read> {
        if self.reading.is_some() || self.hand.is_some() {
            return None;
        }
        let room = self.window.bytes.saturating_sub(self.outstanding);
        if room < self.window.page && self.outstanding > 0 {
            return None;
        }
        let asked = self.asked.iter().find(|asked| asked.has_more())?;
        self.reading = Some(asked.request);
        Some(Read {
            request: asked.request,
            after: asked.after,
            limit: match asked.job {
                Job::Pull { limit } => Some(limit),
                Job::Tail { .. } => None,
            },
            bytes: self.window.page,
        })
    }

    fn find(&mut self, request: u64) -> Option<&mut Asked> {
        self.asked.iter_mut().find(|asked| asked.request == request)
    }
}

#[cfg(test)]
mod tests;
