//! Directories that were put back from a copy and went on as another history: verified clean, and what is wrong in them is named.

mod support;

use std::path::Path;

use support::world::{Open, chat, notify, user_ref};
use support::{Copy, clean, closed, names, verify};
use waybill_core::command::{Ask, Deed};
use waybill_core::conversation::Conversation;
use waybill_core::id::{ConversationSeq, Position, Seq, UserNo};
use waybill_core::policy::{Policy, UnknownReceiver};
use waybill_core::state::{
    ConversationLogRow, Family, GapRow, Numbered, RowKey as _, UserHeadRow, UserLogRow,
};
use waybill_log::Options;
use waybill_log::restore::{Restore, restore};
use waybill_replay::verify::Class;

const GAP: u64 = 1_000;

/// Restores a closed directory; gives the position of the record that says so.
fn restored(path: &Path, random: u8) -> u64 {
    let asked = Restore {
        random: [random; 14],
        number: None,
        gap: GAP,
        erasures: None,
    };
    let done = restore(path, &asked, Options::default(), &mut |_, _| {}).expect("restores");
    done.last.0 + 1
}

/// Old and new logs and conversations, tracked accounts, readings on both sides of what was left out.
fn go_on(path: &Path, n: u64) {
    let open = Open::new(path);
    open.done(Ask::ChangePolicy(Policy {
        unknown_receiver: UnknownReceiver::Accept,
    }));
    let account = user_ref("oa");
    open.done(Ask::Track { account, on: true });
    for n in n..n + 70 {
        open.sent(notify("oa", "ann", n));
    }
    open.sent(chat("ann", "bob", n));
    open.sent(chat("bob", "ann", n));
    open.sent(notify("oa", &format!("stranger{n}"), n));
    let (oa, ann) = (open.user("oa"), open.user("ann"));
    let conversation = Conversation::Notification {
        account: oa,
        receiver: ann,
    };
    open.ask(Ask::Tend {
        user: ann,
        conversation,
        deed: Deed::Read {
            up_to: ConversationSeq(500),
        },
    });
    open.close();
}

#[test]
fn what_goes_on_after_restores_is_clean() {
    let copied = Copy::new();
    let before = copied.verify().ledger;
    for n in 1..=2 {
        restored(&copied.path(), n as u8);
        let report = copied.verify();
        clean(&report);
        assert_eq!(report.ledger.restores, n + 1);
        assert_ne!(report.ledger.epoch, before.epoch);
        go_on(&copied.path(), 10_000 * n);
        let report = copied.verify();
        clean(&report);
        // Made anew from the ledger, the views are the same.
        let hash = report.views.expect("views").state_hash.expect("folds");
        std::fs::remove_dir_all(copied.path().join("views")).expect("removes");
        Open::new(&copied.path()).close();
        let report = copied.verify();
        clean(&report);
        let again = report.views.expect("views").state_hash.expect("folds");
        assert_eq!(again, hash);
    }
    clean(&copied.scan());
}

#[test]
fn what_is_missing_beside_a_gap_is_named() {
    let copied = Copy::new();
    let by = restored(&copied.path(), 1);
    go_on(&copied.path(), 10_000);
    let ann = closed().ann;
    let mut head = 0;
    let copied = copied.views(|rows| head = rows.row::<UserHeadRow>(ann).head.0);
    let mut gap = None;
    let copied = copied.views(|rows| {
        gap = Some(rows.row::<GapRow>((Numbered::User(ann), Position(by))));
    });
    let gap = gap.expect("a gap");
    assert_eq!(gap.count, GAP);
    assert!(head > gap.last() + 60);
    for missing in [gap.first - 1, gap.last() + 1] {
        let copied = Copy::of(&copied.path());
        let copied = copied.views(|rows| rows.remove_row(Family::UserLog, (ann, Seq(missing))));
        let report = copied.verify();
        let place = format!("log of user {ann}, seq {missing}");
        names(&report, Class::EntryMissing, &place);
    }
    // Without the row that says so, all of it is missing.
    let copied = Copy::of(&copied.path());
    let copied =
        copied.views(|rows| rows.remove_row(Family::Gaps, (Numbered::User(ann), Position(by))));
    let report = copied.verify();
    let (first, last) = (gap.first, gap.last());
    let place = format!("log of user {ann}, seqs {first} to {last}");
    names(&report, Class::EntryMissing, &place);
    let place = format!("views, gaps, the log of user {ann}, restore in record {by}");
    names(&report, Class::RowMissing, &place);
    // An entry in its place is too much.
    let copied = Copy::of(&copied.path()).views(|rows| {
        let row: UserLogRow = rows.row((ann, Seq(1)));
        rows.put_row((ann, Seq(first + 3)), &row);
    });
    let report = copied.verify();
    let place = format!("views, user_log, user {ann}, seq {}", first + 3);
    names(&report, Class::RowUnexpected, &place);
}

#[test]
fn the_last_record_of_a_restore_is_no_message() {
    let copied = Copy::new();
    let by = restored(&copied.path(), 1);
    go_on(&copied.path(), 10_000);
    let (ann, position) = (closed().ann, Position(by));
    copied.views(|rows| {
        let oa = UserNo(u64::from_be_bytes(
            rows.all("accounts")[0]
                .0
                .as_slice()
                .try_into()
                .expect("8 bytes"),
        ));
        let conversation = Conversation::Notification {
            account: oa,
            receiver: ann,
        };
        let gap: GapRow = rows.row((Numbered::Conversation(conversation), position));
        let after: ConversationLogRow = rows.row((conversation, ConversationSeq(gap.last() + 1)));
        assert_eq!(
            after.counted,
            gap.before + 1,
            "what was left out counts nothing"
        );
        let key = (conversation, ConversationSeq(gap.first)).key();
        assert_eq!(rows.get("conversation_log", key.as_slice()), None);
    });
}
