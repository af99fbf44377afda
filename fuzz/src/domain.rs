//! What disks hold: records, facts, commands, bodies, rows; and ids.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use waybill_core::body::{self, Body};
use waybill_core::codec;
use waybill_core::command::Stamped;
use waybill_core::fact::Fact;
use waybill_core::id::{Position, check_id};
use waybill_core::limits::{MAX_ID_BYTES, MAX_RECORD_BYTES};
use waybill_core::message_id::MessageIdKey;
use waybill_core::outcome::{Answer, Refusal};
use waybill_core::record::Record;
use waybill_core::state::*;

/// What is accepted is written in one form, never longer than what was read, and that is read as the same.
pub fn fixed<T: Serialize + for<'a> Deserialize<'a> + PartialEq + Debug>(input: &[u8]) {
    if let Ok(value) = codec::decode::<T>(input) {
        let written = codec::encode(&value);
        assert!(
            written.len() <= input.len(),
            "the form that is written is the shortest"
        );
        assert_eq!(codec::decode::<T>(&written).as_ref(), Ok(&value));
    }
}

pub fn records(input: &[u8]) {
    // The record says itself where it belongs.
    if let Ok(record) = codec::decode::<Record>(input) {
        let position = record.position;
        if let Ok(canonical) = Record::decode_canonical(position, input) {
            assert_eq!(canonical, record);
            assert_eq!(canonical.encode().as_deref(), Some(input), "byte for byte");
            assert!(input.len() <= MAX_RECORD_BYTES);
            let other = Position(position.0.wrapping_add(1));
            assert!(
                Record::decode(other, input).is_err(),
                "it is at no other place"
            );
        }
    }
    fixed::<Record>(input);
    fixed::<Fact>(input);
    fixed::<Body>(input);
    fixed::<Stamped>(input);
    fixed::<Result<Answer, Refusal>>(input);
    let _ = (
        body::decode_stored(input),
        body::commitment_of_stored(input),
    );
}

pub fn rows(input: &[u8]) {
    macro_rules! each {
        ($($name:ident)+) => { $(fixed::<$name>(input);)+ };
    }
    each! {
        AccountRow AudienceMemberRow AudienceNameRow AudienceRow ChangesRow CollapseRow ControlLogRow ConversationLogRow
        ConversationRow DedupRow DeviceNameRow DevicesRow EarlyRow ErasedRow FanoutChunkRow FanoutRow MarkRow MembershipRow
        ProfileRow RefusedRow RegistrationRow RemovedRow SettingsRow StatusRow StatusTimeRow TimerRow TokenCutRow TokenRow
        UserConversationRow UserHeadRow UserIdRow UserLogRow UserRow VersionRow
    }
}

pub fn ids(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if check_id(text).is_ok() {
        assert!((1..=MAX_ID_BYTES).contains(&text.len()));
    }
    let key = MessageIdKey::new(&[7; 16]);
    if let Some(message) = key.open(text) {
        assert_eq!(key.id(&message), text.to_ascii_lowercase());
    }
}
