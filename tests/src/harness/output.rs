//! What a running program prints: its standard output kept whole, its standard error kept as far as a report needs it. It
//! knows lines, not what they mean.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Lines of standard error that are kept.
const KEPT_LINES: usize = 60;

/// The output of one process.
pub struct Output {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    printed: Vec<String>,
    said: VecDeque<String>,
    printed_all: bool,
}

impl Output {
    /// Reads both pipes of a child.
    pub fn of(child: &mut Child) -> Output {
        let shared = Arc::new(Shared::default());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let printed = Arc::clone(&shared);
        let said = Arc::clone(&shared);
        let read_out = move || {
            each_line(out, |line| {
                printed.lines.lock().printed.push(line);
                printed.changed.notify_all();
            });
            printed.lines.lock().printed_all = true;
            printed.changed.notify_all();
        };
        let read_err = move || {
            each_line(err, |line| {
                let mut lines = said.lines.lock();
                if lines.said.len() == KEPT_LINES {
                    lines.said.pop_front();
                }
                lines.said.push_back(line);
            });
        };
        let readers = vec![std::thread::spawn(read_out), std::thread::spawn(read_err)];
        Output { shared, readers }
    }

    /// Waits until `find` finds what it looks for in the lines printed so far. `None` when the program has closed its output, or
    /// the time is over, before that.
    pub fn wait<T>(
        &self,
        patience: Duration,
        mut find: impl FnMut(&[String]) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + patience;
        let mut lines = self.shared.lines.lock();
        loop {
            if let Some(found) = find(&lines.printed) {
                return Some(found);
            }
            if lines.printed_all
                || self
                    .shared
                    .changed
                    .wait_until(&mut lines, until)
                    .timed_out()
            {
                return None;
            }
        }
    }

    /// Everything that is kept, for a report.
    pub fn report(&self) -> String {
        let lines = self.shared.lines.lock();
        let said = lines.said.iter().map(|line| format!("  | {line}\n"));
        let printed = lines.printed.iter().map(|line| format!("  > {line}\n"));
        printed.chain(said).collect()
    }

    /// The kept lines of standard error, once the process has ended.
    pub fn said_to_the_end(&mut self) -> String {
        for reader in self.readers.drain(..) {
            reader.join().expect("reading does not panic");
        }
        let lines = self.shared.lines.lock();
        lines.said.iter().map(|line| format!("{line}\n")).collect()
    }
}

fn each_line(pipe: Option<impl Read>, mut take: impl FnMut(String)) {
    let Some(pipe) = pipe else { return };
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        take(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
}
