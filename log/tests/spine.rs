//! The log end to end over RocksDB: commands in, answers and user logs out, and the same after a restart.

mod common;

use common::{Harness, message, notify};
use waybill_core::id::{Position, Seq};
use waybill_core::outcome::{Outcome, Refusal};
use waybill_log::{OpenError, Pulled};

#[test]
fn what_was_answered_is_pulled_again_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut harness = Harness::open(dir.path());
    let mut answers = Vec::new();
    for n in 0..200 {
        answers.push(harness.sent(notify(
            "oa",
            &format!("user{}", n % 7),
            n,
            Some(&format!("key{n}")),
        )));
    }
    for round in 0..3 {
        for user in 0..7 {
            let number = harness.user(&format!("user{user}"));
            let Ok(Pulled::Page {
                span,
                entries,
                more,
            }) = harness.reader().pull(number, Seq(0), 1000)
            else {
                panic!("no page")
            };
            assert!(!more);
            assert_eq!(entries.len() as u64, span.head.0);
            for (entry, seq) in entries.iter().zip(1..) {
                assert_eq!(entry.seq, Seq(seq));
                assert_eq!(entry.row.conversation_seq.0, seq);
                let n = (seq - 1) * 7 + user;
                assert_eq!(entry.message.as_ref(), Some(&message(n)), "round {round}");
                assert_eq!(answers[n as usize].seq, Some(entry.seq));
                assert_eq!(answers[n as usize].position, entry.record.position);
            }
        }
        // A retry gets the first answer; another request with its key is refused.
        let again = harness.sent(notify("oa", "user3", 3, Some("key3")));
        assert!(again.repeated);
        assert_eq!(
            (again.position, again.seq, again.time),
            (answers[3].position, answers[3].seq, answers[3].time)
        );
        assert_eq!(
            harness.ask(notify("oa", "user3", 4, Some("key3"))),
            Err(Refusal::KeyReused)
        );
        harness = if round == 0 {
            harness.reopen()
        } else {
            harness.reopen_without_views()
        };
    }
}

#[test]
fn a_second_server_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let _harness = Harness::open(dir.path());
    assert!(matches!(
        Harness::try_open(dir.path()),
        Err(OpenError::Locked { .. })
    ));
}

#[test]
fn a_newer_format_is_refused_by_number() {
    let dir = tempfile::tempdir().expect("a directory");
    Harness::open(dir.path()).close();
    std::fs::write(dir.path().join("format"), "waybill ledger format 2\n").expect("writes");
    let Err(error) = Harness::try_open(dir.path()) else {
        panic!("it opened")
    };
    assert!(error.to_string().contains("knows format 2"), "{error}");
}

#[test]
fn an_erased_body_is_gone_and_the_entry_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let harness = Harness::open(dir.path());
    let sent = harness.sent(notify("oa", "ann", 1, None));
    assert_eq!(harness.ask(harness.erase(sent.position)), Ok(Outcome::Done));
    let check = |harness: &Harness| {
        let Ok(Pulled::Page { entries, .. }) =
            harness.reader().pull(harness.user("ann"), Seq(0), 10)
        else {
            panic!("no page")
        };
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].message, None);
        let opened = harness
            .reader()
            .open(sent.position)
            .expect("reads")
            .expect("is there");
        assert!(opened.erased);
        assert_eq!(
            harness.ask(harness.erase(Position(1))),
            Err(Refusal::NothingToErase)
        );
    };
    check(&harness);
    check(&harness.reopen_without_views());
}
