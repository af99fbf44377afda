//! The fourth part of the fixed commands: what becomes of messages.

use waybill_core::command::{Ask, ConversationKind, Deed};
use waybill_core::fact::Mark;
use waybill_core::id::{ConversationSeq, Hash, Position, UserNo};
use waybill_core::record::Surface;

use super::script::{Letter, Script, notice, text};

const MANAGER: &str = "openIM123456";
const ZHANG: &str = "18712345678";
const LI: &str = "李四";

impl Script {
    fn track(&mut self, account: &str, on: bool) {
        let account = self.user(account);
        self.server(Ask::Track { account, on });
    }

    fn told_online(&mut self, sender: &str) {
        let sender = self.user(sender);
        self.server(Ask::NoteOnline {
            sender,
            audience: 1,
            commitment: Hash([7; 32]),
        });
    }

    fn mark(&mut self, user: u64, message: u64, mark: Mark) {
        let ask = Ask::Mark {
            user: UserNo(user),
            message: Position(message),
            mark,
        };
        self.later(1);
        self.ask(user, Surface::NativeHttp, ask);
    }
}

/// All of it. `last` is the last position before the messages to many.
pub fn status(script: &mut Script, last: u64) {
    script.track(MANAGER, true);
    script.track(MANAGER, true);
    script.track("nobody-yet", false);
    script.track(ZHANG, true);
    script.track("later-account", true);
    script.told_online(MANAGER);
    script.told_online("told-first");
    script.send(1, Surface::OpenImV2, &Letter::notice(LI), notice(200));
    script.send(1, Surface::OpenImV2, &Letter::notice(LI), notice(201));
    script.send(
        2,
        Surface::NativeQuic,
        &Letter::chat(ZHANG, LI),
        text("在吗"),
    );
    // Wherever her log ends, she has it all; then not a step further.
    let cursors: Vec<_> = (1..100).map(|seq| (3, 1, seq)).collect();
    script.reach(&cursors);
    script.reach(&cursors);
    // By her answer she has read what he wrote.
    script.send(3, Surface::NativeQuic, &Letter::chat(LI, ZHANG), text("在"));
    let session = ConversationKind::Notification.between(UserNo(1), UserNo(3));
    for seq in 4..8 {
        let up_to = ConversationSeq(seq);
        script.tend(3, session, Deed::Read { up_to });
    }
    // Of all that may be messages some are hers, and one was recalled.
    for message in last..last + 60 {
        script.mark(3, message, Mark::Opened);
    }
    for message in last..last + 90 {
        script.mark(3, message, Mark::Confirmed);
    }
    script.mark(3, last + 70, Mark::Opened);
    script.track(MANAGER, false);
    script.send(1, Surface::OpenImV2, &Letter::notice(LI), notice(202));
    script.reach(&cursors);
}
