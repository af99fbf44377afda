//! The fixed yardstick: the least that a durable store on RocksDB could do for a message.
//!
//! One thread, one database. Per message four puts: record (8 → 94 bytes), body (8 → 448), user-log entry (12 → 9),
//! dedup row (16 → 6). Batches of 256 messages, each synced before the next. No network, no reads, no decisions.
//! Goals are stated as shares of this figure, so nothing here may be changed to suit a goal.

use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, IteratorMode, Options, WriteBatch,
    WriteOptions,
};

use crate::corpus::Pool;
use crate::error::{Error, Result};
use crate::rng::Rng;

/// Messages in a synced batch.
pub const BATCH: usize = 256;
/// The length of a record, in bytes.
pub const RECORD: usize = 94;
/// The length of a body, in bytes.
pub const BODY: usize = 448;

/// The column families: records, bodies, user log, dedup.
const FAMILIES: [&str; 4] = ["records", "bodies", "user_log", "dedup"];
/// Memory of one memtable, in bytes.
const WRITE_BUFFER: usize = 64 << 20;
/// Background flushes and compactions at a time: the reference machine has two processors.
const BACKGROUND_JOBS: i32 = 2;
/// Bytes of a table file after which the system is asked to start writing them back.
const BYTES_PER_SYNC: u64 = 1 << 20;

/// The four puts, without the database.
pub struct Work {
    pool: Arc<Pool>,
    /// The last sequence number of each user.
    seqs: Vec<u64>,
    record: [u8; RECORD],
    body: Vec<u8>,
}

/// One message's rows.
struct Rows<'a> {
    position: [u8; 8],
    record: &'a [u8; RECORD],
    body: &'a [u8],
    entry_key: [u8; 12],
    entry: [u8; 9],
    dedup_key: [u8; 16],
    dedup: [u8; 6],
}

impl Work {
    /// The work of sending `pool` to its users.
    #[must_use]
    pub fn new(pool: Arc<Pool>) -> Self {
        Self {
            seqs: vec![0; pool.corpus().users() as usize],
            pool,
            record: [0; RECORD],
            body: Vec::with_capacity(2 * BODY),
        }
    }

    /// The rows of the message at `position`, from 1.
    fn rows(&mut self, position: u64) -> Rows<'_> {
        let index = position - 1;
        let corpus = self.pool.corpus();
        let user = corpus.receiver(index);
        let key = corpus.key(index);
        let seq = &mut self.seqs[user as usize];
        *seq += 1;
        // A record is mostly hashes: a commitment, a request digest, a key hash. The rest counts up or repeats.
        self.record = [0; RECORD];
        self.record[0] = 1;
        self.record[1..9].copy_from_slice(&position.to_be_bytes());
        self.record[9..13].copy_from_slice(&user.to_be_bytes());
        Rng::new(corpus.seed(), position).fill(&mut self.record[22..78]);
        self.record[78..94].copy_from_slice(&key);
        // Bodies vary in length: cut, or continued with the next one, to exactly the fixed length.
        self.body.clear();
        let mut next = index;
        while self.body.len() < BODY {
            self.body.extend_from_slice(self.pool.body(next));
            next += 1;
        }
        self.body.truncate(BODY);
        let mut entry_key = [0; 12];
        entry_key[..4].copy_from_slice(&user.to_be_bytes());
        entry_key[4..].copy_from_slice(&seq.to_be_bytes());
        let mut entry = [1; 9];
        entry[..8].copy_from_slice(&position.to_be_bytes());
        let mut dedup = [0; 6];
        dedup.copy_from_slice(&position.to_be_bytes()[2..]);
        Rows {
            position: position.to_be_bytes(),
            record: &self.record,
            body: &self.body,
            entry_key,
            entry,
            dedup_key: key,
            dedup,
        }
    }
}

/// The database of the yardstick.
pub struct Yardstick {
    db: DB,
    sync: WriteOptions,
    position: u64,
}

impl Yardstick {
    /// Opens a new database in `dir`.
    ///
    /// # Errors
    /// What RocksDB says.
    pub fn create(dir: &Path) -> Result<Self> {
        let families = FAMILIES
            .iter()
            .map(|name| ColumnFamilyDescriptor::new(*name, options()));
        let mut all = options();
        all.create_if_missing(true);
        all.create_missing_column_families(true);
        all.set_error_if_exists(true);
        all.set_max_background_jobs(BACKGROUND_JOBS);
        all.set_bytes_per_sync(BYTES_PER_SYNC);
        // There is one writer: the latch-free insert for several would only cost.
        all.set_allow_concurrent_memtable_write(false);
        let mut sync = WriteOptions::default();
        sync.set_sync(true);
        Ok(Self {
            db: DB::open_cf_descriptors(&all, dir, families)?,
            sync,
            position: 0,
        })
    }

    /// Writes one synced batch of `messages` messages.
    ///
    /// # Errors
    /// What RocksDB says.
    pub fn commit(&mut self, work: &mut Work, messages: usize) -> Result<()> {
        let [records, bodies, user_log, dedup] = self.families()?;
        let mut batch = WriteBatch::default();
        for position in self.position + 1..=self.position + messages as u64 {
            let rows = work.rows(position);
            batch.put_cf(records, rows.position, rows.record);
            batch.put_cf(bodies, rows.position, rows.body);
            batch.put_cf(user_log, rows.entry_key, rows.entry);
            batch.put_cf(dedup, rows.dedup_key, rows.dedup);
        }
        self.db.write_opt(batch, &self.sync)?;
        self.position += messages as u64;
        Ok(())
    }

    /// How many rows each family holds, by reading them all: records, bodies, user log, dedup.
    ///
    /// # Errors
    /// What RocksDB says.
    pub fn count(&self) -> Result<[u64; 4]> {
        let mut counts = [0; 4];
        for (count, family) in counts.iter_mut().zip(self.families()?) {
            for row in self.db.iterator_cf(family, IteratorMode::Start) {
                row?;
                *count += 1;
            }
        }
        Ok(counts)
    }

    fn families(&self) -> Result<[&ColumnFamily; 4]> {
        let of = |name: &str| {
            self.db
                .cf_handle(name)
                .ok_or_else(|| Error::Options(format!("the yardstick has no family {name}")))
        };
        Ok([
            of(FAMILIES[0])?,
            of(FAMILIES[1])?,
            of(FAMILIES[2])?,
            of(FAMILIES[3])?,
        ])
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(WRITE_BUFFER);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{BODY, Work, Yardstick};
    use crate::corpus::{Corpus, Pool};

    #[test]
    fn every_message_leaves_its_four_rows() {
        let dir = tempfile::tempdir().unwrap();
        let mut work = Work::new(Arc::new(Pool::new(Corpus::new(1, 10), 50)));
        let mut yardstick = Yardstick::create(&dir.path().join("db")).unwrap();
        yardstick.commit(&mut work, 100).unwrap();
        yardstick.commit(&mut work, 28).unwrap();
        assert_eq!(yardstick.count().unwrap(), [128; 4]);
    }

    #[test]
    fn sequence_numbers_are_dense_per_user_and_sizes_are_fixed() {
        let mut work = Work::new(Arc::new(Pool::new(Corpus::new(1, 3), 50)));
        let mut last = [0u64; 3];
        for position in 1..=100 {
            let rows = work.rows(position);
            let user = u32::from_be_bytes(rows.entry_key[..4].try_into().unwrap()) as usize;
            let seq = u64::from_be_bytes(rows.entry_key[4..].try_into().unwrap());
            assert_eq!(seq, last[user] + 1);
            last[user] = seq;
            assert_eq!(rows.body.len(), BODY);
        }
    }

    #[test]
    fn a_database_that_is_there_is_not_measured_again() {
        let dir = tempfile::tempdir().unwrap();
        drop(Yardstick::create(dir.path()).unwrap());
        assert!(Yardstick::create(dir.path()).is_err());
    }
}
