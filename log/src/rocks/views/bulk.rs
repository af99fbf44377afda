//! Views that are made once and thrown away: whoever folds a whole ledger hands over sorted rows in bulk, which become tables
//! of the database as they are. Past the write buffers, and never compacted, that costs a fraction of writing row by row.

use std::iter::Peekable;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{ColumnFamilyDescriptor, DB, IngestExternalFileOptions, SstFileWriter};
use waybill_core::state::{FAMILIES, Family, Key};

use super::super::options::Memory;
use super::{RocksViews, STORE, failed};
use crate::error::StoreError;

/// A row and its value; `None` removes it.
pub type Change<'r> = (Family, &'r Key, Option<&'r [u8]>);

impl RocksViews {
    /// Makes an empty database at `path` for [`RocksViews::ingest`].
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open_for_bulk(path: &Path, memory: &Memory) -> Result<Self, StoreError> {
        let families = FAMILIES
            .iter()
            .map(|info| ColumnFamilyDescriptor::new(info.name, memory.bulk_family()));
        let db = DB::open_cf_descriptors(&memory.views(), path, families);
        Ok(Self {
            db: db.map_err(failed(STORE))?,
        })
    }

    /// Makes many changes: ascending by family and key, one for each row. What is ingested later counts. Nothing is synced.
    ///
    /// # Errors
    /// When the store fails. It may not be written to again.
    pub fn ingest<'r>(
        &self,
        rows: impl Iterator<Item = Change<'r>>,
        memory: &Memory,
    ) -> Result<(), StoreError> {
        let mut rows = rows.peekable();
        while let Some((family, ..)) = rows.peek() {
            let family = *family;
            self.ingest_family(family, &mut rows, memory)?;
        }
        Ok(())
    }

    /// Takes the rows of one family from the front of `rows`.
    fn ingest_family<'r>(
        &self,
        family: Family,
        rows: &mut Peekable<impl Iterator<Item = Change<'r>>>,
        memory: &Memory,
    ) -> Result<(), StoreError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = self.db.path().join(format!("bulk-{number}"));
        let options = memory.bulk_family();
        let mut table = SstFileWriter::create(&options);
        table.open(&path).map_err(failed(STORE))?;
        while let Some((_, key, value)) = rows.next_if(|(of, ..)| *of == family) {
            let written = match value {
                Some(value) => table.put(key.as_slice(), value),
                None => table.delete(key.as_slice()),
            };
            written.map_err(failed(STORE))?;
        }
        table.finish().map_err(failed(STORE))?;
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let handle = self.family(family.name())?;
        self.db
            .ingest_external_file_cf_opts(handle, &options, vec![&path])
            .map_err(failed(STORE))
    }
}
