use waybill_core::body::Message;
use waybill_core::id::{ConversationSeq, Position, Seq, Time};

use super::*;
use crate::service::Told;

fn place(kind: u8) -> Place {
    Place {
        kind,
        peer: "oa".to_owned(),
    }
}

fn told(content_type: u32, content: &str) -> MessageTold {
    MessageTold {
        sender: "oa".to_owned(),
        position: Position(7),
        server_msg_id: "server".to_owned(),
        client_msg_id: "client".to_owned(),
        content_type,
        notification_type: 0,
        options_off: Options::UNREAD_COUNT.with(Options::HISTORY),
        message: Some(Message {
            content: content.to_owned(),
            operation_id: "op".to_owned(),
            ..Message::default()
        }),
        edited: None,
        status_line: None,
    }
}

fn history(told: MessageTold) -> HistoryView {
    HistoryView {
        conversation_seq: ConversationSeq(3),
        time: Time(1_000),
        withdrawn: None,
        withdrawer: None,
        told,
    }
}

fn detail(message: &MsgData) -> Value {
    let content: Value = serde_json::from_slice(&message.content).unwrap();
    serde_json::from_str(content["detail"].as_str().unwrap()).unwrap()
}

#[test]
fn a_notice_keeps_its_content_within_the_frame_of_notifications() {
    let notice = r#"{"notificationName":"n","big":12345678901234567890}"#;
    let message = message("u", &place(2), &history(told(1400, notice)));
    assert_eq!(
        (message.session_type, message.msg_from, message.content_type),
        (4, 200, 1400)
    );
    assert_eq!(
        (message.send_id.as_str(), message.recv_id.as_str()),
        ("oa", "u")
    );
    let content: Value = serde_json::from_slice(&message.content).unwrap();
    assert_eq!(content["detail"], notice);
    let off = BTreeMap::from([("unreadCount".to_owned(), false)]);
    assert_eq!(message.options, off, "what is kept is not called unkept");
}

#[test]
fn what_is_gone_or_not_shown_leaves_its_place() {
    let gone = |view: &HistoryView| message("u", &place(1), view);
    assert_eq!(gone(&history(told(112, "{}"))), placeholder(3, Time(1_000)));
    let mut erased = history(told(101, "{}"));
    erased.told.message = None;
    assert_eq!(gone(&erased), placeholder(3, Time(1_000)));
    for why in [Withdrawal::Superseded, Withdrawal::Expired] {
        let mut view = history(told(101, "{}"));
        view.withdrawn = Some(why);
        assert_eq!(gone(&view), placeholder(3, Time(1_000)));
    }
    let mut view = history(told(101, "{}"));
    view.withdrawn = Some(Withdrawal::Recalled);
    let recalled = gone(&view);
    assert_eq!(
        (recalled.content_type, recalled.seq, recalled.status),
        (2101, 3, 2)
    );
    assert_eq!(detail(&recalled)["clientMsgID"], "client");
}

fn view(kind: u8) -> View {
    View {
        seq: Seq(9),
        kind,
        time: Time(1_000),
        place: place(2),
        conversation_seq: ConversationSeq(250),
        told: Told::Note(Note::default()),
    }
}

#[test]
fn what_is_no_message_becomes_a_notification() {
    let note = Note {
        by: "u".to_owned(),
        withdrawn: Some(Withdrawal::Recalled),
        messages: vec![ConversationSeq(4), ConversationSeq(6)],
        ..Note::default()
    };
    let aside = Aside {
        message: Some(history(told(1400, "{}"))),
        head: 250,
    };
    let of = |kind: u8| control("u", 5, &view(kind), &note, &aside);
    let read = of(2);
    assert_eq!((read.content_type, read.seq), (2200, 5));
    assert_eq!(detail(&read)["hasReadSeq"], 250);
    assert_eq!(
        detail(&read)["seqs"].as_array().unwrap().len() as u64,
        RECEIPT_SEQS
    );
    assert_eq!(detail(&of(3))["conversationIDList"][0], "sn_oa_u");
    let recalled = of(4);
    assert_eq!(recalled.content_type, 2101);
    assert_eq!(detail(&recalled)["sesstionType"], 4);
    assert_eq!(detail(&recalled)["isAdminRevoke"], true);
    assert_eq!(detail(&of(5))["seqs"], json!([4, 6]));
    assert_eq!(of(6).content_type, 1703);
    let more = Aside {
        head: 251,
        ..Aside::default()
    };
    let cleared = control("u", 5, &view(6), &note, &more);
    assert_eq!(cleared.content_type, 2102, "what came since is not cleared");
    assert_eq!(
        of(7),
        placeholder(5, Time(1_000)),
        "an opened notice is nothing to the client"
    );
    assert_eq!(detail(&of(8))["key"], CHANGED_KEY);
    assert_eq!(
        control("u", 5, &view(8), &note, &Aside::default()),
        placeholder(5, Time(1_000))
    );
    for kind in [2, 3, 4, 5, 6, 8] {
        let message = of(kind);
        assert!(!message.options["isNotNotification"]);
        assert_eq!(message.client_msg_id, "control-9-5");
    }
}
