//! Open loop: a schedule fixes when every operation is due, whatever became of the ones before it.
//!
//! A closed loop stops asking while the server stalls and so never sees the stall ("coordinated omission"). Here the
//! response time of an operation counts from its planned time. It must not know what an operation is.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{Mutex, mpsc};

use crate::error::{Error, Result};
use crate::latency::{Latency, Summary};
use crate::rng::Rng;
use crate::window::sleep_until;

/// Operations that may be due and not yet taken. A plan that runs this far ahead of its workers is given up: the
/// rate is out of reach, and more memory would not make it reachable.
const BACKLOG: usize = 1 << 20;

/// Below this the load generator is never called the limit: a timer alone is late by tens of microseconds.
const LATENESS_FLOOR: Duration = Duration::from_millis(1);

/// How operations follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// At equal distances.
    Constant,
    /// Independently of each other, as from many clients.
    Poisson,
}

/// The planned times of a run, as offsets from its start, for ever.
#[derive(Clone, Debug)]
pub struct Schedule {
    rate: f64,
    arrivals: Arrivals,
    rng: Rng,
    number: u64,
    elapsed: f64,
}

impl Schedule {
    /// A schedule of `rate` operations a second on average.
    ///
    /// # Errors
    /// When the rate is not a positive number.
    pub fn new(arrivals: Arrivals, rate: f64, seed: u64) -> Result<Self> {
        if !(rate.is_finite() && rate > 0.0) {
            return Err(Error::Options(format!(
                "a rate must be a positive number, not {rate}"
            )));
        }
        Ok(Self {
            rate,
            arrivals,
            rng: Rng::new(seed, 0x0073_6368_6564),
            number: 0,
            elapsed: 0.0,
        })
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let at = match self.arrivals {
            // From the number, not by adding intervals: rounding must not shift the rate.
            Arrivals::Constant => self.number as f64 / self.rate,
            Arrivals::Poisson => {
                self.elapsed += -self.rng.unit().ln() / self.rate;
                self.elapsed
            }
        };
        self.number += 1;
        Duration::try_from_secs_f64(at).ok()
    }
}

/// One client: does one operation at a time.
pub trait Worker: Send + 'static {
    /// Does operation number `index`, from the request to the complete answer.
    fn call(&mut self, index: u64) -> impl Future<Output = Result<()>> + Send;
}

/// What to run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Plan {
    /// Operations a second.
    pub rate: f64,
    /// How they follow each other.
    pub arrivals: Arrivals,
    /// Operations due in this time are done but not counted.
    pub warm_up: Duration,
    /// Operations due in this time, after the warm-up, count.
    pub measure: Duration,
    /// The seed of the schedule.
    pub seed: u64,
}

/// What came of it. All latencies are of operations planned within the measured time.
#[derive(Clone, Debug, Default)]
struct Seen {
    service: Latency,
    response: Latency,
    lateness: Latency,
    failed: u64,
    first_failure: Option<String>,
}

impl Seen {
    fn note(&mut self, result: Result<()>, planned: Instant, sent: Instant, done: Instant) {
        match result {
            Ok(()) => {
                self.service.record(done.saturating_duration_since(sent));
                self.response
                    .record(done.saturating_duration_since(planned));
                self.lateness
                    .record(sent.saturating_duration_since(planned));
            }
            Err(e) => {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| e.to_string());
            }
        }
    }
}

/// The result of an open loop.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The plan.
    pub plan: Plan,
    /// How many clients there were: the most operations in flight.
    pub workers: usize,
    /// Operations counted that succeeded, per second of the measured time.
    pub achieved_rate: f64,
    /// From the request to the answer.
    pub service: Summary,
    /// From the planned time to the answer: what a user would have waited.
    pub response: Summary,
    /// From the planned time to the request.
    pub lateness: Summary,
    /// Operations that failed; the first failure in words.
    pub failed: u64,
    /// The first failure in words.
    pub first_failure: Option<String>,
    /// Operations that were due when every worker was busy.
    pub waited_for_a_worker: u64,
    /// Why the figures may not be believed, if so.
    pub limited: Option<String>,
}

/// Runs `plan` with `workers`, each on one connection, on the current tokio runtime.
///
/// # Errors
/// When there is no worker, the plan is impossible, or the workers cannot keep up by [`BACKLOG`] operations.
pub async fn run<W: Worker>(plan: Plan, workers: Vec<W>) -> Result<Outcome> {
    if workers.is_empty() {
        return Err(Error::Options(
            "an open loop needs at least one client".into(),
        ));
    }
    let schedule = Schedule::new(plan.arrivals, plan.rate, plan.seed)?;
    let count = workers.len();
    let (queue, due) = mpsc::channel(BACKLOG);
    let run = Arc::new(Run {
        start: Instant::now(),
        warm_up: plan.warm_up,
        due: Mutex::new(due),
        idle: AtomicU64::new(count as u64),
        seen: std::sync::Mutex::new(Seen::default()),
    });
    let pacer = pace(schedule, plan, queue, Arc::clone(&run))?;
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|worker| tokio::spawn(work(worker, Arc::clone(&run))))
        .collect();
    for task in tasks {
        task.await
            .map_err(|e| Error::Options(format!("a client task failed: {e}")))?;
    }
    let waited = pacer
        .join()
        .map_err(|_| Error::Options("the pacing thread panicked".into()))??;
    Ok(outcome(plan, count, &run.seen(), waited))
}

/// An operation: its number and its planned time.
type Due = (u64, Duration);

/// What the pacer and the workers of a run share.
struct Run {
    start: Instant,
    warm_up: Duration,
    due: Mutex<mpsc::Receiver<Due>>,
    /// Workers without an operation.
    idle: AtomicU64,
    /// One for all workers: histograms of their own would cost more than what they measure.
    seen: std::sync::Mutex<Seen>,
}

impl Run {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing in it can be half done: a panic elsewhere leaves it whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes operations as they fall due until there are no more.
async fn work<W: Worker>(mut worker: W, run: Arc<Run>) {
    loop {
        // One worker at a time waits for the next operation; the others wait for their turn, in order.
        let next = run.due.lock().await.recv().await;
        let Some((index, planned)) = next else { return };
        run.idle.fetch_sub(1, Ordering::Relaxed);
        let sent = Instant::now();
        let result = worker.call(index).await;
        let done = Instant::now();
        run.idle.fetch_add(1, Ordering::Relaxed);
        if planned >= run.warm_up {
            run.seen().note(result, run.start + planned, sent, done);
        }
    }
}

/// Releases operations at their planned times from an OS thread: a runtime's timers are a millisecond coarse.
/// Returns how many found no idle worker.
fn pace(
    schedule: Schedule,
    plan: Plan,
    queue: mpsc::Sender<Due>,
    run: Arc<Run>,
) -> Result<thread::JoinHandle<Result<u64>>> {
    let end = plan.warm_up + plan.measure;
    let release = move || {
        let mut waited = 0;
        for (index, planned) in schedule.take_while(|at| *at < end).enumerate() {
            sleep_until(run.start + planned);
            waited += u64::from(run.idle.load(Ordering::Relaxed) == 0);
            if queue.try_send((index as u64, planned)).is_err() {
                return Err(Error::Options(format!(
                    "{BACKLOG} operations were due and not begun: {}/s is out of reach",
                    plan.rate
                )));
            }
        }
        Ok(waited)
    };
    thread::Builder::new()
        .name("pacer".into())
        .spawn(release)
        .map_err(|source| Error::Io {
            what: "starting the pacing thread".into(),
            source,
        })
}

fn outcome(plan: Plan, workers: usize, seen: &Seen, waited: u64) -> Outcome {
    let (service, response, lateness) = (
        seen.service.summary(),
        seen.response.summary(),
        seen.lateness.summary(),
    );
    let allowed = (LATENESS_FLOOR.as_secs_f64() * 1e6).max(response.p99_us / 10.0);
    let limited = (lateness.p99_us > allowed).then(|| {
        let cause = if waited > 0 {
            format!("{waited} operations found all {workers} clients busy")
        } else {
            "the load generator was not scheduled in time".to_owned()
        };
        format!(
            "requests were late by {:.0} µs (p99), {allowed:.0} µs are allowed: {cause}",
            lateness.p99_us
        )
    });
    Outcome {
        plan,
        workers,
        achieved_rate: response.count as f64 / plan.measure.as_secs_f64().max(f64::MIN_POSITIVE),
        service,
        response,
        lateness,
        failed: seen.failed,
        first_failure: seen.first_failure.clone(),
        waited_for_a_worker: waited,
        limited,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Arrivals, Plan, Schedule, Worker, run};
    use crate::error::{Error, Result};

    fn plan(rate: f64, measure_ms: u64) -> Plan {
        Plan {
            rate,
            arrivals: Arrivals::Constant,
            warm_up: Duration::ZERO,
            measure: Duration::from_millis(measure_ms),
            seed: 1,
        }
    }

    struct Sleeper(Duration);

    impl Worker for Sleeper {
        async fn call(&mut self, index: u64) -> Result<()> {
            tokio::time::sleep(self.0).await;
            if index == 3 {
                Err(Error::Options("the third".into()))
            } else {
                Ok(())
            }
        }
    }

    #[test]
    fn a_constant_schedule_does_not_drift() {
        let schedule = Schedule::new(Arrivals::Constant, 3.0, 0).unwrap();
        assert_eq!(
            schedule.clone().nth(3_000_000),
            Some(Duration::from_secs(1_000_000))
        );
    }

    #[test]
    fn a_poisson_schedule_keeps_the_rate_and_repeats() {
        let make = || Schedule::new(Arrivals::Poisson, 1000.0, 7).unwrap();
        let last = make().nth(100_000).unwrap().as_secs_f64();
        assert!((98.0..102.0).contains(&last), "{last}");
        assert_eq!(
            make().take(50).collect::<Vec<_>>(),
            make().take(50).collect::<Vec<_>>()
        );
        let gaps: Vec<Duration> = make()
            .zip(make().skip(1))
            .map(|(a, b)| b - a)
            .take(1000)
            .collect();
        assert!(
            gaps.iter().any(|g| g.as_micros() > 3000) && gaps.iter().any(|g| g.as_micros() < 100)
        );
    }

    #[test]
    fn a_rate_must_be_positive() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Schedule::new(Arrivals::Constant, rate, 0).is_err());
        }
    }

    #[tokio::test]
    async fn a_server_too_slow_for_its_clients_shows_in_the_response_time_and_is_named() {
        // One client at 20 ms an operation can do 50/s; 500/s are planned for 200 ms: the last of 100 operations is
        // due at 200 ms and done at about 2 s. A closed loop would have reported 20 ms throughout.
        let out = run(plan(500.0, 200), vec![Sleeper(Duration::from_millis(20))])
            .await
            .unwrap();
        assert_eq!(out.response.count + out.failed, 100);
        assert!(out.service.p50_us < out.response.p50_us / 5.0, "{out:?}");
        assert!(out.response.max_us > 1_000_000.0, "{out:?}");
        assert!(out.waited_for_a_worker > 50);
        assert!(out.limited.is_some());
    }

    #[tokio::test]
    async fn failures_are_counted_and_the_first_is_told() {
        let workers = (0..50).map(|_| Sleeper(Duration::from_millis(1))).collect();
        let out = run(plan(100.0, 100), workers).await.unwrap();
        assert_eq!((out.failed, out.response.count), (1, 9));
        assert_eq!(out.first_failure.as_deref(), Some("the third"));
    }

    #[tokio::test]
    async fn no_client_is_an_error() {
        assert!(run::<Sleeper>(plan(1.0, 1), vec![]).await.is_err());
    }
}
