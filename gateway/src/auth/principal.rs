//! The one who acts, as every service call takes it.

use waybill_core::id::{KeyedHash, UserNo};

/// What kind of caller it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A person's device: acts for its own user only.
    User,
    /// A configured manager: sends in anybody's name, reads anybody's log, issues and revokes tokens.
    Business,
    /// The server's operator, on the machine itself.
    Operator,
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user id.
    pub user: String,
    /// The user's number; 0 for the operator.
    pub number: UserNo,
    /// What it may do.
    pub role: Role,
    /// Platform number of the token (1 IOS … 8 admin), 0 when it names none.
    pub platform: u8,
    /// When the token ends, in seconds since the Unix epoch.
    pub expires: u64,
    /// Keyed hash of the token.
    pub token: KeyedHash,
}

impl Principal {
    /// Whether it may read and report in the name of this user.
    #[must_use]
    pub fn may_act_for(&self, user: &str) -> bool {
        self.is_business() || self.user == user
    }

    /// Whether it is more than a person's device.
    #[must_use]
    pub fn is_business(&self) -> bool {
        matches!(self.role, Role::Business | Role::Operator)
    }
}

/// Names of platforms as they stand in tokens. Platform 8, for managers, has an empty name.
const PLATFORMS: [&str; 8] = [
    "IOS", "Android", "Windows", "OSX", "Web", "MiniWeb", "Linux", "",
];

/// The name of a platform number, or `None` when there is no such platform.
#[must_use]
pub fn platform_name(number: u8) -> Option<&'static str> {
    PLATFORMS.get(usize::from(number).checked_sub(1)?).copied()
}

/// The number of a platform name; 0 for an unknown one.
#[must_use]
pub fn platform_number(name: &str) -> u8 {
    let place = PLATFORMS.iter().position(|known| *known == name);
    place
        .and_then(|place| u8::try_from(place + 1).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(user: &str, role: Role) -> Principal {
        Principal {
            user: user.to_owned(),
            number: UserNo(1),
            role,
            platform: 1,
            expires: 0,
            token: KeyedHash([0; 16]),
        }
    }

    #[test]
    fn a_user_acts_for_himself_only() {
        assert!(principal("a", Role::User).may_act_for("a"));
        assert!(!principal("a", Role::User).may_act_for("b"));
        assert!(!principal("a", Role::User).may_act_for(""));
        assert!(principal("oa", Role::Business).may_act_for("b"));
        assert!(principal("", Role::Operator).may_act_for("b"));
    }

    #[test]
    fn platforms_are_those_of_the_original() {
        let names = [
            "IOS", "Android", "Windows", "OSX", "Web", "MiniWeb", "Linux", "",
        ];
        for (number, name) in (1..=8).zip(names) {
            assert_eq!(platform_name(number), Some(name));
            assert_eq!(platform_number(name), number);
        }
        assert_eq!((platform_name(0), platform_name(9)), (None, None));
        assert_eq!(platform_number("Amiga"), 0);
    }
}
