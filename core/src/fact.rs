//! What happened, as data. Only `decide` makes facts. A released variant never changes and never moves: a new field is a new
//! variant at the end (bincode writes a variant by its place in this list).

mod afterwards;
mod conversation;
mod message;
mod packed;

pub use afterwards::{ChangedPlace, Mark, Part, RecalledPlace, Withdrawal};
pub use conversation::{ConversationKind, ConversationSettings, Counted, RemovedMessage};
pub use message::{Audience, MessagePosted, MessageSent, Options, Terms};
pub use packed::{
    PackedCursor, PackedPassed, Passed, pack_cursors, pack_passed, pack_users, unpack_cursors,
    unpack_passed, unpack_users,
};

use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;
use crate::id::{
    AudienceNo, ConversationSeq, DeviceNo, Epoch, Hash, KeyedHash, Position, Seq, Time, UserNo,
};
use crate::policy::Policy;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// The ledger begins. Always record 1, and only there.
    Genesis {
        /// The identity of this history.
        epoch: Epoch,
        /// The rules version in force from here.
        rules: u32,
    },
    /// Another rules version is in force from the next record on.
    RulesChanged {
        /// The new version.
        rules: u32,
    },
    /// The switches that `decide` consults are these from the next record on.
    PolicyChanged(Policy),
    /// A user was named for the first time and got a number. Body: the id.
    UserSeen {
        /// The number given.
        user: UserNo,
        /// Keyed hash of the id.
        id: KeyedHash,
    },
    /// A user was registered. Body: the profile.
    UserRegistered {
        /// Who.
        user: UserNo,
    },
    /// A device of a user was named for the first time, or again after it had made room for others. Body: the device's id.
    DeviceSeen {
        /// Whose.
        user: UserNo,
        /// The number given.
        device: DeviceNo,
        /// Keyed hash of the device's id.
        id: KeyedHash,
        /// Platform number as OpenIM counts them (1 IOS … 8 admin), 0 when unknown.
        platform: u8,
    },
    /// A token was issued. No body.
    TokenIssued {
        /// For whom.
        user: UserNo,
        /// Platform number as OpenIM counts them.
        platform: u8,
        /// Keyed hash of the token's text.
        token: KeyedHash,
        /// From when it is no longer valid.
        expires: Time,
    },
    /// Tokens were revoked. No body.
    TokensRevoked {
        /// Whose.
        user: UserNo,
        /// Which of them.
        which: Revoked,
    },
    /// A message was sent to one conversation. Body: the message.
    MessageSent(MessageSent),
    /// Devices have stored their users' logs up to these seqs. No body.
    Reached {
        /// Ascending by (user, device); the user number is written as the difference to the entry before.
        cursors: Vec<PackedCursor>,
        /// Which messages of tracked accounts have thereby been delivered: ascending by (receiver, account, kind); the receiver's
        /// number is written as the difference to the entry before.
        passed: Vec<PackedPassed>,
    },
    /// The body of an earlier record was erased, with its opening. No body.
    BodyErased {
        /// Whose body.
        position: Position,
    },
    /// A message was sent to several users, to each in a conversation of their own with its sender. Body: the message.
    MessagePosted(MessagePosted),
    /// A user has read a conversation. No body.
    ConversationRead {
        /// Who.
        user: UserNo,
        /// What.
        conversation: Conversation,
        /// Up to where.
        up_to: ConversationSeq,
        /// How many messages up to there count as unread until they are read.
        counted: u64,
        /// How many of the counted messages above are not there any more for this user.
        removed: u64,
        /// Whether the other party of a single chat gets an entry too.
        told: bool,
    },
    /// A user has changed settings of a conversation. No body.
    ConversationSet {
        /// Who.
        user: UserNo,
        /// Of what.
        conversation: Conversation,
        /// How they are from now on.
        settings: ConversationSettings,
    },
    /// A user has deleted messages of a conversation for themselves. No body.
    MessagesRemoved {
        /// Who.
        user: UserNo,
        /// Of what.
        conversation: Conversation,
        /// Which, ascending; at most [`MAX_REMOVED`](crate::limits::MAX_REMOVED).
        messages: Vec<RemovedMessage>,
    },
    /// A user has deleted everything up to a place of a conversation for themselves, and has thereby read it. No body.
    ConversationCleared {
        /// Who.
        user: UserNo,
        /// What.
        conversation: Conversation,
        /// Up to where everything is deleted.
        cleared: ConversationSeq,
        /// Up to where the user has read it from now on.
        read: ConversationSeq,
        /// How many messages up to `read` count as unread until they are read.
        counted: u64,
        /// How many of the counted messages above `read` are not there any more for this user.
        removed: u64,
    },
    /// A message was withdrawn, from all its receivers or from some. No body.
    MessageRecalled {
        /// Its record.
        message: Position,
        /// For what reason.
        why: Withdrawal,
        /// Whether its sender gets an entry too.
        echo: bool,
        /// From where, ascending by conversation.
        places: Vec<RecalledPlace>,
        /// Of a step of the recall of a message that was fanned out: the first user number not looked at yet, 0 when all
        /// were.
        next: Option<UserNo>,
    },
    /// A message that is fanned out is in the logs of some more of its receivers. No body.
    Delivered {
        /// The message's record.
        message: Position,
        /// Ascending, each written as the difference to the one before.
        receivers: Vec<u64>,
        /// The first user number not looked at yet; 0 when all were. Means nothing when `early`.
        next: UserNo,
        /// Whether these got it before their turn, because a later message of their conversations must not overtake it.
        early: bool,
    },
    /// A message that is fanned out was withdrawn: nobody gets it any more, and those who have it will be told. No body.
    FanoutRecalled {
        /// The message's record.
        message: Position,
        /// For what reason.
        why: Withdrawal,
    },
    /// An audience begins, with no members. Body: its name.
    AudienceBegun {
        /// The number given.
        audience: AudienceNo,
        /// Keyed hash of its name.
        name: KeyedHash,
    },
    /// An audience has got members. No body.
    AudienceFilled {
        /// Which.
        audience: AudienceNo,
        /// How many lines of its list this record has used up; some may have named nobody new.
        lines: u32,
        /// New members: ascending, each written as the difference to the one before.
        members: Vec<u64>,
    },
    /// Lines of an audience's list named users who are not known, and the policy refuses such. Body: the ids.
    ReceiversRefused {
        /// Which.
        audience: AudienceNo,
        /// How many.
        count: u32,
    },
    /// An audience is complete, and from here on is what its name stands for. No body.
    AudienceCommitted {
        /// Which.
        audience: AudienceNo,
    },
    /// A user's profile is another one. Body: the profile.
    UserUpdated {
        /// Whose.
        user: UserNo,
    },
    /// A user is not registered any more. No body.
    UserUnregistered {
        /// Who.
        user: UserNo,
        /// The records at which the registration ended and began again before, in turn; at most
        /// [`MAX_TURNS`](crate::limits::MAX_TURNS).
        turns: Vec<Position>,
    },
    /// A user who was registered before is so again. Body: the profile.
    UserRegisteredAgain {
        /// Who.
        user: UserNo,
        /// As of `UserUnregistered`; the last is the end before.
        turns: Vec<Position>,
    },
    /// A user's log begins later than before. No body.
    LogTrimmed {
        /// Whose.
        user: UserNo,
        /// The first seq that is still shown; one beyond the head when none is.
        floor: Seq,
    },
    /// A message that waited for its time begins to be fanned out. No body.
    FanoutReleased {
        /// The message's record.
        message: Position,
    },
    /// A message was changed for all its receivers or for some. Body: the change.
    MessageChanged {
        /// Its record.
        message: Position,
        /// What of it.
        part: Part,
        /// Whether its sender gets an entry too.
        echo: bool,
        /// For whom, ascending by conversation.
        places: Vec<ChangedPlace>,
    },
    /// A message that is fanned out was changed: those who have it will be told. Body: the change.
    FanoutChanged {
        /// The message's record.
        message: Position,
        /// What of it.
        part: Part,
    },
    /// Some of those who have a message that was fanned out are told that it was changed. No body.
    ChangeTold {
        /// The message's record.
        message: Position,
        /// The `FanoutChanged` record.
        change: Position,
        /// Whom, ascending by conversation.
        places: Vec<ChangedPlace>,
        /// The first user number not looked at yet, 0 when all were.
        next: UserNo,
    },
    /// A receiver has opened or confirmed a message. No body.
    Marked {
        /// Who.
        user: UserNo,
        /// The message's record.
        message: Position,
        /// In which conversation the receiver has it.
        conversation: Conversation,
        /// Its place there.
        conversation_seq: ConversationSeq,
        /// What was done.
        mark: Mark,
        /// Whether the message had no mark of this receiver before.
        first: bool,
    },
    /// What becomes of an account's messages is written into a log of its own from here on, or no longer. No body.
    AccountTracked {
        /// Which account.
        account: UserNo,
        /// Whether it is.
        on: bool,
    },
    /// The ledger up to the record before this one was put back from a copy. What was written after the copy was made is lost, and
    /// from here on this is another history. No body.
    Restored {
        /// The identity of the history from here on.
        epoch: Epoch,
        /// The identity of the history that it goes on from.
        from: Epoch,
        /// How many places each log leaves out before its next entry: the lost history may have given them out.
        gap: u64,
    },
    /// A message was told to live connections and is kept nowhere. No body: what it said is committed to, and gone.
    OnlineTold {
        /// Who it is from.
        sender: UserNo,
        /// How many users it was for.
        audience: u32,
        /// `SHA-256(opening ‖ body)`, as of a message that is kept.
        commitment: Hash,
    },
}

impl Fact {
    /// The terms of a message that has some.
    #[must_use]
    pub fn terms(&self) -> Option<Terms> {
        match self {
            Self::MessageSent(message) => message.terms,
            Self::MessagePosted(message) => message.terms,
            _ => None,
        }
    }

    /// Whether a record with this fact commits to a body.
    #[must_use]
    pub fn has_body(&self) -> bool {
        matches!(
            self,
            Self::UserSeen { .. }
                | Self::UserRegistered { .. }
                | Self::DeviceSeen { .. }
                | Self::MessageSent(_)
                | Self::MessagePosted(_)
                | Self::AudienceBegun { .. }
                | Self::ReceiversRefused { .. }
                | Self::UserUpdated { .. }
                | Self::UserRegisteredAgain { .. }
                | Self::MessageChanged { .. }
                | Self::FanoutChanged { .. }
        )
    }
}

/// Which tokens of a user a revocation concerns: always only those issued before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Revoked {
    /// One token.
    One(KeyedHash),
    /// All tokens of one platform.
    Platform(u8),
    /// All tokens.
    All,
}
