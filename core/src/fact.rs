//! What happened, as data. Only `decide` makes facts. A released variant never changes and never moves: a new field is a new
//! variant at the end (bincode writes a variant by its place in this list).

use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;
use crate::id::{
    AudienceNo, ConversationSeq, DeviceNo, Digest, Epoch, KeyedHash, Position, Seq, Time, UserNo,
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
}

/// Why a message is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Withdrawal {
    /// Somebody recalled it.
    Recalled,
    /// A later message of the same collapse key took its place.
    Superseded,
    /// Its time was over.
    Expired,
}

/// What of a message is changed after it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// What it says.
    Content,
    /// The business status line shown with it.
    StatusLine,
}

/// Where a message is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedPlace {
    /// In which conversation it is.
    pub conversation: Conversation,
    /// Its place there.
    pub conversation_seq: ConversationSeq,
    /// The receiver.
    pub receiver: UserNo,
}

/// When a message may be delivered and how long it counts, where the caller said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Keyed hash of (sender, collapse key): a later message with it takes this one's place in the receiver's conversation.
    pub collapse: Option<[u8; 8]>,
    /// When the message is withdrawn.
    pub expires: Option<Time>,
    /// Before when it is delivered to nobody; only of a message that is fanned out.
    pub not_before: Option<Time>,
}

/// What a receiver says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// It was opened.
    Opened,
    /// It was confirmed, and so was opened too.
    Confirmed,
}

/// Where a message is recalled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecalledPlace {
    /// In which conversation it is.
    pub conversation: Conversation,
    /// Its place there.
    pub conversation_seq: ConversationSeq,
    /// The receiver.
    pub receiver: UserNo,
    /// Whether the receiver had not read it, and it counted.
    pub counted: bool,
}

/// A message that its receiver has deleted for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedMessage {
    /// Its place in the conversation.
    pub conversation_seq: ConversationSeq,
    /// What that does to the number of unread messages.
    pub counted: Counted,
}

/// What the removal of a message does to the number of unread messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counted {
    /// Nothing: it was read, or never counted.
    Not,
    /// It was taken out before, when it was recalled.
    Before,
    /// It is taken out now.
    Now,
}

/// What a user has set for a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationSettings {
    /// Whether it stands before the others in the user's list.
    pub pinned: bool,
    /// OpenIM's `recvMsgOpt`: 0 received and announced, 1 not received, 2 received without being announced.
    pub receive_option: u8,
    /// The head when the user hid it from the list: a later message shows it again. 0 when it is not hidden.
    pub hidden_at: ConversationSeq,
}

/// The skeleton of a message to several users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePosted {
    /// Who it says it is from. The record's `by` is who acted.
    pub sender: UserNo,
    /// In which kind of conversation each receiver gets it.
    pub kind: ConversationKind,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// The notice's `notificationType`, 0 for anything else.
    pub notification_type: i32,
    /// Which options are switched off.
    pub options_off: Options,
    /// Keyed hash of (sender, key), when the caller gave a key: the first half of the dedup key of each receiver.
    pub key: Option<[u8; 8]>,
    /// Digest of the caller's request.
    pub digest: Digest,
    /// Who gets it.
    pub audience: Audience,
    /// Its terms, if it has any.
    pub terms: Option<Terms>,
}

/// Who gets a message to several users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    /// These, with this record.
    Listed {
        /// Ascending, each written as the difference to the one before; at most
        /// [`MAX_LISTED`](crate::limits::MAX_LISTED).
        receivers: Vec<u64>,
        /// Which of them were never seen before, as places in `receivers`, ascending.
        new: Vec<u16>,
    },
    /// The members of an audience, with records that follow.
    Members {
        /// Which.
        audience: AudienceNo,
        /// How many they are.
        count: u64,
    },
    /// Everybody who is registered when the message is sent, with records that follow.
    Registered {
        /// The last user number given.
        last: UserNo,
    },
    /// Everybody who was ever seen, with records that follow.
    Seen {
        /// The last user number given.
        last: UserNo,
    },
}

/// The kinds of conversation that one sender and one receiver can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConversationKind {
    /// A single chat (OpenIM's sessionType 1).
    Single,
    /// The notification session of the sending account (OpenIM's sessionType 4).
    Notification,
}

impl ConversationKind {
    /// The conversation of this kind that a sender and a receiver have.
    #[must_use]
    pub fn between(self, sender: UserNo, receiver: UserNo) -> Conversation {
        match self {
            Self::Single => Conversation::single(sender, receiver),
            Self::Notification => Conversation::Notification {
                account: sender,
                receiver,
            },
        }
    }
}

impl MessagePosted {
    /// Those who get it with the message's own record, ascending. A sum beyond the range of numbers ends the list.
    pub fn listed(&self) -> impl Iterator<Item = UserNo> + '_ {
        let receivers: &[u64] = match &self.audience {
            Audience::Listed { receivers, .. } => receivers,
            Audience::Members { .. } | Audience::Registered { .. } | Audience::Seen { .. } => &[],
        };
        unpack_users(receivers)
    }

    /// Whether its receivers get it with records that follow its own.
    #[must_use]
    pub fn is_fanned_out(&self) -> bool {
        !matches!(self.audience, Audience::Listed { .. })
    }

    /// The dedup key of a message that is fanned out: the hash of (sender, key), and 3.
    #[must_use]
    pub fn task_dedup(key: [u8; 8]) -> KeyedHash {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&key);
        bytes[8] = 3;
        KeyedHash(bytes)
    }

    /// The dedup key of one receiver: the hash of (sender, key), the kind of conversation, and the user's number in 7 bytes.
    #[must_use]
    pub fn dedup(key: [u8; 8], kind: ConversationKind, receiver: UserNo) -> KeyedHash {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&key);
        bytes[8..].copy_from_slice(&receiver.0.to_be_bytes());
        bytes[8] = match kind {
            ConversationKind::Single => 1,
            ConversationKind::Notification => 2,
        };
        KeyedHash(bytes)
    }
}

/// Packs users' numbers that ascend.
#[must_use]
pub fn pack_users(sorted: &[UserNo]) -> Vec<u64> {
    let mut before = 0;
    let step = |user: &UserNo| user.0 - std::mem::replace(&mut before, user.0);
    sorted.iter().map(step).collect()
}

/// The numbers of a packed list of users. A sum beyond the range of numbers ends the list.
pub fn unpack_users(packed: &[u64]) -> impl Iterator<Item = UserNo> + '_ {
    packed.iter().scan(0_u64, |user, step| {
        *user = user.checked_add(*step)?;
        Some(UserNo(*user))
    })
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

/// The skeleton of a message: numbers, types and keyed hashes only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSent {
    /// Where it was sent; names the receiver.
    pub conversation: Conversation,
    /// Who it says it is from. The record's `by` is who acted.
    pub sender: UserNo,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// The notice's `notificationType`, 0 for anything else.
    pub notification_type: i32,
    /// Which options are switched off.
    pub options_off: Options,
    /// Whether the sender's own log gets an entry too.
    pub echo: bool,
    /// Whether the receiver was never seen before.
    pub new_receiver: bool,
    /// Keyed hash of (sender, key, conversation), when the caller gave a key.
    pub key: Option<KeyedHash>,
    /// Digest of the caller's request.
    pub digest: Digest,
    /// Its terms, if it has any.
    pub terms: Option<Terms>,
}

/// A set of message options, as bits. On the wire of OpenIM an absent option is on, so the set holds those that are off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options(pub u16);

impl Options {
    /// Names and bits, in the order of the bits.
    pub const NAMES: [(&'static str, Self); 9] = [
        ("history", Self::HISTORY),
        ("persistent", Self::PERSISTENT),
        ("offlinePush", Self::OFFLINE_PUSH),
        ("unreadCount", Self::UNREAD_COUNT),
        ("conversationUpdate", Self::CONVERSATION_UPDATE),
        ("senderSync", Self::SENDER_SYNC),
        ("notPrivate", Self(1 << 6)),
        ("senderConversationUpdate", Self::SENDER_CONVERSATION_UPDATE),
        ("senderNotificationPush", Self(1 << 8)),
    ];

    /// Whether a message with these options off counts as unread until it is read.
    #[must_use]
    pub fn counts_as_unread(self) -> bool {
        !self.contains(Self::UNREAD_COUNT)
    }

    /// The option that keeps a message in its receiver's history.
    pub const HISTORY: Self = Self(1);
    /// The option that has a message archived.
    pub const PERSISTENT: Self = Self(1 << 1);
    /// The option that lets a message be pushed to who is offline.
    pub const OFFLINE_PUSH: Self = Self(1 << 2);
    /// The option that lets a message count as unread.
    pub const UNREAD_COUNT: Self = Self(1 << 3);
    /// The option that lets a message move its conversation in the receiver's list.
    pub const CONVERSATION_UPDATE: Self = Self(1 << 4);
    /// The option that gives the sender's other devices a copy.
    pub const SENDER_SYNC: Self = Self(1 << 5);
    /// The option that lets a message move its conversation in the sender's list.
    pub const SENDER_CONVERSATION_UPDATE: Self = Self(1 << 7);

    /// Looks up an option by the name OpenIM gives it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, bit)| *bit)
    }

    /// Whether all options of `other` are in this set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// This set with those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// One cursor in a packed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedCursor {
    /// This cursor's user number less that of the cursor before (of 0 for the first).
    pub user_step: u64,
    /// Which of the user's devices.
    pub device: DeviceNo,
    /// Up to where it has stored the log.
    pub seq: Seq,
}

/// Packs cursors that are sorted by (user, device).
#[must_use]
pub fn pack_cursors(sorted: &[(UserNo, DeviceNo, Seq)]) -> Vec<PackedCursor> {
    let mut before = 0;
    sorted
        .iter()
        .map(|(user, device, seq)| {
            let user_step = user.0 - before;
            before = user.0;
            PackedCursor {
                user_step,
                device: *device,
                seq: *seq,
            }
        })
        .collect()
}

/// The cursors of a packed list, with their users' numbers. A sum beyond the range of numbers ends the list.
pub fn unpack_cursors(
    packed: &[PackedCursor],
) -> impl Iterator<Item = (UserNo, DeviceNo, Seq)> + '_ {
    packed.iter().scan(0_u64, |user, cursor| {
        *user = user.checked_add(cursor.user_step)?;
        Some((UserNo(*user), cursor.device, cursor.seq))
    })
}

/// How far the devices of one receiver have come in the messages of one tracked account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Who has them now.
    pub receiver: UserNo,
    /// Who sent them.
    pub account: UserNo,
    /// In which kind of conversation.
    pub kind: ConversationKind,
    /// The first of them.
    pub first: ConversationSeq,
    /// Up to where in it.
    pub up_to: ConversationSeq,
}

/// One [`Passed`] in a packed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedPassed {
    /// The receiver's number less that of the entry before (of 0 for the first).
    pub receiver_step: u64,
    /// Who sent them.
    pub account: UserNo,
    /// In which kind of conversation.
    pub kind: ConversationKind,
    /// The first of them.
    pub first: ConversationSeq,
    /// Up to where in it.
    pub up_to: ConversationSeq,
}

/// Packs what was passed, sorted by receiver.
#[must_use]
pub fn pack_passed(sorted: &[Passed]) -> Vec<PackedPassed> {
    let mut before = 0;
    let pack = |passed: &Passed| PackedPassed {
        receiver_step: passed.receiver.0 - std::mem::replace(&mut before, passed.receiver.0),
        account: passed.account,
        kind: passed.kind,
        first: passed.first,
        up_to: passed.up_to,
    };
    sorted.iter().map(pack).collect()
}

/// What a packed list says. A sum beyond the range of numbers ends the list.
pub fn unpack_passed(packed: &[PackedPassed]) -> impl Iterator<Item = Passed> + '_ {
    packed.iter().scan(0_u64, |receiver, passed| {
        *receiver = receiver.checked_add(passed.receiver_step)?;
        Some(Passed {
            receiver: UserNo(*receiver),
            account: passed.account,
            kind: passed.kind,
            first: passed.first,
            up_to: passed.up_to,
        })
    })
}
