//! The second part of the fixed commands: messages to many, and what users do to their conversations.

use waybill_core::body::{Body, Message};
use waybill_core::command::{Ask, ConversationKind, Deed, Post, To, UserRef};
use waybill_core::conversation::Conversation;
use waybill_core::fact::Options;
use waybill_core::hash::Domain;
use waybill_core::id::{AudienceNo, ConversationSeq, Position, UserNo};
use waybill_core::policy::UnknownReceiver;
use waybill_core::record::Surface;

use super::script::{Letter, Script, notice, text};

const MANAGER: &str = "openIM123456";
const ZHANG: &str = "18712345678";
const LI: &str = "李四";

impl Script {
    /// A notice to several users, asked for now.
    pub fn post(&mut self, to: To, key: Option<&str>, number: u64, options_off: u16) {
        let sender = self.user(MANAGER);
        let post = Post {
            options_off: Options(options_off),
            key: key.map(|key| self.key().dedup_prefix(MANAGER, key)),
            ..self.notice_to(sender, to, notice(number), number)
        };
        self.later(7);
        self.ask(1, Surface::NativeHttp, Ask::Post(post));
    }

    /// A notice to several users, without key, options or terms.
    pub fn notice_to(&mut self, sender: UserRef, to: To, notice: Message, number: u64) -> Post {
        Post {
            sender,
            to,
            kind: ConversationKind::Notification,
            content_type: 1400,
            notification_type: 3,
            options_off: Options(0),
            key: None,
            digest: self.key().digest(&[&number.to_be_bytes()]),
            terms: None,
            body: Body::Message(notice).seal(self.opening()),
        }
    }

    pub fn list(&mut self, ids: &[&str]) -> To {
        To::Users(ids.iter().map(|id| self.user(id)).collect())
    }

    fn begin(&mut self, name: &str) {
        let body = Body::Audience {
            name: name.to_owned(),
        };
        let ask = Ask::BeginAudience {
            name: self.key().hash(Domain::Audience, &[name.as_bytes()]),
            body: body.seal(self.opening()),
        };
        self.ask(1, Surface::NativeHttp, ask);
    }

    fn fill(&mut self, audience: u64, line: u64, ids: &[&str]) {
        let users = ids.iter().map(|id| self.user(id)).collect();
        let ask = Ask::FillAudience {
            audience: AudienceNo(audience),
            line,
            users,
            opening: self.opening(),
        };
        self.ask(1, Surface::NativeHttp, ask);
    }

    fn commit(&mut self, audience: u64) {
        let audience = AudienceNo(audience);
        self.ask(1, Surface::NativeHttp, Ask::CommitAudience { audience });
    }

    pub fn go_on(&mut self, message: u64, from: u64) {
        self.server(Ask::FanoutNext {
            message: Position(message),
            from: UserNo(from),
            most: u16::MAX,
        });
    }

    pub fn recall(&mut self, message: u64, receiver: Option<u64>) {
        let ask = Ask::Recall {
            message: Position(message),
            receiver: receiver.map(UserNo),
        };
        self.later(3);
        self.ask(1, Surface::NativeHttp, ask);
    }

    pub fn tend(&mut self, user: u64, conversation: Conversation, deed: Deed) {
        let user = UserNo(user);
        let ask = Ask::Tend {
            user,
            conversation,
            deed,
        };
        self.later(5);
        self.ask(user.0, Surface::NativeQuic, ask);
    }
}

/// All of it. `last` is the last position before.
pub fn many(script: &mut Script, last: u64) {
    lists(script);
    // The positions of what follows are counted from here: three records of lists and newcomers, then what audiences need.
    audiences(script, last);
    conversations(script);
}

fn lists(script: &mut Script) {
    let to = script.list(&[ZHANG, "late-1", LI]);
    script.post(to, Some("list-1"), 100, 0);
    // The same again, with one more; then something else under its key; then nobody, and one twice.
    let to = script.list(&[LI, "late-1", ZHANG, "late-2"]);
    script.post(to, Some("list-1"), 100, 0);
    let to = script.list(&[ZHANG]);
    script.post(to, Some("list-1"), 101, 0);
    script.post(To::Users(Vec::new()), None, 102, 0);
    let to = script.list(&[ZHANG, LI, ZHANG]);
    script.post(to, None, 103, 0);
}

fn audiences(script: &mut Script, last: u64) {
    script.begin("staff");
    script.fill(1, 0, &[ZHANG, LI, "late-1", ZHANG]);
    script.policy(UnknownReceiver::Refuse);
    script.fill(1, 4, &["never-seen", LI, "late-2"]);
    // Somewhere else than where it ended; nobody; an audience that there is not.
    script.fill(1, 3, &[LI]);
    script.fill(1, 7, &[]);
    script.fill(9, 0, &[LI]);
    script.policy(UnknownReceiver::Accept);
    script.post(To::Audience(AudienceNo(1)), None, 110, 0);
    script.commit(1);
    script.commit(1);
    script.commit(2);
    script.fill(1, 7, &[LI]);
    // On its way to four. One of them gets it early, with a notice of her own; the others with the chunk.
    script.post(To::Audience(AudienceNo(1)), Some("task-1"), 111, 0);
    script.post(To::Audience(AudienceNo(1)), Some("task-1"), 111, 0);
    script.post(To::Registered, Some("task-1"), 112, 0);
    let message = last + 12;
    script.send(1, Surface::OpenImV2, &Letter::notice(LI), notice(113));
    script.recall(message, Some(2));
    script.recall(1, None);
    script.go_on(message, 2);
    script.go_on(message, 1);
    script.go_on(message, 1);
    script.recall(message, Some(2));
    script.recall(message, None);
    script.recall(message, None);
    script.go_on(message, 1);
    // To everybody who is registered, then to everybody, one of which is recalled on its way.
    script.post(To::Registered, None, 114, 0b1000);
    script.post(To::Seen, None, 115, 0);
    script.post(To::Audience(AudienceNo(7)), None, 116, 0);
    let message = last + 19;
    script.go_on(message + 1, 1);
    script.go_on(message, 1);
    script.recall(message + 1, None);
    script.go_on(message + 1, 1);
}

fn conversations(script: &mut Script) {
    let session = Conversation::Notification {
        account: UserNo(1),
        receiver: UserNo(3),
    };
    let chat = Conversation::single(UserNo(2), UserNo(3));
    let up_to = |seq| Deed::Read {
        up_to: ConversationSeq(seq),
    };
    let remove = |seqs: &[u64]| Deed::Remove {
        messages: seqs.iter().map(|seq| ConversationSeq(*seq)).collect(),
    };
    script.send(2, Surface::NativeQuic, &Letter::chat(ZHANG, LI), text("早"));
    // Her own, so that his is read; then his reading, of which she is told.
    script.send(
        3,
        Surface::NativeQuic,
        &Letter::chat(LI, ZHANG),
        text("早上好"),
    );
    script.tend(2, chat, up_to(6));
    script.tend(2, chat, up_to(6));
    script.tend(2, chat, up_to(2));
    script.tend(2, chat, up_to(99));
    script.tend(4, chat, up_to(1));
    script.tend(1, session, up_to(1));
    script.tend(3, session, remove(&[2, 1, 2]));
    script.tend(3, session, remove(&[1]));
    script.tend(3, session, remove(&[0]));
    script.tend(3, session, up_to(1));
    let set = |pinned, receive_option, hidden| Deed::Set {
        pinned,
        receive_option,
        hidden,
    };
    script.tend(3, session, set(Some(true), None, None));
    script.tend(3, session, set(None, Some(2), Some(true)));
    script.tend(3, session, set(None, Some(2), None));
    script.tend(3, session, set(None, Some(3), None));
    let clear = |seq| Deed::Clear {
        up_to: ConversationSeq(seq),
    };
    script.tend(3, session, clear(2));
    script.tend(3, session, clear(1));
    script.send(1, Surface::OpenImV2, &Letter::notice(LI), notice(120));
}
