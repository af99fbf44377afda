//! What is on disk: opens the stores of a directory to read, and judges what they say of themselves.

use waybill_core::hash;
use waybill_core::id::{Epoch, Hash, Position};
use waybill_core::versions::VIEWS_VERSION;
use waybill_log::StoreError;
use waybill_log::directory::{Directory, LEDGER_DIR, TAIL_FILE, VIEWS_DIR};
use waybill_log::rocks::{Access, Memory, RocksLedger, RocksViews, wal};
use waybill_log::store::{Applied, Ledger, Mark, Views};
use waybill_log::witness::{Seen, Witness};

use super::finding::{Class, Findings, Place};
use super::{Error, Run};

/// The views of a directory.
pub(crate) struct Live {
    pub views: RocksViews,
    mark: Option<Mark>,
}

impl Live {
    /// What they say they have applied; 0 for nothing.
    pub fn applied(&self) -> Position {
        let applied = self.mark.and_then(|mark| mark.applied);
        applied.map_or(Position(0), |applied| applied.position)
    }
}

/// Opens the ledger; gives its last position too. `None` when it is so damaged that it cannot be opened.
pub(crate) fn open_ledger(
    directory: &Directory,
    memory: &Memory,
    findings: &mut Findings,
) -> Result<Option<(RocksLedger, Position)>, Error> {
    let path = directory.join(LEDGER_DIR);
    if !path.exists() {
        findings.add(Class::LedgerUnreadable, Place::Ledger, || {
            format!("there is no `{LEDGER_DIR}` in the directory")
        });
        return Ok(None);
    }
    if let wal::Verdict::TornTail { file, offset, .. } = wal::verdict(&path)? {
        return Err(Error::Torn { file, offset });
    }
    let opened = RocksLedger::open(&path, memory, Access::Read).and_then(|ledger| {
        let last = ledger.last()?;
        Ok((ledger, last.map_or(Position(0), |(position, _)| position)))
    });
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error @ StoreError::Corrupt { .. }) => {
            findings.add(Class::LedgerUnreadable, Place::Ledger, || error.to_string());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The leaf hash of one record; `None` when it is missing or damaged, which the scan has found.
fn leaf(ledger: &RocksLedger, position: Position) -> Result<Option<Hash>, Error> {
    match ledger.record(position) {
        Ok(bytes) => Ok(bytes.map(|bytes| hash::leaf(&bytes))),
        Err(StoreError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is wrong with the record that something outside the ledger names.
fn named_record(
    ledger: &RocksLedger,
    last: Position,
    epoch: Option<Epoch>,
    named: &Applied,
) -> Result<Option<String>, Error> {
    let position = named.position;
    if position > last {
        return Ok(Some(format!(
            "it names record {position}, and the ledger ends at {last}: records are missing"
        )));
    }
    if epoch.is_some_and(|epoch| epoch != named.epoch) {
        return Ok(Some(format!(
            "it belongs to another history, with the epoch {}",
            named.epoch
        )));
    }
    if position.0 > 0 && leaf(ledger, position)? != Some(named.leaf) {
        return Ok(Some(format!(
            "it names another record {position} than the ledger has: leaf hash {}",
            named.leaf
        )));
    }
    Ok(None)
}

/// Compares the tail file with the ledger.
pub(crate) fn check_tail(
    ledger: &RocksLedger,
    last: Position,
    epoch: Option<Epoch>,
    run: &mut Run<'_>,
) -> Result<(), Error> {
    let wrong = match Witness::read(&run.directory.join(TAIL_FILE))? {
        Seen::Record(answered) => named_record(ledger, last, epoch, &answered)?,
        Seen::Damaged => Some("it holds nothing that this program writes".to_owned()),
        Seen::Nothing if last.0 == 0 => None,
        Seen::Nothing => {
            run.report.unverified(
                "whether records are missing at the end of the ledger: there is no tail file",
            );
            None
        }
    };
    if let Some(wrong) = wrong {
        run.findings
            .add(Class::TailDiffers, Place::TailFile, || wrong);
    }
    Ok(())
}

/// Opens the views, if they are such as can be compared.
pub(crate) fn open_views(last: Position, run: &mut Run<'_>) -> Result<Option<Live>, Error> {
    let path = run.directory.join(VIEWS_DIR);
    let remade = "; the server makes them anew when it starts";
    if !path.exists() {
        if last.0 > 0 {
            run.report
                .unverified(format!("the views: there are none{remade}"));
        }
        return Ok(None);
    }
    if RocksViews::has_other_families(&path) {
        run.report
            .unverified(format!("the views: they are of another version{remade}"));
        return Ok(None);
    }
    let opened = RocksViews::open(&path, &run.memory, Access::Read).and_then(|views| {
        let mark = views.mark()?;
        Ok(Live { views, mark })
    });
    let live = match opened {
        Ok(live) => live,
        Err(error @ StoreError::Corrupt { .. }) => {
            let place = Place::Views {
                family: "all families".to_owned(),
            };
            run.findings
                .add(Class::ViewsUnreadable, place, || error.to_string());
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    match live.mark {
        Some(mark) if mark.version != VIEWS_VERSION => {
            run.report.unverified(format!(
                "the views: they have version {}, this program makes {VIEWS_VERSION}{remade}",
                mark.version
            ));
            Ok(None)
        }
        Some(mark) if !mark.whole => {
            run.report.unverified(format!(
                "the views: the server ended in the middle of a flush{remade}"
            ));
            Ok(None)
        }
        _ => Ok(Some(live)),
    }
}

/// Compares what the views say they have applied with the ledger.
pub(crate) fn check_mark(
    live: &Live,
    ledger: &RocksLedger,
    last: Position,
    epoch: Option<Epoch>,
    findings: &mut Findings,
) -> Result<(), Error> {
    if let Some(applied) = live.mark.and_then(|mark| mark.applied)
        && let Some(wrong) = named_record(ledger, last, epoch, &applied)?
    {
        findings.add(Class::MarkDiffers, Place::Mark, || wrong);
    }
    Ok(())
}
