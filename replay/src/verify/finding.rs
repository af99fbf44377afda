//! What verify finds wrong: a class, a place, and what is wrong there. Knows nothing of how it was found.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How many findings of one class are listed unless told otherwise; those beyond it are only counted.
pub const FINDINGS_PER_CLASS: usize = 20;

/// What kind of thing is wrong. The names are stable: scripts may rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The ledger's files are damaged: the database, or the reader of its write-ahead log, says so.
    LedgerUnreadable,
    /// Positions are not dense: there is no record.
    RecordMissing,
    /// There is a record where none can be.
    RecordUnexpected,
    /// The bytes are no record, or not in the one form this program writes.
    RecordMalformed,
    /// The record says that it belongs elsewhere.
    RecordMisplaced,
    /// The record is older than the one before it.
    RecordOlder,
    /// The ledger does not begin with a genesis, or has another one later.
    GenesisMisplaced,
    /// The record has a commitment, its body is not there, and nothing erased it.
    BodyMissing,
    /// The body, or its opening, is not what the record commits to.
    BodyChanged,
    /// There is a body, and the record commits to none.
    BodyUnexpected,
    /// There is a body without a record.
    BodyStray,
    /// A body is there although a record says that it was erased.
    BodyNotErased,
    /// A record erases what cannot be erased: nothing, itself, something later, or something erased before.
    ErasureImpossible,
    /// The tail file names another record than the ledger has, or a later one, or is damaged.
    TailDiffers,
    /// The views' files are damaged.
    ViewsUnreadable,
    /// What the views say they have applied is not in the ledger.
    MarkDiffers,
    /// The ledger cannot be folded beyond this record.
    FoldStopped,
    /// The ledger gives a row that the views lack.
    RowMissing,
    /// The views have a row that the ledger does not give.
    RowUnexpected,
    /// The views have another row than the ledger gives.
    RowDiffers,
    /// A log has a hole between its floor and its head.
    EntryMissing,
    /// A log has an entry that its head does not account for.
    EntryUnexpected,
    /// An entry or head is not in the form this program writes.
    EntryMalformed,
    /// An entry points to a record that is not there.
    EntryDangling,
    /// The entries of a log do not follow the ledger's order.
    EntryOrder,
    /// A stored chain hash is not that of the entries before it.
    ChainBroken,
}

/// Where something is wrong. Places sort from the ledger to the views, and by position, user and seq within them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum Place {
    /// The ledger as a whole.
    Ledger,
    /// Positions of the ledger, both ends included.
    Records {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// The body beside one record.
    Body {
        /// The record's position.
        position: u64,
    },
    /// The tail file.
    TailFile,
    /// A family of the views, as a whole.
    Views {
        /// Its name.
        family: String,
    },
    /// The mark that says what the views have applied.
    Mark,
    /// A row of the views.
    Row {
        /// Its family.
        family: String,
        /// Its key in hexadecimal digits.
        key: String,
        /// What the key says.
        names: String,
    },
    /// Seqs of a user's log, both ends included.
    UserLog {
        /// The user's number.
        user: u64,
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// Seqs of a conversation, both ends included.
    Conversation {
        /// The conversation, by its kind and the numbers of its users.
        conversation: String,
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
}

impl Place {
    /// One record.
    #[must_use]
    pub fn record(position: u64) -> Self {
        Self::Records {
            from: position,
            to: position,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger => f.write_str("ledger"),
            Self::Records { from, to } if from == to => write!(f, "record {from}"),
            Self::Records { from, to } => write!(f, "records {from} to {to}"),
            Self::Body { position } => write!(f, "body of record {position}"),
            Self::TailFile => f.write_str("tail file"),
            Self::Views { family } => write!(f, "views, {family}"),
            Self::Mark => f.write_str("views, mark"),
            Self::Row { family, names, .. } => write!(f, "views, {family}, {names}"),
            Self::UserLog { user, from, to } => {
                write!(f, "log of user {user}, {}", seqs(*from, *to))
            }
            Self::Conversation {
                conversation,
                from,
                to,
            } => write!(f, "{conversation}, {}", seqs(*from, *to)),
        }
    }
}

fn seqs(from: u64, to: u64) -> String {
    if from == to {
        format!("seq {from}")
    } else {
        format!("seqs {from} to {to}")
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What kind.
    pub class: Class,
    /// In words. Never holds what a body says.
    pub what: String,
}

/// Collects findings: the first of each class, and the number of all.
#[derive(Debug)]
pub(crate) struct Findings {
    per_class: usize,
    listed: Vec<Finding>,
    counts: BTreeMap<Class, u64>,
}

impl Findings {
    pub fn new(per_class: usize) -> Self {
        Self {
            per_class,
            listed: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    /// An empty collection with the same limit, for a thread of its own.
    pub fn fork(&self) -> Self {
        Self::new(self.per_class)
    }

    /// Takes a finding; `what` is only asked when it is listed. To be called in the order of places.
    pub fn add(&mut self, class: Class, place: Place, what: impl FnOnce() -> String) {
        let count = self.counts.entry(class).or_default();
        *count += 1;
        if *count <= self.per_class as u64 {
            let what = what();
            self.listed.push(Finding { place, class, what });
        }
    }

    /// Takes those of a thread that looked at later places.
    pub fn merge(&mut self, later: Self) {
        for finding in later.listed {
            let same = |listed: &&Finding| listed.class == finding.class;
            if self.listed.iter().filter(same).count() < self.per_class {
                self.listed.push(finding);
            }
        }
        for (class, count) in later.counts {
            *self.counts.entry(class).or_default() += count;
        }
    }

    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The listed ones, sorted by place, and how many more there are of which class.
    pub fn finish(mut self) -> (Vec<Finding>, BTreeMap<Class, u64>) {
        for finding in &self.listed {
            if let Some(count) = self.counts.get_mut(&finding.class) {
                *count -= 1;
            }
        }
        self.counts.retain(|_, count| *count > 0);
        self.listed.sort();
        (self.listed, self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(findings: &mut Findings, positions: std::ops::Range<u64>) {
        for position in positions {
            let place = Place::record(position);
            findings.add(Class::RecordMissing, place, || "gone".to_owned());
        }
    }

    #[test]
    fn the_first_are_listed_and_all_are_counted() {
        let mut findings = Findings::new(3);
        let mut later = findings.fork();
        fill(&mut findings, 1..3);
        fill(&mut later, 10..15);
        later.add(Class::BodyMissing, Place::Body { position: 2 }, || {
            "gone".to_owned()
        });
        findings.merge(later);
        assert_eq!(findings.count(), 8);
        let (listed, more) = findings.finish();
        let places: Vec<String> = listed.iter().map(|found| found.place.to_string()).collect();
        assert_eq!(
            places,
            ["record 1", "record 2", "record 10", "body of record 2"]
        );
        assert_eq!(more, BTreeMap::from([(Class::RecordMissing, 4)]));
    }
}
