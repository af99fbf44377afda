//! Exit codes, and what is printed when a command fails.

use std::fmt;
use std::process::ExitCode;

/// The command line, the configuration or the environment does not allow it.
pub const USAGE: u8 = 2;
/// The server refused, or could not be reached.
pub const REFUSED: u8 = 3;
/// The data directory cannot be served: in use, of a newer format, or corrupt.
pub const DIRECTORY: u8 = 4;
/// The server had to stop because a store failed.
pub const STOPPED: u8 = 70;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// A failure with this exit code and text.
    pub fn new(code: u8, text: impl fmt::Display) -> Self {
        Self {
            code,
            text: text.to_string(),
        }
    }

    /// Text for [`Result::map_err`].
    pub fn with<E: fmt::Display>(code: u8) -> impl FnOnce(E) -> Self {
        move |error| Self::new(code, error)
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
