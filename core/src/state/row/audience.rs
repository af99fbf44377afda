//! Audiences: their names, members and refused lines.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::id::{AudienceNo, KeyedHash, Position, UserNo};
use crate::state::family::Family;

/// One generation of an audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceRow {
    /// The record that began it.
    pub begun: Position,
    /// Who began it.
    pub by: UserNo,
    /// Keyed hash of its name.
    pub name: KeyedHash,
    /// Lines of its list used up so far.
    pub lines: u64,
    /// Its members.
    pub members: u64,
    /// Lines that were refused.
    pub refused: u64,
    /// The record that completed it.
    pub complete: Option<Position>,
}
row!(AudienceRow, Audiences, AudienceNo);

/// What the name of an audience stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceNameRow {
    /// Its newest complete generation.
    pub audience: AudienceNo,
}
row!(AudienceNameRow, AudienceNames, KeyedHash);

/// That a user is in an audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceMemberRow {
    /// The record that said so.
    pub position: Position,
}
row!(AudienceMemberRow, AudienceMembers, (AudienceNo, UserNo));

/// Lines of an audience's list that were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRow {
    /// The record whose body names them.
    pub position: Position,
    /// How many.
    pub count: u32,
}
row!(RefusedRow, Refused, (AudienceNo, Position));
