//! Lists that ascend by user, written as differences: of users, of cursors, and of what devices have passed.

use serde::{Deserialize, Serialize};

use super::conversation::ConversationKind;
use crate::id::{ConversationSeq, DeviceNo, Seq, UserNo};

/// Packs users' numbers that ascend.
#[must_use]
pub fn pack_users(sorted: &[UserNo]) -> Vec<u64> {
    let mut before = 0;
    let step = |user: &UserNo| user.0 - std::mem::replace(&mut before, user.0);
    sorted.iter().map(step).collect()
}

/// The numbers of a packed list of users. A sum beyond the range of numbers ends the list.
pub fn unpack_users(packed: &[u64]) -> impl Iterator<Item = UserNo> + Clone + '_ {
    packed.iter().scan(0_u64, |user, step| {
        *user = user.checked_add(*step)?;
        Some(UserNo(*user))
    })
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
