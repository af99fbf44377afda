//! RocksDB options, in one place. Figures that they rest on: `docs/performance.md`.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Env,
    InfoLogger, LogLevel, Options,
};
use waybill_core::state::{Family, FamilyInfo, Writing};

use crate::config::LogConfig;
use crate::error::StoreError;

/// What both databases of a process share.
#[derive(Clone)]
pub struct Memory {
    cache: Cache,
    env: Env,
    ledger_write_buffer: usize,
    views_write_buffers: usize,
}

impl Memory {
    /// Sets up the block cache and the background threads.
    ///
    /// # Errors
    /// When RocksDB has no environment for this system.
    pub fn new(config: &LogConfig) -> Result<Self, StoreError> {
        let mut env = Env::new().map_err(super::failed("RocksDB"))?;
        // Sends wait for the writer's thread; compaction may wait for both.
        env.lower_thread_pool_cpu_priority();
        env.lower_thread_pool_io_priority();
        Ok(Self {
            cache: Cache::new_lru_cache(config.block_cache_bytes()),
            env,
            ledger_write_buffer: config.ledger_write_buffer_bytes(),
            views_write_buffers: config.views_write_buffer_bytes(),
        })
    }

    /// Bytes that the block cache holds now.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.cache.get_usage()
    }

    fn common(&self) -> Options {
        let mut options = Options::default();
        options.set_env(&self.env);
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_background_jobs(2);
        options.set_max_open_files(512);
        options.set_bytes_per_sync(1 << 20);
        options.set_keep_log_file_num(4);
        options.set_stats_dump_period_sec(0);
        // The info log is for RocksDB's engineers; errors reach us as results.
        options.set_log_level(LogLevel::Warn);
        options
    }

    /// Makes options for reading only: RocksDB would else begin an info log, and make the directory for it.
    pub(super) fn leave_no_trace(options: &mut Options) {
        options.create_if_missing(false);
        let nobody = InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {});
        options.set_info_logger(nobody);
    }

    /// Options of the ledger database.
    pub(super) fn ledger(&self) -> Options {
        let mut options = self.common();
        // The logs have been looked at before: see `wal`. PointInTime would drop answered records behind a flipped bit.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        // A recycled log has old bytes behind its end, which cannot be told from damage (facebook/rocksdb#7271).
        options.set_recycle_log_file_num(0);
        options.set_track_and_verify_wals_in_manifest(true);
        // Bounds what a start reads again.
        options.set_max_total_wal_size(4 * self.ledger_write_buffer as u64);
        options
    }

    /// Options of one family of the ledger: keys ascend, so tables never overlap and move down as they are. Blocks are small,
    /// because a page of a user's log needs one of each family for every entry: what a block holds besides is read and kept in
    /// vain. The dictionary makes up for what small blocks cost in compression.
    pub(super) fn ledger_family(&self, squeeze: Squeeze) -> Options {
        let mut options = self.common();
        options.set_write_buffer_size(self.ledger_write_buffer / 2);
        options.set_max_write_buffer_number(3);
        options.set_compression_type(DBCompressionType::Lz4);
        smallest_at_the_bottom(&mut options, squeeze);
        options.set_target_file_size_base(64 << 20);
        options.set_block_based_table_factory(&self.table(squeeze.block));
        options
    }

    /// Options of the views database.
    pub(super) fn views(&self) -> Options {
        let mut options = self.common();
        // One flush writes all families as of one moment.
        options.set_atomic_flush(true);
        options.set_db_write_buffer_size(self.views_write_buffers);
        options
    }

    /// Options of one family of the views.
    pub(super) fn views_family(&self, info: &FamilyInfo) -> Options {
        let mut options = self.common();
        options.set_write_buffer_size(self.views_write_buffers / 2);
        // There are many families and most hold little: a block for each must not fill the buffers by itself.
        options.set_arena_block_size(128 << 10);
        options.set_max_write_buffer_number(3);
        options.set_compression_type(DBCompressionType::Lz4);
        smallest_at_the_bottom(&mut options, Squeeze::VIEWS);
        let mut table = self.table(match info.writing {
            Writing::Appended => 8 * 1024,
            Writing::Updated => 4 * 1024,
        });
        table.set_bloom_filter(10.0, false);
        if info.family == Family::Dedup {
            // Asked for with every key, and nearly always in vain.
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(0.05);
        }
        if matches!(
            info.family,
            Family::UserLog | Family::ConversationLog | Family::ControlLog
        ) {
            // Their rows are asked for where they are, so that a filter of the last level, where most lie, would say nothing.
            options.set_optimize_filters_for_hits(true);
        }
        options.set_block_based_table_factory(&table);
        options
    }

    /// Options of one family of views that are thrown away after one reading.
    pub(super) fn bulk_family(&self) -> Options {
        let mut options = self.common();
        options.set_write_buffer_size(1 << 20);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_disable_auto_compactions(true);
        let mut table = self.table(8 * 1024);
        table.set_bloom_filter(10.0, false);
        // Every look-up asks every table: a look-up of its filter in the cache each time would cost more than the memory.
        table.set_cache_index_and_filter_blocks(false);
        options.set_block_based_table_factory(&table);
        options
    }

    fn table(&self, block_bytes: usize) -> BlockBasedOptions {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_block_size(block_bytes);
        table.set_format_version(6);
        table.set_index_type(BlockBasedIndexType::BinarySearch);
        // Keys next to each other share most of their bytes, in blocks and in indexes, which are long because blocks are small. A
        // whole key stands at every so many; a look-up walks from there.
        table.set_block_restart_interval(32);
        table.set_index_block_restart_interval(8);
        // So that the budget bounds them too.
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table
    }
}

/// How hard data is compressed where it comes to rest.
#[derive(Clone, Copy)]
pub(super) struct Squeeze {
    /// Level of Zstandard.
    level: i32,
    /// Bytes of the dictionary of each table.
    dictionary: i32,
    /// Bytes of a block.
    block: usize,
}

impl Squeeze {
    /// Of bodies: most of what there is, much of it alike from one message to the next.
    pub(super) const BODIES: Self = Self {
        level: 9,
        dictionary: 110 * 1024,
        block: 4 * 1024,
    };
    /// Of records: mostly hashes, which no effort makes smaller.
    pub(super) const RECORDS: Self = Self {
        level: 9,
        dictionary: 32 * 1024,
        block: 8 * 1024,
    };
    /// Of the views.
    const VIEWS: Self = Self {
        level: 6,
        dictionary: 16 * 1024,
        block: 8 * 1024,
    };
}

/// Zstandard with a dictionary where the data comes to rest: compressed once, read often.
fn smallest_at_the_bottom(options: &mut Options, squeeze: Squeeze) {
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    let Squeeze {
        level, dictionary, ..
    } = squeeze;
    // Window bits and strategy as RocksDB has them by default.
    options.set_bottommost_compression_options(-14, level, 0, dictionary, true);
    options.set_bottommost_zstd_max_train_bytes(100 * dictionary, true);
}
