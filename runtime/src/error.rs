//! Errors of the runtime: a code, a sentence, a place, what to do. No rendering beyond plain text.
//!
//! | code | meaning |
//! |---|---|
//! | E0901 | a file is not there or cannot be read |
//! | E0902 | a file does not have the format it should have |
//! | E0903 | shapes disagree |
//! | E0904 | data hold NaN or infinity |
//! | E0905 | a checkpoint does not fit the model |
//! | E0906 | a file cannot be written |
//! | E0907 | training diverged |
//! | E0908 | not enough memory |
//! | E0909 | labels are wrong |
//! | E0910 | an argument of a data source is missing, unknown or of the wrong kind |
//! | E0913 | interrupted |

use std::fmt;
use std::path::Path;

/// Something outside the program is wrong: a file, the data, the memory, the numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuntimeError {
    /// `E0901` …; the table is at the top of this module.
    pub code: &'static str,
    /// One sentence without a final period.
    pub message: String,
    /// Where: a path, with line and column or byte offset if there is one.
    pub place: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl RuntimeError {
    /// An error without place and help.
    pub fn new(code: &'static str, message: impl Into<String>) -> RuntimeError {
        RuntimeError { code, message: message.into(), place: None, help: None }
    }

    /// Adds the place.
    pub fn at(mut self, place: impl Into<String>) -> RuntimeError {
        self.place = Some(place.into());
        self
    }

    /// Adds a path as the place.
    pub fn in_file(self, path: &Path) -> RuntimeError {
        self.at(path.display().to_string())
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> RuntimeError {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        if let Some(place) = &self.place {
            write!(f, "\n  --> {place}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RuntimeError {}

/// Result of everything that may fail here.
pub type Result<T> = std::result::Result<T, RuntimeError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_shows_code_place_and_help() {
        let error =
            RuntimeError::new("E0901", "cannot read the file").in_file(Path::new("a/b.npy")).help("check");
        assert_eq!(error.to_string(), "error[E0901]: cannot read the file\n  --> a/b.npy\n  help: check");
        assert_eq!(RuntimeError::new("E0913", "stopped").to_string(), "error[E0913]: stopped");
    }
}
