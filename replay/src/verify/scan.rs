//! The ledger alone: dense positions, whole records in their one form, times in order, bodies that open their commitments.
//! Parts of the ledger are looked at side by side, one per thread. Knows nothing of the views.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use waybill_core::body;
use waybill_core::codec;
use waybill_core::fact::Fact;
use waybill_core::hash;
use waybill_core::id::{Epoch, Hash, Position, Time};
use waybill_core::record::{Record, RecordError};
use waybill_log::StoreError;
use waybill_log::rocks::RocksLedger;

use super::Error;
use super::erasures::Erasures;
use super::finding::{Class, Findings, Place};
use super::leaves::{LeafWriter, Leaves, LeavesIn};
use crate::progress::Progress;

/// How often the one who watches is told.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Records after which a thread says how far it has come.
const COUNT_EVERY: u64 = 1024;

/// What a scan has seen.
#[derive(Default)]
pub(crate) struct Scanned {
    /// Records.
    pub records: u64,
    /// Bodies.
    pub bodies: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// The history's identity, if the ledger begins with a genesis.
    pub epoch: Option<Epoch>,
    /// How often the ledger was restored, and the epoch since the last time.
    pub restores: u64,
    pub restored: Option<Epoch>,
    /// What was erased by which record.
    pub erasures: Erasures,
    /// Leaf hashes, if they were asked for.
    pub leaves: Leaves,
    /// Whether the walk came to the end of the ledger.
    pub complete: bool,
}

/// What is looked at, and how.
pub(crate) struct Plan<'a> {
    pub ledger: &'a RocksLedger,
    /// The last position.
    pub last: Position,
    pub threads: usize,
    /// Where leaf hashes go, if they are needed.
    pub leaves: Option<LeavesIn>,
}

/// Looks at the whole ledger.
///
/// # Errors
/// When the disk fails; damage is a finding.
pub(crate) fn scan(
    plan: &Plan<'_>,
    findings: &mut Findings,
    progress: &mut dyn Progress,
) -> Result<Scanned, Error> {
    let parts = split(plan.last.0, plan.threads);
    let done = AtomicU64::new(0);
    let (finished, watch) = bounded::<()>(0);
    let results: Vec<Result<Part, Error>> = thread::scope(|scope| {
        let workers: Vec<_> = parts
            .iter()
            .map(|(from, to)| {
                let (findings, finished) = (findings.fork(), finished.clone());
                let done = &done;
                scope.spawn(move || {
                    let part = Part::walk(plan, *from, *to, findings, done);
                    drop(finished);
                    part
                })
            })
            .collect();
        drop(finished);
        while watch.recv_timeout(TELL_EVERY) == Err(RecvTimeoutError::Timeout) {
            progress.reached(done.load(Ordering::Relaxed));
        }
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    put_together(plan, results, findings)
}

/// Cuts positions 1 to `last` into as many parts of the same size. The last one has no end, and so takes in what is behind.
fn split(last: u64, parts: usize) -> Vec<(u64, Option<u64>)> {
    let parts = parts.max(1) as u64;
    let size = (last / parts).max(1);
    let count = parts.min(last.max(1));
    (0..count)
        .map(|part| {
            let from = if part == 0 { 0 } else { part * size + 1 };
            (from, (part + 1 < count).then_some((part + 1) * size + 1))
        })
        .collect()
}

fn put_together(
    plan: &Plan<'_>,
    results: Vec<Result<Part, Error>>,
    findings: &mut Findings,
) -> Result<Scanned, Error> {
    let mut scanned = Scanned {
        complete: true,
        ..Scanned::default()
    };
    let mut before: Option<(u64, Time)> = None;
    let mut expected = 1;
    let mut missing = Vec::new();
    for part in results {
        let part = part?;
        if let Some(at) = part.begins {
            add_missing(findings, expected, at);
            expected = part.expected;
        }
        if let (Some((position, then)), Some((first, time))) = (before, part.first)
            && time < then
        {
            add_older(findings, first, time, position, then);
        }
        before = part.last.or(before);
        findings.merge(part.findings);
        scanned.records += part.records;
        scanned.bodies += part.bodies;
        scanned.bytes += part.bytes;
        scanned.epoch = scanned.epoch.or(part.epoch);
        scanned.restores += part.restores;
        scanned.restored = part.restored.or(scanned.restored);
        scanned.erasures.extend(part.erasures);
        scanned.complete &= part.damage.is_none();
        missing.extend(part.missing);
        if let Some(leaves) = part.leaves {
            scanned.leaves.push(leaves)?;
        }
        if let Some(damage) = part.damage {
            findings.add(Class::LedgerUnreadable, damage.behind, || damage.what);
        }
    }
    scanned.erasures.sort();
    scanned.erasures.check(plan.ledger, &missing, findings)?;
    Ok(scanned)
}

/// Where a walk had to stop.
struct Damage {
    behind: Place,
    what: String,
}

/// What one thread has seen of its part.
struct Part {
    /// The first position that holds a record.
    begins: Option<u64>,
    /// The position behind the last one that holds a record.
    expected: u64,
    records: u64,
    bodies: u64,
    bytes: u64,
    first: Option<(u64, Time)>,
    last: Option<(u64, Time)>,
    epoch: Option<Epoch>,
    restores: u64,
    restored: Option<Epoch>,
    /// Records with a commitment whose body is not there, ascending.
    missing: Vec<u64>,
    erasures: Vec<(u64, u64)>,
    leaves: Option<LeafWriter>,
    findings: Findings,
    encoded: Vec<u8>,
    damage: Option<Damage>,
    failure: Option<std::io::Error>,
}

impl Part {
    fn walk(
        plan: &Plan<'_>,
        from: u64,
        to: Option<u64>,
        findings: Findings,
        done: &AtomicU64,
    ) -> Result<Self, Error> {
        let leaves = plan.leaves.as_ref().map(LeafWriter::new).transpose()?;
        let mut part = Self {
            begins: None,
            expected: 0,
            records: 0,
            bodies: 0,
            bytes: 0,
            first: None,
            last: None,
            epoch: None,
            restores: 0,
            restored: None,
            missing: Vec::new(),
            erasures: Vec::new(),
            leaves,
            findings,
            encoded: Vec::new(),
            damage: None,
            failure: None,
        };
        let mut at = from;
        let walked = plan.ledger.walk_all(
            Position(from),
            to.map(Position),
            &mut |position, record, body| {
                at = position.0;
                part.bytes += (record.map_or(0, <[u8]>::len) + body.map_or(0, <[u8]>::len)) as u64;
                part.bodies += u64::from(body.is_some());
                match record {
                    Some(bytes) => part.record(position, bytes, body),
                    None => {
                        part.findings
                            .add(Class::BodyStray, Place::Body { position: at }, || {
                                "there is a body and no record".to_owned()
                            })
                    }
                }
                if at.is_multiple_of(COUNT_EVERY) {
                    done.fetch_add(COUNT_EVERY, Ordering::Relaxed);
                }
                part.failure.is_none()
            },
        );
        if let Some(failure) = part.failure {
            return Err(failure.into());
        }
        match walked {
            Ok(()) => {}
            Err(StoreError::Corrupt { place, reason, .. }) => {
                part.damage = Some(Damage {
                    behind: Place::record(at),
                    what: format!("behind it the ledger cannot be read: {place}: {reason}"),
                });
                return Ok(part);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(part)
    }

    fn record(&mut self, position: Position, bytes: &[u8], stored: Option<&[u8]>) {
        let place = Place::record(position.0);
        if position.0 == 0 {
            self.findings.add(Class::RecordUnexpected, place, || {
                "positions begin with 1".to_owned()
            });
            return;
        }
        if self.begins.is_some() {
            add_missing(&mut self.findings, self.expected, position.0);
        }
        self.begins = self.begins.or(Some(position.0));
        self.expected = position.0.saturating_add(1);
        self.records += 1;
        if let Some(leaves) = &mut self.leaves
            && let Err(error) = leaves.push(position.0, hash::leaf(bytes))
        {
            self.failure = Some(error);
        }
        match self.decode(position, bytes) {
            Ok(record) => self.decoded(&record, stored),
            Err(error) => {
                let class = match error {
                    RecordError::Misplaced { .. } => Class::RecordMisplaced,
                    _ => Class::RecordMalformed,
                };
                self.findings.add(class, place, || error.to_string());
            }
        }
    }

    /// As `Record::decode_canonical`, without new memory for every record.
    fn decode(&mut self, position: Position, bytes: &[u8]) -> Result<Record, RecordError> {
        let record = Record::decode(position, bytes)?;
        self.encoded.clear();
        codec::encode_into(&record, &mut self.encoded);
        if self.encoded == bytes {
            Ok(record)
        } else {
            Err(RecordError::NotCanonical)
        }
    }

    fn decoded(&mut self, record: &Record, stored: Option<&[u8]>) {
        let position = record.position.0;
        if let Some((before, then)) = self.last
            && record.time < then
        {
            add_older(&mut self.findings, position, record.time, before, then);
        }
        self.first = self.first.or(Some((position, record.time)));
        self.last = Some((position, record.time));
        match (&record.fact, position) {
            (Fact::Genesis { epoch, .. }, 1) => self.epoch = Some(*epoch),
            (Fact::Genesis { .. }, _) => {
                self.findings
                    .add(Class::GenesisMisplaced, Place::record(position), || {
                        "it is a genesis, and the ledger has begun before it".to_owned()
                    })
            }
            (_, 1) => self
                .findings
                .add(Class::GenesisMisplaced, Place::record(position), || {
                    "the ledger must begin with a genesis".to_owned()
                }),
            (Fact::Restored { epoch, .. }, _) => {
                self.restores += 1;
                self.restored = Some(*epoch);
            }
            (Fact::BodyErased { position: whose }, _) => self.erasures.push((whose.0, position)),
            _ => {}
        }
        self.body(position, record.commitment.as_ref(), stored);
    }

    fn body(&mut self, position: u64, commitment: Option<&Hash>, stored: Option<&[u8]>) {
        let place = Place::Body { position };
        match (commitment, stored) {
            (None, None) => {}
            (Some(_), None) => self.missing.push(position),
            (None, Some(_)) => self.findings.add(Class::BodyUnexpected, place, || {
                "the record commits to no body".to_owned()
            }),
            (Some(commitment), Some(stored)) => {
                if body::commitment_of_stored(stored).as_ref() != Some(commitment) {
                    self.findings.add(Class::BodyChanged, place, || {
                        "opening and body do not give the commitment in the record".to_owned()
                    });
                }
            }
        }
    }
}

/// Notes what is missing from `expected` up to but not including `position`.
fn add_missing(findings: &mut Findings, expected: u64, position: u64) {
    if expected < position {
        let place = Place::Records {
            from: expected,
            to: position - 1,
        };
        findings.add(Class::RecordMissing, place, || {
            "there is no record".to_owned()
        });
    }
}

fn add_older(findings: &mut Findings, position: u64, time: Time, before: u64, then: Time) {
    findings.add(Class::RecordOlder, Place::record(position), || {
        format!("its time is {time} ms, and record {before} before it has {then} ms")
    });
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn parts_cover_every_position_once() {
        for last in 0..20 {
            for parts in 1..6 {
                let ranges = split(last, parts);
                assert!(ranges.len() <= parts);
                assert_eq!(ranges[0].0, 0);
                assert_eq!(ranges.last().map(|range| range.1), Some(None));
                for pair in ranges.windows(2) {
                    assert_eq!(pair[0].1, Some(pair[1].0), "{last} in {parts}");
                    assert!(pair[0].0 < pair[1].0, "{last} in {parts}");
                }
            }
        }
    }
}
