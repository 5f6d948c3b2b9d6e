//! The one error type: what kind of thing failed, and a sentence a person can act on.

use std::fmt;

/// What failed. The kind alone decides the exit code and the HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request or the command line is wrong.
    Usage,
    /// A video source cannot be opened, read or decoded.
    Source,
    /// A model file or its labels cannot be used.
    Model,
    /// No inference backend can run the model, or one failed while running it.
    Backend,
    /// The web server cannot listen.
    Listen,
    /// A download failed or was not what it should be.
    Download,
    /// A result could not be written.
    Output,
    /// Something was asked for that does not exist.
    NotFound,
    /// What is to be changed has changed meanwhile.
    Outdated,
    /// More was sent than is taken.
    TooLarge,
    /// Too many viewers, or not ready yet; trying again later may help.
    Busy,
    /// Two answers differ by more than the user allows; not a failure of anything.
    Differs,
    /// A defect of Spotter.
    Internal,
}

impl Kind {
    /// The exit code of the process that ends with this kind of error.
    pub fn exit_code(self) -> u8 {
        match self {
            // As diff and cmp have it.
            Kind::Differs => 1,
            Kind::Usage | Kind::NotFound | Kind::Outdated | Kind::TooLarge => 2,
            Kind::Source => 3,
            Kind::Model => 4,
            Kind::Backend => 5,
            Kind::Listen => 6,
            Kind::Download => 7,
            Kind::Output => 8,
            Kind::Busy => 9,
            Kind::Internal => 70,
        }
    }

    /// The HTTP status of the answer that reports this kind of error.
    pub fn http_status(self) -> u16 {
        match self {
            Kind::Usage | Kind::Model => 400,
            Kind::NotFound => 404,
            Kind::Outdated => 412,
            Kind::TooLarge => 413,
            Kind::Source | Kind::Backend | Kind::Download | Kind::Busy => 503,
            Kind::Listen | Kind::Output | Kind::Differs | Kind::Internal => 500,
        }
    }
}

/// A kind, one sentence for the user, and what it came from.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    /// The message for somebody who asks over HTTP, where it is another one.
    over_http: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What fallible functions here return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error whose message says what is wrong, with which value, and what to do.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), over_http: None, source: None }
    }

    /// The same error, remembering what caused it.
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with another sentence for those who ask over HTTP: without paths of this machine and without
    /// command lines, which they cannot use.
    pub fn over_http(mut self, message: impl Into<String>) -> Self {
        self.over_http = Some(message.into());
        self
    }

    /// Puts what was being done before the message, the kind stays.
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self.over_http = self.over_http.map(|message| format!("{doing}: {message}"));
        self
    }

    /// What kind of error it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence, without its causes.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The sentence for those who ask over HTTP.
    pub fn http_message(&self) -> &str {
        self.over_http.as_deref().unwrap_or(&self.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, " ({error})")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_context_and_causes_make_one_line() {
        let io = std::io::Error::other("disk full");
        let error = Error::new(Kind::Output, "cannot write a.jsonl").caused_by(io).context("run");
        assert_eq!(error.to_string(), "run: cannot write a.jsonl (disk full)");
        assert_eq!(error.kind().exit_code(), 8);
    }

    #[test]
    fn every_kind_ends_the_process_with_a_failure() {
        for kind in [
            Kind::Usage,
            Kind::Source,
            Kind::Model,
            Kind::Backend,
            Kind::Listen,
            Kind::Download,
            Kind::Output,
            Kind::NotFound,
            Kind::Outdated,
            Kind::TooLarge,
            Kind::Busy,
            Kind::Differs,
            Kind::Internal,
        ] {
            assert_ne!(kind.exit_code(), 0);
            assert!(kind.http_status() >= 400);
        }
    }
}
