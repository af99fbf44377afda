//! `apply` for restores.

use super::super::gaps::restores;
use super::super::limits::{MAX_RESTORE_GAP, MAX_RESTORES};
use crate::epochs::{Epochs, Restore};
use crate::id::{Epoch, Position};
use crate::outcome::StateError;
use crate::state::{Overlay, SettingsKey, SettingsRow, State, StateExt};

/// The ledger before `position` is of the epoch `from`, and goes on as another.
pub fn restored<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    from: Epoch,
    restore: (Epoch, u64),
) -> Result<(), StateError> {
    let (epoch, gap) = restore;
    let mut restores = restores(state)?;
    let first = match state.row(SettingsKey::Genesis)? {
        Some(SettingsRow::Genesis(first)) => first,
        _ => from,
    };
    let current = Epochs::new(first, restores.clone()).current();
    if current != from
        || epoch.number() <= from.number()
        || !(1..=MAX_RESTORE_GAP).contains(&gap)
        || restores.len() >= MAX_RESTORES
    {
        return Err(StateError::Impossible {
            position,
            reason: "it restores another history than this, or not as one that comes after it",
        });
    }
    restores.push(Restore {
        position,
        epoch,
        gap,
    });
    state.put(SettingsKey::Restores, &SettingsRow::Restores(restores));
    Ok(())
}
