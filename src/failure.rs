//! What went wrong, for a person: what happened, what it means, what to do.

use std::fmt;

/// A failure of a command-line run, with the exit code it ends with.
#[derive(Debug)]
pub struct Failure {
    text: String,
    advice: Option<String>,
    exit: u8,
}

impl Failure {
    /// Something did not work (exit code 1).
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), advice: None, exit: 1 }
    }

    /// The exchange refused a command (exit code 2), by its stable code.
    pub fn refused(code: &str, text: &str) -> Self {
        Self { text: format!("{code}: {text}"), advice: None, exit: 2 }
    }

    /// With what to do about it.
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Did the exchange refuse it for certain? `OUTCOME_UNKNOWN` is no certainty.
    pub fn is_refusal(&self) -> bool {
        self.exit == 2 && !self.text.starts_with("OUTCOME_UNKNOWN")
    }

    /// The process's exit code.
    pub const fn exit(&self) -> u8 {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.advice {
            Some(advice) => write!(f, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

/// An error of a library, told with what was being done.
pub fn failed<E: fmt::Display>(doing: &str) -> impl FnOnce(E) -> Failure + '_ {
    move |error| Failure::new(format!("{doing}: {error}"))
}
