//! Tokens.

use serde::Deserialize;
use serde_json::json;
use waybill_core::command::Unknown;
use waybill_core::id::UserNo;
use waybill_core::record::Surface;

use super::{Asked, Given, body, no_route};
use crate::error::{Error, Kind};
use crate::http::Call;
use crate::openim::v3::platform;
use crate::service::{Service, Which, now_seconds};
use crate::telemetry::same_secret;

/// The platform of managers, as tokens have it.
const ADMIN: u8 = 8;

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenAsked {
    secret: String,
    #[serde(rename = "userID")]
    user_id: String,
    #[serde(rename = "platformID")]
    platform_id: u8,
}

/// `POST /auth/get_admin_token`: for whoever knows the secret.
pub(super) async fn admin_token(service: &Service, call: &Call<'_>) -> Given {
    let asked: TokenAsked = body(call)?;
    let secret = service.openim_secret().expose().as_bytes();
    if !same_secret(asked.secret.as_bytes(), secret) {
        return Err(Error::of(Kind::WrongSecret));
    }
    if !service.is_manager(&asked.user_id) {
        let what = "userID is no manager of this server";
        return Err(Error::at(Kind::InvalidField, "userID", what));
    }
    issue(service, UserNo(0), &asked.user_id, ADMIN).await
}

async fn issue(service: &Service, by: UserNo, user: &str, platform: u8) -> Given {
    let lifetime = service.token_lifetime();
    let issued = service
        .issue_token(
            by,
            Surface::OpenImV3,
            user,
            platform,
            lifetime,
            Unknown::Refuse,
        )
        .await?;
    Ok(json!({ "token": issued.minted.token.expose(), "expireTimeSeconds": lifetime }))
}

/// `POST /auth/parse_token`: whose the token in the body is.
pub(super) fn parse_token(service: &Service, call: &Call<'_>) -> Given {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Parse {
        token: String,
    }
    let asked: Parse = body(call)?;
    // It is no session's token that is wrong: clients would log out.
    let principal = service
        .authenticate(&asked.token)
        .map_err(|error| Error::at(Kind::InvalidField, "token", error.to_string()))?;
    Ok(json!({
        "userID": principal.user,
        "platformID": platform::shown(principal.platform),
        "expireTimeSeconds": principal.expires.saturating_sub(now_seconds()),
    }))
}

pub(super) async fn answer(asked: &Asked<'_>) -> Given {
    match asked.call.path {
        "/auth/get_user_token" => user_token(asked).await,
        "/auth/force_logout" => force_logout(asked).await,
        _ => no_route(),
    }
}

async fn user_token(asked: &Asked<'_>) -> Given {
    asked.business()?;
    let wanted: TokenAsked = asked.body()?;
    let service = asked.service;
    if wanted.platform_id == 10 || service.is_manager(&wanted.user_id) {
        let what = "tokens of managers come from /auth/get_admin_token";
        return Err(Error::new(Kind::Forbidden, what));
    }
    let platform = native(wanted.platform_id)?;
    if !service.is_registered(&wanted.user_id)? {
        return Err(Error::of(Kind::UnknownUser));
    }
    issue(service, asked.principal.number, &wanted.user_id, platform).await
}

fn native(platform: u8) -> Result<u8, Error> {
    let what = "platformID must be from 1 to 11";
    platform::native(platform).ok_or_else(|| Error::at(Kind::InvalidField, "platformID", what))
}

async fn force_logout(asked: &Asked<'_>) -> Given {
    asked.business()?;
    let wanted: TokenAsked = asked.body()?;
    let which = Which::Platform(native(wanted.platform_id)?);
    asked
        .service
        .revoke(&asked.principal, Surface::OpenImV3, &wanted.user_id, which)
        .await?;
    Ok(json!({}))
}
