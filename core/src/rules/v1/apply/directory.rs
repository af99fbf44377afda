//! `apply` for registrations that end and begin again, and for the floor of a log.

use super::super::search::present;
use crate::id::{Position, Seq, UserNo};
use crate::outcome::StateError;
use crate::state::{Family, Overlay, RegistrationRow, State, StateExt, UserHeadRow};

/// The registration takes a turn at `position`. The row's first position never changes; the turns before are the fact's, because
/// those of the row may already be, or not yet be, those of a later record.
pub fn turn<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    user: UserNo,
    before: &[Position],
) -> Result<(), StateError> {
    let row = state.row::<RegistrationRow>(user)?;
    let first = present(row, Family::Registrations.name())?.position;
    let mut turns = Vec::with_capacity(before.len() + 1);
    turns.extend_from_slice(before);
    turns.push(position);
    let row = RegistrationRow {
        position: first,
        turns,
    };
    state.put(user, &row);
    Ok(())
}

/// The log begins at `floor`.
pub fn trim<S: State>(state: &mut Overlay<S>, user: UserNo, floor: Seq) -> Result<(), StateError> {
    let row = state.row::<UserHeadRow>(user)?;
    let row = present(row, Family::UserHeads.name())?;
    state.put(user, &UserHeadRow { floor, ..row });
    Ok(())
}
