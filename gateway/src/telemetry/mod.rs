//! What operators see: log lines and metrics. Nothing here sees contents or secrets.

mod live;
mod log_metrics;
mod logging;
pub mod metrics;
mod redacted;

pub use live::{LiveMetrics, Meter};
pub use log_metrics::LogMetrics;
pub use logging::{LoggingError, start as start_logging};
pub use redacted::{Redacted, Secret, same_secret};
