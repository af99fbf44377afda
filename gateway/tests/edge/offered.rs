//! All routes of the original: each is offered or refused.

use waybill_gateway::openim::v2::offered::{GROUPS, ROUTES};

use crate::support::start;

/// Every route of the original's business API, all versions together.
const ORIGINAL: [(&str, &str); 11] = [
    (
        "/manager/",
        "delete_user send_msg batch_send_msg get_all_users_uid account_check get_users_online_status",
    ),
    (
        "/user/",
        "update_user_info set_global_msg_recv_opt get_users_info get_self_user_info get_users_online_status
         get_users_info_from_cache get_user_friend_from_cache get_black_list_from_cache get_all_users_uid account_check",
    ),
    (
        "/auth/",
        "user_register user_token parse_token force_logout",
    ),
    (
        "/msg/",
        "newest_seq send_msg pull_msg_by_seq del_msg del_super_group_msg clear_msg manage_send_msg batch_send_msg
         check_msg_is_send_success set_msg_min_seq",
    ),
    (
        "/friend/",
        "add_friend delete_friend get_friend_apply_list get_self_friend_apply_list get_friend_list add_friend_response
         set_friend_remark add_black get_black_list remove_black import_friend is_friend",
    ),
    (
        "/group/",
        "create_group set_group_info join_group quit_group group_application_response transfer_group
         get_recv_group_applicationList get_user_req_group_applicationList get_groups_info kick_group
         get_group_member_list get_group_all_member_list get_group_members_info invite_user_to_group
         get_joined_group_list dismiss_group mute_group_member cancel_mute_group_member mute_group cancel_mute_group
         set_group_member_nickname set_group_member_info",
    ),
    ("/super_group/", "get_joined_group_list get_groups_info"),
    (
        "/third/",
        "tencent_cloud_storage_credential ali_oss_credential minio_storage_credential minio_upload upload_update_app
         get_download_url get_rtc_invitation_info get_rtc_invitation_start_app fcm_update_token",
    ),
    (
        "/conversation/",
        "get_all_conversations get_conversation get_conversations set_conversation batch_set_conversation
         set_recv_msg_opt modify_conversation_field",
    ),
    (
        "/office/",
        "get_user_tags get_user_tag_by_id create_tag delete_tag set_tag send_msg_to_tag get_send_tag_log
         create_one_work_moment delete_one_work_moment like_one_work_moment comment_one_work_moment
         get_work_moment_by_id get_user_work_moments get_user_friend_work_moments set_user_work_moments_level
         delete_comment",
    ),
    (
        "/organization/",
        "create_department update_department get_sub_department delete_department get_all_department
         create_organization_user update_organization_user delete_organization_user create_department_member
         get_user_in_department update_user_in_department get_department_member delete_user_in_department",
    ),
];

/// Each is offered and asks for its fields, or says that it is not offered.
#[tokio::test]
async fn no_route_of_the_original_is_unknown() {
    let (_data, server) = start().await;
    for (group, names) in ORIGINAL {
        for name in names.split_whitespace() {
            let path = format!("{group}{name}");
            let answer = server.v2(&path, "", "{}").await;
            let body = answer.json();
            let refused = body["errMsg"] == format!("{path} is not offered");
            let listed = ROUTES.contains(&path.as_str()) || GROUPS.contains(&group);
            assert_eq!(refused, listed, "{path}: {}", answer.text());
            // Without a field and a token nothing that is offered does anything.
            assert_eq!(answer.status, if listed { 200 } else { 400 }, "{path}");
        }
    }
    server.stop().await;
}
