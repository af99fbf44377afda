//! What can be asked for, as data that can be stored and sent: with everything `decide` needs from outside (ids, openings,
//! digests), so that any replica that takes the same commands in the same order decides alike.

use serde::{Deserialize, Serialize};

use crate::body::{Body, SealedBody};
use crate::conversation::Conversation;
pub use crate::fact::ConversationKind;
use crate::fact::{Mark, Options, Part, Revoked, Terms};
use crate::id::{
    AudienceNo, ConversationSeq, DeviceNo, Digest, Epoch, Hash, KeyedHash, Opening, Position, Seq,
    Time, UserNo,
};
use crate::policy::Policy;
use crate::record::Surface;

/// A command and the moment at which the writer took it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// The writer's clock when it took the command.
    pub time: Time,
    /// What is asked.
    pub command: Command,
}

/// Something asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Who acts; 0 for the server itself. The gateway has checked that they may.
    pub by: UserNo,
    /// Through which door.
    pub surface: Surface,
    /// What.
    pub ask: Ask,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Begin the ledger.
    Found {
        /// The identity of the new history.
        epoch: Epoch,
        /// The rules version to begin with.
        rules: u32,
    },
    /// Put another rules version in force.
    ChangeRules {
        /// The version.
        rules: u32,
    },
    /// Make the configuration that `decide` reads a fact.
    ChangePolicy(Policy),
    /// Register a user.
    Register {
        /// Who.
        user: UserRef,
        /// The profile.
        profile: SealedBody,
    },
    /// Issue a token, and end earlier ones of its user with it: both happen, or neither.
    IssueToken {
        /// For whom.
        user: UserRef,
        /// Whether a user who was never seen becomes known by this.
        unknown: Unknown,
        /// Platform number.
        platform: u8,
        /// Keyed hash of the token's text.
        token: KeyedHash,
        /// Its end.
        expires: Time,
        /// Which of the user's earlier tokens end when this one is issued: at most
        /// [`MAX_ENDED`](crate::limits::MAX_ENDED). When the token stands already, none do.
        ends: Vec<Revoked>,
    },
    /// Revoke tokens.
    RevokeTokens {
        /// Whose.
        user: UserNo,
        /// Which.
        which: Revoked,
    },
    /// Send a message.
    Send(Send),
    /// Give a device a number.
    SeeDevice {
        /// Whose device.
        user: UserNo,
        /// Keyed hash of the device's id.
        id: KeyedHash,
        /// Platform number.
        platform: u8,
        /// The device's id.
        body: SealedBody,
    },
    /// Take note of how far devices have stored their logs: at most
    /// [`MAX_REACHED`](crate::limits::MAX_REACHED) of them.
    Reach {
        /// In any order.
        cursors: Vec<(UserNo, DeviceNo, Seq)>,
    },
    /// Erase the body of a record.
    Erase {
        /// Whose body.
        position: Position,
    },
    /// Send a message to several users.
    Post(Post),
    /// Do something to a conversation of a user.
    Tend {
        /// Whose conversation it is.
        user: UserNo,
        /// Which.
        conversation: Conversation,
        /// What.
        deed: Deed,
    },
    /// Recall a message.
    Recall {
        /// Its record.
        message: Position,
        /// From whom; from all receivers when nobody is named.
        receiver: Option<UserNo>,
    },
    /// Begin an audience.
    BeginAudience {
        /// Keyed hash of its name.
        name: KeyedHash,
        /// Its name.
        body: SealedBody,
    },
    /// Add members to an audience that is not complete.
    FillAudience {
        /// Which.
        audience: AudienceNo,
        /// How many lines of its list came before.
        line: u64,
        /// At most [`MAX_FILLED`](crate::limits::MAX_FILLED); duplicates are passed over.
        users: Vec<UserRef>,
        /// Random, for the commitment to those who are refused.
        opening: Opening,
    },
    /// Declare an audience complete.
    CommitAudience {
        /// Which.
        audience: AudienceNo,
    },
    /// Go on with a message that is fanned out, or with its recall.
    FanoutNext {
        /// Its record.
        message: Position,
        /// The first user number that was not looked at yet, as far as the caller knows.
        from: UserNo,
        /// How many receivers to look at: at least 1 is, and at most [`MAX_CHUNK`](crate::limits::MAX_CHUNK) are, or
        /// [`MAX_RECALLED`](crate::limits::MAX_RECALLED) of a recall or a change.
        most: u16,
    },
    /// Put another profile in the place of a registered user's.
    UpdateProfile {
        /// Whose.
        user: UserNo,
        /// The record whose body the profile is that the caller has changed; nothing when there is none. Refused as stale when
        /// it is another one by now.
        base: Option<Position>,
        /// The profile, whole.
        profile: SealedBody,
    },
    /// End a user's registration.
    Unregister {
        /// Whose.
        user: UserNo,
    },
    /// Let a user's log begin later.
    TrimLog {
        /// Whose.
        user: UserNo,
        /// The first seq that is to be shown; at most one beyond the head.
        floor: Seq,
    },
    /// Withdraw a message whose time is over.
    Expire {
        /// Its record.
        message: Position,
    },
    /// Begin to fan out a message that waited for its time.
    Release {
        /// Its record.
        message: Position,
    },
    /// Change a message that was sent.
    Change {
        /// Its record.
        message: Position,
        /// For whom; for all receivers when nobody is named.
        receiver: Option<UserNo>,
        /// What of it.
        part: Part,
        /// The change.
        body: SealedBody,
    },
    /// Note that a receiver has opened or confirmed a message that they have.
    Mark {
        /// The receiver.
        user: UserNo,
        /// The message's record.
        message: Position,
        /// What was done.
        mark: Mark,
    },
    /// Write what becomes of an account's messages into a log of its own, or no longer.
    Track {
        /// Which account.
        account: UserRef,
        /// Whether to.
        on: bool,
    },
    /// Go on with a ledger that was put back from a copy, as another history than the one that the copy was of.
    Restore {
        /// The identity of the history from here on; its number is higher than that of the one before.
        epoch: Epoch,
        /// The last record of the copy, as far as the caller knows.
        last: Position,
        /// How many places each log leaves out before it goes on: more than the lost history can have given out in any. At least
        /// 1 and at most [`MAX_RESTORE_GAP`](crate::limits::MAX_RESTORE_GAP).
        gap: u64,
    },
    /// Note that a message was told to live connections, and is kept nowhere.
    NoteOnline {
        /// Who it is from.
        sender: UserRef,
        /// How many users it was for.
        audience: u32,
        /// What it said is committed to by this.
        commitment: Hash,
    },
}

/// Whether a user who was never seen is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unknown {
    /// He gets a number.
    See,
    /// The command is refused.
    Refuse,
}

/// A user as a caller names him, with what is needed should this be the first time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRef {
    /// The id; checked by [`check_id`](crate::id::check_id).
    pub id: String,
    /// Keyed hash of the id.
    pub hash: KeyedHash,
    /// Random, for the commitment to the id.
    pub opening: Opening,
}

impl UserRef {
    /// The body of the record that gives this user a number.
    #[must_use]
    pub fn seal(&self) -> SealedBody {
        Body::User {
            id: self.id.clone(),
        }
        .seal(self.opening)
    }
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// Who it says it is from.
    pub sender: UserRef,
    /// Who gets it.
    pub receiver: UserRef,
    /// In which kind of conversation.
    pub kind: ConversationKind,
    /// Whether the sender is a sending account: such a one gets no echo in his own log unless he has devices.
    pub account: bool,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// The notice's type, 0 for anything else.
    pub notification_type: i32,
    /// Options that are switched off.
    pub options_off: Options,
    /// Keyed hash of (sender, key, conversation), when the caller gave a key.
    pub key: Option<KeyedHash>,
    /// Digest of the caller's request.
    pub digest: Digest,
    /// Its terms, if it has any; a message to one receiver does not wait.
    pub terms: Option<Terms>,
    /// The message.
    pub body: SealedBody,
}

/// A message to be sent to several users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Who it says it is from.
    pub sender: UserRef,
    /// Who gets it.
    pub to: To,
    /// In which kind of conversation.
    pub kind: ConversationKind,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// The notice's type, 0 for anything else.
    pub notification_type: i32,
    /// Options that are switched off.
    pub options_off: Options,
    /// Keyed hash of (sender, key), when the caller gave a key.
    pub key: Option<[u8; 8]>,
    /// Digest of the caller's request, without its receivers.
    pub digest: Digest,
    /// Its terms, if it has any; a message to a list does not wait.
    pub terms: Option<Terms>,
    /// The message.
    pub body: SealedBody,
}

/// Who a message to several users goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum To {
    /// These, each named once; at most [`MAX_LISTED`](crate::limits::MAX_LISTED).
    Users(Vec<UserRef>),
    /// The members of an audience that is complete.
    Audience(AudienceNo),
    /// Everybody who is registered.
    Registered,
    /// Everybody who was ever seen.
    Seen,
}

/// What a user does to a conversation of theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Read it up to here.
    Read {
        /// The last message read.
        up_to: ConversationSeq,
    },
    /// Change settings; what is not given stays.
    Set {
        /// Whether it stands before the others in the list.
        pinned: Option<bool>,
        /// OpenIM's `recvMsgOpt`, 0 to 2.
        receive_option: Option<u8>,
        /// Whether it is hidden from the list until the next message.
        hidden: Option<bool>,
    },
    /// Delete messages for oneself; at most [`MAX_REMOVED`](crate::limits::MAX_REMOVED).
    Remove {
        /// Their places, in any order.
        messages: Vec<ConversationSeq>,
    },
    /// Delete everything up to here for oneself.
    Clear {
        /// The last message that goes.
        up_to: ConversationSeq,
    },
}
