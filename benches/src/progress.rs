//! Progress bars for what takes longer than two seconds. On stderr, and only on a terminal: a result on stdout or in
//! a log stays clean.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `steps` steps, with the name of the current one.
///
/// # Panics
/// Never: the template is a constant; without it the default style is used.
#[must_use]
pub fn bar(steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    if let Ok(style) =
        ProgressStyle::with_template("{elapsed_precise} [{bar:32}] {pos}/{len} {msg}")
    {
        bar.set_style(style);
    }
    bar
}

/// Something of unknown length that is under way.
#[must_use]
pub fn spinner(what: impl Into<String>) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what.into());
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}
