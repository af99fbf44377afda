//! An entry of a user's log, as a device pulls it.

use serde::{Deserialize, Serialize};

use crate::body::OfflinePush;
use crate::codec::{self, CodecError};
use crate::fact::Options;
use crate::id::{ConversationSeq, Seq, Time};

/// The kind of an entry that is a message: its payload is a [`MessageEntry`].
pub const MESSAGE: u8 = 1;

/// A conversation was read up to a place, by the log's owner or by the other party of a single chat. The payload of this kind
/// and of the following is a [`NoteEntry`].
pub const READ: u8 = 2;
/// The log's owner has changed settings of a conversation.
pub const SETTINGS: u8 = 3;
/// A message was recalled.
pub const RECALLED: u8 = 4;
/// The log's owner has deleted messages for themselves.
pub const REMOVED: u8 = 5;
/// The log's owner has deleted everything up to a place of a conversation for themselves.
pub const CLEARED: u8 = 6;
/// The log's owner has opened or confirmed a message.
pub const MARKED: u8 = 7;
/// A message was changed.
pub const CHANGED: u8 = 8;
/// Nothing: a restore of the server's ledger left the place out. The payload is empty.
pub const SKIPPED: u8 = 9;

/// One entry. A device stores entries of kinds that it does not know as they are, and moves its cursor past them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the user's log.
    pub seq: Seq,
    /// What it is, and with that what its payload is.
    pub kind: u8,
    /// The time shown on it.
    pub time: Time,
    /// The rest.
    #[serde(with = "codec::raw")]
    pub payload: Vec<u8>,
}

impl Entry {
    /// An entry that is a message.
    #[must_use]
    pub fn message(seq: Seq, time: Time, message: &MessageEntry) -> Self {
        Self {
            seq,
            kind: MESSAGE,
            time,
            payload: codec::encode(message),
        }
    }

    /// An entry that is no message, of this kind.
    #[must_use]
    pub fn note(seq: Seq, kind: u8, time: Time, note: &NoteEntry) -> Self {
        Self {
            seq,
            kind,
            time,
            payload: codec::encode(note),
        }
    }

    /// That a place was left out.
    #[must_use]
    pub fn skipped(seq: Seq, time: Time) -> Self {
        Self {
            seq,
            kind: SKIPPED,
            time,
            payload: Vec::new(),
        }
    }

    /// The note, or `None` when the entry is a message or of a kind that this program does not know.
    ///
    /// # Errors
    /// When the payload is malformed.
    pub fn as_note(&self) -> Result<Option<NoteEntry>, CodecError> {
        if (READ..=CHANGED).contains(&self.kind) {
            codec::decode(&self.payload).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The message, or `None` when the entry is of another kind.
    ///
    /// # Errors
    /// When the payload is malformed.
    pub fn as_message(&self) -> Result<Option<MessageEntry>, CodecError> {
        if self.kind == MESSAGE {
            codec::decode(&self.payload).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// The payload of an entry of kind [`MESSAGE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageEntry {
    /// In which conversation.
    pub place: Place,
    /// Its place there.
    pub conversation_seq: ConversationSeq,
    /// Who it is from.
    pub sender: String,
    /// The server's id of the message: the 16 bytes behind its 32 hexadecimal digits.
    pub server_msg_id: [u8; 16],
    /// The sender's id of the message, or the one derived for it.
    pub client_msg_id: String,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// The notice's `notificationType`, 0 for anything else.
    pub notification_type: i32,
    /// Options that are switched off.
    pub options_off: Options,
    /// The sender's name as the sender gave it.
    pub sender_nickname: String,
    /// The sender's picture as the sender gave it.
    pub sender_face_url: String,
    /// The platform the sender claims.
    pub sender_platform: i32,
    /// The sender's own time for the message.
    pub created: Option<Time>,
    /// What a push shows.
    pub offline_push: Option<OfflinePush>,
    /// The body was erased: everything that the sender said is empty.
    pub erased: bool,
    /// What was said, as the sender wrote it.
    #[serde(with = "codec::raw")]
    pub content: Vec<u8>,
}

/// The payload of an entry that is no message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteEntry {
    /// In which conversation.
    pub place: Place,
    /// The place there that it speaks of: up to where it was read or cleared, which message was recalled, the last one that was
    /// deleted; 0 for none in particular.
    pub conversation_seq: ConversationSeq,
    /// Who did it.
    pub by: String,
    /// Of a recall and of a mark: the server's id of the message.
    pub server_msg_id: Option<[u8; 16]>,
    /// Of settings: how they are now.
    pub settings: Option<Settings>,
    /// Of deleted messages: their places.
    pub messages: Vec<ConversationSeq>,
    /// Of a mark: whether the message is confirmed; else it is opened.
    pub confirmed: bool,
}

/// What a user has set for a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether it stands before the others in the user's list.
    pub pinned: bool,
    /// OpenIM's `recvMsgOpt`: 0 received and announced, 1 not received, 2 received without being announced.
    pub receive_option: u8,
    /// Whether it is hidden from the list until the next message.
    pub hidden: bool,
}

/// A conversation, as the owner of the log sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// 1 single chat, 2 notification session; others may come.
    pub kind: u8,
    /// The other party: of a single chat the peer (or the owner, who writes to himself), of a notification session the
    /// sending account (or, in that account's own log, the receiver).
    pub peer: String,
}

impl Place {
    /// A single chat.
    pub const SINGLE: u8 = 1;
    /// A notification session.
    pub const NOTIFICATION: u8 = 2;
}
