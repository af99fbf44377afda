//! What a command came to. Outcomes and refusals are data too, and none is shown before the state it reveals is durable.

use serde::{Deserialize, Serialize};

use crate::id::{AudienceNo, ConversationSeq, DeviceNo, Position, Seq, Time, UserNo};
use crate::record::RecordError;

/// What a command came to: an outcome, or a refusal that left no trace.
pub type Answer = Result<Outcome, Refusal>;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done, and there is nothing to say of it.
    Done,
    /// A message is in the ledger and in its receivers' logs.
    Sent(Sent),
    /// A user has this number.
    User {
        /// The number.
        user: UserNo,
        /// Whether it was given just now.
        new: bool,
    },
    /// A device has this number.
    Device {
        /// The number.
        device: DeviceNo,
    },
    /// A message to several users: what became of it for each, in the order in which they were named.
    Posted(Vec<Result<Sent, Refusal>>),
    /// A conversation is read up to here.
    Read {
        /// Up to where. Less than was asked for when very many removed messages lay between: ask again.
        up_to: ConversationSeq,
        /// How many messages are unread now.
        unread: u64,
    },
    /// A message was recalled.
    Recalled {
        /// From how many receivers, this time. Of a message that is fanned out: none yet, they follow.
        receivers: u32,
    },
    /// A message to several is in the ledger, and will be in the logs of all its receivers.
    Begun {
        /// Its record.
        position: Position,
        /// Its time.
        time: Time,
        /// Whether this is the answer to an earlier request, given again.
        repeated: bool,
    },
    /// An audience has this number.
    Audience {
        /// The number.
        audience: AudienceNo,
    },
    /// An audience has grown.
    Filled {
        /// How many lines of its list were used up, from the first.
        lines: u64,
        /// How many members it has.
        members: u64,
        /// How many lines were refused.
        refused: u64,
    },
    /// A fan-out has gone on.
    Progress {
        /// The first user number not looked at yet; 0 when all were.
        next: UserNo,
        /// How many receivers were served.
        served: u32,
    },
    /// A message was changed.
    Changed {
        /// The change's record.
        position: Position,
        /// For how many receivers at once. Of a message that is fanned out: none yet, they follow.
        receivers: u32,
    },
    /// Cursors were taken, but not all as far as was said: the same command again takes them further.
    ReachedPartly,
    /// A message has these marks of its receiver; it is opened in any case.
    Marked {
        /// Whether it is confirmed too.
        confirmed: bool,
    },
}

/// Where a message came to stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its record.
    pub position: Position,
    /// The time shown on it.
    pub time: Time,
    /// Its place in the conversation.
    pub conversation_seq: ConversationSeq,
    /// The receiver's number.
    pub receiver: UserNo,
    /// Its place in the receiver's log, when already assigned.
    pub seq: Option<Seq>,
    /// Whether the receiver was never seen before.
    pub new_receiver: bool,
    /// Whether this is the answer to an earlier send, given again.
    pub repeated: bool,
}

/// Why a command was refused. A refusal leaves no trace in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The key was used for another request, or the token's text for another user.
    #[error("the idempotency key was used before, for another request")]
    KeyReused,
    /// The receiver was never seen, and the policy refuses such.
    #[error("the receiver is not known here")]
    UnknownReceiver,
    /// The user was never seen or registered.
    #[error("the user is not known here")]
    UnknownUser,
    /// The user is registered already.
    #[error("the user is registered already")]
    AlreadyRegistered,
    /// There is no such record, or it has no body.
    #[error("there is no body at that position")]
    NothingToErase,
    /// The ledger has begun already.
    #[error("the ledger has begun already")]
    AlreadyFounded,
    /// The ledger has not begun yet.
    #[error("the ledger has not begun yet")]
    NotFounded,
    /// No program that this one knows has such rules, or they are in force already, or older.
    #[error("the rules version is unknown or not newer")]
    BadRules,
    /// A record or a body would be larger than one may be, or a list longer.
    #[error("the request is too large")]
    TooLarge,
    /// A body is not of the kind that the command needs. The gateway makes none such.
    #[error("a body of the command is of another kind")]
    BadBody,
    /// The user has no such conversation.
    #[error("the user has no such conversation")]
    UnknownConversation,
    /// The conversation seq is 0 or beyond the end of the conversation.
    #[error("the conversation seq is not one of the conversation")]
    BeyondConversation,
    /// There is no such message.
    #[error("there is no such message")]
    UnknownMessage,
    /// A setting has no such value.
    #[error("the setting has no such value")]
    BadSetting,
    /// A receiver is named twice.
    #[error("a receiver is named twice")]
    NamedTwice,
    /// There is no such audience.
    #[error("there is no such audience")]
    UnknownAudience,
    /// The audience is complete and takes no more members, or is not complete and cannot be sent to.
    #[error("the audience is not in a state for this")]
    AudienceState,
    /// The message has not reached the receiver yet. It will, and can then be recalled.
    #[error(
        "the message is on its way to this receiver and cannot be recalled from them yet: try again shortly"
    )]
    Underway,
    /// Progress has moved on since the command was made.
    #[error("progress has moved on")]
    Stale,
    /// As many fan-outs are running as may run at once.
    #[error("too many messages to many receivers are on their way")]
    TooManyRunning,
    /// The seq lies beyond the end of the log.
    #[error("the seq lies beyond the end of the log")]
    BeyondLog,
    /// The time at which the message was to be withdrawn has passed.
    #[error("the message's time is over already")]
    Expired,
    /// The message was to wait longer than a message may, or until after its own end.
    #[error("the message was to wait too long")]
    TooFarAhead,
    /// The message was recalled, superseded or has expired.
    #[error("the message was withdrawn")]
    Withdrawn,
    /// The number of the new epoch is not above that of the one in force.
    #[error("the new epoch does not come after the one in force")]
    BadEpoch,
}

/// Why state could not be read. The caller can do nothing about it; the writer stops.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[source] Box<dyn std::error::Error + std::marker::Send + Sync>),
    /// A row is not what this program would have written.
    #[error("a row of {family} is corrupt: {reason}")]
    Corrupt {
        /// The family.
        family: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A record is not what this program would have written.
    #[error("record {position}: {error}")]
    Record {
        /// Its place.
        position: Position,
        /// What is wrong.
        error: RecordError,
    },
    /// The ledger was last written under rules that this program does not have.
    #[error(
        "the ledger is under rules version {found} from record {position} on; this program knows versions up to {known}: use a Waybill \
         that knows version {found}"
    )]
    UnknownRules {
        /// The first record that needs them.
        position: Position,
        /// Their version.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// A record does not follow from those before it.
    #[error("record {position} does not follow from the records before it: {reason}")]
    Impossible {
        /// Its place.
        position: Position,
        /// What is wrong.
        reason: &'static str,
    },
}
