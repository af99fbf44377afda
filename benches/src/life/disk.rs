//! What a message costs on disk once everything has come to rest.

use std::path::Path;

use rocksdb::{DB, Options as RocksOptions};
use serde::Serialize;
use waybill_core::fact::Fact;
use waybill_core::id::Position;
use waybill_core::record::Record;
use waybill_log::directory::{LEDGER_DIR, VIEWS_DIR};
use waybill_log::rocks::{Access, Memory, RocksLedger, RocksViews};
use waybill_log::store::{Bodies, Ledger as _, Views as _};

use super::Options;
use crate::engine::NAME;
use crate::error::{Error, IoContext as _, Result};
use crate::progress;

/// The family of the ledger that holds what callers said.
const BODIES: &str = "bodies";

/// One column family.
#[derive(Clone, Debug, Serialize)]
pub struct FamilySize {
    /// `ledger` or `views`.
    pub database: &'static str,
    /// Its name.
    pub family: String,
    /// Bytes of its table files.
    pub bytes: u64,
    /// The same for one message.
    pub bytes_per_message: f64,
}

/// The directory after compaction.
#[derive(Clone, Debug, Serialize)]
pub struct Disk {
    /// Messages in the ledger.
    pub messages: u64,
    /// Records in the ledger: messages, and the first sight of each user.
    pub records: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// All files, for one message.
    pub bytes_per_message: f64,
    /// The same without the bodies.
    pub skeleton_per_message: f64,
    /// Each family, the largest first.
    pub families: Vec<FamilySize>,
}

/// Compacts both databases and adds up what is left.
///
/// # Errors
/// When a database does not open or cannot be read.
pub fn measure(options: &Options) -> Result<Disk> {
    let spinner = progress::spinner("compacting");
    let failed = |e: waybill_log::StoreError| Error::Server {
        system: NAME,
        detail: e.to_string(),
    };
    let memory = Memory::new(&options.config).map_err(failed)?;
    let ledger_dir = options.data.join(LEDGER_DIR);
    let views_dir = options.data.join(VIEWS_DIR);
    let ledger = RocksLedger::open(&ledger_dir, &memory, Access::Write).map_err(failed)?;
    ledger.compact().map_err(failed)?;
    let (mut messages, mut records) = (0u64, 0u64);
    ledger
        .walk(Position(1), Bodies::Without, &mut |position, bytes, _| {
            records += 1;
            let record = Record::decode(position, bytes);
            messages += u64::from(record.is_ok_and(|r| matches!(r.fact, Fact::MessageSent(_))));
            true
        })
        .map_err(failed)?;
    drop(ledger);
    let views = RocksViews::open(&views_dir, &memory, Access::Write).map_err(failed)?;
    views.compact().map_err(failed)?;
    drop(views);
    let mut families = family_sizes("ledger", &ledger_dir, messages)?;
    families.extend(family_sizes("views", &views_dir, messages)?);
    families.sort_by_key(|f| std::cmp::Reverse(f.bytes));
    let bytes = tree_bytes(&options.data)?;
    let bodies: u64 = families
        .iter()
        .filter(|f| f.family == BODIES)
        .map(|f| f.bytes)
        .sum();
    spinner.finish_and_clear();
    let per_message = |bytes: u64| bytes as f64 / messages.max(1) as f64;
    Ok(Disk {
        messages,
        records,
        bytes,
        bytes_per_message: per_message(bytes),
        skeleton_per_message: per_message(bytes.saturating_sub(bodies)),
        families,
    })
}

/// The sizes of all families of the database in `dir`, read without changing it.
fn family_sizes(database: &'static str, dir: &Path, messages: u64) -> Result<Vec<FamilySize>> {
    let options = RocksOptions::default();
    let names = DB::list_cf(&options, dir)?;
    let db = DB::open_cf_for_read_only(&options, dir, &names, false)?;
    let mut sizes = Vec::new();
    for family in names {
        let handle = db.cf_handle(&family);
        let bytes = match handle {
            Some(handle) => db
                .property_int_value_cf(handle, "rocksdb.total-sst-files-size")?
                .unwrap_or(0),
            None => 0,
        };
        sizes.push(FamilySize {
            database,
            family,
            bytes,
            bytes_per_message: bytes as f64 / messages.max(1) as f64,
        });
    }
    Ok(sizes)
}

/// Bytes of all files below `dir`.
fn tree_bytes(dir: &Path) -> Result<u64> {
    let what = || format!("reading {}", dir.display());
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).doing(what())? {
        let entry = entry.doing(what())?;
        let meta = entry.metadata().doing(what())?;
        sum += if meta.is_dir() {
            tree_bytes(&entry.path())?
        } else {
            meta.len()
        };
    }
    Ok(sum)
}
