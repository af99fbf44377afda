//! The data directory: its lock, its format, the places in it. `docs/formats.md`, "The data directory".

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use waybill_core::versions::LEDGER_FORMAT;

use crate::error::OpenError;

/// The ledger database.
pub const LEDGER_DIR: &str = "ledger";
/// The views database.
pub const VIEWS_DIR: &str = "views";
/// Views while they are being rebuilt.
pub(crate) const NEW_VIEWS_DIR: &str = "views.new";
/// Views that have been replaced and are being removed.
pub(crate) const OLD_VIEWS_DIR: &str = "views.old";
/// The last answered record.
pub const TAIL_FILE: &str = "tail";
/// The register of erasures, where it is not kept elsewhere.
pub const ERASURES_FILE: &str = "erasures";
/// The ledger format.
pub const FORMAT_FILE: &str = "format";
/// Locked by the process that has the directory open.
pub const LOCK_FILE: &str = "lock";
/// Keys and tokens.
pub const SECRETS_DIR: &str = "secrets";

const FORMAT_PREFIX: &str = "waybill ledger format ";

/// The content of the format file.
pub(crate) fn format_text() -> String {
    format!("{FORMAT_PREFIX}{LEDGER_FORMAT}\n")
}

/// A data directory that this process has locked.
pub struct Directory {
    path: PathBuf,
    _lock: Option<File>,
}

impl Directory {
    /// Locks the directory, which is created if it is not there, and checks its format.
    ///
    /// # Errors
    /// When another process has it open, a newer program has written it, or it holds something else.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if !path.exists() {
            create_durably(path)?;
        }
        let lock_path = path.join(LOCK_FILE);
        let lock = File::create(&lock_path).map_err(OpenError::io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::io(&lock_path)(error)),
        }
        let directory = Self {
            path: path.to_owned(),
            _lock: Some(lock),
        };
        if read_format(path)?.is_none() {
            directory.begin()?;
        }
        Ok(directory)
    }

    /// Keeps writers out of a directory and changes nothing in it. Any number of readers may hold it at a time. A directory in
    /// which no server ever ran, as a snapshot is, has no lock file, and is then not locked.
    ///
    /// # Errors
    /// When a server has it open, a newer program has written it, or it holds no ledger.
    pub fn open_to_read(path: &Path) -> Result<Self, OpenError> {
        let lock_path = path.join(LOCK_FILE);
        let lock = match File::open(&lock_path) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(OpenError::io(&lock_path)(error)),
        };
        match lock.as_ref().map_or(Ok(()), File::try_lock_shared) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::io(&lock_path)(error)),
        }
        if read_format(path)?.is_none() {
            return Err(OpenError::NotOurs {
                path: path.to_owned(),
                reason: format!("there is no `{FORMAT_FILE}` file"),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Writes the format file of a new directory, durably.
    fn begin(&self) -> Result<(), OpenError> {
        for stranger in [LEDGER_DIR, VIEWS_DIR] {
            if self.path.join(stranger).exists() {
                return Err(OpenError::NotOurs {
                    path: self.path.clone(),
                    reason: format!("there is a `{stranger}` but no `{FORMAT_FILE}` file"),
                });
            }
        }
        let format_path = self.path.join(FORMAT_FILE);
        let mut file = File::create(&format_path).map_err(OpenError::io(&format_path))?;
        file.write_all(format_text().as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(OpenError::io(&format_path))?;
        sync_directory(&self.path)?;
        // Whoever made the directory, for its secrets say, may not have entered it durably in the one above.
        sync_directory(above(&self.path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of its parts.
    #[must_use]
    pub fn join(&self, part: &str) -> PathBuf {
        self.path.join(part)
    }
}

/// Reads the ledger format of a directory; `None` when it has none yet.
///
/// # Errors
/// When the format is newer than this program knows, or the file holds something else.
pub fn read_format(path: &Path) -> Result<Option<u32>, OpenError> {
    let format_path = path.join(FORMAT_FILE);
    let text = match std::fs::read_to_string(&format_path) {
        // The power went before the text reached the disk: nothing else was there yet.
        Ok(text) if text.is_empty() => return Ok(None),
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io(&format_path)(error)),
    };
    let number = text
        .trim_end()
        .strip_prefix(FORMAT_PREFIX)
        .and_then(|number| number.parse().ok());
    match number {
        None | Some(0) => Err(OpenError::NotOurs {
            path: path.to_owned(),
            reason: format!("`{FORMAT_FILE}` does not say \"{FORMAT_PREFIX}N\""),
        }),
        Some(found) if found > LEDGER_FORMAT => Err(OpenError::NewerFormat {
            path: path.to_owned(),
            found,
            known: LEDGER_FORMAT,
        }),
        Some(found) => Ok(Some(found)),
    }
}

/// The directory in which this one is entered.
fn above(path: &Path) -> &Path {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    above.unwrap_or(Path::new("."))
}

/// Creates a directory and those above it that are missing, each entered durably in the one above.
fn create_durably(path: &Path) -> Result<(), OpenError> {
    let above = above(path);
    if !above.exists() {
        create_durably(above)?;
    }
    std::fs::create_dir(path).map_err(OpenError::io(path))?;
    sync_directory(above)
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), OpenError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(OpenError::io(path))
}
