//! The leaf hashes of a ledger by position, gathered while it is scanned: in memory while they are few, else in a file without
//! a name. Knows nothing of what they are needed for.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use waybill_core::id::Hash;

const HASH_BYTES: u64 = 32;
const FILE_BUFFER_BYTES: usize = 64 * 1024;

/// Where leaf hashes go.
#[derive(Clone, Debug)]
pub(crate) enum LeavesIn {
    Memory,
    /// A directory in which a file may be made.
    File(PathBuf),
}

/// Takes the leaf hashes of one part of a ledger, ascending.
pub(crate) struct LeafWriter {
    part: Part,
    buffer: Vec<u8>,
    next: u64,
}

/// All of them, for look-ups.
#[derive(Default)]
pub(crate) struct Leaves {
    parts: Vec<Part>,
}

struct Part {
    /// Stretches of dense positions: first position, number of positions before it in this part.
    runs: Vec<(u64, u64)>,
    count: u64,
    held: Held,
}

enum Held {
    Memory(Vec<Hash>),
    File(File),
}

impl LeafWriter {
    pub fn new(place: &LeavesIn) -> io::Result<Self> {
        let held = match place {
            LeavesIn::Memory => Held::Memory(Vec::new()),
            LeavesIn::File(dir) => Held::File(unnamed_file(dir)?),
        };
        Ok(Self {
            part: Part {
                runs: Vec::new(),
                count: 0,
                held,
            },
            buffer: Vec::new(),
            next: 0,
        })
    }

    pub fn push(&mut self, position: u64, leaf: Hash) -> io::Result<()> {
        if self.part.runs.is_empty() || position != self.next {
            self.part.runs.push((position, self.part.count));
        }
        self.next = position.saturating_add(1);
        self.part.count += 1;
        match &mut self.part.held {
            Held::Memory(leaves) => leaves.push(leaf),
            Held::File(file) => {
                self.buffer.extend_from_slice(&leaf.0);
                if self.buffer.len() >= FILE_BUFFER_BYTES {
                    file.write_all(&self.buffer)?;
                    self.buffer.clear();
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<Part> {
        if let Held::File(file) = &mut self.part.held {
            file.write_all(&self.buffer)?;
        }
        Ok(self.part)
    }
}

fn unnamed_file(dir: &Path) -> io::Result<File> {
    tempfile::tempfile_in(dir)
}

impl Leaves {
    /// Takes the next part of the ledger.
    pub fn push(&mut self, part: LeafWriter) -> io::Result<()> {
        let part = part.finish()?;
        if part.count > 0 {
            self.parts.push(part);
        }
        Ok(())
    }

    /// The leaf hash of the record at `position`; `None` when there is no such record.
    pub fn get(&self, position: u64) -> io::Result<Option<Hash>> {
        let first = |part: &Part| part.runs.first().map_or(u64::MAX, |(first, _)| *first);
        let after = self.parts.partition_point(|part| first(part) <= position);
        match after.checked_sub(1).and_then(|at| self.parts.get(at)) {
            None => Ok(None),
            Some(part) => part.get(position),
        }
    }
}

impl Part {
    fn get(&self, position: u64) -> io::Result<Option<Hash>> {
        let after = self.runs.partition_point(|(first, _)| *first <= position);
        let Some((first, before)) = after.checked_sub(1).and_then(|at| self.runs.get(at)) else {
            return Ok(None);
        };
        let end = self.runs.get(after).map_or(self.count, |(_, count)| *count);
        let index = match before.checked_add(position - first) {
            Some(index) if index < end => index,
            _ => return Ok(None),
        };
        match &self.held {
            Held::Memory(leaves) => Ok(leaves.get(index as usize).copied()),
            Held::File(file) => {
                let mut hash = Hash::ZERO;
                file.read_exact_at(&mut hash.0, index * HASH_BYTES)?;
                Ok(Some(hash))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(position: u64) -> Hash {
        Hash([position as u8; 32])
    }

    #[test]
    fn each_position_gives_its_own_leaf_and_a_hole_gives_none() {
        let dir = tempfile::tempdir().expect("a directory");
        for place in [LeavesIn::Memory, LeavesIn::File(dir.path().to_owned())] {
            let mut leaves = Leaves::default();
            let (holes, end) = ([4, 5, 60], 100);
            for part in [1..50, 50..50, 50..end] {
                let mut writer = LeafWriter::new(&place).expect("opens");
                for position in part.filter(|position| !holes.contains(position)) {
                    writer.push(position, leaf(position)).expect("writes");
                }
                leaves.push(writer).expect("writes");
            }
            for position in 0..end + 10 {
                let there = (1..end).contains(&position) && !holes.contains(&position);
                let expected = there.then(|| leaf(position));
                assert_eq!(leaves.get(position).expect("reads"), expected, "{position}");
            }
            assert_eq!(leaves.get(u64::MAX).expect("reads"), None);
        }
    }
}
