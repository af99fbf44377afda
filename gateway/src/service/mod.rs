//! What can be asked of the server, whatever the transport: send, pull, report, look up, tokens. Every call takes a
//! [`Principal`] and checks here what it may do; transports only translate.

mod accounts;
mod audiences;
mod changes;
mod chats;
mod conversations;
mod cursors;
mod directory;
mod fanout;
mod known;
mod lists;
mod live;
mod logins;
mod messages;
mod online;
mod operations;
mod pull;
mod quic;
mod rates;
mod recalls;
mod send;
mod status;
mod tasks;
mod timers;
mod waiting;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;
use tokio::sync::Semaphore;
use tracing::error;
use waybill_core::command::{Ask, Command, UserRef};
use waybill_core::content::Meaning;
use waybill_core::epochs::Epochs;
use waybill_core::hash::{Domain, HashKey};
use waybill_core::id::{Epoch, KeyedHash, Position, Time, UserNo, check_id};
use waybill_core::message_id::{
    CLIENT_BIT, CLIENT_ORDINAL, MessageIdKey, MessageRef, TASK_ORDINAL,
};
use waybill_core::outcome::{Outcome, StateError};
use waybill_core::record::Surface;
use waybill_log::{QueueHandle, Reader, Reply, WriterError};

use crate::auth::{Authenticator, Principal, Standing, StateUnavailable, Tickets, TokenState};
use crate::config::{Config, Limits};
use crate::error::{Error, Kind};
use crate::random;
use crate::registry::{Hub, Registry};
use crate::telemetry::Secret;
use crate::telemetry::metrics::{Metrics, Reason};

pub use accounts::{Issued, Me, Registration, Which};
pub use audiences::{AudienceView, Part};
pub use changes::Wanted as WantedChange;
pub use chats::{Ends, MOST_CONVERSATIONS, Outline};
pub use conversations::{Change, ConversationView, HistoryPage, HistoryView, ListView, Named};
pub use cursors::Cursors;
pub use lists::LongList;
pub use live::LivePlace;
pub use messages::MessageView;
pub use online::{OnlineMessage, OnlinePrepared, OnlineSent};
pub use pull::{MessageTold, Note, Page, Place, Pulled, Span, Told, View};
pub use rates::Allowance;
pub use send::{AskedTerms, Outgoing, Prepared, SentMessage};
pub use status::{ChangeView, StandingView, StatusView, Wanted, gone};
pub use tasks::{
    TaskReceiver, TaskReceiverView, TaskReceivers, TaskSent, TaskTaken, TaskTo, TaskView,
};
pub use waybill_log::Subscription;

/// The only partition so far.
const PARTITION: u16 = 0;

/// Reads of more than a few entries that run at one time: each holds a thread and a page.
const CONCURRENT_READS: usize = 32;

/// What a service is made of.
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The log's readers.
    pub reader: Reader,
    /// The way to the writer.
    pub queue: QueueHandle,
    /// Makes and verifies tokens.
    pub authenticator: Authenticator,
    /// Who is connected.
    pub registry: Registry,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The key of keyed hashes.
    pub hash_key: HashKey,
    /// The key of message ids.
    pub message_ids: MessageIdKey,
    /// What `/auth/*` asks for.
    pub openim_secret: Secret,
    /// The histories that the ledger has been.
    pub epochs: Epochs,
}

/// The server, as transports see it. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    reader: Reader,
    /// `None` once the service is closed: then the writer can end.
    queue: RwLock<Option<QueueHandle>>,
    authenticator: Authenticator,
    registry: Registry,
    metrics: Arc<Metrics>,
    hash_key: HashKey,
    message_ids: MessageIdKey,
    openim_secret: Secret,
    epochs: Epochs,
    cursors: Cursors,
    tickets: Tickets,
    online: Hub<OnlineMessage>,
    known: known::Known,
    operations: operations::Operations,
    reads: Semaphore,
    rates: rates::Rates,
    logins: logins::Logins,
}

/// The state of tokens, as the log has it.
pub struct LogTokens(pub Reader);

impl TokenState for LogTokens {
    fn standing(&self, token: &KeyedHash) -> Result<Standing, StateUnavailable> {
        match self.0.token(*token) {
            Ok(Some(state)) if state.revoked => Ok(Standing::Revoked),
            Ok(Some(state)) => Ok(Standing::Live(state.token.user)),
            Ok(None) => Ok(Standing::Unknown),
            Err(error) => {
                error!(%error, "the state of a token cannot be read");
                Err(StateUnavailable)
            }
        }
    }
}

impl Service {
    /// Puts a service together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            rates: rates::Rates::new(&parts.config.limits),
            logins: logins::Logins::default(),
            config: parts.config,
            reader: parts.reader,
            queue: RwLock::new(Some(parts.queue)),
            authenticator: parts.authenticator,
            registry: parts.registry,
            metrics: parts.metrics,
            hash_key: parts.hash_key,
            message_ids: parts.message_ids,
            openim_secret: parts.openim_secret,
            epochs: parts.epochs,
            cursors: Cursors::default(),
            tickets: Tickets::default(),
            online: Hub::default(),
            known: known::Known::default(),
            operations: operations::Operations::default(),
            reads: Semaphore::new(CONCURRENT_READS),
        }))
    }

    /// Who calls with this token.
    ///
    /// # Errors
    /// One of the kinds of token errors.
    pub fn authenticate(&self, token: &str) -> Result<Arc<Principal>, Error> {
        self.0
            .authenticator
            .authenticate(token, now_seconds())
            .inspect_err(|error| {
                let reason = error.row().slug;
                self.0
                    .metrics
                    .auth_failures
                    .get_or_create(&Reason { reason })
                    .inc();
            })
    }

    /// Whether the token behind a principal was not revoked since.
    ///
    /// # Errors
    /// When it was, or the state of tokens cannot be read.
    pub fn still_stands(&self, principal: &Principal) -> Result<(), Error> {
        self.0.authenticator.still_stands(&principal.token)
    }

    /// The identity of the history.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.0.epochs.current()
    }

    /// Whether the ledger was ever put back from a copy: clients may then know what it does not.
    #[must_use]
    pub fn was_restored(&self) -> bool {
        !self.0.epochs.restores().is_empty()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The bounds of the edge.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.config.limits
    }

    /// Who is connected.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What `/auth/*` asks for.
    #[must_use]
    pub fn openim_secret(&self) -> &Secret {
        &self.0.openim_secret
    }

    /// A text that is too long for a key, as one: 32 hexadecimal digits. `about` keeps texts of different meaning apart.
    #[must_use]
    pub fn text_key(&self, about: &str, text: &str) -> String {
        self.0
            .hash_key
            .hash(Domain::Request, &[about.as_bytes(), text.as_bytes()])
            .to_string()
    }

    /// What makes a send of an OpenIM caller a retry of another: the key that was given, else the clientMsgID, which sends take
    /// themselves (then this is empty); else, for accounts that are configured so, the operationID.
    #[must_use]
    pub fn retry_key<'a>(
        &self,
        principal: &Principal,
        given: &'a str,
        client_msg_id: &str,
        operation_id: &str,
    ) -> Cow<'a, str> {
        let account = self.config().manager(&principal.user);
        let by_operation = account.is_some_and(|account| account.operation_id_is_key);
        if given.is_empty() && client_msg_id.is_empty() && by_operation {
            // An operationID may be longer than a key.
            Cow::Owned(self.text_key("operationID", operation_id))
        } else {
            Cow::Borrowed(given)
        }
    }

    /// Lets go of the writer: whatever is asked from now on is answered with "stopping". What is under way is answered.
    pub fn close(&self) {
        self.0.queue.write().take();
    }

    /// Counts the commands that wait for the writer, without keeping the service or the way to the writer alive.
    pub fn waiting(&self) -> impl Fn() -> usize + Send + Sync + 'static {
        let inner = Arc::downgrade(&self.0);
        move || {
            let Some(inner) = inner.upgrade() else {
                return 0;
            };
            let queue = inner.queue.read();
            queue.as_ref().map_or(0, QueueHandle::waiting)
        }
    }

    fn queue(&self) -> Result<QueueHandle, Error> {
        self.0
            .queue
            .read()
            .clone()
            .ok_or_else(|| Error::of(Kind::Stopping))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.limits().send_wait_seconds)
    }

    /// Has a command done.
    pub(crate) async fn ask(
        &self,
        by: UserNo,
        surface: Surface,
        ask: Ask,
    ) -> Result<Outcome, Error> {
        let command = Command { by, surface, ask };
        outcome(self.queue()?.ask(command, Some(self.deadline())).await)
    }

    fn user_hash(&self, id: &str) -> KeyedHash {
        self.0.hash_key.hash(Domain::User, &[id.as_bytes()])
    }

    /// A user as commands name him.
    fn user_ref(&self, pointer: &'static str, id: &str) -> Result<UserRef, Error> {
        check(pointer, id)?;
        let opening = waybill_core::id::Opening(random::bytes()?);
        Ok(UserRef {
            id: id.to_owned(),
            hash: self.user_hash(id),
            opening,
        })
    }

    /// The number of the user in whose name the principal wants to act; an empty id is the principal's own.
    fn acting_for(&self, principal: &Principal, user: &str) -> Result<UserNo, Error> {
        if user.is_empty() || user == principal.user {
            return Ok(principal.number);
        }
        if !principal.may_act_for(user) {
            return Err(Error::new(Kind::Forbidden, "this is another user's"));
        }
        check("user", user)?;
        let found = self
            .0
            .reader
            .user_no(self.user_hash(user))
            .map_err(unreadable)?;
        found.ok_or_else(|| Error::of(Kind::UnknownUser))
    }

    /// The id of a message at this position.
    fn server_msg_id(&self, position: Position) -> String {
        self.message_id(position, 0)
    }

    /// The clientMsgID of a message whose caller gave none.
    fn derived_client_msg_id(&self, position: Position) -> String {
        self.message_id(position, CLIENT_ORDINAL)
    }

    /// The id under which one receiver has a message that went to several.
    fn posted_id(&self, position: Position, receiver: UserNo) -> Result<String, Error> {
        Ok(self.message_id(position, ordinal(receiver)?))
    }

    /// The clientMsgID under which one receiver has a message that went to several.
    fn posted_client_id(&self, position: Position, receiver: UserNo) -> Result<String, Error> {
        Ok(self.message_id(position, ordinal(receiver)? | CLIENT_BIT))
    }

    /// What an id stands for: a position, and an ordinal.
    fn open_id(&self, id: &str) -> Result<(Position, u32), Error> {
        let unknown = || Error::of(Kind::UnknownMessage);
        let found = self.0.message_ids.open(id).ok_or_else(unknown)?;
        // Of a history that was lost, another record may stand at the position, or none.
        let ours = self.0.epochs.holds(found.epoch, found.position);
        if ours && found.partition == PARTITION {
            Ok((found.position, found.ordinal))
        } else {
            Err(unknown())
        }
    }

    fn message_id(&self, position: Position, ordinal: u32) -> String {
        let epoch = self.0.epochs.of(position).number();
        self.0.message_ids.id(&MessageRef {
            epoch,
            partition: PARTITION,
            position,
            ordinal,
        })
    }

    /// Reads on a thread that may block, and no more at a time than fit.
    async fn read<T, F>(&self, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, StateError> + Send + 'static,
    {
        // The semaphore is never closed.
        let _room = self
            .0
            .reads
            .acquire()
            .await
            .map_err(|_| Error::of(Kind::Stopping))?;
        let this = self.clone();
        match tokio::task::spawn_blocking(move || read(&this)).await {
            Ok(result) => result.map_err(unreadable),
            Err(_) => Err(Error::of(Kind::Internal)),
        }
    }
}

/// The ordinal of a receiver: the user's number. There is room for two thousand million of them.
fn ordinal(receiver: UserNo) -> Result<u32, Error> {
    let number = u32::try_from(receiver.0).ok();
    number
        .filter(|number| *number < TASK_ORDINAL)
        .ok_or_else(|| Error::of(Kind::Internal))
}

/// Checks a text outside the content: its length in bytes, and that it is fit for what a client makes of it. Nothing is
/// stripped or escaped: what was sent is what is kept, or it is refused.
fn check_text(
    pointer: &'static str,
    text: &str,
    max_bytes: usize,
    meaning: Meaning,
) -> Result<(), Error> {
    let name = pointer.rsplit('/').next().unwrap_or(pointer);
    let refuse = |what: String| Err(Error::at(Kind::InvalidField, pointer, what));
    if text.len() > max_bytes {
        return refuse(format!("{name} is longer than {max_bytes} bytes"));
    }
    match meaning.check(text) {
        Ok(()) => Ok(()),
        Err(unfit) => refuse(format!("{name} {unfit}")),
    }
}

/// Checks an id that a caller gave.
fn check(pointer: &'static str, id: &str) -> Result<(), Error> {
    check_id(id).map_err(|error| {
        let name = pointer.rsplit('/').next().unwrap_or(pointer);
        Error::at(Kind::InvalidId, pointer, format!("{name} {error}"))
    })
}

/// What a reply of the writer means to a caller.
fn outcome(reply: Reply) -> Result<Outcome, Error> {
    match reply {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(refusal)) => Err(refusal.into()),
        Err(WriterError::Busy | WriterError::Expired) => Err(Error::of(Kind::Busy)),
        Err(WriterError::Stopped) => Err(Error::of(Kind::OutcomeUnknown)),
    }
}

/// The log cannot be read: that is for operators, and a caller learns only that it is so.
fn unreadable(error: StateError) -> Error {
    error!(%error, "the log cannot be read");
    Error::of(Kind::Internal)
}

/// Seconds since the Unix epoch.
#[must_use]
pub fn now_seconds() -> u64 {
    now().0 / 1_000
}

/// The time.
#[must_use]
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    Time(u64::try_from(millis).unwrap_or(u64::MAX))
}
