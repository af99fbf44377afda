//! Rules version 1. Frozen once released: a change of behaviour is a new folder beside this one.

mod apply;
mod decide;
pub(crate) mod gaps;
pub(crate) mod limits;
mod search;

pub(super) use apply::apply;
pub(super) use apply::joined::{is_joined, join, may_join};
pub(super) use decide::{Fanned, decide};
pub(super) use search::{delivering, user_entry as find_user_entry};

use crate::outcome::StateError;

/// A number counted on from one that a row of `family` holds. A row at the end of the range was not written by us.
fn counted_on<N>(next: Option<N>, family: &'static str) -> Result<N, StateError> {
    next.ok_or_else(|| StateError::Corrupt {
        family,
        reason: "it has counted to the end of its range".to_owned(),
    })
}
