//! What clients ask for and there is none of yet: friends, groups, files. Questions get answers that are empty and valid, so that
//! a client syncs; requests to change something are refused.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Asked, Given, no_route, not_offered};
use crate::error::{Error, Kind};

/// Most groups in one request: an answer has ten times the bytes of what asks for it.
const MOST: usize = 1_000;

/// The one version of a table that nothing is ever in.
const VERSION: u64 = 1;
const VERSION_ID: &str = "empty";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    #[serde(rename = "versionID")]
    version_id: String,
    version: u64,
    #[serde(rename = "reqList")]
    list: Option<Vec<Wanted>>,
    #[serde(rename = "groupID")]
    group_id: String,
}

pub(super) fn answer(asked: &Asked<'_>) -> Given {
    Ok(match asked.call.path {
        "/friend/get_incremental_friends" | "/group/get_incremental_join_groups" => {
            incremental(&asked.body()?)
        }
        "/friend/get_full_friend_user_ids" | "/group/get_full_group_member_user_ids" => {
            full("userIDs")
        }
        "/group/get_full_join_group_ids" => full("groupIDs"),
        "/group/get_incremental_group_members_batch" => return members(&asked.body()?),
        "/friend/get_friend_list" | "/friend/get_designated_friends" => list("friendsInfo"),
        "/friend/get_black_list" | "/friend/get_specified_blacks" => list("blacks"),
        "/friend/get_friend_apply_list"
        | "/friend/get_self_friend_apply_list"
        | "/friend/get_designated_friend_apply" => list("friendRequests"),
        "/friend/get_self_unhandled_apply_count"
        | "/group/get_group_application_unhandled_count" => json!({ "count": 0 }),
        "/friend/is_friend" => json!({ "inUser1Friends": false, "inUser2Friends": false }),
        "/group/get_joined_group_list" => list("groups"),
        "/group/get_groups_info" => json!({ "groupInfos": [] }),
        "/group/get_group_member_list" | "/group/get_group_members_info" => list("members"),
        "/group/get_recv_group_applicationList"
        | "/group/get_user_req_group_applicationList"
        | "/group/get_specified_user_group_request_info" => list("groupRequests"),
        // Pushes to the systems of telephones come later; nothing is lost when one is not known.
        "/third/fcm_update_token" | "/third/set_app_badge" => json!({}),
        path => {
            let known = ["/friend/", "/group/", "/third/", "/object/", "/office/"];
            return if known.iter().any(|group| path.starts_with(group)) {
                not_offered(path)
            } else {
                no_route()
            };
        }
    })
}

fn list(name: &str) -> Value {
    json!({ "total": 0, name: [] })
}

fn full(name: &str) -> Value {
    json!({ "version": VERSION, "versionID": VERSION_ID, "equal": false, name: [] })
}

fn incremental(wanted: &Wanted) -> Value {
    let same = wanted.version == VERSION && wanted.version_id == VERSION_ID;
    json!({
        "version": VERSION, "versionID": VERSION_ID, "full": !same,
        "delete": [], "insert": [], "update": [], "sortVersion": 0,
    })
}

/// Every group that is asked for must be in the answer, or the client asks for ever.
fn members(wanted: &Wanted) -> Given {
    let groups = wanted.list.as_deref().unwrap_or_default();
    if groups.len() > MOST {
        let what = format!("a request names at most {MOST} groups");
        return Err(Error::at(Kind::InvalidField, "reqList", what));
    }
    let answers: Map<String, Value> = groups
        .iter()
        .map(|group| (group.group_id.clone(), incremental(group)))
        .collect();
    Ok(json!({ "respList": answers }))
}
