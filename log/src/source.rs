//! Where commands come from. The writer knows no queue, no network and no replica: it takes batches from a source, which says
//! whether what it hands out is already durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use waybill_core::command::{Ask, Command, To, UserRef};
use waybill_core::id::Time;
use waybill_core::outcome::Answer;

use crate::config::{BatchLimits, LogConfig};
use crate::error::WriterError;

/// What the writer says to a command.
pub type Reply = Result<Answer, WriterError>;

/// Where a reply goes. Replies exactly once; when it is dropped unanswered, the reply is [`WriterError::Stopped`].
pub struct ReplyTo(Option<Box<dyn FnOnce(Reply) + Send>>);

impl ReplyTo {
    /// Replies by calling `reply`, on the writer's thread: it must not block.
    pub fn new(reply: impl FnOnce(Reply) + Send + 'static) -> Self {
        Self(Some(Box::new(reply)))
    }

    /// Nobody waits for the reply.
    #[must_use]
    pub fn nobody() -> Self {
        Self(None)
    }

    /// Replies.
    pub fn send(mut self, reply: Reply) {
        if let Some(to) = self.0.take() {
            to(reply);
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        if let Some(to) = self.0.take() {
            to(Err(WriterError::Stopped));
        }
    }
}

/// A command on its way to the writer.
pub struct Submission {
    /// What is asked.
    pub command: Command,
    /// When it was taken, where the source knows (a replicated log); else the writer stamps it.
    pub time: Option<Time>,
    /// Until when it may be decided. Once decided, it stands, whoever listens.
    pub deadline: Option<Instant>,
    /// Where the reply goes.
    pub reply: ReplyTo,
    /// Held while the command waits; returned when it is answered.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

impl Submission {
    /// A command that the source itself has made, without admission.
    #[must_use]
    pub fn unmetered(command: Command, time: Option<Time>, reply: ReplyTo) -> Self {
        Self {
            command,
            time,
            deadline: None,
            reply,
            permit: None,
        }
    }
}

/// What a source had to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// At least one command, or none within the time given.
    Open,
    /// No more commands will come.
    Closed,
}

/// Hands out commands in batches.
pub trait Source: Send + 'static {
    /// Waits up to `wait` for a command, then adds what is there to `batch`, within `limits`.
    fn take(&mut self, batch: &mut Vec<Submission>, limits: &BatchLimits, wait: Duration) -> Taken;

    /// Whether what is handed out is already durable, so that the ledger's own sync is not needed.
    fn is_durable(&self) -> bool;
}

/// The local source: a bounded queue in this process.
pub struct QueueSource {
    queue: Receiver<Submission>,
    /// A command that did not fit into the last batch.
    next: Option<Submission>,
    gone: Arc<AtomicBool>,
}

/// The way into a [`QueueSource`].
#[derive(Clone)]
pub struct QueueHandle {
    queue: Sender<Submission>,
    /// The other end, to empty the queue when the source is gone: the channel itself would keep what is in it for as long as
    /// there are handles, and whoever waits for a reply would wait that long.
    left: Receiver<Submission>,
    /// Whether the source is gone.
    gone: Arc<AtomicBool>,
    bytes: Arc<Semaphore>,
    max_bytes: usize,
}

/// What a command costs in the queue besides its body, in bytes.
const COMMAND_BYTES: usize = 512;

/// What a reference to a user costs, about: an id of usual length, its place on the heap, a hash and an opening.
const REFERENCE_BYTES: usize = size_of::<UserRef>() + 64;

fn cost(command: &Command) -> usize {
    let body = match &command.ask {
        Ask::Send(send) => send.body.bytes.len(),
        Ask::Register { profile, .. } => profile.bytes.len(),
        Ask::SeeDevice { body, .. } => body.bytes.len(),
        Ask::Reach { cursors } => cursors.len() * size_of::<(u64, u32, u64)>(),
        Ask::Post(post) => {
            let users = match &post.to {
                To::Users(users) => users.len(),
                To::Audience(_) | To::Registered | To::Seen => 0,
            };
            post.body.bytes.len() + users * REFERENCE_BYTES
        }
        Ask::FillAudience { users, .. } => users.len() * REFERENCE_BYTES,
        Ask::BeginAudience { body, .. } => body.bytes.len(),
        _ => 0,
    };
    COMMAND_BYTES + body
}

/// Makes a queue with the bounds of `config`.
#[must_use]
pub fn queue(config: &LogConfig) -> (QueueHandle, QueueSource) {
    let (sender, receiver) = crossbeam_channel::bounded(config.queue_commands);
    let max_bytes = config.queue_bytes.min(Semaphore::MAX_PERMITS);
    let gone = Arc::new(AtomicBool::new(false));
    let handle = QueueHandle {
        queue: sender,
        left: receiver.clone(),
        gone: Arc::clone(&gone),
        bytes: Arc::new(Semaphore::new(max_bytes)),
        max_bytes,
    };
    (
        handle,
        QueueSource {
            queue: receiver,
            next: None,
            gone,
        },
    )
}

impl QueueHandle {
    /// Puts a command into the queue; never blocks.
    ///
    /// # Errors
    /// [`WriterError::Busy`] when the queue holds all it may; [`WriterError::Stopped`] when the writer is gone, and then the
    /// command was not taken. `reply` is not called in either case.
    pub fn submit(
        &self,
        command: Command,
        deadline: Option<Instant>,
        mut reply: ReplyTo,
    ) -> Result<(), WriterError> {
        if self.gone.load(Ordering::SeqCst) {
            reply.0 = None;
            return Err(WriterError::Stopped);
        }
        let cost = cost(&command).min(self.max_bytes);
        let permits = u32::try_from(cost).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.bytes).try_acquire_many_owned(permits) else {
            reply.0 = None;
            return Err(WriterError::Busy);
        };
        let submission = Submission {
            command,
            time: None,
            deadline,
            reply,
            permit: Some(permit),
        };
        self.queue.try_send(submission).map_err(|error| {
            let (mut refused, error) = match error {
                TrySendError::Full(refused) => (refused, WriterError::Busy),
                TrySendError::Disconnected(refused) => (refused, WriterError::Stopped),
            };
            refused.reply.0 = None;
            error
        })?;
        // Either the source has seen this command when it emptied the queue, or its going is seen here.
        if self.gone.load(Ordering::SeqCst) {
            empty(&self.left);
        }
        Ok(())
    }

    /// Puts a command into the queue and waits for the reply.
    ///
    /// # Errors
    /// As [`QueueHandle::submit`]; and [`WriterError::Stopped`] when the writer stops while the command is under way.
    pub async fn ask(&self, command: Command, deadline: Option<Instant>) -> Reply {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // A caller who has gone away is no concern of the writer.
        self.submit(
            command,
            deadline,
            ReplyTo::new(move |reply| drop(sender.send(reply))),
        )?;
        receiver.await.unwrap_or(Err(WriterError::Stopped))
    }

    /// As [`QueueHandle::ask`], for threads that may block.
    ///
    /// # Errors
    /// As [`QueueHandle::ask`].
    pub fn ask_blocking(&self, command: Command) -> Reply {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        self.submit(
            command,
            None,
            ReplyTo::new(move |reply| drop(sender.send(reply))),
        )?;
        receiver.recv().unwrap_or(Err(WriterError::Stopped))
    }

    /// How many commands wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

/// Drops what is in the queue, which replies to each that the writer has stopped.
fn empty(queue: &Receiver<Submission>) {
    while let Ok(submission) = queue.try_recv() {
        drop(submission);
    }
}

impl Drop for QueueSource {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        empty(&self.queue);
    }
}

impl Source for QueueSource {
    fn take(&mut self, batch: &mut Vec<Submission>, limits: &BatchLimits, wait: Duration) -> Taken {
        let first = match self.next.take() {
            Some(next) => next,
            None => match self.queue.recv_timeout(wait) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => return Taken::Open,
                Err(RecvTimeoutError::Disconnected) => return Taken::Closed,
            },
        };
        let mut bytes = cost(&first.command);
        batch.push(first);
        while batch.len() < limits.commands
            && let Ok(next) = self.queue.try_recv()
        {
            bytes += cost(&next.command);
            if bytes > limits.bytes {
                self.next = Some(next);
                break;
            }
            batch.push(next);
        }
        Taken::Open
    }

    fn is_durable(&self) -> bool {
        false
    }
}
