//! Cuts a torn batch off a log, and keeps what is cut off until it is known that it had not been answered. Knows nothing of
//! the format.
//!
//! A reader cannot tell a torn batch from one that was answered and damaged later, perhaps only on its way from the disk. So
//! nothing is thrown away before somebody who remembers how far the ledger had come has looked.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What is appended to the name of a log for the file that holds what was cut off it.
const SUFFIX: &str = ".torn";

fn beside(log: &Path) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(SUFFIX);
    name.into()
}

/// Cuts `log` off at `offset`, durably. What was there is in `LOG.torn`, also durably, before it is gone from the log.
///
/// # Errors
/// Those of the files.
pub fn cut_torn(log: &Path, offset: u64) -> io::Result<()> {
    let mut log_file = OpenOptions::new().read(true).write(true).open(log)?;
    log_file.seek(SeekFrom::Start(offset))?;
    let mut kept = File::create(beside(log))?;
    io::copy(&mut log_file, &mut kept)?;
    kept.sync_all()?;
    if let Some(directory) = log.parent() {
        File::open(directory)?.sync_all()?;
    }
    log_file.set_len(offset)?;
    log_file.sync_all()
}

/// Removes what [`cut_torn`] has kept in `directory`.
///
/// # Errors
/// Those of the files.
pub fn forget_torn(directory: &Path) -> io::Result<()> {
    for entry in directory.read_dir()? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(SUFFIX) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}
