//! Named audiences: lists of users that business systems send to again and again. Each upload is a generation of its own; a
//! message keeps the one that it was sent to.

use std::time::Duration;

use waybill_core::body::Body;
use waybill_core::command::Ask;
use waybill_core::hash::Domain;
use waybill_core::id::{AudienceNo, KeyedHash, Opening, UserNo};
use waybill_core::limits::MAX_FILLED;
use waybill_core::outcome::Outcome;
use waybill_core::record::Surface;
use waybill_core::state::AudienceRow;

use super::tasks::require_business;
use super::{Service, check, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::random;

/// How long a busy writer is let alone before a piece of a list is offered again.
const BUSY_PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The generation that it goes on with; `None` begins one.
    pub audience: Option<u64>,
    /// How many lines came before.
    pub line: u64,
    /// The ids, in their order.
    pub users: Vec<String>,
    /// Whether it is the last part: the generation is then complete, and what the name stands for.
    pub last: bool,
}

/// How an audience is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudienceView {
    /// The generation.
    pub audience: u64,
    /// Lines used up.
    pub lines: u64,
    /// Members.
    pub members: u64,
    /// Lines that were refused.
    pub refused: u64,
    /// Whether it is complete.
    pub complete: bool,
}

impl Service {
    pub(super) fn audience_hash(&self, name: &str) -> KeyedHash {
        self.0.hash_key.hash(Domain::Audience, &[name.as_bytes()])
    }

    /// Takes a part of an audience's list.
    ///
    /// # Errors
    /// When the principal is no business system, an id is none, the generation is not this audience's or is complete, or the
    /// part does not begin where the one before it ended: [`Service::audience`] tells where that is.
    pub async fn fill_audience(
        &self,
        principal: &Principal,
        surface: Surface,
        name: &str,
        part: Part,
    ) -> Result<AudienceView, Error> {
        require_business(principal)?;
        check("name", name)?;
        let by = principal.number;
        let hash = self.audience_hash(name);
        let audience = match part.audience {
            Some(number) => {
                let audience = AudienceNo(number);
                let row = self.0.reader.audience(audience).map_err(unreadable)?;
                // Generations of other audiences are nobody's business here.
                if row.is_none_or(|row| row.name != hash) {
                    return Err(Error::of(Kind::UnknownAudience));
                }
                audience
            }
            // It would begin a generation only to find that the part is none of its first.
            None if part.line > 0 => {
                let detail = "a new generation begins at line 0";
                return Err(Error::at(Kind::Stale, "line", detail));
            }
            None => self.begin_audience(by, surface, name, hash).await?,
        };
        self.fill(by, surface, audience, part.line, &part.users)
            .await?;
        if part.last {
            self.commit_audience(by, surface, audience).await?;
        }
        let row = self.0.reader.audience(audience).map_err(unreadable)?;
        row.map(|row| view(audience, &row))
            .ok_or_else(|| Error::of(Kind::Internal))
    }

    pub(super) async fn begin_audience(
        &self,
        by: UserNo,
        surface: Surface,
        name: &str,
        hash: KeyedHash,
    ) -> Result<AudienceNo, Error> {
        let body = Body::Audience {
            name: name.to_owned(),
        };
        let ask = Ask::BeginAudience {
            name: hash,
            body: body.seal(Opening(random::bytes()?)),
        };
        match self.ask(by, surface, ask).await? {
            Outcome::Audience { audience } => Ok(audience),
            _ => Err(Error::of(Kind::Internal)),
        }
    }

    /// As [`Service::ask`], but a busy writer is asked again: whoever sends a long list can wait.
    async fn ask_patiently(
        &self,
        by: UserNo,
        surface: Surface,
        ask: Ask,
    ) -> Result<Outcome, Error> {
        for pause in BUSY_PAUSES {
            match self.ask(by, surface, ask.clone()).await {
                Err(error) if error.kind == Kind::Busy => tokio::time::sleep(pause).await,
                other => return other,
            }
        }
        self.ask(by, surface, ask).await
    }

    pub(super) async fn fill(
        &self,
        by: UserNo,
        surface: Surface,
        audience: AudienceNo,
        mut line: u64,
        users: &[String],
    ) -> Result<(), Error> {
        for users in users.chunks(MAX_FILLED) {
            let ask = Ask::FillAudience {
                audience,
                line,
                users: self.references(users)?,
                opening: Opening(random::bytes()?),
            };
            self.ask_patiently(by, surface, ask).await?;
            line += users.len() as u64;
        }
        Ok(())
    }

    pub(super) async fn commit_audience(
        &self,
        by: UserNo,
        surface: Surface,
        audience: AudienceNo,
    ) -> Result<(), Error> {
        let ask = Ask::CommitAudience { audience };
        self.ask(by, surface, ask).await.map(drop)
    }

    /// How an audience is: the generation asked for, else the newest complete one.
    ///
    /// # Errors
    /// When the principal is no business system, or there is no such audience.
    pub async fn audience(
        &self,
        principal: &Principal,
        name: &str,
        generation: Option<u64>,
    ) -> Result<AudienceView, Error> {
        require_business(principal)?;
        check("name", name)?;
        let hash = self.audience_hash(name);
        let unknown = || Error::of(Kind::UnknownAudience);
        let audience = match generation {
            Some(number) => AudienceNo(number),
            None => {
                let named = self.0.reader.audience_named(hash).map_err(unreadable)?;
                named.ok_or_else(unknown)?
            }
        };
        let row = self.0.reader.audience(audience).map_err(unreadable)?;
        match row {
            Some(row) if row.name == hash => Ok(view(audience, &row)),
            _ => Err(unknown()),
        }
    }
}

fn view(audience: AudienceNo, row: &AudienceRow) -> AudienceView {
    AudienceView {
        audience: audience.0,
        lines: row.lines,
        members: row.members,
        refused: row.refused,
        complete: row.complete.is_some(),
    }
}
