//! The endpoints of the v2 dialect about users: who is registered and connected, profiles, deletions, forced logouts.

use std::sync::Arc;

use waybill_core::body::Profile;
use waybill_core::id::UserNo;
use waybill_core::record::Surface;

use super::asked::{
    Asked, Done, OPERATION_ID, REQUIRED, asked, field, forbidden, quoted, refused, shape,
};
use super::handlers::Outcome;
use super::reply::Reply;
use crate::auth::platform_name;
use crate::error::{Error, Kind as ErrorKind};
use crate::http::Call;
use crate::openim::go::bind::{Kind, Rule, Shape};
use crate::registry::Identity;
use crate::service::{Service, Which};

/// Most users in an answer that is not asked for by pages.
const MOST_UNPAGED: usize = 100_000;

/// Most users in a page.
const MOST_PAGED: usize = 1_000;

const UP_TO_1000: &[Rule] = &[Rule::Required, Rule::Lte(1_000)];

static DELETE_USER: Shape = shape!(
    "DeleteUsersReq",
    field(
        "deleteUserIDList",
        "DeleteUserIDList",
        Kind::Texts,
        UP_TO_1000
    )
);
static ALL_USERS: Shape = shape!(
    "GetAllUsersUidReq",
    field("cursor", "Cursor", Kind::Text, &[]),
    field(
        "showNumber",
        "ShowNumber",
        Kind::Uint32,
        &[Rule::Lte(1_000)]
    )
);
static ACCOUNT_CHECK: Shape = shape!(
    "AccountCheckReq",
    field(
        "checkUserIDList",
        "CheckUserIDList",
        Kind::Texts,
        &[Rule::Required, Rule::Lte(100)]
    )
);
static ONLINE_STATUS: Shape = shape!(
    "GetUsersOnlineStatusReq",
    field(
        "userIDList",
        "UserIDList",
        Kind::Texts,
        &[Rule::Required, Rule::Lte(200)]
    )
);
static USERS_INFO: Shape = shape!(
    "GetUsersInfoReq",
    field("userIDList", "UserIDList", Kind::Texts, UP_TO_1000)
);
static SELF_INFO: Shape = shape!(
    "GetSelfUserInfoReq",
    field("userID", "UserID", Kind::Text, REQUIRED)
);
static FORCE_LOGOUT: Shape = shape!(
    "ForceLogoutReq",
    field(
        "platform",
        "Platform",
        Kind::Int32,
        &[Rule::Required, Rule::Min(1), Rule::Max(8)]
    ),
    field(
        "fromUserID",
        "FromUserID",
        Kind::Text,
        &[Rule::Required, Rule::Min(1), Rule::Max(64)]
    )
);
static UPDATE_USER: Shape = shape!(
    "UpdateSelfUserInfoReq",
    field(
        "userID",
        "ApiUserInfo.UserID",
        Kind::Text,
        &[Rule::Required, Rule::Min(1), Rule::Max(64)]
    ),
    field(
        "nickname",
        "ApiUserInfo.Nickname",
        Kind::Text,
        &[Rule::OmitEmpty, Rule::Max(64)]
    ),
    field(
        "faceURL",
        "ApiUserInfo.FaceURL",
        Kind::Text,
        &[Rule::OmitEmpty, Rule::Max(1024)]
    ),
    field(
        "gender",
        "ApiUserInfo.Gender",
        Kind::Int32,
        &[Rule::OmitEmpty, Rule::OneOf(&[0, 1, 2])]
    ),
    field(
        "phoneNumber",
        "ApiUserInfo.PhoneNumber",
        Kind::Text,
        &[Rule::OmitEmpty, Rule::Max(32)]
    ),
    field("birth", "ApiUserInfo.Birth", Kind::Uint32, &[]),
    field(
        "email",
        "ApiUserInfo.Email",
        Kind::Text,
        &[Rule::OmitEmpty, Rule::Max(64)]
    ),
    field(
        "ex",
        "ApiUserInfo.Ex",
        Kind::Text,
        &[Rule::OmitEmpty, Rule::Max(1024)]
    )
);

/// Answers the endpoints of this module; `None` for another path.
pub(super) async fn answer(service: &Service, call: &Call<'_>) -> Option<Outcome> {
    let (shape, status) = match call.path {
        "/manager/delete_user" => (&DELETE_USER, 500),
        "/manager/get_all_users_uid" | "/user/get_all_users_uid" => (&ALL_USERS, 400),
        "/manager/account_check" | "/user/account_check" => (&ACCOUNT_CHECK, 400),
        "/manager/get_users_online_status" => (&ONLINE_STATUS, 500),
        "/user/get_users_online_status" => (&ONLINE_STATUS, 400),
        "/auth/force_logout" => (&FORCE_LOGOUT, 500),
        "/user/get_users_info" => (&USERS_INFO, 400),
        "/user/get_self_user_info" => (&SELF_INFO, 400),
        "/user/update_user_info" => (&UPDATE_USER, 400),
        _ => return None,
    };
    let asked = match asked(service, call, shape, status) {
        Ok(asked) => asked,
        Err(outcome) => return Some(outcome),
    };
    let done = match call.path {
        "/manager/delete_user" => delete(service, &asked).await,
        "/manager/get_all_users_uid" | "/user/get_all_users_uid" => all(service, &asked).await,
        "/manager/account_check" | "/user/account_check" => check(service, &asked),
        "/auth/force_logout" => force_logout(service, &asked).await,
        "/user/get_users_info" => infos(service, &asked).await,
        "/user/get_self_user_info" => own_info(service, &asked),
        "/user/update_user_info" => update(service, &asked).await,
        _ => online(service, &asked),
    };
    Some(asked.outcome(done))
}

fn array(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

async fn delete(service: &Service, asked: &Asked<'_>) -> Done {
    let ids = asked.values.texts(1);
    if !asked.principal.is_business() {
        let all = array(ids.iter().map(|id| quoted(id)));
        return Err(refused(forbidden(), Some(&all)));
    }
    let mut failed = Vec::new();
    for id in ids {
        let done = service.unregister(&asked.principal, Surface::OpenImV2, id);
        if done.await.is_err() {
            failed.push(quoted(id));
        }
    }
    let (code, text) = if failed.is_empty() {
        (0, "")
    } else {
        (201, "some uid deleted failed")
    };
    Ok(Reply::common(code, text, Some(&array(failed))))
}

/// All registered users. The original has no pages; here `showNumber` asks for one, and `cursor` for the next.
async fn all(service: &Service, asked: &Asked<'_>) -> Done {
    if !asked.principal.is_business() {
        return Err(refused(forbidden(), Some("[]")));
    }
    let number = usize::try_from(asked.values.number(2)).unwrap_or(0);
    let mut from = match asked.values.text(1) {
        "" => Some(UserNo(0)),
        text => text.parse().ok().map(UserNo),
    };
    if from.is_none() {
        let error = Error::at(ErrorKind::InvalidField, "cursor", "the cursor is none");
        return Err(refused(error, None));
    }
    let mut ids: Vec<String> = Vec::new();
    while let Some(start) = from {
        let limit = if number > 0 { number } else { MOST_PAGED };
        let page = service.registered(start, limit).await;
        let (more, next) = page.map_err(|error| refused(error, None))?;
        ids.extend(more.iter().map(|id| quoted(id)));
        from = next;
        if number > 0 {
            break;
        }
        if ids.len() > MOST_UNPAGED {
            let text =
                "there are too many users for one answer: ask for pages with showNumber and cursor";
            return Err(refused(Error::new(ErrorKind::InvalidField, text), None));
        }
    }
    let reply = match from {
        Some(next) if number > 0 => Reply::json(format!(
            "{{\"errCode\":0,\"errMsg\":\"\",\"data\":{},\"cursor\":\"{}\"}}",
            array(ids),
            next.0
        )),
        _ => Reply::common(0, "", Some(&array(ids))),
    };
    Ok(reply)
}

fn check(service: &Service, asked: &Asked<'_>) -> Done {
    if !asked.principal.is_business() {
        return Err(refused(forbidden(), Some("[]")));
    }
    let mut found = Vec::new();
    for id in asked.values.texts(1) {
        // What is no id is nobody's.
        let status = match service.is_registered(id) {
            Ok(true) => "registered",
            Err(error) if error.kind == ErrorKind::Internal => return Err(refused(error, None)),
            _ => "unregistered",
        };
        found.push(format!(
            "{{\"userID\":{},\"accountStatus\":\"{status}\"}}",
            quoted(id)
        ));
    }
    Ok(Reply::common(0, "", Some(&array(found))))
}

/// Who has a live connection, over whatever it is; a long poll is one while it waits.
fn online(service: &Service, asked: &Asked<'_>) -> Done {
    let mut found = Vec::new();
    for id in asked.values.texts(1) {
        if !asked.principal.may_act_for(id) {
            return Err(refused(forbidden(), Some("[]")));
        }
        let mut platforms: Vec<u8> = service
            .registry()
            .of_user(id)
            .iter()
            .map(|identity: &Arc<Identity>| identity.platform)
            .collect();
        platforms.sort_unstable();
        platforms.dedup();
        let id = quoted(id);
        if platforms.is_empty() {
            found.push(format!("{{\"userID\":{id},\"status\":\"offline\"}}"));
            continue;
        }
        let details = array(platforms.iter().map(|platform| {
            let name = quoted(platform_name(*platform).unwrap_or_default());
            format!("{{\"platform\":{name},\"status\":\"online\"}}")
        }));
        found.push(format!(
            "{{\"userID\":{id},\"status\":\"online\",\"detailPlatformStatus\":{details}}}"
        ));
    }
    Ok(Reply::common(0, "", Some(&array(found))))
}

async fn force_logout(service: &Service, asked: &Asked<'_>) -> Done {
    if !asked.principal.is_business() {
        return Err(refused(forbidden(), None));
    }
    let platform = u8::try_from(asked.values.number(1)).unwrap_or(0);
    let which = Which::Platform(platform);
    let user = asked.values.text(2);
    service
        .revoke(&asked.principal, Surface::OpenImV2, user, which)
        .await
        .map_err(|error| refused(error, None))?;
    Ok(Reply::common(0, "", None))
}

/// What a profile shows: to everybody, or to its owner and managers. Values of zero are left out, keys are sorted.
fn shown(user: &str, profile: &Profile, whole: bool) -> String {
    let rest: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&profile.rest).unwrap_or_default();
    let mut out = std::collections::BTreeMap::new();
    for (name, value) in rest {
        let public = matches!(name.as_str(), "gender" | "ex");
        if whole || public {
            let text = value.as_str().map_or_else(|| value.to_string(), quoted);
            out.insert(name, text);
        }
    }
    out.insert("userID".to_owned(), quoted(user));
    for (name, text) in [
        ("nickname", &profile.nickname),
        ("faceURL", &profile.face_url),
    ] {
        if !text.is_empty() {
            out.insert(name.to_owned(), quoted(text));
        }
    }
    let fields = out
        .iter()
        .map(|(name, text)| format!("{}:{text}", quoted(name)));
    let fields: Vec<_> = fields.collect();
    format!("{{{}}}", fields.join(","))
}

async fn infos(service: &Service, asked: &Asked<'_>) -> Done {
    let users = asked.values.texts(1).iter().map(ToString::to_string);
    let found = service.profiles(users.collect()).await;
    let found = found.map_err(|error| refused(error, None))?;
    let shown = found
        .iter()
        .map(|(user, profile)| shown(user, profile, false));
    Ok(Reply::common(0, "", Some(&array(shown))))
}

fn own_info(service: &Service, asked: &Asked<'_>) -> Done {
    let user = &asked.principal.user;
    let profile = service
        .profile(user)
        .map_err(|error| refused(error, None))?;
    let info = profile.map_or_else(|| "{}".to_owned(), |profile| shown(user, &profile, true));
    Ok(Reply::common(0, "", Some(&info)))
}

/// What is given replaces what was; what is not stays, as in the original.
async fn update(service: &Service, asked: &Asked<'_>) -> Done {
    let values = &asked.values;
    let change = |profile: &mut Profile| {
        for (text, to) in [
            (values.text(2), &mut profile.nickname),
            (values.text(3), &mut profile.face_url),
        ] {
            if !text.is_empty() {
                text.clone_into(to);
            }
        }
        let mut rest: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&profile.rest).unwrap_or_default();
        for (name, index) in [("gender", 4), ("birth", 6)] {
            if values.number(index) != 0 {
                rest.insert(name.to_owned(), values.number(index).into());
            }
        }
        for (name, index) in [("phoneNumber", 5), ("email", 7), ("ex", 8)] {
            if !values.text(index).is_empty() {
                rest.insert(name.to_owned(), values.text(index).into());
            }
        }
        if !rest.is_empty() {
            profile.rest = serde_json::Value::Object(rest).to_string();
        }
    };
    service
        .update_profile(&asked.principal, Surface::OpenImV2, values.text(1), change)
        .await
        .map_err(|error| refused(error, None))?;
    Ok(Reply::common(0, "", None))
}
