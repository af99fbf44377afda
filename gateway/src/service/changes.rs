//! Changes of messages that were sent: what they say, and the business status line shown with them.

use waybill_core::body::{Body, Change, StatusLine};
use waybill_core::command::Ask;
use waybill_core::content::Meaning;
use waybill_core::fact::{Fact, Part};
use waybill_core::id::{Opening, Position, UserNo};
use waybill_core::outcome::{Outcome, StateError};
use waybill_core::record::Surface;

use super::{Service, check_text};
use crate::auth::Principal;
use crate::content;
use crate::error::{Error, Kind};
use crate::random;

/// Longest text of a business status line, in bytes.
const MAX_STATUS_LINE_BYTES: usize = 256;

/// What a caller wants changed; both parts may be.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The new content, byte for byte.
    pub content: Option<String>,
    /// The new business status line; an empty text takes it away.
    pub status_line: Option<StatusLine>,
}

impl Service {
    /// Changes a message for the one receiver whose id of it this is. Its sender may, and business systems. Says for how many it
    /// was changed.
    ///
    /// # Errors
    /// When there is no such message for this caller, it was withdrawn, or what is wanted is wrong.
    pub async fn change_message(
        &self,
        principal: &Principal,
        surface: Surface,
        server_msg_id: &str,
        wanted: Wanted,
    ) -> Result<u32, Error> {
        let message = self.own_message(principal, server_msg_id).await?;
        let receiver = Some(message.receiver);
        self.change_at(principal, surface, message.position, receiver, wanted)
            .await
    }

    /// Changes the message of a task for everybody. Says for how many at once; of one that is fanned out the others follow.
    ///
    /// # Errors
    /// As [`Service::change_message`]; and while the message is on its way or another change of it is.
    pub async fn change_task(
        &self,
        principal: &Principal,
        surface: Surface,
        task: &str,
        wanted: Wanted,
    ) -> Result<u32, Error> {
        let position = self.own_task(principal, task)?;
        self.change_at(principal, surface, position, None, wanted)
            .await
    }

    async fn change_at(
        &self,
        principal: &Principal,
        surface: Surface,
        message: Position,
        receiver: Option<UserNo>,
        wanted: Wanted,
    ) -> Result<u32, Error> {
        let changes = self.checked_changes(message, wanted).await?;
        if changes.is_empty() {
            let detail = "it names nothing to change: content, statusLine";
            return Err(Error::new(Kind::InvalidField, detail));
        }
        let mut changed = 0;
        for (part, change) in changes {
            let ask = Ask::Change {
                message,
                receiver,
                part,
                body: Body::Change(change).seal(Opening(random::bytes()?)),
            };
            match self.ask(principal.number, surface, ask).await? {
                Outcome::Changed { receivers, .. } => changed = receivers,
                _ => return Err(Error::of(Kind::Internal)),
            }
        }
        Ok(changed)
    }

    /// A new content is checked as one that is sent.
    async fn checked_changes(
        &self,
        message: Position,
        wanted: Wanted,
    ) -> Result<Vec<(Part, Change)>, Error> {
        let mut changes = Vec::with_capacity(2);
        if let Some(content) = wanted.content {
            let content_type = self
                .read(move |this| this.content_type(message))
                .await?
                .ok_or_else(|| Error::of(Kind::UnknownMessage))?;
            let limits = self.limits();
            let depth = usize::try_from(limits.json_depth).unwrap_or(usize::MAX);
            content::check(
                i64::from(content_type),
                &content,
                depth,
                limits.content_bytes,
            )?;
            changes.push((Part::Content, Change::Content(content)));
        }
        if let Some(line) = wanted.status_line {
            check_line(&line)?;
            changes.push((Part::StatusLine, Change::StatusLine(line)));
        }
        Ok(changes)
    }

    fn content_type(&self, message: Position) -> Result<Option<u32>, StateError> {
        let opened = self.0.reader.open(message)?;
        Ok(opened.and_then(|opened| match opened.record.fact {
            Fact::MessageSent(sent) => Some(sent.content_type),
            Fact::MessagePosted(posted) => Some(posted.content_type),
            _ => None,
        }))
    }
}

fn check_line(line: &StatusLine) -> Result<(), Error> {
    check_text(
        "/statusLine/text",
        &line.text,
        MAX_STATUS_LINE_BYTES,
        Meaning::Name,
    )?;
    let digits = line.color.strip_prefix('#').unwrap_or("");
    let is_color = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !line.color.is_empty() && !is_color {
        let detail = "it is \"#\" and six hexadecimal digits, or empty";
        return Err(Error::at(Kind::InvalidField, "/statusLine/color", detail));
    }
    Ok(())
}
