//! A data directory that was put back from a copy goes on as another history, before anything is served from it.

use waybill_core::id::Position;
use waybill_log::Options;
use waybill_log::directory::ERASURES_FILE;
use waybill_log::restore::{Restore, RestoreError, Restored};

use super::open::log_config;
use crate::config::Config;
use crate::random;

/// Restores the directory that the configuration names, as the epoch of this number or the next one, and erases again what its
/// register of erasures says. `progress` is told how far a catch-up has come.
///
/// # Errors
/// When the directory is in use, holds no ledger, or is corrupt; and when the disk fails.
pub fn restore(
    config: &Config,
    number: Option<u16>,
    progress: &mut dyn FnMut(Position, Position),
) -> Result<Restored, RestoreError> {
    let register = config.restore.erasures.clone();
    let register = register.unwrap_or_else(|| config.data.join(ERASURES_FILE));
    let asked = Restore {
        random: random::bytes().map_err(|_| RestoreError::NoRandomness)?,
        number,
        gap: config.restore.gap,
        // Where nothing was ever erased there is none.
        erasures: Some(register.clone()).filter(|register| register.exists()),
    };
    let options = Options {
        config: log_config(config),
        erasures: Some(register),
        ..Options::default()
    };
    waybill_log::restore::restore(&config.data, &asked, options, progress)
}
