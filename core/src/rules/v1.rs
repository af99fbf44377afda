//! Rules version 1. Frozen once released: a change of behaviour is a new folder beside this one.

mod apply;
mod decide;
mod search;

pub(super) use apply::{apply, is_joined, join};
pub(super) use decide::decide;
pub(super) use search::user_entry as find_user_entry;
