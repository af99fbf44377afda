//! `DIR/tail`: the last answered record, kept outside the database, so that a ledger that has lost records at its end is
//! noticed. `docs/formats.md`, "The tail file".
//!
//! It is written after a batch is durable and before the batch is answered, and synced about once a second: after a kill it
//! names the last answered record exactly, after a power cut one that is at most a little older. The ledger may be ahead of
//! it, never behind.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use waybill_core::id::{Epoch, Hash, Position};

use crate::store::Applied;

const MAGIC: &[u8; 8] = b"WBTAIL1\n";
/// Magic 8, epoch 16, position 8, leaf 32, check 8.
const SLOT_BYTES: usize = 72;
/// The two slots lie in different sectors, so that a torn write spoils one of them at most.
const SLOT_OFFSETS: [u64; 2] = [0, 4096];

/// The open file.
pub struct Witness {
    file: File,
    next_slot: usize,
    unsynced: bool,
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There is no file, or nothing was ever written to it: a new directory, or one restored without it. A file of zeros is
    /// one whose length reached the disk before the power went, and its first content did not.
    Nothing,
    /// This record was answered.
    Record(Applied),
    /// Neither slot holds what this program writes.
    Damaged,
}

impl Witness {
    /// Opens or creates the file and says what it holds.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn open(path: &Path) -> io::Result<(Self, Seen)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let (newest, seen) = look(&file)?;
        // The newest slot is kept while the other one is written.
        let next_slot = usize::from(newest == Some(0));
        Ok((
            Self {
                file,
                next_slot,
                unsynced: false,
            },
            seen,
        ))
    }

    /// Reads the file without changing it.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(path: &Path) -> io::Result<Seen> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Seen::Nothing),
            Err(error) => Err(error),
            Ok(file) => Ok(look(&file)?.1),
        }
    }

    /// Names the last durable record.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&mut self, last: &Applied) -> io::Result<()> {
        let mut slot = [0; SLOT_BYTES];
        slot[..8].copy_from_slice(MAGIC);
        slot[8..24].copy_from_slice(&last.epoch.0);
        slot[24..32].copy_from_slice(&last.position.0.to_be_bytes());
        slot[32..64].copy_from_slice(&last.leaf.0);
        let check = check(&slot[..64]);
        slot[64..].copy_from_slice(&check);
        self.file
            .write_all_at(&slot, SLOT_OFFSETS[self.next_slot])?;
        self.next_slot = 1 - self.next_slot;
        self.unsynced = true;
        Ok(())
    }

    /// Whether the file was written since it was last synced.
    #[must_use]
    pub fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// Makes the file durable.
    ///
    /// # Errors
    /// When the file cannot be synced.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }
}

fn check(bytes: &[u8]) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(&Sha256::digest(bytes)[..8]);
    out
}

/// Which slot is the newest, and what the file says.
fn look(file: &File) -> io::Result<(Option<usize>, Seen)> {
    let slots = SLOT_OFFSETS.map(|offset| read_slot(file, offset));
    let found = slots.iter().enumerate();
    let newest = found
        .filter_map(|(slot, seen)| Some((slot, (*seen)?)))
        .max_by_key(|(_, seen)| seen.position);
    Ok(match newest {
        Some((slot, applied)) => (Some(slot), Seen::Record(applied)),
        None if is_blank(file)? => (None, Seen::Nothing),
        None => (None, Seen::Damaged),
    })
}

/// Whether there is nothing but zeros in the file, or nothing at all.
fn is_blank(file: &File) -> io::Result<bool> {
    const FILE_BYTES: u64 = SLOT_OFFSETS[1] + SLOT_BYTES as u64;
    let len = file.metadata()?.len();
    if len > FILE_BYTES {
        return Ok(false);
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

fn read_slot(file: &File, offset: u64) -> Option<Applied> {
    let mut slot = [0; SLOT_BYTES];
    file.read_exact_at(&mut slot, offset).ok()?;
    let (magic, rest) = slot.split_first_chunk::<8>()?;
    let (epoch, rest) = rest.split_first_chunk::<16>()?;
    let (position, rest) = rest.split_first_chunk::<8>()?;
    let (leaf, sum) = rest.split_first_chunk::<32>()?;
    if magic != MAGIC || sum != check(&slot[..64]) {
        return None;
    }
    Some(Applied {
        epoch: Epoch(*epoch),
        position: Position(u64::from_be_bytes(*position)),
        leaf: Hash(*leaf),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(position: u64) -> Applied {
        Applied {
            epoch: Epoch([1; 16]),
            position: Position(position),
            leaf: Hash([position as u8; 32]),
        }
    }

    #[test]
    fn the_newest_slot_counts_and_a_torn_one_does_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("tail");
        let (mut witness, seen) = Witness::open(&path).expect("opens");
        assert_eq!(seen, Seen::Nothing);
        for position in 1..=3 {
            witness.set(&applied(position)).expect("writes");
            assert_eq!(
                Witness::read(&path).expect("reads"),
                Seen::Record(applied(position))
            );
        }
        // Slots now hold 3 and 2. Reopening must go on over the older one.
        let (mut witness, _) = Witness::open(&path).expect("opens");
        witness.set(&applied(4)).expect("writes");
        let file = OpenOptions::new().write(true).open(&path).expect("opens");
        file.write_all_at(b"x", SLOT_OFFSETS[1] + 30)
            .expect("writes");
        assert_eq!(
            Witness::read(&path).expect("reads"),
            Seen::Record(applied(3))
        );
        file.write_all_at(b"x", SLOT_OFFSETS[0] + 30)
            .expect("writes");
        assert_eq!(Witness::read(&path).expect("reads"), Seen::Damaged);
    }

    #[test]
    fn a_file_whose_content_never_reached_the_disk_says_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("tail");
        for len in [0, 1, SLOT_BYTES, 4096 + SLOT_BYTES] {
            std::fs::write(&path, vec![0; len]).expect("writes");
            assert_eq!(Witness::read(&path).expect("reads"), Seen::Nothing);
        }
        for bytes in [vec![0, 1], vec![0; 4096 + SLOT_BYTES + 1]] {
            std::fs::write(&path, bytes).expect("writes");
            assert_eq!(Witness::read(&path).expect("reads"), Seen::Damaged);
        }
    }
}
