//! The one table of errors: what each kind is to HTTP, to the dialects and to a native frame. A surface looks its row up;
//! it invents no status and no code of its own.

mod problem;
mod table;

use std::borrow::Cow;
use std::fmt;

use waybill_core::id::Seq;
use waybill_core::outcome::Refusal;
use waybill_core::wire::{Code, Failure};

pub use problem::{ProblemOptions, problem};
pub use table::{Kind, Row, TABLE};

/// Why a request was not done, as every surface may show it: the kind, and what is wrong with this request. The detail
/// holds nothing that the caller may not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which row of the table.
    pub kind: Kind,
    /// What is wrong, and what to do.
    pub detail: Cow<'static, str>,
    /// The place in the request, as a JSON pointer or the name of a header or query field.
    pub pointer: Option<Cow<'static, str>>,
}

impl Error {
    /// An error that says only what its kind says.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            detail: Cow::Borrowed(kind.row().title),
            pointer: None,
        }
    }

    /// An error with a detail.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            pointer: None,
        }
    }

    /// An error about one field of the request.
    #[must_use]
    pub fn at(
        kind: Kind,
        pointer: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind,
            detail: detail.into(),
            pointer: Some(pointer.into()),
        }
    }

    /// A cursor lies before the first entry that is still there.
    #[must_use]
    pub fn too_old(floor: Seq) -> Self {
        let gone = floor.0.saturating_sub(1);
        let text = format!("entries up to {gone} are no longer there");
        Self::at(Kind::TooOld, "after", text)
    }

    /// A cursor lies behind the end of the log.
    #[must_use]
    pub fn ahead(head: Seq) -> Self {
        let text = format!("the log ends at {head}: yours is of another history");
        Self::at(Kind::Ahead, "after", text)
    }

    /// The row of its kind.
    #[must_use]
    pub fn row(&self) -> &'static Row {
        self.kind.row()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Error {}

impl From<&Error> for Failure {
    /// As frames say it, which have one text for it.
    fn from(error: &Error) -> Self {
        let row = error.row();
        let text = match &error.pointer {
            Some(pointer) => format!("{pointer}: {}", error.detail),
            None => error.detail.to_string(),
        };
        Self::new(Code(row.wire), text).retry_after_ms(row.retry_after * 1_000)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::KeyReused => Kind::KeyReused,
            Refusal::UnknownReceiver => Kind::UnknownReceiver,
            Refusal::UnknownUser => Kind::UnknownUser,
            Refusal::AlreadyRegistered => Kind::AlreadyRegistered,
            Refusal::TooLarge => Kind::ContentTooLarge,
            Refusal::NothingToErase | Refusal::UnknownMessage => Kind::UnknownMessage,
            Refusal::UnknownConversation => Kind::UnknownConversation,
            Refusal::BeyondConversation => Kind::BeyondConversation,
            Refusal::BadSetting | Refusal::NamedTwice => Kind::InvalidField,
            Refusal::UnknownAudience => Kind::UnknownAudience,
            Refusal::AudienceState => Kind::AudienceState,
            Refusal::Stale => Kind::Stale,
            Refusal::TooManyRunning => Kind::TooManyRunning,
            Refusal::Underway => Kind::Underway,
            Refusal::BeyondLog => Kind::Ahead,
            Refusal::Withdrawn => Kind::MessageRecalled,
            Refusal::Expired => Kind::Expired,
            Refusal::TooFarAhead => Kind::TooFarAhead,
            Refusal::AlreadyFounded
            | Refusal::NotFounded
            | Refusal::BadRules
            | Refusal::BadBody
            | Refusal::BadEpoch => Kind::Internal,
        };
        // What a refusal of the last group says is for operators; a caller cannot have caused it.
        match kind {
            Kind::Internal => Self::of(kind),
            kind => Self::new(kind, refusal.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_words_unless_it_is_ours() {
        let error = Error::from(Refusal::KeyReused);
        assert_eq!(error.kind, Kind::KeyReused);
        assert!(error.to_string().contains("another request"));
        let error = Error::from(Refusal::BadRules);
        assert_eq!(error.kind, Kind::Internal);
        assert!(!error.to_string().contains("rules"));
    }
}
