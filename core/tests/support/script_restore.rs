//! The last part of the fixed commands: restores, and what goes on after them.

use waybill_core::command::{Ask, ConversationKind, Deed};
use waybill_core::id::{ConversationSeq, Position, UserNo};
use waybill_core::record::Surface;

use super::script::{Letter, Script, notice, restored_epoch, text};

const MANAGER: &str = "openIM123456";
const ZHANG: &str = "18712345678";
const LI: &str = "李四";

impl Script {
    fn restore(&mut self, number: u16, last: u64, gap: u64) {
        self.server(Ask::Restore {
            epoch: restored_epoch(number),
            last: Position(last),
            gap,
        });
    }
}

/// All of it; `last` is the last position before it.
pub fn restores(script: &mut Script, last: u64) {
    let account = script.user(MANAGER);
    script.server(Ask::Track { account, on: true });
    let last = last + 1;
    // Refused: not the last record; not a later epoch; no gap, and one that is too large.
    script.restore(2, last - 1, 10);
    script.restore(1, last, 10);
    script.restore(2, last, 0);
    script.restore(2, last, 1_000_001);
    script.restore(2, last, 10);
    // Twice without a word between: what goes on leaves out both.
    script.restore(4, last + 1, 100);
    let session = ConversationKind::Notification.between(UserNo(1), UserNo(3));
    script.send(1, Surface::OpenImV2, &Letter::notice(LI), notice(300));
    script.send(1, Surface::OpenImV2, &Letter::notice("after"), notice(301));
    script.send(
        2,
        Surface::NativeQuic,
        &Letter::chat(ZHANG, LI),
        text("又来了"),
    );
    let cursors: Vec<_> = (1..400).map(|seq| (3, 1, seq)).collect();
    script.reach(&cursors);
    // Some of these places were left out.
    for seq in [30, 60, 120, 121, 122, 123, 124] {
        let up_to = ConversationSeq(seq);
        script.tend(3, session, Deed::Read { up_to });
        let messages = vec![up_to];
        script.tend(3, session, Deed::Remove { messages });
    }
    for at in last..last + 12 {
        script.restore(9, at, 64);
    }
    script.send(1, Surface::OpenImV2, &Letter::notice(LI), notice(302));
    script.send(3, Surface::NativeQuic, &Letter::chat(LI, ZHANG), text("是"));
    script.reach(&cursors);
}
