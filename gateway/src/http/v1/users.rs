//! `/v1/users/{user}`: the directory. A user who is registered has a profile, may have tokens, and is among everybody.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waybill_core::body::Profile;
use waybill_core::record::Surface;

use super::messages::answer;
use super::{Result, encode, json, no_body, principal, segment};
use crate::error::{Error, Kind};
use crate::http::address::Query;
use crate::http::call::Call;
use crate::service::Service;

/// Longest `ex`, as in OpenIM (`update_user_info`).
const MAX_EX_BYTES: usize = 1_024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileBody<'a> {
    #[serde(borrow, default)]
    nickname: Cow<'a, str>,
    #[serde(rename = "faceURL", borrow, default)]
    face_url: Cow<'a, str>,
    #[serde(borrow, default)]
    ex: Cow<'a, str>,
}

#[derive(Serialize)]
struct UserBody<'a> {
    user: &'a str,
    registered: bool,
    /// Whether it was registered by this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname: Option<&'a str>,
    #[serde(rename = "faceURL", skip_serializing_if = "Option::is_none")]
    face_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ex: Option<&'a str>,
}

/// What a profile holds beside name and picture, by OpenIM's names.
fn rest(profile: &Profile) -> Map<String, Value> {
    serde_json::from_str(&profile.rest).unwrap_or_default()
}

/// `PUT /v1/users/{user}`
pub(super) async fn put(service: &Service, call: &Call<'_>, user: &str) -> Result {
    let principal = principal(service, call)?;
    let user = segment(user)?;
    let body: ProfileBody<'_> = json(service, call)?;
    if body.ex.len() > MAX_EX_BYTES {
        let detail = format!("ex is longer than {MAX_EX_BYTES} bytes");
        return Err(Error::at(Kind::InvalidField, "/ex", detail).into());
    }
    let change = |profile: &mut Profile| {
        let mut rest = rest(profile);
        rest.remove("ex");
        if !body.ex.is_empty() {
            rest.insert("ex".to_owned(), Value::from(body.ex.as_ref()));
        }
        profile.nickname = body.nickname.to_string();
        profile.face_url = body.face_url.to_string();
        profile.rest = match rest.len() {
            0 => String::new(),
            _ => Value::Object(rest).to_string(),
        };
    };
    let new = service
        .put_user(&principal, Surface::NativeHttp, &user, change)
        .await?;
    answer(&UserBody {
        user: &user,
        registered: true,
        new: Some(new),
        nickname: Some(&body.nickname),
        face_url: Some(&body.face_url),
        ex: Some(&body.ex),
    })
}

/// `GET /v1/users/{user}/presence`: the user's live connections; for the user and business tokens.
pub(super) fn presence(service: &Service, call: &Call<'_>, user: &str) -> Result {
    let principal = principal(service, call)?;
    Query::read(call.query, &[])?;
    let user = segment(user)?;
    let live = service.presence(&principal, &user)?;
    answer(&encode::PresenceBody::new(&user, &live))
}

/// `GET /v1/users/{user}`
pub(super) fn get(service: &Service, call: &Call<'_>, user: &str) -> Result {
    let principal = principal(service, call)?;
    Query::read(call.query, &[])?;
    let user = segment(user)?;
    let profile = service.user(&principal, &user)?;
    let rest = profile.as_ref().map(rest);
    let ex = rest
        .as_ref()
        .map(|rest| rest.get("ex").and_then(Value::as_str));
    answer(&UserBody {
        user: &user,
        registered: profile.is_some(),
        new: None,
        nickname: profile.as_ref().map(|profile| profile.nickname.as_str()),
        face_url: profile.as_ref().map(|profile| profile.face_url.as_str()),
        ex: ex.map(Option::unwrap_or_default),
    })
}

/// `DELETE /v1/users/{user}`
pub(super) async fn delete(service: &Service, call: &Call<'_>, user: &str) -> Result {
    let principal = principal(service, call)?;
    Query::read(call.query, &[])?;
    no_body(service, call)?;
    let user = segment(user)?;
    service
        .unregister(&principal, Surface::NativeHttp, &user)
        .await?;
    answer(&UserBody {
        user: &user,
        registered: false,
        new: None,
        nickname: None,
        face_url: None,
        ex: None,
    })
}
