//! `apply`: what a record does to the views. Folded rows follow from records alone; joined rows from bodies, see
//! [`joined`](super::joined).
//!
//! After a crash a store gives back the rows of updated families exactly as of one position, while rows of appended families may
//! already be as of any later one, with or without the changes made to them since; the records after the first position are
//! then applied again. So whatever is computed here is computed from updated families; a row of an appended family is written
//! as this record leaves it, whatever stood there.

use super::limits::{CHAIN_MARK_EVERY, MAX_DEVICES_PER_USER, MAX_TIME_AHEAD_MS};
use super::{counted_on, search};
use crate::fact::{Fact, MessageSent, Revoked, unpack_cursors};
use crate::hash;
use crate::id::{ConversationSeq, DeviceNo, Hash, KeyedHash, Position, Seq, Time, UserNo};
use crate::outcome::{Sent, StateError};
use crate::record::Record;
use crate::rules::{Applied, Delivered};
use crate::state::{
    ConversationLogRow, ConversationRow, DedupRow, DeviceNameRow, DeviceRow, DevicesRow, EntryKind,
    ErasedRow, Family, Overlay, ProfileRow, RegistrationRow, SettingsKey, SettingsRow, State,
    StateExt, TokenCutRow, TokenRow, UserHeadRow, UserIdRow, UserLogRow, UserRow,
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
        Fact::UserRegistered { user } => state.append(*user, &RegistrationRow { position }),
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
        Fact::MessageSent(message) => applied = send(state, record, message, leaf)?,
        Fact::Reached { cursors } => {
            for (user, device, seq) in unpack_cursors(cursors) {
                reach(state, position, user, device, seq)?;
            }
        }
        Fact::BodyErased { position: whose } => {
            erase(state, position, *whose)?;
            applied.erased = Some(*whose);
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

fn send<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    message: &MessageSent,
    leaf: &Hash,
) -> Result<Applied, StateError> {
    let position = record.position;
    let conversation = message.conversation;
    let before = state.row::<ConversationRow>(conversation)?;
    let (head, after) = before.map_or((ConversationSeq(0), 0), |row| {
        (row.head, row.last_time.0.saturating_add(1))
    });
    let ahead_ms = u16::try_from(after.saturating_sub(record.time.0))
        .map_or(MAX_TIME_AHEAD_MS, |ahead| ahead.min(MAX_TIME_AHEAD_MS));
    let time = Time(record.time.0.saturating_add(u64::from(ahead_ms)));
    let conversation_seq = counted_on(head.checked_next(), Family::Conversations.name())?;
    state.put(
        conversation,
        &ConversationRow {
            head: conversation_seq,
            last: position,
            last_time: time,
        },
    );
    state.append(
        (conversation, conversation_seq),
        &ConversationLogRow {
            position,
            ahead_ms,
            changed_by: None,
        },
    );
    if let Some(key) = message.key {
        state.append(key, &DedupRow { position });
    }
    let entry = UserLogRow {
        position,
        kind: EntryKind::Message,
        message: None,
        conversation_seq,
        ahead_ms,
        mark: None,
    };
    let receiver = conversation.other(message.sender);
    let delivered = deliver(state, receiver, entry, leaf)?;
    let mut applied = Applied {
        delivered: vec![delivered],
        sent: Some(Sent {
            position,
            time,
            conversation_seq,
            receiver,
            seq: Some(delivered.seq),
            new_receiver: message.new_receiver,
            repeated: false,
        }),
        erased: None,
    };
    if message.echo {
        applied
            .delivered
            .push(deliver(state, message.sender, entry, leaf)?);
    }
    Ok(applied)
}

/// Puts an entry at the end of a user's log, whose delivering record is also the message's.
fn deliver<S: State>(
    state: &mut Overlay<S>,
    user: UserNo,
    mut entry: UserLogRow,
    leaf: &Hash,
) -> Result<Delivered, StateError> {
    let end = match state.row::<UserHeadRow>(user)? {
        Some(end) => end,
        None => UserHeadRow {
            head: Seq(0),
            floor: Seq(1),
            chain: hash::chain_start(&epoch(state, entry.position)?, user),
        },
    };
    let seq = counted_on(end.head.checked_next(), Family::UserHeads.name())?;
    let chain = hash::chain_link(&end.chain, seq, entry.kind.number(), leaf, leaf);
    entry.mark = seq.0.is_multiple_of(CHAIN_MARK_EVERY).then_some(chain);
    state.append((user, seq), &entry);
    state.put(
        user,
        &UserHeadRow {
            head: seq,
            chain,
            ..end
        },
    );
    Ok(Delivered { user, seq })
}

fn epoch<S: State>(state: &S, position: Position) -> Result<crate::id::Epoch, StateError> {
    match state.row(SettingsKey::Genesis)? {
        Some(SettingsRow::Genesis(epoch)) => Ok(epoch),
        _ => Err(StateError::Impossible {
            position,
            reason: "there is no genesis",
        }),
    }
}

fn reach<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    user: UserNo,
    device: DeviceNo,
    seq: Seq,
) -> Result<(), StateError> {
    let Some(mut row) = state.row::<DevicesRow>(user)? else {
        return Ok(());
    };
    if let Some(known) = row.devices.iter_mut().find(|known| known.device == device) {
        known.reached = known.reached.max(seq);
        known.heard = position;
        state.put(user, &row);
    }
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
        Fact::MessageSent(message) => {
            let place = search::conversation_entry(state, message.conversation, whose)?;
            if let Some((seq, mut row)) = place {
                row.changed_by = Some(position);
                state.put((message.conversation, seq), &row);
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
