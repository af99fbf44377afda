//! Logs made here: types that the ledger never writes, fragments out of place, several files, garbage.

use super::super::crc32c::masked;
use super::super::fragment::{BLOCK, HEADER};
use super::super::walk::walk;
use super::super::*;
use super::{checked, noise, walked};
use proptest::prelude::*;
use tempfile::TempDir;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
/// Added to a type to get its recyclable twin.
const RECYCLABLE: u8 = 4;

/// A log in the making.
#[derive(Clone, Default)]
struct Log(Vec<u8>);

impl Log {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Appends one fragment as it is, wherever the block ends.
    fn fragment(&mut self, kind: u8, number: Option<u32>, payload: &[u8]) -> &mut Self {
        let mut covered = vec![kind];
        covered.extend(number.iter().flat_map(|n| n.to_le_bytes()));
        covered.extend(payload);
        self.0.extend(masked(&covered).to_le_bytes());
        self.0.extend((payload.len() as u16).to_le_bytes());
        self.0.extend(covered);
        self
    }

    fn left(&self) -> usize {
        BLOCK - self.0.len() % BLOCK
    }

    fn zeros(&mut self, count: usize) -> &mut Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    /// Appends a batch as RocksDB does, split where blocks end.
    fn batch(&mut self, sequence: u64, count: u32, data: &[u8]) -> &mut Self {
        let batch = batch(sequence, count, data);
        let mut rest = batch.as_slice();
        loop {
            if self.left() < HEADER {
                self.zeros(self.left());
            }
            let (part, after) = rest.split_at(rest.len().min(self.left() - HEADER));
            let kind = match (rest.len() == batch.len(), after.is_empty()) {
                (true, true) => FULL,
                (true, false) => FIRST,
                (false, false) => MIDDLE,
                (false, true) => LAST,
            };
            self.fragment(kind, None, part);
            rest = after;
            if rest.is_empty() {
                return self;
            }
        }
    }

    fn store(&self, dir: &TempDir, number: u64) -> PathBuf {
        let path = dir.path().join(format!("{number:06}.log"));
        std::fs::write(&path, &self.0).unwrap();
        path
    }
}

fn batch(sequence: u64, count: u32, data: &[u8]) -> Vec<u8> {
    [&sequence.to_le_bytes()[..], &count.to_le_bytes(), data].concat()
}

fn log() -> Log {
    Log::default()
}

/// Offset, flaw and later batch of the first damage.
fn damage(log: &Log) -> (u64, Flaw, Option<u64>) {
    let damage = checked(&log.0).damage.unwrap();
    (damage.offset, damage.what, damage.later_batch_at)
}

#[test]
fn nothing_and_zeros_are_intact() {
    for zeros in [0, 1, 6, 7, BLOCK - 1, BLOCK, 3 * BLOCK + 5] {
        assert_eq!(checked(&log().zeros(zeros).0), Default::default());
    }
}

#[test]
fn an_empty_batch_takes_no_sequence_number() {
    let found = checked(
        &log()
            .batch(5, 2, b"ab")
            .batch(7, 0, b"")
            .batch(7, 1, b"c")
            .0,
    );
    assert_eq!(
        (found.batches, found.first_sequence, found.last_sequence),
        (3, Some(5), Some(7))
    );
    assert_eq!(found.damage, None);
}

#[test]
fn notes_and_types_to_be_skipped_are_not_batches() {
    let mut log = log();
    log.fragment(130, None, &[0; 24])
        .fragment(10, None, &[1; 6])
        .batch(1, 1, b"x");
    log.fragment(0x80, None, b"of a later version")
        .fragment(0xff, None, b"")
        .batch(2, 1, b"y");
    // Filled up with zeros, because the next note would not fit.
    log.batch(3, 1, &vec![7; log.left() - HEADER - 12 - 20]);
    assert_eq!(log.left(), 20);
    let found = checked(
        &log.clone()
            .zeros(20)
            .fragment(10, None, &[1; 18])
            .batch(4, 1, b"z")
            .0,
    );
    assert_eq!((found.batches, found.damage), (4, None));
    // The same zeros before a note that would have fitted are a hole.
    let end = log.len();
    let found = damage(log.zeros(20).fragment(10, None, &[1; 6]).batch(4, 1, b"z"));
    assert_eq!(found, (end, Flaw::BadType, Some(end + 20 + 13)));
}

#[test]
fn unknown_types() {
    for kind in [0, 12, 77, 0x7f] {
        let mut log = log();
        let at = log.batch(1, 1, b"x").len();
        assert_eq!(
            damage(log.fragment(kind, None, b"what")),
            (at, Flaw::BadType, None)
        );
        let next = log.len();
        assert_eq!(
            damage(log.batch(2, 1, b"y")),
            (at, Flaw::BadType, Some(next))
        );
    }
}

#[test]
fn a_compressed_log_is_not_read() {
    let log = log()
        .fragment(9, None, &[7, 0, 0, 0])
        .fragment(FULL, None, b"?")
        .clone();
    assert_eq!(
        walk(&log.0[..], None).unwrap_err().kind(),
        io::ErrorKind::Unsupported
    );
}

#[test]
fn zeros_with_a_batch_behind_them() {
    let mut log = log();
    let at = log.batch(1, 1, b"x").len();
    log.zeros(2 * log.left() + BLOCK);
    assert_eq!(checked(&log.0).damage, None);
    log.zeros(log.left() % BLOCK);
    let next = log.len();
    assert_eq!(
        damage(log.batch(3, 1, b"y")),
        (at, Flaw::BadType, Some(next))
    );
}

#[test]
fn recyclable_fragments() {
    let mut log = log();
    log.fragment(FULL + RECYCLABLE, Some(9), &batch(1, 1, b"x"));
    log.fragment(FIRST + RECYCLABLE, Some(9), &batch(2, 3, b"abc"));
    log.fragment(LAST + RECYCLABLE, Some(9), b"def");
    let end = log.len();
    // What the file held before, as the log numbered 4.
    log.fragment(FULL + RECYCLABLE, Some(4), &batch(90, 1, b"old"));
    log.fragment(LAST + RECYCLABLE, Some(4), b"old");
    let found = walk(&log.0[..], Some(9)).unwrap();
    assert_eq!(
        (found.batches, found.last_sequence, found.end_of_intact),
        (2, Some(4), end)
    );
    assert_eq!(found.damage, None);

    // Torn inside the last batch: what the old log left is no later batch.
    log.0[end as usize - 1] ^= 1;
    let found = walk(&log.0[..], Some(9)).unwrap();
    assert_eq!(
        (found.batches, found.damage.unwrap().later_batch_at),
        (1, None)
    );
    log.fragment(FULL + RECYCLABLE, Some(9), &batch(5, 1, b"own"));
    let found = walk(&log.0[..], Some(9)).unwrap();
    assert!(found.damage.unwrap().later_batch_at.is_some());

    // The old log shows no later batch in a block of its own either.
    let mut log = Log::default();
    log.batch(1, 1, &vec![7; BLOCK - HEADER - 12]);
    log.0[20] ^= 1;
    for kind in [LAST, FIRST, FULL] {
        log.fragment(kind + RECYCLABLE, Some(4), &batch(90, 1, b"old"));
    }
    let found = walk(&log.0[..], Some(9)).unwrap();
    assert_eq!(found.damage.unwrap().later_batch_at, None);

    // A log that was not recycled has none of them.
    let mut log = Log::default();
    let at = log.batch(1, 1, b"x").len();
    log.fragment(FULL + RECYCLABLE, Some(9), &batch(2, 1, b"y"));
    assert_eq!(damage(&log), (at, Flaw::BadType, Some(at)));
}

#[test]
fn fragments_out_of_place() {
    let mut start = log();
    let at = start.batch(1, 1, b"x").len();
    for kind in [MIDDLE, LAST] {
        let mut log = start.clone();
        log.fragment(kind, None, b"stray");
        assert_eq!(damage(&log), (at, Flaw::UnexpectedFragment, None));
        let next = log.len();
        assert_eq!(
            damage(log.batch(2, 1, b"y")),
            (at, Flaw::UnexpectedFragment, Some(next))
        );
    }
    let mut log = start.clone();
    let second = log.fragment(FIRST, None, &batch(2, 1, b"y")).len();
    assert_eq!(damage(&log), (second, Flaw::Truncated, None));
    assert_eq!(
        damage(log.clone().zeros(BLOCK)),
        (second, Flaw::Truncated, None)
    );
    for kind in [10, 0x80] {
        let found = damage(log.clone().fragment(kind, None, b"note"));
        assert_eq!(found, (second, Flaw::UnexpectedFragment, None));
    }
    let found = damage(log.batch(3, 1, b"z"));
    assert_eq!(found, (second, Flaw::UnexpectedFragment, Some(second)));
}

#[test]
fn batches_that_make_no_sense() {
    let mut start = log();
    let at = start.batch(5, 4, b"x").len();
    let short = damage(start.clone().fragment(FULL, None, &[1; 11]));
    assert_eq!(short, (at, Flaw::BadLength, None));
    for (sequence, count) in [
        (0, 1),
        (8, 1),
        (1 << 56, 1),
        ((1 << 56) - 1, 2),
        (u64::MAX, u32::MAX),
    ] {
        let mut log = start.clone();
        log.batch(sequence, count, b"y");
        assert_eq!(damage(&log), (at, Flaw::BadSequence, None), "{sequence}");
        let next = log.len();
        assert_eq!(
            damage(log.batch(9, 1, b"z")),
            (at, Flaw::BadSequence, Some(next)),
            "{sequence}"
        );
    }
    assert_eq!(checked(&start.batch((1 << 56) - 1, 1, b"y").0).damage, None);
}

#[test]
fn lengths_beyond_the_block_and_the_file() {
    let mut log = log();
    let at = log.batch(1, 1, b"x").len();
    log.batch(2, 1, b"yyyy");
    let length = at as usize + 4;
    log.0[length + 1] = 0x7f;
    assert_eq!(damage(&log), (at, Flaw::Truncated, None));
    log.0[length + 1] = 0x80;
    assert_eq!(damage(&log), (at, Flaw::BadLength, None));
}

/// A batch is not the last one if anything stands behind its last part, intact or not.
#[test]
fn data_behind_the_last_part_of_the_damaged_batch() {
    let mut log = log();
    let at = log.batch(1, 1, b"x").len();
    log.batch(2, 1, &noise(1, 2 * BLOCK));
    log.0[BLOCK + 100] ^= 1;
    assert_eq!(damage(&log), (BLOCK as u64, Flaw::BadChecksum, None));
    let end = log.len();
    for (rest, later) in [
        (&[0u8; 9][..], None),
        (&[0, 0, 1], Some(end)),
        (&[5; 300], Some(end)),
    ] {
        let mut log = log.clone();
        log.0.extend(rest);
        assert_eq!(damage(&log), (BLOCK as u64, Flaw::BadChecksum, later));
        assert_eq!(checked(&log.0).end_of_intact, at);
    }
}

/// Data may hold a log, for instance the body of a message that quotes one. It is not taken for one as
/// long as the fragment around it is intact.
#[test]
fn a_log_inside_an_intact_fragment_is_data() {
    let quoted = log()
        .batch(50, 1, b"quoted")
        .batch(51, 1, b"quoted")
        .clone();
    let data = quoted.0.repeat(3 * BLOCK / quoted.0.len());
    let mut log = log();
    let at = log.batch(1, 1, b"x").len();
    log.batch(2, 1, &data);
    assert_eq!(checked(&log.0).batches, 2);
    log.0[at as usize] ^= 1;
    log.0[at as usize + 7..BLOCK].fill(0);
    assert_eq!(damage(&log), (at, Flaw::BadChecksum, None));
}

/// The first part of the later batch may be too small to show the batch's sequence number.
#[test]
fn a_later_batch_that_begins_with_a_bare_header() {
    for shown in [0, 1, 7, 8, 11] {
        let mut log = log();
        log.batch(1, 1, &vec![7; BLOCK - 2 * HEADER - 12 - shown]);
        let next = log.len();
        log.batch(2, 1, b"yyyy");
        log.0[20] ^= 1;
        assert_eq!(damage(&log), (0, Flaw::BadChecksum, Some(next)));
    }
}

#[test]
fn log_files_are_ordered_by_number() {
    let dir = TempDir::new().unwrap();
    assert_eq!(newest(dir.path()).unwrap(), None);
    assert_eq!(
        verdict(dir.path()).unwrap(),
        Verdict::Intact {
            last_sequence: None
        }
    );
    for name in [
        "1000000.log",
        "000009.log",
        "999999.log",
        "LOG",
        ".log",
        "+1.log",
        "a1.log",
        "000010.sst",
    ] {
        std::fs::write(dir.path().join(name), b"").unwrap();
    }
    let names: Vec<_> = ["000009.log", "999999.log", "1000000.log"]
        .map(|n| dir.path().join(n))
        .into();
    assert_eq!(all(dir.path()).unwrap(), names);
    assert_eq!(newest(dir.path()).unwrap().as_ref(), names.last());
    assert!(verdict(&dir.path().join("missing")).is_err());
}

#[test]
fn a_tear_in_an_older_log() {
    let dir = TempDir::new().unwrap();
    let mut whole = log();
    let end = whole.batch(1, 3, b"abc").len();
    whole.batch(4, 2, b"de").store(&dir, 8);
    let torn = Log(whole.0[..whole.0.len() - 1].to_vec());
    let file = torn.store(&dir, 9);
    // The older one is the same up to the tear; this directory has only the torn one.
    std::fs::remove_file(dir.path().join("000008.log")).unwrap();
    let lost_bytes = torn.len() - end;
    let tear = Verdict::TornTail {
        file: file.clone(),
        offset: end,
        lost_bytes,
        last_sequence: Some(3),
    };
    assert_eq!(verdict(dir.path()).unwrap(), tear);

    // Opening made a new log and was interrupted.
    log().store(&dir, 12);
    assert_eq!(verdict(dir.path()).unwrap(), tear);
    log().zeros(5000).store(&dir, 13);
    assert_eq!(verdict(dir.path()).unwrap(), tear);

    // Opening dropped the torn batch, the next one got its number, the old log came back.
    log().batch(4, 1, b"D").store(&dir, 14);
    assert_eq!(
        verdict(dir.path()).unwrap(),
        Verdict::Intact {
            last_sequence: Some(4)
        }
    );

    // The batch was there when the next one was written.
    let what = Flaw::Truncated;
    let corrupt = Verdict::Corrupt {
        file,
        offset: end,
        what,
        batch: 1,
        last_sequence: Some(3),
    };
    log().batch(6, 1, b"f").store(&dir, 14);
    assert_eq!(verdict(dir.path()).unwrap(), corrupt);

    // Two tears: only one of them can be of the last batch.
    let newer = log().batch(6, 1, b"f").clone();
    Log(newer.0[..19].to_vec()).store(&dir, 14);
    assert_eq!(verdict(dir.path()).unwrap(), corrupt);
}

#[test]
fn damage_in_the_first_batch_of_all() {
    let dir = TempDir::new().unwrap();
    let mut torn = log().batch(1, 1, b"x").clone();
    torn.0.pop();
    let file = torn.store(&dir, 3);
    let lost_bytes = torn.len();
    let tear = Verdict::TornTail {
        file: file.clone(),
        offset: 0,
        lost_bytes,
        last_sequence: None,
    };
    assert_eq!(verdict(dir.path()).unwrap(), tear);
    assert!(tear.to_string().contains("torn") && tear.to_string().contains("no intact batch"));
    log().batch(1, 1, b"y").store(&dir, 4);
    let found = verdict(dir.path()).unwrap();
    assert!(matches!(
        found,
        Verdict::Corrupt {
            offset: 0,
            batch: 0,
            last_sequence: None,
            ..
        }
    ));
    assert!(
        found
            .to_string()
            .contains("000003.log: corrupt at byte 0: cut short"),
        "{found}"
    );
}

/// Bytes in which the small numbers that types and lengths are made of are frequent.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), 0..12u8, 128..133u8, any::<u8>()];
    prop::collection::vec(byte, 0..1000)
}

/// Intact fragments of any type, and bytes between them.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let fragment = (0..12u8, prop::option::of(0..3u32), 0..40u64, bytes());
    let piece = prop_oneof![
        bytes(),
        (0..BLOCK).prop_map(|n| vec![0; n]),
        fragment.prop_map(|(kind, number, sequence, data)| {
            let payload = if data.len() % 5 == 0 {
                data
            } else {
                batch(sequence, 1, &data)
            };
            log().fragment(kind, number, &payload).0.clone()
        }),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn garbage(log in pieces(), number in prop::option::of(0..3u32)) {
        if let Ok(found) = walk(&log[..], number) {
            prop_assert!(found.end_of_intact <= log.len() as u64);
            prop_assert!(found.damage.is_none_or(|d| d.offset >= found.end_of_intact));
        }
    }

    #[test]
    fn noise_is_damage(seed in any::<u64>(), len in 12..100_000usize) {
        let found = walked(&noise(seed, len));
        prop_assert_eq!(found.batches, 0);
        prop_assert_eq!(found.damage.map(|d| (d.offset, d.later_batch_at)), Some((0, None)));
    }
}
