//! Logs that RocksDB wrote: read, flipped, cut, holed and filled.

use super::super::fragment::{BLOCK, Fragment, HEADER, Kind};
use super::super::*;
use super::{checked, noise, walked};
use proptest::prelude::*;
use rocksdb::{DB, DBRecoveryMode, Options, WriteBatch, WriteOptions};
use std::sync::OnceLock;
use tempfile::TempDir;

fn open(dir: &Path) -> DB {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_recycle_log_file_num(0);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    DB::open_cf(&options, dir, ["default", "events"]).unwrap()
}

/// A log that RocksDB wrote, and where its batches are.
struct Written {
    bytes: Vec<u8>,
    /// Where each batch ends.
    ends: Vec<u64>,
    /// The sequence number after each batch, as RocksDB says.
    sequences: Vec<u64>,
    dir: TempDir,
    log: PathBuf,
}

impl Written {
    /// Writes one batch for each entry of `values`: one value of each size, in two column families.
    fn new(values: &[&[usize]]) -> Self {
        let dir = TempDir::new().unwrap();
        let db = open(dir.path());
        let log = newest(dir.path()).unwrap().unwrap();
        let (mut ends, mut sequences) = (Vec::new(), Vec::new());
        for (number, sizes) in values.iter().enumerate() {
            write(&db, number, sizes);
            ends.push(log.metadata().unwrap().len());
            sequences.push(db.latest_sequence_number());
        }
        drop(db);
        let bytes = std::fs::read(&log).unwrap();
        assert_eq!(bytes.len() as u64, *ends.last().unwrap());
        Written {
            bytes,
            ends,
            sequences,
            dir,
            log,
        }
    }

    fn last(&self) -> usize {
        self.ends.len() - 1
    }

    /// Where the fragments of each batch are.
    fn fragments(&self) -> Vec<Vec<std::ops::Range<usize>>> {
        let mut at = 0;
        let mut batches = vec![Vec::new()];
        while at < self.bytes.len() {
            let start = at / BLOCK * BLOCK;
            if start + BLOCK - at < HEADER {
                at = start + BLOCK;
                continue;
            }
            let block = &self.bytes[start..self.bytes.len().min(start + BLOCK)];
            let fragment = Fragment::read(block, at - start).unwrap();
            batches.last_mut().unwrap().push(at..start + fragment.end);
            if matches!(fragment.kind, Kind::Full | Kind::Last) {
                batches.push(Vec::new());
            }
            at = start + fragment.end;
        }
        batches.pop();
        let ends: Vec<u64> = batches
            .iter()
            .map(|b| b.last().unwrap().end as u64)
            .collect();
        assert_eq!(ends, self.ends);
        batches
    }

    /// How many batches of the log `changed` still holds as they were.
    fn unchanged(&self, changed: &[u8]) -> usize {
        let same = self
            .bytes
            .iter()
            .zip(changed)
            .take_while(|(a, b)| a == b)
            .count() as u64;
        self.ends.iter().filter(|end| **end <= same).count()
    }

    /// The verdict on a directory with this log, and what it should be if the fragment at `offset`, in
    /// the batch numbered `hit`, is damaged.
    fn check_hit(&self, changed: &[u8], hit: usize, offset: usize) {
        std::fs::write(&self.log, changed).unwrap();
        let before = hit.checked_sub(1);
        let last_sequence = before.map(|b| self.sequences[b]);
        let end_of_intact = before.map_or(0, |b| self.ends[b]);
        match verdict(self.dir.path()).unwrap() {
            Verdict::Corrupt {
                file,
                offset: at,
                batch,
                last_sequence: last,
                ..
            } => {
                assert!(
                    hit < self.last(),
                    "only the last batch was hit, at {offset}"
                );
                let expected = (&self.log, offset as u64, hit as u64, last_sequence);
                assert_eq!((&file, at, batch, last), expected);
            }
            found => {
                let lost_bytes = changed.len() as u64 - end_of_intact;
                let file = self.log.clone();
                let torn = Verdict::TornTail {
                    file,
                    offset: end_of_intact,
                    lost_bytes,
                    last_sequence,
                };
                assert_eq!((hit, found), (self.last(), torn));
            }
        }
    }
}

fn write(db: &DB, number: usize, sizes: &[usize]) {
    let events = db.cf_handle("events").unwrap();
    let mut batch = WriteBatch::default();
    for (i, size) in sizes.iter().enumerate() {
        let key = [(number as u32).to_be_bytes(), (i as u32).to_be_bytes()].concat();
        let value = noise((number * 1000 + i) as u64, *size);
        if i % 2 == 0 {
            batch.put(&key, &value);
        } else {
            batch.put_cf(&events, &key, &value);
        }
    }
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    db.write_opt(batch, &synced).unwrap();
}

fn small() -> Written {
    Written::new(&[&[10, 20], &[0], &[30, 5, 40], &[64], &[1, 2], &[50, 60]])
}

/// Batches of all sizes, from less than a block to ten blocks; the last one spans five.
fn large() -> Written {
    Written::new(&[
        &[100; 30],
        &[40_000, 10],
        &[7, 7],
        &[32_768],
        &[1],
        &[150_000, 33, 150_000],
        &[],
        &[12_000, 500],
        &[65_536],
        &[90],
        &[30_000, 90_000, 20_000],
    ])
}

#[test]
fn what_rocksdb_wrote_is_intact() {
    for written in [small(), large()] {
        let scan = scan(&written.log).unwrap();
        assert_eq!(scan.batches, written.ends.len() as u64);
        assert_eq!(scan.first_sequence, Some(1));
        assert_eq!(scan.last_sequence, written.sequences.last().copied());
        assert_eq!(
            (scan.end_of_intact, scan.len),
            (written.bytes.len() as u64, written.bytes.len() as u64)
        );
        assert_eq!(scan.damage, None);
        let last_sequence = scan.last_sequence;
        assert_eq!(
            verdict(written.dir.path()).unwrap(),
            Verdict::Intact { last_sequence }
        );
    }
}

#[test]
fn every_bit_of_a_small_log() {
    let written = small();
    for (hit, fragments) in written.fragments().into_iter().enumerate() {
        assert_eq!(fragments.len(), 1);
        for at in fragments[0].clone() {
            for mask in [1, 2, 4, 8, 16, 32, 64, 128, 0xff] {
                let mut changed = written.bytes.clone();
                changed[at] ^= mask;
                written.check_hit(&changed, hit, fragments[0].start);
                let later = walked(&changed).damage.unwrap().later_batch_at;
                assert_eq!(later, (hit < written.last()).then_some(written.ends[hit]));
            }
        }
    }
}

#[test]
fn every_fragment_of_a_large_log() {
    let written = large();
    for (hit, fragments) in written.fragments().into_iter().enumerate() {
        for fragment in fragments {
            let header = fragment.start..fragment.start + HEADER;
            let payload = (header.end..fragment.end).step_by(997);
            for at in header.chain(payload).chain([fragment.end - 1]) {
                let mut changed = written.bytes.clone();
                changed[at] ^= 1 << (at % 8);
                written.check_hit(&changed, hit, fragment.start);
            }
        }
    }
}

/// Whatever is left of a block: none, filler, a first part without payload, or with part of the batch's
/// own header.
#[test]
fn every_way_to_end_a_block() {
    for left in 0..=24 {
        // One put in the default family: 7 + 12 bytes of headers, tag, key of 8 and its length, 3 for the
        // length of the value.
        let first = BLOCK - left - 32;
        let written = Written::new(&[&[first], &[100], &[5]]);
        assert_eq!(written.ends[0], (BLOCK - left) as u64);
        let found = checked(&written.bytes);
        assert_eq!(
            (found.batches, found.damage),
            (3, None),
            "{left} bytes left"
        );
        for (hit, fragments) in written.fragments().into_iter().enumerate() {
            for fragment in fragments {
                for at in (fragment.clone()).filter(|at| *at < HEADER || *at >= BLOCK - left) {
                    let mut changed = written.bytes.clone();
                    changed[at] ^= 0x21;
                    written.check_hit(&changed, hit, fragment.start);
                }
            }
        }
    }
}

#[test]
fn filler_at_the_end_of_a_block_does_not_matter() {
    let written = Written::new(&[&[BLOCK - 32 - 6], &[100]]);
    let mut changed = written.bytes.clone();
    for filler in &mut changed[BLOCK - 6..BLOCK] {
        assert_eq!(*filler, 0);
        *filler = 0xa5;
    }
    let found = walked(&changed);
    assert_eq!((found.batches, found.damage), (2, None));
}

/// Cut at `cut`: what is whole stays, the rest is a tear, and zeros to the right of it change nothing.
fn check_cut(written: &Written, cut: usize) {
    let whole = written
        .ends
        .iter()
        .filter(|end| **end <= cut as u64)
        .count();
    let mut changed = written.bytes[..cut].to_vec();
    let found = checked(&changed);
    assert_eq!(found.batches, whole as u64);
    let rest_is_zero = changed[found.end_of_intact as usize..]
        .iter()
        .all(|b| *b == 0);
    assert_eq!(
        found.damage.is_none(),
        rest_is_zero,
        "cut at {cut}: {found:?}"
    );
    assert_eq!(
        found.damage.and_then(|d| d.later_batch_at),
        None,
        "cut at {cut}"
    );

    for zeros in [1, 7, written.bytes.len() - cut, BLOCK + 1] {
        changed.resize(cut + zeros, 0);
        let found = checked(&changed);
        assert_eq!(found.batches, written.unchanged(&changed) as u64);
        let rest_is_zero = changed[found.end_of_intact as usize..]
            .iter()
            .all(|b| *b == 0);
        assert_eq!(
            found.damage.is_none(),
            rest_is_zero,
            "cut at {cut}, {zeros} zeros: {found:?}"
        );
        assert_eq!(
            found.damage.and_then(|d| d.later_batch_at),
            None,
            "cut at {cut}, {zeros} zeros"
        );
        changed.truncate(cut);
    }
}

#[test]
fn cut_at_every_length() {
    let written = small();
    (0..=written.bytes.len()).for_each(|cut| check_cut(&written, cut));
    let written = large();
    for at in written
        .fragments()
        .concat()
        .iter()
        .flat_map(|f| [f.start, f.end])
    {
        (at.saturating_sub(9)..(at + 20).min(written.bytes.len()))
            .for_each(|cut| check_cut(&written, cut));
    }
}

/// The pages of a file reach the disk in any order, and a page that did not is a hole of zeros.
#[test]
fn pages_of_the_last_batch_that_never_reached_the_disk() {
    const PAGE: usize = 4096;
    let written = large();
    let (start, end) = (
        written.ends[written.last() - 1] as usize,
        written.bytes.len(),
    );
    let pages: Vec<usize> = (start.next_multiple_of(PAGE)..end).step_by(PAGE).collect();
    assert!(pages.len() > 30);
    for seed in 0..200 {
        let mut changed = written.bytes.clone();
        // Every page alone, then any set of pages.
        let lost = noise(seed, pages.len());
        for (i, page) in pages.iter().enumerate() {
            if i as u64 == seed || (seed >= pages.len() as u64 && lost[i] & 1 == 1) {
                changed[*page..end.min(page + PAGE)].fill(0);
            }
        }
        let found = checked(&changed);
        assert_eq!(found.end_of_intact as usize, start, "seed {seed}");
        assert_eq!(found.damage.unwrap().later_batch_at, None, "seed {seed}");
    }
}

#[test]
fn a_lost_page_before_the_last_batch_is_corruption() {
    let written = large();
    let last = written.ends[written.last() - 1] as usize;
    for page in (0..last - 4096).step_by(4096) {
        let mut changed = written.bytes.clone();
        changed[page..page + 4096].fill(0);
        let found = checked(&changed);
        assert_eq!(found.batches, written.unchanged(&changed) as u64);
        assert!(
            found.damage.unwrap().later_batch_at.is_some(),
            "page at {page}: {found:?}"
        );
    }
}

/// Once a torn batch is cut off, RocksDB recovers exactly what the scan calls intact.
#[test]
fn rocksdb_recovers_what_is_intact() {
    for at in [0, 3, 5, 6, 7, 30] {
        let written = small();
        let before = written.last() - 1;
        let start = written.ends[before];
        let mut changed = written.bytes.clone();
        // At 6 this makes a recyclable type, over which RocksDB would never come back.
        changed[start as usize + at] ^= 4;
        std::fs::write(&written.log, &changed).unwrap();
        match verdict(written.dir.path()).unwrap() {
            Verdict::TornTail {
                file,
                offset,
                last_sequence,
                ..
            } => {
                let expected = (&written.log, start, Some(written.sequences[before]));
                assert_eq!((&file, offset, last_sequence), expected);
                File::options()
                    .write(true)
                    .open(file)
                    .unwrap()
                    .set_len(offset)
                    .unwrap();
            }
            other => panic!("flipped at {at}: {other}"),
        }
        let last_sequence = Some(written.sequences[before]);
        assert_eq!(
            verdict(written.dir.path()).unwrap(),
            Verdict::Intact { last_sequence }
        );
        let db = open(written.dir.path());
        assert_eq!(Some(db.latest_sequence_number()), last_sequence);
    }
}

/// Why a ledger is checked before RocksDB opens it, and not only when RocksDB refuses: in the last block
/// RocksDB takes a length that points behind the end of the file for the end of the log.
#[test]
fn corruption_that_rocksdb_overlooks() {
    let written = small();
    let mut changed = written.bytes.clone();
    let length_high_byte = written.ends[0] as usize + 5;
    changed[length_high_byte] ^= 0x10;
    written.check_hit(&changed, 1, written.ends[0] as usize);
    let db = open(written.dir.path());
    assert_eq!(
        db.latest_sequence_number(),
        written.sequences[0],
        "RocksDB has learnt to refuse this"
    );
}

/// Two live logs, as after a flush of one column family.
#[test]
fn two_logs() {
    let dir = TempDir::new().unwrap();
    let db = open(dir.path());
    write(&db, 0, &[10, 20]);
    write(&db, 1, &[30, 40]);
    db.flush_cf(&db.cf_handle("events").unwrap()).unwrap();
    assert_eq!(all(dir.path()).unwrap().len(), 2);
    let last_sequence = Some(db.latest_sequence_number());
    assert_eq!(
        verdict(dir.path()).unwrap(),
        Verdict::Intact { last_sequence },
        "new log empty"
    );
    write(&db, 2, &[50]);
    drop(db);

    let logs = all(dir.path()).unwrap();
    assert_eq!(newest(dir.path()).unwrap().as_ref(), Some(&logs[1]));
    let older = scan(&logs[0]).unwrap();
    let newer = scan(&logs[1]).unwrap();
    assert_eq!(
        newer.first_sequence,
        older.last_sequence.map(|last| last + 1)
    );
    assert_eq!(
        verdict(dir.path()).unwrap(),
        Verdict::Intact {
            last_sequence: newer.last_sequence
        }
    );

    let whole = std::fs::read(&logs[0]).unwrap();
    std::fs::write(&logs[0], &whole[..whole.len() - 3]).unwrap();
    let Verdict::Corrupt {
        file,
        batch: 1,
        what: Flaw::Truncated,
        ..
    } = verdict(dir.path()).unwrap()
    else {
        panic!("the older log was cut inside an answered batch");
    };
    assert_eq!(file, logs[0]);
}

fn cached() -> &'static Written {
    static LARGE: OnceLock<Written> = OnceLock::new();
    LARGE.get_or_init(large)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn anything_written_over_any_place(
        place in 0.0..1.0f64,
        in_last in any::<bool>(),
        len in prop_oneof![1usize..16, 500..5000usize, 30_000..100_000usize],
        seed in any::<u64>(),
    ) {
        let written = cached();
        let last = written.fragments()[written.last()][0].start;
        let (low, high) = if in_last { (last, written.bytes.len()) } else { (0, last) };
        let start = low + ((high - low) as f64 * place) as usize;
        let end = (start + len).min(written.bytes.len());
        let mut changed = written.bytes.clone();
        changed[start..end].copy_from_slice(&noise(seed, end - start));

        let found = checked(&changed);
        let later = found.damage.and_then(|d| d.later_batch_at);
        if in_last {
            prop_assert_eq!(later, None);
            prop_assert_eq!(found.batches, written.unchanged(&changed) as u64);
        } else if end <= last {
            // The last batch is whole, so either nothing that matters was hit, or it is corruption.
            prop_assert_eq!(found.damage.is_some(), later.is_some());
            let whole = found.batches as usize == written.ends.len();
            prop_assert_eq!(whole, found.damage.is_none());
        }
    }
}
