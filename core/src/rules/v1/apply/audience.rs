//! `apply` for audiences.

use super::super::search::present;
use crate::fact::{Fact, unpack_users};
use crate::id::AudienceNo;
use crate::outcome::StateError;
use crate::record::Record;
use crate::state::{
    AudienceMemberRow, AudienceNameRow, AudienceRow, Family, Overlay, RefusedRow, SettingsKey,
    SettingsRow, State, StateExt,
};

pub fn apply<S: State>(state: &mut Overlay<S>, record: &Record) -> Result<(), StateError> {
    let position = record.position;
    match &record.fact {
        Fact::AudienceBegun { audience, name } => {
            let row = AudienceRow {
                begun: position,
                by: record.by,
                name: *name,
                lines: 0,
                members: 0,
                refused: 0,
                complete: None,
            };
            state.put(*audience, &row);
            state.put(SettingsKey::Audiences, &SettingsRow::Audiences(*audience));
        }
        Fact::AudienceFilled {
            audience,
            lines,
            members,
        } => {
            let mut row = row(state, *audience)?;
            for user in unpack_users(members) {
                state.append((*audience, user), &AudienceMemberRow { position });
                row.members = row.members.saturating_add(1);
            }
            row.lines = row.lines.saturating_add(u64::from(*lines));
            state.put(*audience, &row);
        }
        Fact::ReceiversRefused { audience, count } => {
            let mut row = row(state, *audience)?;
            row.refused = row.refused.saturating_add(u64::from(*count));
            state.put(*audience, &row);
            let refused = RefusedRow {
                position,
                count: *count,
            };
            state.append((*audience, position), &refused);
        }
        Fact::AudienceCommitted { audience } => {
            let mut row = row(state, *audience)?;
            row.complete = Some(position);
            state.put(*audience, &row);
            let audience = *audience;
            state.put(row.name, &AudienceNameRow { audience });
        }
        _ => {}
    }
    Ok(())
}

fn row<S: State>(state: &S, audience: AudienceNo) -> Result<AudienceRow, StateError> {
    present(state.row(audience)?, Family::Audiences.name())
}
