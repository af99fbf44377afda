//! Taking messages back, and who may: from one receiver, from all of a task, by the key they were sent with.

use waybill_core::command::Ask;
use waybill_core::fact::Fact;
use waybill_core::id::{Position, UserNo};
use waybill_core::message_id::TASK_ORDINAL;
use waybill_core::outcome::{Outcome, StateError};
use waybill_core::record::Surface;

use super::Service;
use super::messages::may_ask;
use super::tasks::{require_business, unknown_task};
use crate::auth::Principal;
use crate::error::{Error, Kind};

/// A message, as one of its receivers has it.
pub(super) struct Addressed {
    pub position: Position,
    pub sender: UserNo,
    pub receiver: UserNo,
}

impl Service {
    /// Recalls the message of a task from everybody. Says from how many it was taken back at once; of one that is fanned out it
    /// is taken back step by step.
    ///
    /// # Errors
    /// As [`Service::task`].
    pub async fn recall_task(
        &self,
        principal: &Principal,
        surface: Surface,
        task: &str,
    ) -> Result<u32, Error> {
        let position = self.own_task(principal, task)?;
        self.recall_at(principal, surface, position, None)
            .await
            .map_err(unknown_task)
    }

    /// Recalls a message from the one receiver whose id of it this is. Its sender may, and business systems.
    ///
    /// # Errors
    /// When there is no such message for this caller, or the caller may not recall it.
    pub async fn recall_message(
        &self,
        principal: &Principal,
        surface: Surface,
        server_msg_id: &str,
    ) -> Result<u32, Error> {
        let message = self.own_message(principal, server_msg_id).await?;
        self.recall_at(principal, surface, message.position, Some(message.receiver))
            .await
    }

    /// Recalls what `sender` sent with this key, from everybody who has it. Says from how many it was taken back at once.
    ///
    /// # Errors
    /// As [`Service::find`]; and when there is nothing of the kind. What was recalled until then stays so: asked again, it goes on.
    pub async fn recall_by_key(
        &self,
        principal: &Principal,
        surface: Surface,
        sender: &str,
        key: &str,
    ) -> Result<u32, Error> {
        may_ask(principal, ("/sender", sender), ("/clientMsgID", key))?;
        let (mut found, mut next) = self.keyed(sender, key, None).await?;
        if found.is_empty() && next.is_none() {
            return Err(Error::of(Kind::UnknownMessage));
        }
        let mut recalled = 0_u32;
        loop {
            for position in found {
                // Of one that was recalled already, nobody has it any more.
                let receivers = self.recall_at(principal, surface, position, None).await?;
                recalled = recalled.saturating_add(receivers);
            }
            if next.is_none() {
                return Ok(recalled);
            }
            (found, next) = self.keyed(sender, key, next).await?;
        }
    }

    /// The message of a task that this caller may change or recall: business systems may.
    pub(super) fn own_task(&self, principal: &Principal, task: &str) -> Result<Position, Error> {
        require_business(principal)?;
        self.task_position(task).map_err(unknown_task)
    }

    /// The message with this id that this caller may change or recall: its sender may, and business systems.
    pub(super) async fn own_message(
        &self,
        principal: &Principal,
        server_msg_id: &str,
    ) -> Result<Addressed, Error> {
        let message = self.addressed(server_msg_id).await?;
        if principal.is_business() || principal.number == message.sender {
            return Ok(message);
        }
        // Who does not have the message does not learn that there is one.
        Err(if principal.number == message.receiver {
            let text = "only its sender can recall or change a message";
            Error::new(Kind::Forbidden, text)
        } else {
            Error::of(Kind::UnknownMessage)
        })
    }

    /// The message with this id, whoever asks.
    pub(super) async fn addressed(&self, server_msg_id: &str) -> Result<Addressed, Error> {
        let (position, ordinal) = self.open_id(server_msg_id)?;
        self.read(move |this| this.parties(position, ordinal))
            .await?
            .ok_or_else(|| Error::of(Kind::UnknownMessage))
    }

    fn parties(&self, position: Position, ordinal: u32) -> Result<Option<Addressed>, StateError> {
        let opened = self.0.reader.open(position)?;
        let parties = opened.and_then(|opened| match opened.record.fact {
            Fact::MessageSent(sent) if ordinal == 0 => {
                Some((sent.sender, sent.conversation.other(sent.sender)))
            }
            Fact::MessagePosted(posted) if (1..TASK_ORDINAL).contains(&ordinal) => {
                Some((posted.sender, UserNo(u64::from(ordinal))))
            }
            _ => None,
        });
        Ok(parties.map(|(sender, receiver)| Addressed {
            position,
            sender,
            receiver,
        }))
    }

    async fn recall_at(
        &self,
        principal: &Principal,
        surface: Surface,
        message: Position,
        receiver: Option<UserNo>,
    ) -> Result<u32, Error> {
        let ask = Ask::Recall { message, receiver };
        match self.ask(principal.number, surface, ask).await? {
            Outcome::Recalled { receivers } => Ok(receivers),
            _ => Err(Error::of(Kind::Internal)),
        }
    }
}
