//! Users: registering them, and who they are.

use std::collections::HashSet;
use std::fmt::{self, Formatter};

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use waybill_core::body::Profile;
use waybill_core::id::check_id;
use waybill_core::record::Surface;

use super::{Asked, Given, no_route, not_offered};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::openim::v3::proto::UserInfo;
use crate::openim::v3::{names, platform};
use crate::random;
use crate::service::{Named, Registration, Service};

/// Most users in one request.
const MOST: usize = 1_000;

/// OpenIM's levels of accounts: a user, a manager, an account that sends notifications.
const ORDINARY: i32 = 1;
const NOTIFIER: i32 = 3;

/// The key of the level in the rest of a profile, spelled as OpenIM spells it.
const LEVEL: &str = "appMangerLevel";

pub(super) async fn answer(asked: &Asked<'_>) -> Given {
    match asked.call.path {
        "/user/user_register" => register(asked).await,
        "/user/add_notification_account" => add_account(asked).await,
        "/user/get_users_info" => infos(asked).await,
        "/user/update_user_info" | "/user/update_user_info_ex" => update(asked).await,
        "/user/get_users_online_status" => online(asked),
        "/user/account_check" => check(asked).await,
        "/user/get_subscribe_users_status" | "/user/subscribe_users_status" => {
            Ok(json!({ "statusList": [] }))
        }
        "/user/process_user_command_get" | "/user/process_user_command_get_all" => {
            Ok(json!({ "commandResp": [] }))
        }
        "/user/get_user_client_config" => Ok(json!({ "configs": {} })),
        path if path.starts_with("/user/process_user_command") => not_offered(path),
        "/user/set_global_msg_recv_opt" => not_offered(asked.call.path),
        _ => no_route(),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserAsked {
    #[serde(rename = "userID")]
    user_id: String,
    nickname: Option<String>,
    #[serde(rename = "nickName")]
    nick_name: Option<String>,
    #[serde(rename = "faceURL")]
    face_url: Option<String>,
    ex: Option<String>,
    #[serde(rename = "appMangerLevel")]
    level: Option<i32>,
    #[serde(rename = "globalRecvMsgOpt")]
    receive_option: Option<i32>,
}

impl UserAsked {
    fn rest(&self) -> String {
        let mut rest = Map::new();
        if let Some(ex) = self.ex.as_ref().filter(|ex| !ex.is_empty()) {
            rest.insert("ex".to_owned(), ex.as_str().into());
        }
        if let Some(level) = self.level.filter(|level| *level > ORDINARY) {
            rest.insert(LEVEL.to_owned(), level.into());
        }
        if rest.is_empty() {
            String::new()
        } else {
            Value::Object(rest).to_string()
        }
    }

    async fn register(&self, asked: &Asked<'_>) -> Result<(), Error> {
        let name = self.nickname.as_ref().or(self.nick_name.as_ref());
        let registration = Registration {
            user: &self.user_id,
            nickname: name.map_or("", String::as_str),
            face_url: self.face_url.as_deref().unwrap_or_default(),
            rest: &self.rest(),
        };
        let by = asked.principal.number;
        asked
            .service
            .register(by, Surface::OpenImV3, registration)
            .await
    }
}

async fn register(asked: &Asked<'_>) -> Given {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Users {
        users: Vec<UserAsked>,
    }
    asked.business()?;
    let wanted: Users = asked.body()?;
    count(wanted.users.len())?;
    // All or none, as far as that can be known beforehand.
    let mut named = HashSet::new();
    for user in &wanted.users {
        check_id(&user.user_id)
            .map_err(|error| Error::at(Kind::InvalidId, "userID", format!("userID {error}")))?;
        if !named.insert(user.user_id.as_str()) {
            let what = format!("{} is named twice", user.user_id);
            return Err(Error::at(Kind::AlreadyRegistered, "users", what));
        }
    }
    let ids = wanted.users.iter().map(|user| user.user_id.clone());
    let registered = asked.service.are_registered(ids.collect()).await?;
    if let Some((user, _)) = wanted
        .users
        .iter()
        .zip(registered)
        .find(|(_, known)| *known)
    {
        let what = format!("{} is registered already", user.user_id);
        return Err(Error::at(Kind::AlreadyRegistered, "users", what));
    }
    for user in &wanted.users {
        user.register(asked).await?;
    }
    Ok(json!({}))
}

/// An account that sends notifications: a user with a level of its own.
async fn add_account(asked: &Asked<'_>) -> Given {
    asked.business()?;
    let mut wanted: UserAsked = asked.body()?;
    let level = wanted.level.unwrap_or(NOTIFIER);
    if level < NOTIFIER {
        let what = "appMangerLevel must be 3 or more";
        return Err(Error::at(Kind::InvalidField, LEVEL, what));
    }
    wanted.level = Some(level);
    if wanted.user_id.is_empty() {
        // Digits first: so it sorts before users, as some clients expect of such accounts.
        wanted.user_id = format!(
            "0{}",
            u64::from_be_bytes(random::bytes()?) % 1_000_000_000_000
        );
    }
    wanted.register(asked).await?;
    Ok(json!({
        "userID": wanted.user_id,
        "nickName": wanted.nick_name.as_ref().or(wanted.nickname.as_ref()),
        "faceURL": wanted.face_url,
        LEVEL: level,
    }))
}

fn count(count: usize) -> Result<(), Error> {
    if (1..=MOST).contains(&count) {
        return Ok(());
    }
    let what = format!("a request names from 1 to {MOST} users");
    Err(Error::new(Kind::InvalidField, what))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserIds {
    #[serde(
        rename = "userIDs",
        alias = "checkUserIDs",
        deserialize_with = "distinct"
    )]
    user_ids: Vec<String>,
}

/// Each id once, in the order of the first times. The web SDK names the user of each of its n conversations n times.
fn distinct<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<String>, D::Error> {
    struct Ids;

    impl<'de> Visitor<'de> for Ids {
        type Value = Vec<String>;

        fn expecting(&self, text: &mut Formatter<'_>) -> fmt::Result {
            text.write_str("a list of ids")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let (mut named, mut ids) = (HashSet::new(), Vec::new());
            while let Some(id) = list.next_element::<String>()? {
                // One more than there may be is refused by whoever counts them.
                if ids.len() <= MOST && !named.contains(&id) {
                    named.insert(id.clone());
                    ids.push(id);
                }
            }
            Ok(ids)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }
    }

    list.deserialize_any(Ids)
}

/// Who a user is. Whoever has sent or received anything is known, registered or not: without a record the client would not show
/// the conversation. An account without a profile is called as its notices call it.
pub(super) async fn info(
    service: &Service,
    principal: &Principal,
    user: &str,
) -> Result<Option<UserInfo>, Error> {
    let found = found(service, &[user], principal).await?;
    Ok(found.into_iter().next())
}

/// Those of these users that there are.
async fn found(
    service: &Service,
    users: &[&str],
    principal: &Principal,
) -> Result<Vec<UserInfo>, Error> {
    let users = users.iter().map(|user| (*user).to_owned()).collect();
    let seen = service.seen(users).await?;
    let mut found: Vec<UserInfo> = seen
        .into_iter()
        .map(|(user, profile)| as_known(service, user, profile.unwrap_or_default()))
        .collect();
    let nameless =
        |info: &&mut UserInfo| info.nickname.is_empty() && info.user_id != principal.user;
    let accounts: Vec<String> = found
        .iter_mut()
        .filter(nameless)
        .map(|info| info.user_id.clone())
        .collect();
    if !accounts.is_empty() {
        let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
        let titles = service.session_titles(principal, &accounts).await?;
        for (info, (title, face_url)) in found.iter_mut().filter(nameless).zip(titles) {
            // A session without a name would not be told from others.
            info.nickname = if title.is_empty() {
                info.user_id.clone()
            } else {
                title
            };
            if info.face_url.is_empty() {
                info.face_url = face_url;
            }
        }
    }
    Ok(found)
}

/// A user as the profile says.
fn as_known(service: &Service, user: String, profile: Profile) -> UserInfo {
    let manager = service.is_manager(&user);
    let rest: Map<String, Value> = serde_json::from_str(&profile.rest).unwrap_or_default();
    UserInfo {
        user_id: user,
        nickname: profile.nickname,
        face_url: profile.face_url,
        ex: rest
            .get("ex")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        app_manger_level: match rest.get(LEVEL).and_then(Value::as_i64) {
            Some(level) => i32::try_from(level).unwrap_or(NOTIFIER),
            None if manager => NOTIFIER,
            None => ORDINARY,
        },
        ..UserInfo::default()
    }
}

fn shown(info: &UserInfo) -> Value {
    json!({
        "userID": info.user_id,
        "nickname": info.nickname,
        "faceURL": info.face_url,
        "ex": info.ex,
        "createTime": info.create_time,
        LEVEL: info.app_manger_level,
        "globalRecvMsgOpt": info.global_recv_msg_opt,
    })
}

async fn infos(asked: &Asked<'_>) -> Given {
    let wanted: UserIds = asked.body()?;
    count(wanted.user_ids.len())?;
    let users: Vec<&str> = wanted.user_ids.iter().map(String::as_str).collect();
    let found = found(asked.service, &users, &asked.principal).await?;
    let found: Vec<Value> = found.iter().map(shown).collect();
    Ok(json!({ "usersInfo": found }))
}

async fn update(asked: &Asked<'_>) -> Given {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Update {
        #[serde(rename = "userInfo")]
        user_info: UserAsked,
    }
    let wanted: Update = asked.body()?;
    let wanted = wanted.user_info;
    if wanted.receive_option.is_some_and(|option| option != 0) {
        return not_offered("globalRecvMsgOpt");
    }
    let change = |profile: &mut Profile| {
        for (text, to) in [
            (&wanted.nickname, &mut profile.nickname),
            (&wanted.face_url, &mut profile.face_url),
        ] {
            if let Some(text) = text {
                to.clone_from(text);
            }
        }
        if let Some(ex) = &wanted.ex {
            let mut rest: Map<String, Value> =
                serde_json::from_str(&profile.rest).unwrap_or_default();
            rest.insert("ex".to_owned(), ex.as_str().into());
            profile.rest = Value::Object(rest).to_string();
        }
    };
    asked
        .service
        .update_profile(&asked.principal, Surface::OpenImV3, &wanted.user_id, change)
        .await?;
    Ok(json!({}))
}

/// Who of these is connected, for anybody: the gateway tells it by the same rule.
fn online(asked: &Asked<'_>) -> Given {
    let wanted: UserIds = asked.body()?;
    count(wanted.user_ids.len())?;
    let mut found = Vec::new();
    for user in &wanted.user_ids {
        let details: Vec<Value> = platform::online(asked.service.registry(), user)
            .iter()
            .map(|platform| json!({ "platformID": platform }))
            .collect();
        let status = i32::from(!details.is_empty());
        found.push(json!({ "userID": user, "status": status, "detailPlatformStatus": details }));
    }
    Ok(Value::Array(found))
}

async fn check(asked: &Asked<'_>) -> Given {
    asked.business()?;
    let wanted: UserIds = asked.body()?;
    count(wanted.user_ids.len())?;
    let registered = asked
        .service
        .are_registered(wanted.user_ids.clone())
        .await?;
    let results: Vec<Value> = wanted
        .user_ids
        .iter()
        .zip(registered)
        .map(|(user, known)| json!({ "userID": user, "accountStatus": i32::from(known) }))
        .collect();
    Ok(json!({ "results": results }))
}

/// The name that a conversation with this party has for its owner.
pub(super) fn peer_of<'a>(own: &str, id: &'a str) -> Option<Named<'a>> {
    match names::read(own, id)? {
        names::Name::Chat(named) => Some(named),
        names::Name::Own => None,
    }
}
