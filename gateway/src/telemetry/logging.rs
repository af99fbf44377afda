//! Log lines as JSON, one object a line, on standard error: standard output belongs to the command that runs.

use tracing_subscriber::EnvFilter;

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error("{0:?} is no filter of log lines")]
    Filter(String),
    /// Another part of the program has started logging.
    #[error("logging was started before")]
    Twice,
}

/// Starts logging for the whole process, with a filter such as `info` or `waybill_gateway=debug,info`.
///
/// # Errors
/// When the filter is none or logging runs already.
pub fn start(filter: &str) -> Result<(), LoggingError> {
    let filter: EnvFilter = filter
        .parse()
        .map_err(|_| LoggingError::Filter(filter.to_owned()))?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|_| LoggingError::Twice)
}
