//! The messages of OpenIM's client protocol, by the numbers of their fields.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Malformed, Message, Packed, define, wire};

define! {
    /// A message of a conversation, or a notification.
    MsgData {
        1 send_id: String,
        2 recv_id: String,
        3 group_id: String,
        4 client_msg_id: String,
        5 server_msg_id: String,
        6 sender_platform_id: i32,
        7 sender_nickname: String,
        8 sender_face_url: String,
        9 session_type: i32,
        10 msg_from: i32,
        11 content_type: i32,
        12 content: Bytes,
        14 seq: i64,
        15 send_time: i64,
        16 create_time: i64,
        17 status: i32,
        18 is_read: bool,
        19 options: BTreeMap<String, bool>,
        20 offline_push_info: Option<OfflinePushInfo>,
        21 at_user_id_list: Vec<String>,
        22 attached_info: String,
        23 ex: String,
    }

    /// What a push shows.
    OfflinePushInfo {
        1 title: String,
        2 desc: String,
        3 ex: String,
        4 ios_push_sound: String,
        5 ios_badge_count: bool,
        6 signal_info: String,
    }

    /// Messages of one conversation.
    PullMsgs {
        1 msgs: Vec<MsgData>,
        2 is_end: bool,
        3 end_seq: i64,
    }

    /// 1001, asked.
    GetMaxSeqReq {
        1 user_id: String,
    }

    /// 1001, answered.
    GetMaxSeqResp {
        1 max_seqs: BTreeMap<String, i64>,
        2 min_seqs: BTreeMap<String, i64>,
    }

    /// A part of a conversation.
    SeqRange {
        1 conversation_id: String,
        2 begin: i64,
        3 end: i64,
        4 num: i64,
    }

    /// 1002, asked.
    PullMessageBySeqsReq {
        1 user_id: String,
        2 seq_ranges: Vec<SeqRange>,
        3 order: i32,
    }

    /// 1002 and 1005, answered; and a push, 2001.
    PullMessagesResp {
        1 msgs: BTreeMap<String, PullMsgs>,
        2 notification_msgs: BTreeMap<String, PullMsgs>,
    }

    /// [`PullMsgs`] whose messages are encoded already: in the encoding they look the same.
    EncodedMsgs {
        1 msgs: Vec<Bytes>,
        2 is_end: bool,
        3 end_seq: i64,
    }

    /// [`PullMessagesResp`] of such.
    EncodedMessagesResp {
        1 msgs: BTreeMap<String, EncodedMsgs>,
        2 notification_msgs: BTreeMap<String, EncodedMsgs>,
    }

    /// [`GetLastMessageResp`] of such.
    EncodedLastMessages {
        1 msgs: BTreeMap<String, Bytes>,
    }

    /// 1003, answered.
    SendMsgResp {
        1 server_msg_id: String,
        2 client_msg_id: String,
        3 send_time: i64,
    }

    /// Places in a conversation.
    ConversationSeqs {
        2 conversation_id: String,
        3 seqs: Packed,
    }

    /// 1005, asked.
    GetSeqMessageReq {
        1 user_id: String,
        2 conversations: Vec<ConversationSeqs>,
        3 order: i32,
    }

    /// 1006, asked.
    GetHasReadAndMaxSeqReq {
        1 user_id: String,
        2 conversation_ids: Vec<String>,
        3 return_pinned: bool,
    }

    /// How far a conversation goes, and how far it is read.
    Seqs {
        1 max_seq: i64,
        2 has_read_seq: i64,
        3 max_seq_time: i64,
    }

    /// 1006, answered.
    GetHasReadAndMaxSeqResp {
        1 seqs: BTreeMap<String, Seqs>,
        2 pinned_conversation_ids: Vec<String>,
    }

    /// 1007, asked.
    GetLastMessageReq {
        1 user_id: String,
        2 conversation_ids: Vec<String>,
    }

    /// 1007, answered.
    GetLastMessageResp {
        1 msgs: BTreeMap<String, MsgData>,
    }

    /// 2004, asked.
    SetAppBackgroundStatusReq {
        1 user_id: String,
        2 is_background: bool,
    }

    /// 2005, asked.
    SubUserOnlineStatus {
        1 subscribe: Vec<String>,
        2 unsubscribe: Vec<String>,
    }

    /// Who is online where.
    UserOnlineStatus {
        1 user_id: String,
        2 platforms: Packed,
    }

    /// 2005, answered.
    UserOnlineStatusResp {
        1 users: Vec<UserOnlineStatus>,
    }

    /// A user.
    UserInfo {
        1 user_id: String,
        2 nickname: String,
        3 face_url: String,
        4 ex: String,
        5 create_time: i64,
        6 app_manger_level: i32,
        7 global_recv_msg_opt: i32,
    }

    /// A conversation, as its owner has it.
    Conversation {
        1 owner_user_id: String,
        2 conversation_id: String,
        3 recv_msg_opt: i32,
        4 conversation_type: i32,
        5 user_id: String,
        6 group_id: String,
        7 is_pinned: bool,
        8 attached_info: String,
        9 is_private_chat: bool,
        10 group_at_type: i32,
        11 ex: String,
        12 burn_duration: i32,
        13 min_seq: i64,
        14 max_seq: i64,
        15 msg_destruct_time: i64,
        16 latest_msg_destruct_time: i64,
        17 is_msg_destruct: bool,
    }

    /// A conversation with its last message, for the SDK in JavaScript.
    ConversationMsg {
        1 conversation: Option<Conversation>,
        2 last_msg: Option<MsgData>,
        3 user: Option<UserInfo>,
        6 max_seq: i64,
        7 read_seq: i64,
    }

    /// `/jssdk/get_active_conversations`, asked.
    GetActiveConversationsReq {
        1 owner_user_id: String,
        2 count: i64,
    }

    /// `/jssdk/get_conversations`, asked.
    GetConversationsReq {
        1 owner_user_id: String,
        2 conversation_ids: Vec<String>,
    }

    /// Both, answered.
    ConversationsResp {
        1 unread_count: i64,
        2 conversations: Vec<ConversationMsg>,
    }
}
