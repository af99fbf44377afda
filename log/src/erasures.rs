//! The register of erasures: which bodies were erased, in a file beside the ledger and best kept apart from its copies. A copy that
//! is put back holds again what was erased after it was made; the register says what is to be erased anew. `docs/formats.md`, "The
//! data directory".

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use waybill_core::id::{Hash, Position};

/// Most erasures that a register may name: all of them are in memory when they are done again.
pub const MAX_REGISTERED: usize = 4_000_000;

/// Longest line: a position, a space, a hash, the end of the line.
const LINE_BYTES: usize = 20 + 1 + 64 + 1;

/// A body that was erased: that of the record with this leaf hash at this position. Another history may have another record there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Erasure {
    /// Where the record stands.
    pub position: Position,
    /// Its leaf hash.
    pub leaf: Hash,
}

/// An open register, to which the writer adds.
pub(crate) struct Register {
    file: File,
}

impl Register {
    /// Opens the register, which is created if it is not there. A last line that was not written whole is cut off: what it named
    /// was not erased yet.
    pub fn open(path: &Path) -> io::Result<Self> {
        let created = !path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let len = file.seek(SeekFrom::End(0))?;
        let from = len.saturating_sub(LINE_BYTES as u64 + 1);
        file.seek(SeekFrom::Start(from))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        let whole = end.iter().rposition(|byte| *byte == b'\n');
        let kept = from + whole.map_or(0, |at| at as u64 + 1);
        if whole.is_none() && from > 0 {
            return Err(io::Error::other("it is no register of erasures"));
        }
        if kept < len {
            file.set_len(kept)?;
            file.sync_all()?;
        }
        file.seek(SeekFrom::Start(kept))?;
        if created && let Some(above) = path.parent().filter(|above| *above != Path::new("")) {
            File::open(above)?.sync_all()?;
        }
        Ok(Self { file })
    }

    /// Adds erasures, durably.
    pub fn add(&mut self, erasures: &[Erasure]) -> io::Result<()> {
        let lines: String = erasures
            .iter()
            .map(|erasure| format!("{} {}\n", erasure.position, erasure.leaf))
            .collect();
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_data()
    }
}

/// Reads a register. A last line that was not written whole is passed over.
///
/// # Errors
/// When it cannot be read, a line is no erasure, or it names more than [`MAX_REGISTERED`].
pub fn read(path: &Path) -> io::Result<BTreeSet<Erasure>> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut erasures = BTreeSet::new();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let most = LINE_BYTES as u64 + 1;
        (&mut reader).take(most).read_until(b'\n', &mut line)?;
        let wrong = |what: &str| io::Error::other(format!("line {number} {what}"));
        match line.strip_suffix(b"\n") {
            Some(whole) => {
                let erasure = parse(whole).ok_or_else(|| wrong("names no erasure"))?;
                erasures.insert(erasure);
            }
            None if line.len() > LINE_BYTES => return Err(wrong("is too long")),
            None => break,
        }
        if erasures.len() > MAX_REGISTERED {
            return Err(wrong("is more than a register may hold"));
        }
    }
    Ok(erasures)
}

fn parse(line: &[u8]) -> Option<Erasure> {
    let (position, leaf) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let digits = leaf.as_bytes();
    if digits.len() != 64 || !position.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(Erasure {
        position: Position(position.parse().ok()?),
        leaf: Hash(bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure(position: u64) -> Erasure {
        Erasure {
            position: Position(position),
            leaf: Hash([position as u8; 32]),
        }
    }

    #[test]
    fn what_was_added_is_read_and_a_torn_line_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("erasures");
        let mut register = Register::open(&path).unwrap();
        assert!(read(&path).unwrap().is_empty());
        register.add(&[erasure(7), erasure(u64::MAX)]).unwrap();
        register.add(&[erasure(7)]).unwrap();
        let all = BTreeSet::from([erasure(7), erasure(u64::MAX)]);
        assert_eq!(read(&path).unwrap(), all);
        let whole = std::fs::read(&path).unwrap();
        for torn in ["1", "12 00ff", "12 "] {
            std::fs::write(&path, [&whole, torn.as_bytes()].concat()).unwrap();
            assert_eq!(read(&path).unwrap(), all, "{torn}");
            let mut register = Register::open(&path).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole);
            register.add(&[erasure(8)]).unwrap();
            assert!(read(&path).unwrap().contains(&erasure(8)));
        }
    }

    #[test]
    fn what_is_no_register_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("erasures");
        let hash = "00".repeat(32);
        for text in [
            "7\n".to_owned(),
            "\n".to_owned(),
            format!("-7 {hash}\n"),
            format!("+7 {hash}\n"),
            format!("7 {hash}0\n"),
            format!("7 +{}\n", &hash[1..]),
            format!("99999999999999999999 {hash}\n"),
            "x".repeat(200),
        ] {
            std::fs::write(&path, &text).unwrap();
            assert!(read(&path).is_err(), "{text}");
        }
        std::fs::write(&path, "x".repeat(200)).unwrap();
        assert!(Register::open(&path).is_err(), "it would be cut off");
    }
}
