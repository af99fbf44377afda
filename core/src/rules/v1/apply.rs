//! `apply`: what a record does to the views. Folded rows follow from records alone; joined rows from bodies, see
//! [`joined`].
//!
//! After a crash a store gives back the rows of updated families exactly as of one position, while rows of appended families may
//! already be as of any later one, with or without the changes made to them since; the records after the first position are
//! then applied again. So whatever is computed here is computed from updated families; a row of an appended family is written
//! as this record leaves it, whatever stood there.

mod audience;
mod change;
mod deliver;
mod directory;
mod fanout;
pub(super) mod joined;
mod restore;
mod status;
mod tended;
mod timer;

use super::limits::MAX_DEVICES_PER_USER;
use super::search;
use crate::conversation::Conversation;
use crate::fact::{Fact, Revoked};
use crate::id::{DeviceNo, Hash, KeyedHash, Position, Seq, UserNo};
use crate::outcome::StateError;
use crate::record::Record;
use crate::rules::Applied;
use crate::state::{
    DeviceNameRow, DeviceRow, DevicesRow, ErasedRow, Overlay, ProfileRow, RegistrationRow,
    SettingsKey, SettingsRow, State, StateExt, TokenCutRow, TokenRow, UserIdRow, UserRow,
};

pub fn apply<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    leaf: &Hash,
) -> Result<Applied, StateError> {
    let position = record.position;
    let mut applied = Applied::default();
    match &record.fact {
        Fact::Genesis { epoch, rules } => {
            state.put(SettingsKey::Genesis, &SettingsRow::Genesis(*epoch));
            state.put(SettingsKey::Rules, &SettingsRow::Rules(*rules));
        }
        Fact::RulesChanged { rules } => state.put(SettingsKey::Rules, &SettingsRow::Rules(*rules)),
        Fact::PolicyChanged(policy) => {
            state.put(SettingsKey::Policy, &SettingsRow::Policy(*policy))
        }
        Fact::UserSeen { user, id } => {
            state.append(
                *id,
                &UserIdRow {
                    position,
                    user: *user,
                },
            );
            state.put(SettingsKey::Users, &SettingsRow::Users(*user));
        }
        Fact::UserRegistered { user } => state.append(*user, &RegistrationRow::new(position)),
        Fact::DeviceSeen {
            user,
            device,
            id,
            platform,
        } => see_device(state, position, *user, *device, *id, *platform)?,
        Fact::TokenIssued {
            user,
            platform,
            token,
            expires,
        } => {
            state.append(
                *token,
                &TokenRow {
                    position,
                    user: *user,
                    platform: *platform,
                    expires: *expires,
                    revoked: None,
                },
            );
        }
        Fact::TokensRevoked { user, which } => revoke(state, position, *user, *which)?,
        Fact::MessageSent(message) => applied = deliver::sent(state, record, message, leaf)?,
        Fact::MessagePosted(message) => applied = deliver::posted(state, record, message, leaf)?,
        Fact::Delivered {
            message,
            receivers,
            next,
            early,
        } => {
            let chunk = fanout::Chunk {
                message: *message,
                receivers,
                next: *next,
                early: *early,
            };
            applied = chunk.deliver(state, record, leaf)?;
        }
        Fact::FanoutRecalled { message, why } => {
            fanout::recalled(state, position, *message, *why)?;
        }
        Fact::FanoutReleased { message } => fanout::released(state, record, *message)?,
        Fact::FanoutChanged { message, part } => {
            fanout::changed(state, position, *message, *part)?;
        }
        Fact::MessageChanged { .. } | Fact::ChangeTold { .. } => {
            applied.delivered = change::apply(state, record, leaf)?;
        }
        Fact::AudienceBegun { .. }
        | Fact::AudienceFilled { .. }
        | Fact::ReceiversRefused { .. }
        | Fact::AudienceCommitted { .. } => audience::apply(state, record)?,
        Fact::ConversationRead { .. }
        | Fact::ConversationSet { .. }
        | Fact::MessagesRemoved { .. }
        | Fact::ConversationCleared { .. }
        | Fact::MessageRecalled { .. } => {
            applied = tended::apply(state, record, leaf)?;
        }
        Fact::Reached { cursors, passed } => {
            applied = status::reached(state, record, cursors, passed)?;
        }
        Fact::Marked { .. } => applied = status::marked(state, record, leaf)?,
        Fact::AccountTracked { account, on } => status::tracked(state, *account, *on)?,
        Fact::BodyErased { position: whose } => {
            erase(state, position, *whose)?;
            applied.erased = Some(*whose);
        }
        // The row of the first is joined; the other is for auditors alone.
        Fact::UserUpdated { .. } | Fact::OnlineTold { .. } => {}
        Fact::UserUnregistered { user, turns } | Fact::UserRegisteredAgain { user, turns } => {
            directory::turn(state, position, *user, turns)?;
        }
        Fact::LogTrimmed { user, floor } => directory::trim(state, *user, *floor)?,
        Fact::Restored { epoch, from, gap } => {
            restore::restored(state, position, *from, (*epoch, *gap))?;
        }
    }
    Ok(applied)
}

fn see_device<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    user: UserNo,
    device: DeviceNo,
    id: KeyedHash,
    platform: u8,
) -> Result<(), StateError> {
    let mut row = state.row::<DevicesRow>(user)?.unwrap_or_default();
    if row.devices.len() >= MAX_DEVICES_PER_USER {
        let quietest = row
            .devices
            .iter()
            .min_by_key(|known| known.heard)
            .map(|known| known.device);
        row.devices.retain(|known| Some(known.device) != quietest);
    }
    row.last = device;
    row.devices.push(DeviceRow {
        device,
        id,
        platform,
        reached: Seq(0),
        heard: position,
    });
    state.put(user, &row);
    Ok(())
}

fn revoke<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    user: UserNo,
    which: Revoked,
) -> Result<(), StateError> {
    if let Revoked::One(token) = which {
        if let Some(mut row) = state.row::<TokenRow>(token)? {
            row.revoked = Some(position);
            state.put(token, &row);
        }
        return Ok(());
    }
    let mut cuts = state.row::<TokenCutRow>(user)?.unwrap_or_default();
    match which {
        Revoked::All | Revoked::One(_) => cuts.all = position,
        Revoked::Platform(platform) => match cuts
            .platforms
            .binary_search_by_key(&platform, |(platform, _)| *platform)
        {
            Ok(at) => cuts.platforms[at].1 = position,
            Err(at) => cuts.platforms.insert(at, (platform, position)),
        },
    }
    state.put(user, &cuts);
    Ok(())
}

/// Marks the erasure, and removes the joined row that came from the erased body, if no later one has taken its place.
fn erase<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    whose: Position,
) -> Result<(), StateError> {
    let record = state.decoded_record(whose)?.filter(|_| whose < position);
    let Some(record) = record.filter(|record| record.commitment.is_some()) else {
        return Err(StateError::Impossible {
            position,
            reason: "it erases a body that no earlier record has",
        });
    };
    state.append(whose, &ErasedRow { position });
    match record.fact {
        Fact::MessageSent(message) => mark_erased(state, position, whose, message.conversation)?,
        Fact::MessagePosted(message) => {
            // Of the others a reader finds out by the row of the erasure alone.
            for receiver in message.listed() {
                let conversation = message.kind.between(message.sender, receiver);
                mark_erased(state, position, whose, conversation)?;
            }
        }
        Fact::UserSeen { user, .. }
            if state
                .row::<UserRow>(user)?
                .is_some_and(|row| row.position == whose) =>
        {
            state.delete::<UserRow>(user);
        }
        Fact::UserRegistered { user }
        | Fact::UserUpdated { user }
        | Fact::UserRegisteredAgain { user, .. }
            if state
                .row::<ProfileRow>(user)?
                .is_some_and(|row| row.position == whose) =>
        {
            state.delete::<ProfileRow>(user);
        }
        Fact::DeviceSeen { user, device, .. }
            if state
                .row::<DeviceNameRow>((user, device))?
                .is_some_and(|row| row.position == whose) =>
        {
            state.delete::<DeviceNameRow>((user, device));
        }
        _ => {}
    }
    Ok(())
}

fn mark_erased<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    whose: Position,
    conversation: Conversation,
) -> Result<(), StateError> {
    if let Some((seq, mut row)) = search::conversation_entry(state, conversation, whose)? {
        row.changed_by = Some(position);
        state.put((conversation, seq), &row);
    }
    Ok(())
}
