//! What the contents of messages are, by contentType: fields, what is required, which options are off. It is data alone; who
//! reads contents walks it. Contents are kept byte for byte, so fields that stand in no table pass.

use crate::command::ConversationKind;
use crate::fact::Options;

mod elements;
mod shown;

pub use elements::*;
pub use shown::{LINK_SCHEMES, Meaning, Unfit};

/// Most fields of one element.
pub const MAX_FIELDS: usize = 16;

/// The contentType of a text.
pub const TEXT_TYPE: u32 = 101;

/// The contentType of an OA notification.
pub const NOTICE_TYPE: u32 = 1400;

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number of 32 bits, with its sign.
    Int32,
    /// A whole number of 64 bits, with its sign.
    Int64,
    /// A number with a fraction. It may be 0 where it is required: 0° is a place.
    Float,
    /// True or false.
    Flag,
    /// A list of texts. It may be empty where it is required.
    Texts,
    /// Another element.
    Element(&'static Element),
    /// A list of elements. It may be empty where it is required.
    Elements(&'static Element),
}

/// Whether a field must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It may be left out.
    Optional,
    /// A client can show nothing without it. The original does not ask for it, so its dialect takes contents without;
    /// the native surfaces refuse them.
    Shown,
    /// It must be there and not be zero or empty, on every surface.
    Required,
}

/// One field of an element.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key in JSON.
    pub json: &'static str,
    /// Its name in the original's struct, for the texts of its errors.
    pub go: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Whether it must be there.
    pub need: Need,
    /// What a client makes of its text.
    pub meaning: Meaning,
}

/// The content of one kind of message, or a part of it.
#[derive(Debug)]
pub struct Element {
    /// The name of the original's struct.
    pub name: &'static str,
    /// Its fields, in the original's order: at most [`MAX_FIELDS`].
    pub fields: &'static [Field],
}

/// One contentType that may be sent.
#[derive(Debug)]
pub struct ContentType {
    /// OpenIM's number.
    pub number: u32,
    /// What it is, in a word or two.
    pub name: &'static str,
    /// What its content is.
    pub element: &'static Element,
    /// The kind of conversation it goes to when the caller names none.
    pub conversation: ConversationKind,
    /// The options that are off unless the caller says otherwise.
    pub off: Options,
    /// The field that is the whole content in OpenIM's frames, which therefore must be a string.
    pub bare: Option<&'static str>,
}

/// Looks up a contentType; `None` for one that cannot be sent.
#[must_use]
pub fn content_type(number: i64) -> Option<&'static ContentType> {
    TABLE.iter().find(|row| i64::from(row.number) == number)
}

/// The elements of a notice that each `mixType` needs: 0 text alone, 1 with a picture, 2 with a video, 3 with a file (the
/// article); 4 with sound, 5 with sound and a picture (the original's later documentation).
pub const MIX_TYPES: [&[&str]; 6] = [
    &[],
    &["pictureElem"],
    &["videoElem"],
    &["fileElem"],
    &["soundElem"],
    &["soundElem", "pictureElem"],
];

/// A recall asks for no attention.
const RECALL_OFF: Options = Options::UNREAD_COUNT.with(Options::OFFLINE_PUSH);

/// A receipt changes what is known of another message; no conversation moves for it.
const RECEIPT_OFF: Options = RECALL_OFF
    .with(Options::CONVERSATION_UPDATE)
    .with(Options::SENDER_CONVERSATION_UPDATE);

/// What only who is online is to see. The original sends pushes for it, to people who then find nothing: not so here.
const ONLINE_OFF: Options = Options::HISTORY
    .with(Options::PERSISTENT)
    .with(Options::SENDER_SYNC)
    .with(Options::CONVERSATION_UPDATE)
    .with(Options::OFFLINE_PUSH);

/// Typing is nothing a minute later.
const TYPING_OFF: Options = RECEIPT_OFF.with(ONLINE_OFF);

const fn chat(number: u32, name: &'static str, element: &'static Element) -> ContentType {
    ContentType {
        number,
        name,
        element,
        conversation: ConversationKind::Single,
        off: Options(0),
        bare: None,
    }
}

impl ContentType {
    const fn off(self, off: Options) -> Self {
        Self { off, ..self }
    }

    const fn bare(self, field: &'static str) -> Self {
        Self {
            bare: Some(field),
            ..self
        }
    }
}

/// Every contentType that may be sent. Options: the original's message service sets them so for 111 to 113 and its manager
/// API for 119 and 120; for 116 and 118 its clients do. It forgets them when a caller names no option at all, which is not
/// repeated here.
pub const TABLE: &[ContentType] = &[
    chat(TEXT_TYPE, "text", &TEXT).bare("text"),
    chat(102, "picture", &PICTURE),
    chat(103, "voice", &SOUND),
    chat(104, "video", &VIDEO),
    chat(105, "file", &FILE),
    chat(106, "text that mentions", &AT),
    chat(107, "merged messages", &MERGED),
    chat(108, "card", &CARD),
    chat(109, "location", &LOCATION),
    chat(110, "custom", &CUSTOM),
    chat(111, "recall", &REVOKE)
        .off(RECALL_OFF)
        .bare("revokeMsgClientID"),
    chat(112, "read receipt", &RECEIPT).off(RECEIPT_OFF),
    chat(113, "typing", &TYPING).off(TYPING_OFF),
    chat(114, "quote", &QUOTE),
    chat(115, "face", &FACE),
    chat(116, "read receipt of a group", &RECEIPT).off(RECEIPT_OFF),
    chat(117, "text with entities", &ADVANCED_TEXT),
    chat(118, "recall, told", &REVOKED).off(RECALL_OFF),
    chat(119, "custom, the conversation stays", &CUSTOM).off(Options::CONVERSATION_UPDATE),
    chat(120, "custom, for who is online", &CUSTOM).off(ONLINE_OFF),
    ContentType {
        conversation: ConversationKind::Notification,
        ..chat(NOTICE_TYPE, "notification", &OA_NOTIFICATION)
    },
];

#[cfg(test)]
mod tests;
