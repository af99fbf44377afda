//! The names that OpenIM gives to conversations: a prefix and the two parties, sorted. An id may hold `_`, so a name is read only
//! by somebody who is one of the parties. Even so `a_b_a` has one name for the chats with `a_b` and with `b_a`: there its clients
//! cannot tell them apart either.

use crate::service::{Named, Place};

/// OpenIM's sessionType of single chats, also the conversationType of their rows.
pub const SINGLE: i32 = 1;
/// OpenIM's sessionType of notifications, also the conversationType of their rows.
pub const NOTIFICATION: i32 = 4;

/// What a name stands for, as one of its parties reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// A conversation.
    Chat(Named<'a>),
    /// Where the user's own devices learn what is no message.
    Own,
}

fn sorted(prefix: &str, one: &str, other: &str) -> String {
    let (first, second) = if one <= other {
        (one, other)
    } else {
        (other, one)
    };
    format!("{prefix}_{first}_{second}")
}

/// The name of a conversation that `own` has.
#[must_use]
pub fn of(own: &str, place: &Place) -> String {
    let prefix = if place.kind == 2 { "sn" } else { "si" };
    sorted(prefix, own, &place.peer)
}

/// The name of the notification conversation of a user's own devices.
#[must_use]
pub fn own(user: &str) -> String {
    format!("n_{user}_{user}")
}

/// The name of the notification conversation of two users.
#[must_use]
pub fn notifications(one: &str, other: &str) -> String {
    sorted("n", one, other)
}

/// The sessionType of a conversation.
#[must_use]
pub fn session_type(place: &Place) -> i32 {
    if place.kind == 2 {
        NOTIFICATION
    } else {
        SINGLE
    }
}

/// What a name stands for to `own`; `None` when it is none of that user's.
#[must_use]
pub fn read<'a>(own_id: &str, name: &'a str) -> Option<Name<'a>> {
    let (prefix, parties) = name.split_once('_')?;
    let kind = match prefix {
        "si" => 1,
        "sn" => 2,
        "n" => return (name == own(own_id)).then_some(Name::Own),
        _ => return None,
    };
    let first = parties
        .strip_prefix(own_id)
        .and_then(|rest| rest.strip_prefix('_'));
    let second = parties
        .strip_suffix(own_id)
        .and_then(|rest| rest.strip_suffix('_'));
    // Only a sorted pair is a name.
    let fits = |peer: &&str| sorted(prefix, own_id, peer) == name;
    let peer = first.filter(fits).or(second.filter(fits))?;
    Some(Name::Chat(Named { kind, peer }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chat(kind: u8, peer: &str) -> Option<Name<'_>> {
        Some(Name::Chat(Named { kind, peer }))
    }

    #[test]
    fn names_are_sorted_and_read_by_their_parties() {
        let place = |kind, peer: &str| Place {
            kind,
            peer: peer.to_owned(),
        };
        assert_eq!(of("u2", &place(1, "u1")), "si_u1_u2");
        assert_eq!(of("u1", &place(2, "OA")), "sn_OA_u1");
        assert_eq!(read("u1", "si_u1_u2"), chat(1, "u2"));
        assert_eq!(read("u2", "si_u1_u2"), chat(1, "u1"));
        assert_eq!(read("u1", "sn_OA_u1"), chat(2, "OA"));
        assert_eq!(read("u1", "si_u1_u1"), chat(1, "u1"));
        assert_eq!(read("u1", "n_u1_u1"), Some(Name::Own));
        for foreign in ["si_u2_u3", "si_u2_u1", "n_u1_u2", "sg_u1", "u1", "", "si__"] {
            assert_eq!(read("u1", foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_read_as_somebody_who_has_it(own in "[ab_]{1,5}", peer in "[ab_]{1,5}") {
            let named = |peer: &str| of(&own, &Place { kind: 1, peer: peer.to_owned() });
            let name = named(&peer);
            let Some(Name::Chat(found)) = read(&own, &name) else {
                panic!("{name}");
            };
            prop_assert_eq!(named(found.peer), name);
        }

        #[test]
        fn without_the_separator_in_ids_a_name_is_of_one_peer(
            own in "[ab]{1,5}", peer in "[ab]{1,5}",
        ) {
            let name = of(&own, &Place { kind: 1, peer: peer.clone() });
            prop_assert_eq!(read(&own, &name), chat(1, &peer));
            prop_assert_eq!(read(&peer, &name), chat(1, &own));
        }
    }
}
