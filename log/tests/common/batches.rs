//! A source of commands that hands out exactly the batches it is given.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use waybill_core::command::{Command, Stamped};
use waybill_log::config::BatchLimits;
use waybill_log::source::{Source, Submission, Taken};
use waybill_log::{Reply, ReplyTo};

/// So that the writer looks after everything else soon, too.
const WAIT: Duration = Duration::from_millis(1);

pub struct Batches(Receiver<Vec<Submission>>);

/// Drop the sender to close the source.
pub fn batches() -> (Sender<Vec<Submission>>, Batches) {
    let (sender, receiver) = crossbeam_channel::unbounded();
    (sender, Batches(receiver))
}

impl Source for Batches {
    fn take(&mut self, batch: &mut Vec<Submission>, _: &BatchLimits, wait: Duration) -> Taken {
        match self.0.recv_timeout(wait.min(WAIT)) {
            Ok(next) => batch.extend(next),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Taken::Closed,
        }
        Taken::Open
    }

    fn is_durable(&self) -> bool {
        false
    }
}

/// The n-th of these commands replies with (n, reply).
pub fn asked(commands: &[Command], replies: &Sender<(usize, Reply)>) -> Vec<Submission> {
    let submit = |(n, command): (usize, &Command)| {
        let replies = replies.clone();
        let reply = ReplyTo::new(move |reply| drop(replies.send((n, reply))));
        Submission::unmetered(command.clone(), None, reply)
    };
    commands.iter().enumerate().map(submit).collect()
}

/// Commands as another writer took them, at the same times; nobody waits for the replies.
pub fn taken_before(commands: &[Stamped]) -> Vec<Submission> {
    let submit = |stamped: &Stamped| {
        Submission::unmetered(
            stamped.command.clone(),
            Some(stamped.time),
            ReplyTo::nobody(),
        )
    };
    commands.iter().map(submit).collect()
}
