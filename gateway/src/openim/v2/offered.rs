//! Routes of the original that are not offered: one table, each answered by a typed refusal. `docs/openim-compatibility.md`
//! lists them.

use super::handlers::Outcome;
use super::reply::Reply;
use crate::error::{Error, Kind};

/// Groups of routes of which none is offered.
pub const GROUPS: [&str; 7] = [
    "/friend/",
    "/group/",
    "/super_group/",
    "/conversation/",
    "/office/",
    "/organization/",
    "/third/",
];

/// Single routes that are not offered.
pub const ROUTES: [&str; 6] = [
    "/msg/send_msg",
    "/msg/del_super_group_msg",
    "/user/set_global_msg_recv_opt",
    "/user/get_users_info_from_cache",
    "/user/get_user_friend_from_cache",
    "/user/get_black_list_from_cache",
];

/// The refusal of a route that the original has and this server has not.
pub(super) fn refusal(path: &str) -> Option<Outcome> {
    let known = ROUTES.contains(&path) || GROUPS.iter().any(|group| path.starts_with(group));
    known.then(|| {
        let error = Error::new(Kind::NotOffered, format!("{path} is not offered"));
        Outcome::refused(Reply::of(&error), "", error)
    })
}
