//! Joined rows: those that are made of bodies and go with them.

use crate::body::Body;
use crate::fact::Fact;
use crate::outcome::StateError;
use crate::record::Record;
use crate::state::{DeviceNameRow, Overlay, ProfileRow, State, UserRow};

/// Whether a fact's body has a row of its own in a joined family.
pub fn is_joined(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::UserSeen { .. }
            | Fact::UserRegistered { .. }
            | Fact::DeviceSeen { .. }
            | Fact::UserUpdated { .. }
            | Fact::UserRegisteredAgain { .. }
    )
}

/// Whether this is the kind of body that a joined fact has.
pub fn may_join(fact: &Fact, body: &Body) -> bool {
    matches!(
        (fact, body),
        (Fact::UserSeen { .. }, Body::User { .. })
            | (
                Fact::UserRegistered { .. }
                    | Fact::UserUpdated { .. }
                    | Fact::UserRegisteredAgain { .. },
                Body::Profile(_)
            )
            | (Fact::DeviceSeen { .. }, Body::Device { .. })
    )
}

/// Writes the joined row of a record's body, or removes the row that an earlier body left when this body is gone: the row then
/// is what it would be had the body been erased later.
pub fn join<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    body: Option<&Body>,
) -> Result<(), StateError> {
    let position = record.position;
    match (&record.fact, body) {
        (Fact::UserSeen { user, .. }, Some(Body::User { id })) => state.append(
            *user,
            &UserRow {
                position,
                id: id.clone(),
            },
        ),
        (
            Fact::UserRegistered { user }
            | Fact::UserUpdated { user }
            | Fact::UserRegisteredAgain { user, .. },
            Some(Body::Profile(profile)),
        ) => {
            state.put(
                *user,
                &ProfileRow {
                    position,
                    profile: profile.clone(),
                },
            );
        }
        (
            Fact::UserRegistered { user }
            | Fact::UserUpdated { user }
            | Fact::UserRegisteredAgain { user, .. },
            None,
        ) => state.delete::<ProfileRow>(*user),
        (Fact::DeviceSeen { user, device, .. }, Some(Body::Device { id })) => {
            state.append(
                (*user, *device),
                &DeviceNameRow {
                    position,
                    id: id.clone(),
                },
            );
        }
        (_, None) => {}
        (_, Some(_)) => {
            return Err(StateError::Corrupt {
                family: "bodies",
                reason: format!("the body of record {position} is of another kind than its fact"),
            });
        }
    }
    Ok(())
}
