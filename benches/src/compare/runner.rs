//! Runs the columns in turns, round by round: A B C, A B C. Whatever slows the machine down slows neighbours alike.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::columns::{Column, Programs};
use super::{System, Turn};
use crate::corpus::{Corpus, Pool};
use crate::error::{Error, IoContext as _, Result};
use crate::latency::{Latency, Summary};
use crate::progress;
use crate::window::{Cost, Meter, Span, Tally, Window};

/// What to compare, and how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// The columns, in the order of their turns.
    pub columns: Vec<Column>,
    /// How often each has its turn.
    pub rounds: u32,
    /// How long a turn is.
    pub span: Span,
    /// The seed of the corpus.
    pub seed: u64,
    /// Receivers.
    pub users: u32,
    /// Messages prepared.
    pub pool: u32,
    /// Where the systems put their data.
    pub data: PathBuf,
    /// The servers.
    pub programs: Programs,
}

/// One turn's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Messages answered a second.
    pub rate: f64,
    /// Messages answered in the measured time.
    pub counted: u64,
    /// From a request to its answer.
    pub latency: Summary,
    /// What it cost.
    pub cost: Cost,
    /// CPU time of the servers for a message, in microseconds.
    pub server_us_per_message: f64,
    /// CPU time of the load generator for a message, in microseconds. Of a system in this process, all of it.
    pub client_us_per_message: f64,
    /// Messages answered, with warm-up and drain; all of them were found stored, once.
    pub verified: u64,
}

/// One column's figures.
#[derive(Clone, Debug)]
pub struct ColumnResult {
    /// What the column is.
    pub column: Column,
    /// What the system said it ran with.
    pub effective: serde_json::Value,
    /// Its turns.
    pub rounds: Vec<Round>,
    /// The latencies of all turns.
    pub latency: Latency,
}

/// Runs everything.
///
/// # Errors
/// The first error of any turn: a comparison with a hole is none.
pub fn run(options: &Options) -> Result<Vec<ColumnResult>> {
    if options.columns.is_empty() || options.rounds == 0 || options.span.measure.is_zero() {
        return Err(Error::Options(
            "nothing to do: name a column, at least one round and a time".into(),
        ));
    }
    let mut results = Vec::new();
    let mut systems: Vec<Box<dyn System>> = Vec::new();
    for column in options.columns.clone() {
        systems.push(column.name.system(&options.programs, options.seed)?);
        results.push(ColumnResult {
            column,
            effective: serde_json::Value::Null,
            rounds: Vec::new(),
            latency: Latency::new(),
        });
    }
    let spinner = progress::spinner(format!("preparing {} messages", options.pool));
    let pool = Arc::new(Pool::new(
        Corpus::new(options.seed, options.users),
        options.pool,
    ));
    spinner.finish_and_clear();
    let bar = progress::bar(u64::from(options.rounds) * results.len() as u64);
    for round in 1..=options.rounds {
        for (result, system) in results.iter_mut().zip(&mut systems) {
            bar.set_message(format!("round {round}: {}", result.column.name));
            take_turn(result, system.as_mut(), &pool, options)?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(results)
}

/// One turn, on an empty directory that is removed afterwards.
fn take_turn(
    result: &mut ColumnResult,
    system: &mut dyn System,
    pool: &Arc<Pool>,
    options: &Options,
) -> Result<()> {
    let name = result.column.name;
    let dir = tempfile::Builder::new()
        .prefix(&format!("waybill-compare-{name}-"))
        .tempdir_in(&options.data)
        .doing(format!("making a directory in {}", options.data.display()))?;
    system.start(dir.path())?;
    let outcome = measure(result, system, pool, options.span);
    system.stop();
    let (tally, cost) = outcome?;
    result.rounds.push(round(&tally, cost, options.span));
    result.latency.merge(&tally.latency)
}

fn measure(
    result: &mut ColumnResult,
    system: &mut dyn System,
    pool: &Arc<Pool>,
    span: Span,
) -> Result<(Tally, Cost)> {
    result.effective = system.effective();
    let shape = result.column.shape;
    system.connect(shape)?;
    // Everybody is known before the clock runs: what is measured is the long life, not the first day.
    let first = Turn::of_first_sight(Arc::clone(pool), shape);
    system.drive(&first)?;
    let seen = first.tally().acked;
    if seen < u64::from(pool.corpus().users()) {
        return Err(Error::Stalled {
            system: result.column.name.system_name(),
            seconds: super::FIRST_SIGHT_PATIENCE.as_secs(),
            outstanding: 0,
        });
    }
    system.connect(shape)?;
    let window = Window::start(span);
    let meter = Meter::start(window, system.servers())?;
    let turn = first.then(window);
    let driven = system.drive(&turn);
    let cost = meter.finish()?;
    driven?;
    let mut tally = turn.tally();
    tally.acked += seen;
    let stored = system.stored(&turn)?;
    if stored != tally.acked {
        return Err(Error::Lost {
            system: result.column.name.system_name(),
            acked: tally.acked,
            stored,
        });
    }
    Ok((tally, cost))
}

fn round(tally: &Tally, cost: Cost, span: Span) -> Round {
    let per_message = |seconds: f64| seconds * 1e6 / (tally.counted.max(1) as f64);
    Round {
        rate: tally.counted as f64 / span.measure.as_secs_f64(),
        counted: tally.counted,
        latency: tally.latency.summary(),
        server_us_per_message: per_message(cost.server.cpu_seconds),
        client_us_per_message: per_message(cost.client.cpu_seconds),
        cost,
        verified: tally.acked,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Options, run};
    use crate::compare::columns::{Name, Programs};
    use crate::window::Span;

    fn options(dir: &std::path::Path) -> Options {
        Options {
            columns: vec![Name::Yardstick.column(8, 2).unwrap()],
            rounds: 2,
            span: Span {
                warm_up: Duration::from_millis(10),
                measure: Duration::from_millis(200),
            },
            seed: 1,
            users: 100,
            pool: 100,
            data: dir.to_owned(),
            programs: Programs {
                waybill: "/nonexistent/waybill".into(),
                redis: "/nonexistent/redis".into(),
                nats: "/nonexistent/nats".into(),
            },
        }
    }

    #[test]
    fn the_yardstick_has_its_turns_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let results = run(&options(dir.path())).unwrap();
        assert_eq!(results[0].rounds.len(), 2);
        assert!(
            results[0]
                .rounds
                .iter()
                .all(|r| r.verified > 0 && r.verified % 256 == 0)
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_server_is_named_with_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        for (name, remedy) in [(Name::Redis, "apt-get"), (Name::Jetstream, "fetch-nats.sh")] {
            let error = run(&Options {
                columns: vec![name.column(8, 2).unwrap()],
                ..options(dir.path())
            })
            .unwrap_err()
            .to_string();
            assert!(error.contains(remedy), "{error}");
        }
    }

    #[test]
    fn nothing_to_do_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            run(&Options {
                columns: vec![],
                ..options(dir.path())
            })
            .is_err()
        );
        assert!(
            run(&Options {
                rounds: 0,
                ..options(dir.path())
            })
            .is_err()
        );
    }
}
