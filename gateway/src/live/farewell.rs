//! Why a connection ends, and when its peer should come again.

use std::ops::RangeInclusive;

use waybill_core::wire::{Bye, Code, Failure};

/// How long the peers of a server that stops, or that has to let one go, should wait before they come again, in milliseconds:
/// each gets a number of its own from this span, so that they do not all come at once.
pub const RECONNECT_MS: RangeInclusive<u32> = 500..=10_000;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The peer wants it so.
    Closed,
    /// It has lived as long as one may; the peer comes again and proves anew who it is.
    LivedOut,
    /// The token's time is over.
    Expired,
    /// The token was revoked.
    Revoked,
    /// The same device has connected anew.
    Superseded,
    /// The user has logged in elsewhere, and may not be logged in on both.
    Replaced,
    /// The server is stopping.
    Stopping,
    /// The peer has taken nothing for too long.
    TooSlow,
    /// The peer has given no sign of life for too long.
    Silent,
}

impl End {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Closed,
        Self::LivedOut,
        Self::Expired,
        Self::Revoked,
        Self::Superseded,
        Self::Replaced,
        Self::Stopping,
        Self::TooSlow,
        Self::Silent,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::LivedOut => "lived_out",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Superseded => "superseded",
            Self::Replaced => "logged_in_elsewhere",
            Self::Stopping => "stopping",
            Self::TooSlow => "too_slow",
            Self::Silent => "silent",
        }
    }

    /// The code that the peer is told.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Closed | Self::LivedOut => Code::CLOSED,
            Self::Expired => Code::TOKEN_EXPIRED,
            Self::Revoked => Code::TOKEN_REVOKED,
            Self::Superseded => Code::SUPERSEDED,
            Self::Replaced => Code::LOGGED_IN_ELSEWHERE,
            Self::Stopping => Code::STOPPING,
            Self::TooSlow => Code::TOO_SLOW,
            Self::Silent => Code::SILENT,
        }
    }

    /// What is told to people.
    const fn text(self) -> &'static str {
        match self {
            Self::Closed => "",
            Self::LivedOut => "the connection has lived long enough: connect again",
            Self::Expired => "the token has expired",
            Self::Revoked => "the token was revoked",
            Self::Superseded => "the same device has connected anew",
            Self::Replaced => {
                "this user has logged in on another device: log in here again to come back"
            }
            Self::Stopping => "the server is stopping: connect again",
            Self::TooSlow => {
                "nothing was taken for too long: connect again, and go on from your cursor"
            }
            Self::Silent => "no sign of life came for too long",
        }
    }

    /// The goodbye. `random` spreads out those who come again.
    #[must_use]
    pub fn bye(self, random: u32) -> Bye {
        let mut bye = Bye::new(self.code(), self.text());
        if matches!(self, Self::Stopping | Self::TooSlow) {
            bye.retry_after_ms = reconnect(random);
        }
        bye
    }
}

/// The goodbye of a connection that is not taken in. One that meets a server which stops is told a time of its own, like those that it
/// has to let go.
#[must_use]
pub fn turned_away(failure: &Failure, random: u32) -> Bye {
    let mut bye = Bye::new(failure.code, failure.message.clone());
    bye.retry_after_ms = match failure.code {
        Code::STOPPING => reconnect(random),
        _ => failure.retry_after_ms,
    };
    bye
}

/// A time from [`RECONNECT_MS`].
#[must_use]
pub fn reconnect(random: u32) -> u32 {
    let span = RECONNECT_MS.end() - RECONNECT_MS.start() + 1;
    RECONNECT_MS.start() + random % span
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn those_who_come_again_are_spread_out_and_others_are_not_told_to_wait() {
        let waits: HashSet<u32> = (0..1_000)
            .map(|n: u32| {
                End::Stopping
                    .bye(n.wrapping_mul(2_654_435_761))
                    .retry_after_ms
            })
            .collect();
        assert!(waits.len() > 900, "{}", waits.len());
        assert!(waits.iter().all(|wait| RECONNECT_MS.contains(wait)));
        assert_eq!(reconnect(0), *RECONNECT_MS.start());
        assert_eq!(
            reconnect(RECONNECT_MS.end() - RECONNECT_MS.start()),
            *RECONNECT_MS.end()
        );
        for end in [
            End::Closed,
            End::LivedOut,
            End::Expired,
            End::Revoked,
            End::Superseded,
        ] {
            assert_eq!(end.bye(7).retry_after_ms, 0, "{end:?}");
        }
    }

    #[test]
    fn who_is_turned_away_is_told_when_to_come_again() {
        let busy = Failure::new(Code::TOO_MANY_CONNECTIONS, "full").retry_after_ms(5_000);
        let bye = turned_away(&busy, 7);
        assert_eq!((bye.code, bye.retry_after_ms), (busy.code, 5_000));
        let stopping = Failure::new(Code::STOPPING, "stops").retry_after_ms(2_000);
        let waits: HashSet<u32> = (0..100)
            .map(|random| turned_away(&stopping, random * 97).retry_after_ms)
            .collect();
        assert!(waits.len() > 90 && waits.iter().all(|wait| RECONNECT_MS.contains(wait)));
    }

    #[test]
    fn every_reason_has_a_name_and_a_known_code() {
        let names: HashSet<_> = End::ALL.map(End::name).into();
        assert_eq!(names.len(), End::ALL.len());
        assert!(End::ALL.iter().all(|end| end.code().info().is_some()));
    }
}
