//! Telling a person how far a long run has come. Knows nothing of what is being done.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Told of the phases of a run, one after the other, from one thread.
pub trait Progress {
    /// A phase begins. `total` is 0 when nobody knows how much there is to do.
    fn begin(&mut self, what: &'static str, total: u64);

    /// So much of it is done.
    fn reached(&mut self, done: u64);

    /// The phase has ended.
    fn end(&mut self);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _what: &'static str, _total: u64) {}
    fn reached(&mut self, _done: u64) {}
    fn end(&mut self) {}
}

/// A phase shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bars on the standard error stream, for phases that take longer than two seconds.
#[derive(Default)]
pub struct Bars {
    phase: Option<Phase>,
}

struct Phase {
    what: &'static str,
    total: u64,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Bars {
    /// Bars, or silence when `quiet` is set or nobody sees the standard error stream.
    #[must_use]
    pub fn on_stderr(quiet: bool) -> Box<dyn Progress> {
        if quiet || !std::io::stderr().is_terminal() {
            Box::new(Silent)
        } else {
            Box::new(Self::default())
        }
    }
}

impl Progress for Bars {
    fn begin(&mut self, what: &'static str, total: u64) {
        self.end();
        self.phase = Some(Phase {
            what,
            total,
            started: Instant::now(),
            bar: None,
        });
    }

    fn reached(&mut self, done: u64) {
        let Some(phase) = &mut self.phase else {
            return;
        };
        if phase.bar.is_none() && phase.started.elapsed() >= PATIENCE {
            phase.bar = Some(bar(phase));
        }
        if let Some(bar) = &phase.bar {
            bar.set_position(done);
        }
    }

    fn end(&mut self) {
        if let Some(Phase { bar: Some(bar), .. }) = self.phase.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.end();
    }
}

fn bar(phase: &Phase) -> ProgressBar {
    let (length, template) = if phase.total > 0 {
        (
            Some(phase.total),
            "{msg:24} {wide_bar} {human_pos}/{human_len} ({per_sec}, {eta} left)",
        )
    } else {
        (None, "{msg:24} {spinner} {human_pos} ({per_sec})")
    };
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    // A template that does not parse costs the look, not the run.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_message(phase.what)
        .with_elapsed(phase.started.elapsed())
}
