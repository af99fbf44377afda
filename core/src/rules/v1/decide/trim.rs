//! `decide` for the floor of a user's log.

use super::{bare, facts};
use crate::fact::Fact;
use crate::id::{Seq, UserNo};
use crate::outcome::{Outcome, Refusal, StateError};
use crate::rules::Decision;
use crate::state::{Scan, StateExt, UserHeadRow};

/// Raises the floor: never back, and no further than to the place behind the head.
pub fn trim<'a, S: Scan>(state: &S, user: UserNo, floor: Seq) -> Result<Decision<'a>, StateError> {
    let row = state.row::<UserHeadRow>(user)?;
    let (head, before) = row.map_or((Seq(0), Seq(1)), |row| (row.head, row.floor));
    if floor > head.next() {
        return Ok(Decision::Refused(Refusal::BeyondLog));
    }
    if floor <= before {
        return Ok(Decision::Known(Outcome::Done));
    }
    Ok(facts([bare(Fact::LogTrimmed { user, floor })]))
}
