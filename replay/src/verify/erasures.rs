//! Which bodies were erased by which record, and whether what is missing and what is there agree with it.

use waybill_core::id::Position;
use waybill_core::record::Record;
use waybill_log::StoreError;
use waybill_log::rocks::RocksLedger;
use waybill_log::store::Ledger;

use super::Error;
use super::finding::{Class, Findings, Place};

/// Pairs of positions: whose body, by which record.
#[derive(Default)]
pub(crate) struct Erasures(Vec<(u64, u64)>);

impl Erasures {
    pub fn extend(&mut self, more: Vec<(u64, u64)>) {
        if self.0.is_empty() {
            self.0 = more;
        } else {
            self.0.extend(more);
        }
    }

    /// To be called before anything is asked.
    pub fn sort(&mut self) {
        self.0.sort_unstable();
    }

    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether the body of `position` was erased by a record behind `after`.
    pub fn erased_after(&self, position: u64, after: u64) -> bool {
        let at = self.0.partition_point(|(whose, _)| *whose < position);
        self.0
            .get(at)
            .is_some_and(|(whose, by)| *whose == position && *by > after)
    }

    /// Compares with the records that commit to a body which is not there; `missing` ascends.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn check(
        &self,
        ledger: &RocksLedger,
        missing: &[u64],
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let mut before = None;
        for (whose, by) in &self.0 {
            let repeated = before.replace(*whose) == Some(*whose);
            if repeated {
                add_impossible(findings, *by, || {
                    format!("it erases the body of record {whose} a second time")
                });
            } else if *whose == 0 || whose >= by {
                add_impossible(findings, *by, || {
                    format!(
                        "it erases the body of record {whose}, and there is none such before it"
                    )
                });
            } else if missing.binary_search(whose).is_err() {
                still_there(ledger, *whose, *by, findings)?;
            }
        }
        for position in missing {
            if self
                .0
                .binary_search_by(|(whose, _)| whose.cmp(position))
                .is_err()
            {
                let place = Place::Body {
                    position: *position,
                };
                findings.add(Class::BodyMissing, place, || {
                    "the record commits to a body, which is not there, and no record erases it"
                        .to_owned()
                });
            }
        }
        Ok(())
    }
}

/// Says what is wrong with an erasure whose body is not among the missing ones.
fn still_there(
    ledger: &RocksLedger,
    whose: u64,
    by: u64,
    findings: &mut Findings,
) -> Result<(), Error> {
    let bytes = match ledger.record(Position(whose)) {
        Ok(bytes) => bytes,
        // Damage there has been found by the scan.
        Err(StoreError::Corrupt { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // So has a record that is missing or does not decode.
    let record = bytes.map(|bytes| Record::decode(Position(whose), &bytes));
    if let Some(Ok(record)) = record {
        if record.commitment.is_some() {
            let place = Place::Body { position: whose };
            findings.add(Class::BodyNotErased, place, || {
                format!("record {by} erases it, and it is there")
            });
        } else {
            add_impossible(findings, by, || {
                format!("it erases the body of record {whose}, which never had one")
            });
        }
    }
    Ok(())
}

fn add_impossible(findings: &mut Findings, by: u64, what: impl FnOnce() -> String) {
    findings.add(Class::ErasureImpossible, Place::record(by), what);
}
