//! The fifth part of the fixed commands: messages with terms, and changes of messages.

use waybill_core::body::{Body, Change, Message, StatusLine};
use waybill_core::command::{Ask, Post, Send, To};
use waybill_core::fact::{Part, Terms};
use waybill_core::id::{AudienceNo, Position, Time, UserNo};
use waybill_core::record::Surface;

use super::script::{Letter, Script, notice, text};

const MANAGER: &str = "openIM123456";
const ZHANG: &str = "18712345678";
const LI: &str = "李四";
const KEY: Terms = Terms {
    collapse: Some([7; 8]),
    expires: None,
    not_before: None,
};

impl Script {
    /// As [`Script::post_with`], to one user, as a single message.
    fn single_with(&mut self, receiver: &str, number: u64, terms: Terms) {
        let (sender, receiver) = (self.user(MANAGER), self.user(receiver));
        let message = Message {
            client_msg_id: String::new(),
            ..notice(number)
        };
        let post = self.notice_to(sender, To::Users(Vec::new()), message, number);
        let ask = Ask::Send(Send {
            sender: post.sender,
            receiver,
            kind: post.kind,
            account: true,
            content_type: post.content_type,
            notification_type: post.notification_type,
            options_off: post.options_off,
            key: None,
            digest: post.digest,
            terms: Some(terms),
            body: post.body,
        });
        self.later(9);
        self.ask(1, Surface::NativeHttp, ask);
    }

    /// A notice with terms to several users.
    fn post_with(&mut self, to: To, number: u64, terms: Terms) {
        let sender = self.user(MANAGER);
        let post = Post {
            terms: Some(terms),
            ..self.notice_to(sender, to, notice(number), number)
        };
        self.later(9);
        self.ask(1, Surface::NativeHttp, Ask::Post(post));
    }

    fn change(&mut self, message: u64, receiver: Option<u64>, change: Change) {
        let part = match change {
            Change::Content(_) => Part::Content,
            Change::StatusLine(_) => Part::StatusLine,
        };
        let ask = Ask::Change {
            message: Position(message),
            receiver: receiver.map(UserNo),
            part,
            body: Body::Change(change).seal(self.opening()),
        };
        self.later(2);
        self.ask(1, Surface::NativeHttp, ask);
    }

    fn expire(&mut self, message: u64) {
        let message = Position(message);
        self.server(Ask::Expire { message });
    }

    fn release(&mut self, message: u64) {
        let message = Position(message);
        self.server(Ask::Release { message });
    }
}

fn approved() -> Change {
    Change::StatusLine(StatusLine {
        text: "已批准".to_owned(),
        color: "#00aa00".to_owned(),
    })
}

fn edited() -> Change {
    Change::Content(r#"{"notificationName":"Leave","text":"edited"}"#.to_owned())
}

/// All of it. `last` is the last position before.
pub fn terms(script: &mut Script, last: u64) {
    // One takes the place of the other: of hers alone, then of hers and his.
    script.single_with(LI, 300, KEY);
    script.single_with(LI, 301, KEY);
    let to = script.list(&[ZHANG, LI]);
    script.post_with(to, 302, KEY);
    // Last + 1, 2 and 3, 4 and 5.
    script.change(last + 1, None, edited());
    script.change(last + 5, Some(3), approved());
    script.change(last + 5, None, edited());
    script.change(last + 500, None, edited());
    // Position last + 8: over in a hundred milliseconds, after it was over before it began.
    let over = |at| Terms {
        expires: Some(Time(at)),
        ..Terms::default()
    };
    script.single_with(LI, 303, over(1));
    let now = script.now();
    script.single_with(LI, 304, over(now + 100));
    script.expire(last + 8);
    script.later(200);
    script.expire(last + 8);
    script.expire(last + 8);
    // Position last + 10 waits, and is told to nobody until it is released.
    let from = |at| Terms {
        not_before: Some(Time(at)),
        ..Terms::default()
    };
    let staff = || To::Audience(AudienceNo(1));
    let now = script.now();
    script.post_with(staff(), 305, from(now + 100));
    script.post_with(staff(), 306, from(now + 400 * 24 * 3_600_000));
    let message = last + 10;
    script.release(message);
    script.change(message, None, edited());
    script.later(300);
    script.release(message);
    script.release(message);
    script.go_on(message, 1);
    script.change(message, None, edited());
    script.change(message, None, approved());
    script.go_on(message, 1);
    script.change(message, Some(3), approved());
    script.recall(message, None);
    script.change(message, None, approved());
    script.go_on(message, 1);
    // One that never begins, one whose time is over on its way, one that is still to expire, and one still to begin.
    let now = script.now();
    script.post_with(staff(), 307, from(now + 5_000));
    script.recall(last + 18, None);
    script.go_on(last + 18, 1);
    let now = script.now();
    script.post_with(staff(), 308, over(now + 50));
    script.later(60);
    script.expire(last + 21);
    script.go_on(last + 21, 1);
    let now = script.now();
    script.single_with(LI, 309, over(now + 1_000_000));
    script.post_with(staff(), 310, from(now + 1_000_000));
    script.send(2, Surface::NativeQuic, &Letter::chat(ZHANG, LI), text("改"));
    script.change(
        last + 26,
        None,
        Change::Content(r#"{"content":"改了"}"#.to_owned()),
    );
}
