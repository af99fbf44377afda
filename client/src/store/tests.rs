//! The store, on disk and in memory.

use rusqlite::Connection;
use waybill_core::id::{Epoch, Seq};

use super::{OUTBOX_MESSAGES, READ_ENTRIES, Snapshot, Store, StoreError, VERSION};
use crate::log_entry::LogEntry;
use crate::message::Message;

const FIRST: Epoch = Epoch([1; 16]);
const SECOND: Epoch = Epoch([2; 16]);

fn entry(seq: u64) -> LogEntry {
    LogEntry::read(format!(
        r#"{{"seq":{seq},"kind":1,"time":{}}}"#,
        1_000 + seq
    ))
    .unwrap()
}

fn entries(seqs: std::ops::RangeInclusive<u64>) -> Vec<LogEntry> {
    seqs.map(entry).collect()
}

fn stored(store: &Store) -> Vec<u64> {
    let entries = store.entries(Seq(0), READ_ENTRIES).unwrap();
    entries.iter().map(|entry| entry.seq.0).collect()
}

fn memory() -> Store {
    let mut store = Store::in_memory("ann", "phone").unwrap();
    store.begin(FIRST, Seq(0)).unwrap();
    store
}

#[test]
fn entries_and_cursor_are_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ann.sqlite");
    let mut store = Store::open(&path, "ann", "phone").unwrap();
    assert_eq!(store.position().epoch, None);
    store.begin(FIRST, Seq(3)).unwrap();
    let position = store.append(Seq(3), &entries(1..=3)).unwrap();
    assert_eq!((position.cursor, position.building), (Seq(3), false));
    store.set_transport(2).unwrap();
    drop(store);
    let store = Store::open(&path, "ann", "phone").unwrap();
    assert_eq!(store.position(), position);
    assert_eq!(store.position().epoch, Some(FIRST));
    assert_eq!(store.transport().unwrap(), 2);
    assert_eq!(store.entries(Seq(0), 10).unwrap(), entries(1..=3));
    assert_eq!(store.entries(Seq(1), 1).unwrap(), entries(2..=2));
    assert_eq!(store.entries(Seq(u64::MAX), 1).unwrap(), []);
}

#[test]
fn entries_that_are_there_are_passed_over_and_a_gap_stores_nothing() {
    let mut store = memory();
    store.append(Seq(9), &entries(1..=3)).unwrap();
    store.append(Seq(9), &entries(2..=5)).unwrap();
    assert_eq!(stored(&store), [1, 2, 3, 4, 5]);
    let mut with_a_hole = entries(6..=7);
    with_a_hole.push(entry(9));
    let error = store.append(Seq(9), &with_a_hole).unwrap_err();
    assert_eq!(error, StoreError::Gap { last: 7, found: 9 });
    assert_eq!(stored(&store), [1, 2, 3, 4, 5]);
    assert_eq!(store.position().cursor, Seq(5));
}

#[test]
fn another_history_is_shown_when_it_is_complete() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ann.sqlite");
    let mut store = Store::open(&path, "ann", "phone").unwrap();
    store.begin(FIRST, Seq(0)).unwrap();
    store.append(Seq(4), &entries(1..=4)).unwrap();
    store.begin(SECOND, Seq(3)).unwrap();
    store.append(Seq(3), &entries(1..=2)).unwrap();
    let position = store.position();
    assert_eq!((position.epoch, position.cursor), (Some(SECOND), Seq(2)));
    assert!(position.building);
    assert_eq!((stored(&store), store.shown()), (vec![1, 2, 3, 4], Seq(4)));
    drop(store);
    let mut store = Store::open(&path, "ann", "phone").unwrap();
    assert_eq!(store.position(), position, "a half fetched history goes on");
    assert_eq!(store.shown(), Seq(4));
    store.append(Seq(3), &entries(3..=3)).unwrap();
    let position = store.position();
    assert_eq!((position.building, position.generation), (false, 1));
    assert_eq!((stored(&store), store.shown()), (vec![1, 2, 3], Seq(3)));
    store.append(Seq(4), &entries(4..=4)).unwrap();
    assert_eq!(stored(&store), [1, 2, 3, 4]);
    // And once more, from a history that was itself the second one; an empty one is complete at once.
    store.begin(FIRST, Seq(0)).unwrap();
    assert_eq!((stored(&store), store.position().generation), (vec![], 2));
}

#[test]
fn a_half_fetched_history_gives_way_to_another() {
    let mut store = memory();
    store.append(Seq(2), &entries(1..=2)).unwrap();
    store.begin(SECOND, Seq(9)).unwrap();
    store.append(Seq(9), &entries(1..=5)).unwrap();
    store.begin(Epoch([3; 16]), Seq(2)).unwrap();
    assert_eq!(store.position().cursor, Seq(0));
    store.append(Seq(2), &entries(1..=2)).unwrap();
    assert_eq!(store.position().epoch, Some(Epoch([3; 16])));
    assert!(!store.position().building);
}

#[test]
fn a_snapshot_leaves_a_gap_and_brings_conversations() {
    let mut store = memory();
    store.append(Seq(2), &entries(1..=2)).unwrap();
    let snapshot = Snapshot {
        epoch: FIRST,
        seq: Seq(9),
        conversations: vec!["{\"a\":1}".to_owned(), "{}".to_owned()],
    };
    store.skip(Seq(9), &snapshot).unwrap();
    store.append(Seq(10), &entries(10..=10)).unwrap();
    assert_eq!(stored(&store), [1, 2, 10]);
    let gaps = store.gaps().unwrap();
    assert_eq!(
        (gaps.len(), gaps[0].after, gaps[0].until),
        (1, Seq(2), Seq(9))
    );
    assert_eq!(store.conversations().unwrap(), snapshot.conversations);
    let before = Snapshot {
        seq: Seq(5),
        ..snapshot
    };
    assert!(store.skip(Seq(10), &before).is_err());
}

#[test]
fn what_is_forgotten_does_not_come_again() {
    let mut store = memory();
    store.append(Seq(5), &entries(1..=5)).unwrap();
    let position = store.forget(Seq(3)).unwrap();
    assert_eq!((position.forgotten, position.cursor), (Seq(3), Seq(5)));
    assert_eq!(stored(&store), [4, 5]);
    assert_eq!(store.forget(Seq(99)).unwrap().forgotten, Seq(5));
}

#[test]
fn one_key_stands_for_one_message_until_it_is_sent() {
    let store = memory();
    let message = Message::text("bob", "hi").key("k").into_outgoing();
    let id = store.enqueue(&message, 1).unwrap();
    assert_eq!(store.enqueue(&message, 2).unwrap(), id);
    let other = Message::text("bob", "ho").key("k").into_outgoing();
    let error = store.enqueue(&other, 3).unwrap_err();
    assert_eq!(error, StoreError::KeyTaken("k".to_owned()));
    assert_eq!(store.outgoing(id).unwrap(), Some(message.clone()));
    assert!(store.sent(id).unwrap());
    assert!(!store.sent(id).unwrap(), "it was sent already");
    assert_eq!(store.outgoing(id).unwrap(), None);
    let next = store.enqueue(&other, 4).unwrap();
    assert!(next > id, "numbers are not given twice");
}

#[test]
fn a_refused_message_stays_until_it_is_discarded_or_tried_again() {
    let store = memory();
    let message = Message::text("bob", "hi").key("k").into_outgoing();
    let id = store.enqueue(&message, 1).unwrap();
    assert!(!store.discard("k").unwrap(), "it may still be sent");
    store.refused(id, "no").unwrap();
    assert!(store.to_send().unwrap().is_empty());
    assert_eq!(store.outgoing(id).unwrap(), None);
    assert_eq!(store.outbox().unwrap()[0].refusal.as_deref(), Some("no"));
    store.enqueue(&message, 2).unwrap();
    assert_eq!(store.to_send().unwrap()[0].0, id);
    store.refused(id, "no").unwrap();
    assert!(store.discard("k").unwrap());
    assert_eq!(store.outbox().unwrap(), []);
}

#[test]
fn an_outbox_has_an_end() {
    let store = memory();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        INSERT INTO outbox (key, made, message) SELECT 'k' || i, 0, x'' FROM n";
    store.connection.execute(sql, [OUTBOX_MESSAGES]).unwrap();
    let message = Message::text("bob", "hi").key("one more").into_outgoing();
    let error = store.enqueue(&message, 1).unwrap_err();
    assert_eq!(error, StoreError::OutboxFull(OUTBOX_MESSAGES));
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ann.sqlite");
    let opened = |user: &str, device: &str| Store::open(&path, user, device).err();
    assert_eq!(opened("ann", "phone"), None);
    assert!(matches!(
        opened("bob", "phone"),
        Some(StoreError::OtherOwner { user, .. }) if user == "ann"
    ));
    assert!(matches!(
        opened("ann", "web"),
        Some(StoreError::OtherOwner { .. })
    ));
    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", VERSION + 1)
        .unwrap();
    drop(raw);
    let newer = StoreError::Newer {
        path: path.clone(),
        found: VERSION + 1,
        known: VERSION,
    };
    assert_eq!(opened("ann", "phone"), Some(newer));

    let path = directory.path().join("other.sqlite");
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("CREATE TABLE mine (a)").unwrap();
    drop(raw);
    let refused = Store::open(&path, "ann", "phone").err();
    assert_eq!(refused, Some(StoreError::Foreign(path)));

    let path = directory.path().join("text");
    std::fs::write(
        &path,
        "no database at all, but long enough to be taken for one".repeat(50),
    )
    .unwrap();
    let refused = Store::open(&path, "ann", "phone").err();
    assert_eq!(refused, Some(StoreError::Foreign(path)));
}

#[test]
fn a_store_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ann.sqlite");
    let first = Store::open(&path, "ann", "phone").unwrap();
    let second = Store::open(&path, "ann", "phone").err();
    assert_eq!(second, Some(StoreError::InUse(path.clone())));
    drop(first);
    Store::open(&path, "ann", "phone").unwrap();
}

/// A copy of the files, as a killed process would have left them.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    for suffix in ["", "-wal"] {
        let name = |path: &std::path::Path| format!("{}{suffix}", path.display());
        if std::path::Path::new(&name(from)).exists() {
            std::fs::copy(name(from), name(to)).unwrap();
        }
    }
}

#[test]
fn whatever_was_written_when_a_process_ends_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ann.sqlite");
    let mut store = Store::open(&path, "ann", "phone").unwrap();
    store.begin(FIRST, Seq(0)).unwrap();
    for step in 0..40_u64 {
        store
            .append(Seq(0), &entries(3 * step + 1..=3 * step + 3))
            .unwrap();
        let copied = directory.path().join(format!("copy-{step}.sqlite"));
        copy(&path, &copied);
        let wal = format!("{}-wal", copied.display());
        // A tail that was not written yet: every length that is tried must give a whole number of steps.
        let length = std::fs::metadata(&wal).unwrap().len();
        let cut = length.saturating_sub(step * 97);
        std::fs::OpenOptions::new()
            .write(true)
            .open(&wal)
            .unwrap()
            .set_len(cut)
            .unwrap();
        let again = Store::open(&copied, "ann", "phone").unwrap();
        let cursor = again.position().cursor.0;
        assert_eq!(stored(&again), (1..=cursor).collect::<Vec<_>>());
        assert_eq!(cursor % 3, 0, "a transaction is whole or not there");
    }
}
