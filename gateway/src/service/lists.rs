//! Messages to lists too long for one record. A list is taken in piece by piece, as an audience that no name stands for; when
//! it is complete, the message goes to that audience. Until then nobody gets anything.

use waybill_core::command::{Ask, Post, To};
use waybill_core::hash::Domain;
use waybill_core::id::{AudienceNo, Digest};
use waybill_core::record::Surface;

use super::tasks::require_business;
use super::{Outgoing, Service, TaskTaken};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::random;

/// A message whose list is being taken in.
pub struct LongList {
    principal: Principal,
    surface: Surface,
    post: Post,
    /// What the list becomes; `None` where a message with this key is there already: then its list is only compared.
    audience: Option<AudienceNo>,
    lines: u64,
    /// Of the message and the list so far.
    digest: Digest,
}

impl Service {
    /// Begins to take in the list of a message.
    ///
    /// # Errors
    /// When the principal is no business system, a field is wrong, or the message is refused whoever gets it.
    pub async fn begin_list(
        &self,
        principal: &Principal,
        surface: Surface,
        outgoing: Outgoing<'_>,
    ) -> Result<LongList, Error> {
        require_business(principal)?;
        let by = principal.number;
        let post = self.prepare_post(principal, outgoing, "users")?;
        // The writer looks at the audience last, and none has the number 0: so it says all else that it has to say.
        let probe = Post {
            to: To::Audience(AudienceNo(0)),
            ..post.clone()
        };
        let audience = match self.ask(by, surface, Ask::Post(probe)).await {
            Err(error) if error.kind == Kind::UnknownAudience => {
                let nobodys = random::bytes::<16>()?;
                let hash = self.0.hash_key.hash(Domain::Audience, &[&nobodys]);
                Some(self.begin_audience(by, surface, "", hash).await?)
            }
            Err(error) if error.kind != Kind::KeyReused => return Err(error),
            _ => None,
        };
        Ok(LongList {
            principal: principal.clone(),
            surface,
            digest: post.digest,
            post,
            audience,
            lines: 0,
        })
    }

    /// Takes in some more receivers.
    ///
    /// # Errors
    /// When an id is none, the token was revoked meanwhile, or the writer cannot be asked.
    pub async fn add_to_list(&self, list: &mut LongList, users: &[String]) -> Result<(), Error> {
        self.still_stands(&list.principal)?;
        let by = list.principal.number;
        for user in users {
            list.digest = self.post_digest(&list.digest, user);
        }
        if let Some(audience) = list.audience {
            self.fill(by, list.surface, audience, list.lines, users)
                .await?;
        }
        list.lines += users.len() as u64;
        Ok(())
    }

    /// Sends the message to the list that was taken in.
    ///
    /// # Errors
    /// When the list is empty, the key was used for another request, the token was revoked meanwhile, or the message is refused.
    pub async fn finish_list(&self, list: LongList) -> Result<TaskTaken, Error> {
        self.still_stands(&list.principal)?;
        let by = list.principal.number;
        if list.lines == 0 {
            return Err(Error::at(Kind::NoReceiver, "/to/users", "it names nobody"));
        }
        if let Some(audience) = list.audience {
            self.commit_audience(by, list.surface, audience).await?;
        }
        let post = Post {
            digest: list.digest,
            to: To::Audience(list.audience.unwrap_or_default()),
            ..list.post
        };
        self.post_followed(by, list.surface, post).await
    }
}
