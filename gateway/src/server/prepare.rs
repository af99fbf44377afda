//! What a log must hold before the server serves: the policy of the configuration, the managers, and a token for the first
//! of them.

use tracing::info;
use waybill_core::command::{Ask, Unknown};
use waybill_core::id::UserNo;
use waybill_core::policy::Policy;
use waybill_core::record::Surface;

use super::error::StartError;
use crate::error::Kind;
use crate::secrets::SecretDir;
use crate::service::{Registration, Service, now_seconds};

/// Platform of the admin token: 8, which OpenIM has for managers.
const ADMIN_PLATFORM: u8 = 8;

/// An admin token with less than this left is replaced at start, in seconds: a day.
const RENEW_BEFORE: u64 = 86_400;

/// Writes what is missing. Doing it again changes nothing.
pub(super) async fn prepare(service: &Service, secrets: &SecretDir) -> Result<(), StartError> {
    let config = service.config();
    let policy = Policy {
        unknown_receiver: config.unknown_receiver,
    };
    service
        .ask(UserNo(0), Surface::Server, Ask::ChangePolicy(policy))
        .await
        .map_err(StartError::prepare("the policy cannot be set"))?;
    for manager in &config.openim.managers {
        let failed = StartError::prepare("a manager cannot be registered");
        let registration = Registration {
            user: &manager.id,
            nickname: &manager.nickname,
            face_url: &manager.face,
            rest: "",
        };
        match service
            .register(UserNo(0), Surface::Server, registration)
            .await
        {
            Ok(()) => info!(manager = manager.id, "a manager was registered"),
            Err(error) if error.kind == Kind::AlreadyRegistered => {}
            Err(error) => return Err(failed(error)),
        }
        service
            .track(&manager.id, config.track_managers)
            .await
            .map_err(StartError::prepare("a manager cannot be tracked"))?;
    }
    admin_token(service, secrets).await
}

/// Keeps a good token of the first manager in its file.
async fn admin_token(service: &Service, secrets: &SecretDir) -> Result<(), StartError> {
    let Some(admin) = service.config().openim.managers.first() else {
        return Ok(());
    };
    if let Some(token) = secrets.admin_token()? {
        let good = service.authenticate(token.expose()).is_ok_and(|principal| {
            principal.user == admin.id && principal.expires > now_seconds() + RENEW_BEFORE
        });
        if good {
            return Ok(());
        }
    }
    let lifetime = service.token_lifetime();
    let issued = service
        .issue_token(
            UserNo(0),
            Surface::Server,
            &admin.id,
            ADMIN_PLATFORM,
            lifetime,
            Unknown::See,
        )
        .await
        .map_err(StartError::prepare("the admin token cannot be issued"))?;
    secrets.keep_admin_token(&issued.minted.token)?;
    info!(manager = admin.id, "an admin token was issued");
    Ok(())
}
