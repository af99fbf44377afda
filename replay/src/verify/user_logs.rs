//! Every user's log by itself: dense from its beginning to its head, in the ledger's order, and chained link by link from the leaf hashes of
//! the records that it points to. Knows nothing of the fold: it finds what a comparison finds, and says in whose log and where.

use std::ops::RangeInclusive;

use waybill_core::hash;
use waybill_core::id::{Epoch, Hash, Seq, UserNo};
use waybill_core::limits::CHAIN_MARK_EVERY;
use waybill_core::state::{Family, Row, UserHeadRow, UserLogRow};

use super::Error;
use super::compare::AsOf;
use super::dense::{self, Families, Stray, Visitor};
use super::finding::{Class, Findings, Place};
use super::leaves::Leaves;
use super::rows::Rows;
use crate::progress::Progress;

/// What was looked at.
pub(crate) struct Counted {
    pub users: u64,
    pub entries: u64,
}

/// Looks at the logs of all users.
///
/// # Errors
/// When a disk fails.
pub(crate) fn check(
    views: &dyn Rows,
    as_of: AsOf<'_>,
    epoch: Option<Epoch>,
    leaves: &Leaves,
    findings: &mut Findings,
    progress: &mut dyn Progress,
) -> Result<Counted, Error> {
    let mut logs = UserLogs {
        leaves,
        epoch,
        findings,
        users: 0,
        user: UserNo(0),
        head: None,
        position: 0,
        chain: Chain::default(),
    };
    let families = Families {
        heads: Family::UserHeads,
        entries: Family::UserLog,
        gaps: 1,
    };
    let entries = dense::walk(views, families, as_of, &mut logs, progress)?;
    Ok(Counted {
        users: logs.users,
        entries,
    })
}

/// The chain as it is followed along one log.
///
/// When a stored hash is not the one computed, both are followed from there: if the next stored hash agrees with the computed
/// one, only that mark was wrong; if it agrees with the stored one, an entry before the mark was.
#[derive(Default)]
struct Chain {
    /// From the entries alone; `None` when one of them could not be used.
    computed: Option<Hash>,
    /// From a stored hash that was not the computed one.
    stored: Option<Hash>,
    /// Up to where the chain is known to be right.
    good: u64,
    /// The stored hash that was wrong, and from where on entries may be.
    wrong: Option<RangeInclusive<u64>>,
}

impl Chain {
    fn link(&mut self, seq: Seq, kind: u8, delivering: &Hash, message: &Hash) {
        for chain in [&mut self.computed, &mut self.stored].into_iter().flatten() {
            *chain = hash::chain_link(chain, seq, kind, delivering, message);
        }
    }

    /// An entry could not be used: what follows is followed from the next stored hash.
    fn lose(&mut self) {
        (self.computed, self.stored) = (None, None);
    }

    /// Compares with the hash stored after the entry at `seq`. Returns what was found wrong before, once that is clear.
    fn meet(&mut self, seq: u64, stored: Hash) -> Option<(RangeInclusive<u64>, &'static str)> {
        let was_wrong = self.wrong.take();
        let agrees = (self.computed == Some(stored), self.stored == Some(stored));
        if self.computed.is_some() && agrees == (false, false) {
            self.stored = Some(stored);
            self.wrong = Some(self.good + 1..=seq);
            self.good = seq;
        } else {
            (self.computed, self.stored, self.good) = (Some(stored), None, seq);
        }
        was_wrong.map(|seqs| match agrees {
            (true, _) => (*seqs.end()..=*seqs.end(), "the stored hash itself is wrong"),
            (false, true) => (seqs, "one of these entries is not the one delivered"),
            (false, false) => (seqs, "one of these entries or the stored hash is wrong"),
        })
    }
}

struct UserLogs<'a> {
    leaves: &'a Leaves,
    epoch: Option<Epoch>,
    findings: &'a mut Findings,
    users: u64,
    user: UserNo,
    head: Option<UserHeadRow>,
    /// Delivering position of the entry before.
    position: u64,
    chain: Chain,
}

impl UserLogs<'_> {
    fn add(&mut self, class: Class, seqs: RangeInclusive<u64>, what: impl FnOnce() -> String) {
        let place = Place::UserLog {
            user: self.user.0,
            from: *seqs.start(),
            to: *seqs.end(),
        };
        self.findings.add(class, place, what);
    }

    fn broken(&mut self, found: Option<(RangeInclusive<u64>, &'static str)>) {
        if let Some((seqs, what)) = found {
            self.add(Class::ChainBroken, seqs, || {
                format!("the chain hash stored after the last of them is not theirs: {what}")
            });
        }
    }

    /// The leaf of the record that an entry points to.
    fn leaf(&mut self, seq: u64, position: u64) -> Result<Option<Hash>, Error> {
        let leaf = self.leaves.get(position)?;
        if leaf.is_none() {
            self.add(Class::EntryDangling, seq..=seq, || {
                format!("it points to record {position}, which is not there")
            });
        }
        Ok(leaf)
    }

    fn follow(&mut self, seq: u64, row: &UserLogRow) -> Result<(), Error> {
        if row.position.0 <= self.position {
            let before = self.position;
            self.add(Class::EntryOrder, seq..=seq, || {
                format!(
                    "it was delivered by record {}, the entry before it by record {before}",
                    row.position
                )
            });
        }
        self.position = row.position.0;
        let delivering = self.leaf(seq, row.position.0)?;
        let message = match row.message {
            None => delivering,
            Some(message) => self.leaf(seq, message.0)?,
        };
        match (delivering, message) {
            (Some(delivering), Some(message)) => {
                self.chain
                    .link(Seq(seq), row.kind.number(), &delivering, &message);
            }
            _ => self.chain.lose(),
        }
        Ok(())
    }
}

fn user(key: &[u8]) -> Option<UserNo> {
    Some(UserNo(u64::from_be_bytes(key.try_into().ok()?)))
}

impl Visitor for UserLogs<'_> {
    fn owner(&self, key: &[u8]) -> Option<()> {
        user(key).map(|_| ())
    }

    fn begin(&mut self, owner: &[u8], head: &[u8]) -> Result<Option<RangeInclusive<u64>>, Error> {
        self.user = user(owner).unwrap_or_default();
        self.users += 1;
        self.position = 0;
        self.chain = Chain::default();
        match UserHeadRow::decode(head) {
            Ok(row) => {
                let user = self.user;
                self.chain.computed = self.epoch.map(|epoch| hash::chain_start(&epoch, user));
                if !(1..=row.head.0.saturating_add(1)).contains(&row.floor.0) {
                    let floor = row.floor.0;
                    self.add(Class::EntryMalformed, floor..=floor, || {
                        format!("the log's floor is {floor}, and its head {}", row.head)
                    });
                }
                self.head = Some(row);
                // What lies before the floor is not shown any more, and still there.
                Ok(Some(1..=row.head.0))
            }
            Err(error) => {
                self.head = None;
                self.add(Class::EntryMalformed, 0..=0, || {
                    format!("its head: {error}")
                });
                Ok(None)
            }
        }
    }

    fn entry(&mut self, _owner: &[u8], seq: u64, value: &[u8]) -> Result<(), Error> {
        let row = match UserLogRow::decode(value) {
            Ok(row) => row,
            Err(error) => {
                self.add(Class::EntryMalformed, seq..=seq, || error.to_string());
                self.chain.lose();
                return Ok(());
            }
        };
        self.follow(seq, &row)?;
        match (row.mark, seq.is_multiple_of(CHAIN_MARK_EVERY)) {
            (Some(mark), true) => {
                let found = self.chain.meet(seq, mark);
                self.broken(found);
            }
            (None, false) => {}
            (Some(_), false) => self.add(Class::EntryMalformed, seq..=seq, || {
                format!("it holds a chain hash, which only every {CHAIN_MARK_EVERY}th entry does")
            }),
            (None, true) => self.add(Class::EntryMalformed, seq..=seq, || {
                format!("it holds no chain hash, as every {CHAIN_MARK_EVERY}th entry does")
            }),
        }
        Ok(())
    }

    fn missing(&mut self, _owner: &[u8], seqs: RangeInclusive<u64>) {
        self.chain.lose();
        self.add(Class::EntryMissing, seqs, || {
            "there is no entry, and the head is behind it".to_owned()
        });
    }

    fn stray(&mut self, owner: &[u8], seq: u64, why: Stray) {
        let Some(UserNo(user)) = user(owner) else {
            return;
        };
        let place = Place::UserLog {
            user,
            from: seq,
            to: seq,
        };
        self.findings
            .add(Class::EntryUnexpected, place, || explain(why).to_owned());
    }

    fn end(&mut self, _owner: &[u8]) {
        let Some(head) = self.head else {
            return;
        };
        let found = self.chain.meet(head.head.0, head.chain);
        self.broken(found);
        if let Some(seqs) = self.chain.wrong.take() {
            self.broken(Some((seqs, "one of these entries or the head is wrong")));
        }
    }

    fn findings(&mut self) -> &mut Findings {
        self.findings
    }
}

/// Why an entry is one too many.
pub(crate) fn explain(why: Stray) -> &'static str {
    match why {
        Stray::NoHead => "there is an entry, and the log has no head",
        Stray::BelowFloor => "there is an entry before the log's floor",
        Stray::BeyondHead => "there is an entry behind the log's head",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows 200 entries with leaves as given and hashes stored as given; returns what is found, by seqs.
    fn follow(
        leaf: impl Fn(u64) -> u8,
        stored: impl Fn(u64, Hash) -> Hash,
    ) -> Vec<RangeInclusive<u64>> {
        let mut right = Hash::ZERO;
        let mut chain = Chain {
            computed: Some(Hash::ZERO),
            ..Chain::default()
        };
        let mut found = Vec::new();
        for seq in 1..=200 {
            let one = Hash([1; 32]);
            right = hash::chain_link(&right, Seq(seq), 1, &one, &one);
            let leaf = Hash([leaf(seq); 32]);
            chain.link(Seq(seq), 1, &leaf, &leaf);
            if seq % 64 == 0 || seq == 200 {
                found.extend(chain.meet(seq, stored(seq, right)));
            }
        }
        found.extend(chain.wrong.take().map(|seqs| (seqs, "")));
        found.into_iter().map(|(seqs, _)| seqs).collect()
    }

    #[test]
    fn a_wrong_entry_or_hash_is_named_once() {
        let same = |_, hash| hash;
        assert_eq!(follow(|_| 1, same), []);
        for wrong in [1, 64, 65, 128, 129, 192] {
            let from = (wrong - 1) / 64 * 64 + 1;
            let leaf = |seq| if seq == wrong { 2 } else { 1 };
            assert_eq!(follow(leaf, same), [from..=from + 63], "entry {wrong}");
        }
        for wrong in [64, 128, 192] {
            let stored = |seq, hash| if seq == wrong { Hash([9; 32]) } else { hash };
            assert_eq!(follow(|_| 1, stored), [wrong..=wrong], "hash {wrong}");
        }
        let head = |seq, hash| if seq == 200 { Hash([9; 32]) } else { hash };
        assert_eq!(follow(|_| 1, head), [193..=200]);
        let leaf = |seq| if seq == 10 || seq == 150 { 2 } else { 1 };
        assert_eq!(follow(leaf, same), [1..=64, 129..=192]);
    }
}
