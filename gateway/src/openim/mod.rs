//! OpenIM's dialects: translate its requests to commands and its answers from outcomes. No rule of the domain lives here.

pub mod go;
pub mod v2;
pub mod v3;

use hyper::HeaderMap;

/// A dialect of OpenIM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// v2: the operationID stands in the body.
    V2,
    /// v3: the operationID is a header.
    V3,
}

impl Dialect {
    /// Which dialect a request speaks: the only place that decides it. On a path that only v2 has, v2, for its callers may send the
    /// header of v3 all the same.
    #[must_use]
    pub fn of(path: &str, headers: &HeaderMap) -> Self {
        let older = V2_ALONE.iter().any(|own| match own.strip_suffix('/') {
            Some(group) => path
                .strip_prefix(group)
                .is_some_and(|rest| rest.starts_with('/')),
            None => path == *own,
        });
        if headers.contains_key("operationid") && !older {
            Self::V3
        } else {
            Self::V2
        }
    }
}

/// Paths, and groups of paths, that v3 has not.
const V2_ALONE: [&str; 15] = [
    "/manager/",
    "/super_group/",
    "/organization/",
    "/auth/user_register",
    "/auth/user_token",
    "/msg/manage_send_msg",
    "/msg/check_msg_is_send_success",
    "/msg/newest_seq",
    "/msg/pull_msg_by_seq",
    "/msg/del_msg",
    "/msg/clear_msg",
    "/msg/set_msg_min_seq",
    "/msg/del_super_group_msg",
    "/user/get_all_users_uid",
    "/user/get_self_user_info",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_the_dialects_apart() {
        let mut headers = HeaderMap::new();
        assert_eq!(Dialect::of("/msg/send_msg", &headers), Dialect::V2);
        headers.insert("token", hyper::header::HeaderValue::from_static("t"));
        assert_eq!(Dialect::of("/msg/send_msg", &headers), Dialect::V2);
        headers.insert("operationID", hyper::header::HeaderValue::from_static(""));
        assert_eq!(Dialect::of("/msg/send_msg", &headers), Dialect::V3);
        for older in ["/manager/send_msg", "/auth/user_token", "/msg/newest_seq"] {
            assert_eq!(Dialect::of(older, &headers), Dialect::V2, "{older}");
        }
        for newer in ["/manager", "/managers/x", "/auth/user_tokens"] {
            assert_eq!(Dialect::of(newer, &headers), Dialect::V3, "{newer}");
        }
    }
}
