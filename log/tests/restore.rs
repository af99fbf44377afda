//! A directory that is put back from a copy: what it refuses, what it goes on with, and what readers are given of the places that
//! were left out.

mod common;

use std::path::{Path, PathBuf};

use common::{Harness, chat, command, found_as, notify, small, user_ref};
use waybill_core::command::{Ask, Deed};
use waybill_core::conversation::Conversation;
use waybill_core::fact::Fact;
use waybill_core::id::{ControlSeq, ConversationSeq, DeviceNo, Position, Seq, StatusNo};
use waybill_core::outcome::{Outcome, Refusal};
use waybill_core::state::EntryKind;
use waybill_log::erasures;
use waybill_log::reader::Direction;
use waybill_log::restore::{Restore, RestoreError, Restored, restore};
use waybill_log::{OpenError, Options, Pulled};

const GAP: u64 = 1_000;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("creates");
    for entry in std::fs::read_dir(from).expect("reads") {
        let entry = entry.expect("reads");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).expect("copies");
        }
    }
}

fn asked() -> Restore {
    Restore {
        random: [77; 14],
        number: None,
        gap: GAP,
        erasures: None,
    }
}

fn options() -> Options {
    Options {
        config: small(),
        ..Options::default()
    }
}

fn restored(path: &Path, asked: &Restore) -> Result<Restored, RestoreError> {
    restore(path, asked, options(), &mut |_, _| {})
}

/// A directory with a history, and a copy of it from before its last fifty messages.
struct Past {
    dir: tempfile::TempDir,
}

impl Past {
    /// 20 notices to `ann`, 5 chats with `bob`; `later` is done after the copy.
    fn new(later: impl FnOnce(&Harness)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let log = Harness::open(&dir.path().join("data"));
        let account = user_ref("oa");
        assert_eq!(
            log.ask(command(Ask::Track { account, on: true })),
            Ok(Outcome::Done)
        );
        for n in 0..20 {
            log.sent(notify("oa", "ann", n, Some(&format!("early{n}"))));
        }
        for n in 20..25 {
            log.sent(chat("ann", "bob", n, None));
        }
        let path = log.close();
        copy(&path, &dir.path().join("copy"));
        let log = Harness::open(&path);
        for n in 0..50 {
            log.sent(notify("oa", "ann", 100 + n, Some(&format!("late{n}"))));
            log.sent(chat("ann", "bob", 200 + n, None));
        }
        later(&log);
        log.close();
        Self { dir }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Puts the copy back in the place of what went on.
    fn put_back(&self) -> PathBuf {
        std::fs::remove_dir_all(self.data()).expect("removes");
        copy(&self.dir.path().join("copy"), &self.data());
        self.data()
    }
}

#[test]
fn numbers_go_on_above_all_that_was_given_out() {
    let mut heads = (Seq(0), Seq(0));
    let past = Past::new(|log| {
        let head = |user| log.reader().span(log.user(user)).expect("reads").head;
        heads = (head("ann"), head("bob"));
    });
    let path = past.put_back();
    let before = Harness::open(&path);
    let (ann, bob) = (before.user("ann"), before.user("bob"));
    let (old_head, last) = (
        before.reader().span(ann).expect("reads").head,
        before.reader().durable(),
    );
    before.close();
    let done = restored(&path, &asked()).expect("restores");
    assert_eq!((done.last, done.gap), (last, GAP));
    assert_eq!((done.from.number(), done.epoch.number()), (1, 2));

    let log = Harness::open(&path);
    let reader = log.reader();
    let epochs = reader.epochs().expect("reads").expect("has begun");
    assert_eq!((epochs.first(), epochs.current()), (done.from, done.epoch));
    // Until something comes, the log ends where it did.
    assert_eq!(reader.span(ann).expect("reads").head, old_head);
    for n in 0..20 {
        // The retry of a message that was lost is a new one; of one that was kept, its first answer.
        let sent = log.sent(notify("oa", "ann", 100 + n, Some(&format!("late{n}"))));
        assert!(!sent.repeated && sent.seq > Some(heads.0), "{sent:?}");
        let again = log.sent(notify("oa", "ann", n, Some(&format!("early{n}"))));
        assert!(again.repeated && again.seq <= Some(old_head), "{again:?}");
        let sent = log.sent(chat("bob", "ann", 200 + n, None));
        assert!(sent.conversation_seq.0 > 55 && sent.seq > Some(heads.0));
    }
    // Of somebody who was seen only in the lost history, or never, nothing is known: those logs begin above, too.
    let sent = log.sent(notify("oa", "stranger", 1, None));
    let (seq, place) = (sent.seq.expect("is delivered"), sent.conversation_seq);
    assert_eq!((seq.0, place.0), (GAP + 1, GAP + 1));
    assert!(reader.span(bob).expect("reads").head > heads.1);
    log.close();
}

/// A history that was restored at `by`, with 20 more notices to `ann`.
fn gone_on() -> (Past, Harness, Position) {
    let past = Past::new(|_| {});
    let path = past.put_back();
    let by = restored(&path, &asked()).expect("restores").last.next();
    let log = Harness::open(&path);
    for n in 0..20 {
        log.sent(notify("oa", "ann", 300 + n, None));
    }
    (past, log, by)
}

#[test]
fn a_user_log_is_contiguous_over_what_was_left_out() {
    let (_past, log, by) = gone_on();
    let (reader, ann) = (log.reader(), log.user("ann"));
    let head = reader.span(ann).expect("reads").head;
    let kept = Seq(head.0 - GAP - 20);
    for limit in [1, 7, 1_000] {
        let (mut after, mut skipped, mut control) = (Seq(0), 0, 0);
        while after < head {
            let Ok(Pulled::Page { entries, more, .. }) = reader.pull(ann, after, limit) else {
                panic!("no page after {after}");
            };
            assert!(!entries.is_empty());
            for entry in entries {
                assert_eq!(entry.seq, after.next());
                after = entry.seq;
                control += u64::from(entry.row.kind != EntryKind::Message);
                let in_gap = after > kept && after.0 <= kept.0 + GAP;
                assert_eq!(entry.row.kind == EntryKind::Skipped, in_gap, "{after}");
                if in_gap {
                    skipped += 1;
                    assert_eq!((entry.row.position, entry.record.position), (by, by));
                    assert!(matches!(entry.record.fact, Fact::Restored { .. }));
                }
            }
            assert_eq!(more, after < head);
        }
        assert_eq!(skipped, GAP);
        assert_eq!(reader.ends(ann).expect("reads").1, ControlSeq(control));
    }
    // A cursor of the lost history is inside: what came since follows it.
    let Ok(Pulled::Page { entries, .. }) = reader.pull(ann, Seq(kept.0 + 50), 1_000) else {
        panic!("no page");
    };
    let told = entries
        .iter()
        .filter(|entry| entry.row.kind == EntryKind::Message);
    assert_eq!(told.count(), 20);
    // By the numbers of what is no message, the same is found.
    let control = reader.ends(ann).expect("reads").1;
    let mut found = Vec::new();
    while (found.len() as u64) < control.0 {
        let after = ControlSeq(found.len() as u64);
        found.extend(reader.control(ann, after, 300).expect("reads"));
    }
    assert!(found.iter().map(|(number, _)| number.0).eq(1..=control.0));
    let skipped = found
        .iter()
        .filter(|(_, entry)| entry.row.kind == EntryKind::Skipped);
    assert!(
        skipped
            .map(|(_, entry)| entry.seq.0)
            .eq(kept.0 + 1..=kept.0 + GAP)
    );
    log.close();
}

#[test]
fn what_was_left_out_of_a_conversation_counts_and_shows_nothing() {
    let (_past, log, _) = gone_on();
    let (reader, ann, oa) = (log.reader(), log.user("ann"), log.user("oa"));
    let conversation = Conversation::Notification {
        account: oa,
        receiver: ann,
    };
    let listed = || {
        reader
            .conversation(ann, conversation)
            .expect("reads")
            .expect("is there")
    };
    assert_eq!(
        (listed().end.head.0, listed().unread()),
        (20 + GAP + 20, 40)
    );
    let places = |direction, limit| {
        let page = reader
            .history(ann, &listed(), direction, limit, None)
            .expect("reads");
        let places = page.messages.iter().map(|told| told.conversation_seq.0);
        (places.collect::<Vec<_>>(), page.next)
    };
    let all: Vec<u64> = (1..=20).chain(21 + GAP..=40 + GAP).collect();
    assert_eq!(
        places(Direction::After(ConversationSeq(0)), 100),
        (all.clone(), None)
    );
    let backwards: Vec<u64> = all.iter().rev().copied().collect();
    let before = |seq| Direction::Before(ConversationSeq(seq));
    assert_eq!(places(before(u64::MAX), 100), (backwards.clone(), None));
    assert_eq!(places(before(GAP), 3).0, [20, 19, 18]);
    let (page, next) = places(before(u64::MAX), 20);
    assert_eq!(
        (page, next),
        (backwards[..20].to_vec(), Some(ConversationSeq(21 + GAP)))
    );
    // Reading to a place that was left out reads what stands before it.
    let tend = |deed| {
        log.ask(command(Ask::Tend {
            user: ann,
            conversation,
            deed,
        }))
    };
    let up_to = ConversationSeq(500);
    assert_eq!(
        tend(Deed::Read { up_to }),
        Ok(Outcome::Read { up_to, unread: 20 })
    );
    let head = reader.span(ann).expect("reads").head;
    let messages = vec![ConversationSeq(400), up_to];
    assert_eq!(tend(Deed::Remove { messages }), Ok(Outcome::Done));
    assert_eq!(
        reader.span(ann).expect("reads").head,
        head,
        "there is nothing to remove"
    );
    let beyond = ConversationSeq(41 + GAP);
    assert_eq!(
        tend(Deed::Read { up_to: beyond }),
        Err(Refusal::BeyondConversation)
    );
    assert_eq!(
        reader.unread_by_type(ann, &listed()).expect("reads")[&1],
        20
    );
    log.close();
}

#[test]
fn cursors_of_the_lost_history_have_stored_nothing_new() {
    let past = Past::new(|_| {});
    let path = past.put_back();
    let log = Harness::open(&path);
    let ann = log.user("ann");
    let see = Ask::SeeDevice {
        user: ann,
        id: waybill_core::id::KeyedHash([1; 16]),
        platform: 1,
        body: waybill_core::body::Body::Device {
            id: "phone".to_owned(),
        }
        .seal(waybill_core::id::Opening([1; 16])),
    };
    assert!(log.ask(command(see)).is_ok());
    let account = log.user("oa");
    let told = log.reader().status_head(account).expect("reads");
    log.close();
    restored(&path, &asked()).expect("restores");
    let log = Harness::open(&path);
    let reach = |seq| {
        let cursors = vec![(ann, DeviceNo(1), Seq(seq))];
        assert_eq!(log.ask(command(Ask::Reach { cursors })), Ok(Outcome::Done));
        log.reader().devices(ann).expect("reads")[0].reached.0
    };
    // Where it was in the lost history is beyond the end; the end itself is not.
    assert_eq!(reach(70), 0);
    let head = log.reader().span(ann).expect("reads").head.0;
    assert_eq!(reach(head), head);
    let new = log.sent(notify("oa", "ann", 300, None));
    assert_eq!(reach(70), 70, "it is a place now, and nothing stands there");
    let status = |log: &Harness| {
        let status = log.reader().receiver(new.position, ann).expect("reads");
        status.expect("is one").standing
    };
    assert_eq!(status(&log), waybill_log::reader::Standing::Durable);
    let seq = new.seq.expect("is delivered").0;
    assert_eq!(reach(seq), seq);
    assert_eq!(status(&log), waybill_log::reader::Standing::Delivered);
    // The account's own log has left out places, too; a cursor among them misses nothing.
    let end = log.reader().status_head(account).expect("reads");
    assert!(end.0 > told.0 + GAP);
    let changes = |after| {
        let page = log
            .reader()
            .status(account, StatusNo(after), 100)
            .expect("reads");
        page.changes
            .iter()
            .map(|change| change.n)
            .collect::<Vec<_>>()
    };
    assert_eq!(changes(told.0), changes(told.0 + 30));
    assert_eq!(changes(told.0).last(), Some(&end));
    assert_eq!(changes(0).len() as u64, end.0 - GAP);
    log.close();
}

#[test]
fn erasures_made_since_are_made_again() {
    let (mut early, mut late) = (Position(0), Position(0));
    let past = Past::new(|log| {
        let again = log.sent(notify("oa", "ann", 3, Some("early3")));
        early = again.position;
        late = log.sent(notify("oa", "ann", 500, None)).position;
        for position in [early, late] {
            assert_eq!(log.ask(log.erase(position)), Ok(Outcome::Done));
        }
        // Its own answer again is no erasure.
        assert_eq!(log.ask(log.erase(early)), Ok(Outcome::Done));
    });
    let register = past.dir.path().join("register");
    std::fs::copy(past.data().join("erasures"), &register).expect("copies");
    assert_eq!(erasures::read(&register).expect("reads").len(), 2);
    let path = past.put_back();
    let asked = Restore {
        erasures: Some(register.clone()),
        ..asked()
    };
    let body = |log: &Harness| log.reader().open(early).expect("reads").expect("is there");
    let log = Harness::open(&path);
    assert!(body(&log).body.is_some());
    log.close();
    let done = restored(&path, &asked).expect("restores");
    assert_eq!((done.erased, done.known, done.lost), (1, 0, 1));
    let log = Harness::open(&path);
    assert!(body(&log).body.is_none() && body(&log).erased);
    log.close();
    // A second time there is nothing left to do.
    let done = restored(&path, &asked).expect("restores");
    assert_eq!((done.erased, done.known, done.lost), (0, 1, 1));
    assert_eq!((done.from.number(), done.epoch.number()), (2, 3));
    std::fs::write(&register, "7 what\n").expect("writes");
    let before = Harness::open(&path);
    let durable = before.reader().durable();
    before.close();
    let refused = restored(&path, &asked);
    assert!(
        matches!(refused, Err(RestoreError::Erasures { .. })),
        "{refused:?}"
    );
    let after = Harness::open(&path);
    assert_eq!(after.reader().durable(), durable, "nothing was done");
    after.close();
}

/// A copy that is put back a second time must not give out what the first restored history has.
#[test]
fn a_higher_number_leaves_out_more() {
    let past = Past::new(|_| {});
    let path = past.put_back();
    let third = Restore {
        number: Some(3),
        ..asked()
    };
    let done = restored(&path, &third).expect("restores");
    assert_eq!((done.epoch.number(), done.gap), (3, 2 * GAP));
    for number in [0, 1, 3] {
        let again = Restore {
            number: Some(number),
            ..asked()
        };
        let refused = restored(&path, &again);
        assert!(
            matches!(refused, Err(RestoreError::Refused(_))),
            "{refused:?}"
        );
    }
    for gap in [0, 1_000_001] {
        let refused = restored(&path, &Restore { gap, ..asked() });
        let is = matches!(refused, Err(RestoreError::Refused(Refusal::BadSetting)));
        assert!(is, "{refused:?}");
    }
}

#[test]
fn what_cannot_be_restored_is_refused_and_left_alone() {
    let past = Past::new(|_| {});
    let dir = tempfile::tempdir().expect("a directory");
    let nothing = restored(&dir.path().join("none"), &asked());
    assert!(
        matches!(nothing, Err(RestoreError::Nothing { .. })),
        "{nothing:?}"
    );
    assert!(!dir.path().join("none").exists(), "nothing was begun");
    // In use.
    let log = Harness::open(&past.data());
    let locked = restored(&past.data(), &asked());
    let is = matches!(locked, Err(RestoreError::Open(OpenError::Locked { .. })));
    assert!(is, "{locked:?}");
    log.close();
    // The tail file of the lost history beside the ledger of the copy.
    let tail = std::fs::read(past.data().join("tail")).expect("reads");
    let path = past.put_back();
    let own = std::fs::read(path.join("tail")).expect("reads");
    std::fs::write(path.join("tail"), tail).expect("writes");
    let newer = restored(&path, &asked());
    let is = matches!(newer, Err(RestoreError::Open(OpenError::Truncated { .. })));
    assert!(is, "{newer:?}");
    std::fs::write(path.join("tail"), own).expect("writes");
    // Another history's ledger.
    let other = Harness::open_as(&dir.path().join("other"), options(), found_as(9)).expect("opens");
    other.sent(notify("oa", "ann", 1, None));
    let other = other.close();
    let ours = path.join("ledger");
    std::fs::rename(&ours, path.join("away")).expect("renames");
    copy(&other.join("ledger"), &ours);
    assert!(restored(&path, &asked()).is_err());
    std::fs::remove_dir_all(&ours).expect("removes");
    std::fs::rename(path.join("away"), &ours).expect("renames");
    restored(&path, &asked()).expect("restores");
}
