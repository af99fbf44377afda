//! Exit codes, what is printed, and what is said when a command fails. It knows no command.

use std::fmt;
use std::io::{self, ErrorKind, Write};
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

/// Whether anybody still reads what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reader {
    /// It was written.
    There,
    /// The other end of the pipe is closed, as `head` does once it has enough. That is no failure.
    Gone,
}

/// Prints a text to standard output, as it is.
///
/// # Errors
/// When it cannot be written, for another reason than that nobody reads it.
pub fn print(text: impl fmt::Display) -> Result<Reader, Failure> {
    write_to(&mut io::stdout().lock(), &text)
}

/// Prints a line to standard output.
///
/// # Errors
/// As [`print`].
pub fn print_line(line: impl fmt::Display) -> Result<Reader, Failure> {
    print(format_args!("{line}\n"))
}

/// Says on standard error why a command failed. When that is closed too, only the exit code tells.
pub fn complain(failure: &Failure) {
    let _ = writeln!(io::stderr().lock(), "waybill: {failure}");
}

fn write_to(out: &mut impl Write, text: &impl fmt::Display) -> Result<Reader, Failure> {
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::new(USAGE, format!("standard output: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind, Write};

    use super::{Reader, write_to};

    /// Fails with this.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure_and_a_full_disk_is_one() {
        let mut out = Vec::new();
        assert!(matches!(write_to(&mut out, &"text"), Ok(Reader::There)));
        assert_eq!(out, b"text");
        let gone = write_to(&mut Broken(ErrorKind::BrokenPipe), &"text");
        assert!(matches!(gone, Ok(Reader::Gone)), "{gone:?}");
        let full = write_to(&mut Broken(ErrorKind::StorageFull), &"text");
        assert!(full.is_err(), "{full:?}");
    }
}
