//! What went wrong, for a person: what happened, what it means, what to do; and for a program: a code that stays.

use serde_json::{Map, Value, json};
use std::fmt;

/// The code of what has none of its own.
const PLAIN: &str = "FAILED";

/// A failure of a command-line run, with the exit code it ends with.
#[derive(Debug)]
pub struct Failure(Box<Told>);

#[derive(Debug)]
struct Told {
    code: String,
    text: String,
    /// In German and English, where somebody wrote both.
    texts: Option<(String, String)>,
    facts: Map<String, Value>,
    line: Option<usize>,
    advice: Option<String>,
    exit: u8,
}

impl Failure {
    /// Something did not work (exit code 1).
    pub fn new(text: impl Into<String>) -> Self {
        Self(Box::new(Told {
            code: PLAIN.into(),
            text: text.into(),
            texts: None,
            facts: Map::new(),
            line: None,
            advice: None,
            exit: 1,
        }))
    }

    /// The exchange refused a command (exit code 2), by its stable code; `text` is in the language that was asked for, and
    /// may be of one line of many.
    pub fn refused(code: &str, text: &str, line: Option<usize>) -> Self {
        let place = line.map(|n| format!("line {n}: ")).unwrap_or_default();
        let text = format!("{code}: {place}{text}");
        let mut refused = Self::new(text).code(code);
        (refused.0.line, refused.0.exit) = (line, 2);
        refused
    }

    /// With a stable code of its own.
    pub fn code(mut self, code: &str) -> Self {
        self.0.code = code.into();
        self
    }

    /// The sentence in both languages, for programs.
    pub fn texts(mut self, german: impl Into<String>, english: impl Into<String>) -> Self {
        self.0.texts = Some((german.into(), english.into()));
        self
    }

    /// The facts behind it, for programs.
    pub fn facts(mut self, facts: Map<String, Value>) -> Self {
        self.0.facts = facts;
        self
    }

    /// With what to do about it.
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// Did the exchange refuse it for certain? `OUTCOME_UNKNOWN` is no certainty.
    pub fn is_refusal(&self) -> bool {
        self.0.exit == 2 && self.0.code != "OUTCOME_UNKNOWN"
    }

    /// May it have been carried out all the same?
    pub fn is_unknown(&self) -> bool {
        matches!(self.0.code.as_str(), "OUTCOME_UNKNOWN" | "ANSWER_LOST")
    }

    /// The process's exit code.
    pub fn exit(&self) -> u8 {
        self.0.exit
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let (german, english) = self.both();
        let mut value = json!({ "code": self.0.code, "text_de": german, "text_en": english });
        if !self.0.facts.is_empty() {
            value["facts"] = self.0.facts.clone().into();
        }
        if let Some(line) = self.0.line {
            value["line"] = line.into();
        }
        if let Some(advice) = &self.0.advice {
            value["advice"] = advice.as_str().into();
        }
        value
    }

    /// Texts of libraries and of the operating system speak English alone: the German one says so and quotes them.
    fn both(&self) -> (String, String) {
        self.0.texts.clone().unwrap_or_else(|| {
            let german =
                format!("Das ging nicht; die Meldung gibt es nur auf Englisch: {}", self.0.text);
            (german, self.0.text.clone())
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)?;
        match &self.0.advice {
            Some(advice) => write!(f, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

/// An error of a library, told with what was being done.
pub fn failed<E: fmt::Display>(doing: &str) -> impl FnOnce(E) -> Failure + '_ {
    move |error| Failure::new(format!("{doing}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_its_code_and_both_languages() {
        let plain = Failure::new("the disk is gone").advice("Buy one.").json();
        assert_eq!(plain["code"], "FAILED");
        assert_eq!(plain["text_en"], "the disk is gone");
        assert_eq!(plain["advice"], "Buy one.");
        assert!(plain["text_de"].as_str().unwrap().starts_with("Das ging nicht"));
        let refused = Failure::refused("USER_UNKNOWN", "there is no eve", Some(3));
        let refused = refused.texts("es gibt keine eve", "there is no eve");
        assert_eq!(refused.to_string(), "USER_UNKNOWN: line 3: there is no eve");
        let told = json!({ "code": "USER_UNKNOWN", "text_de": "es gibt keine eve", "text_en": "there is no eve", "line": 3 });
        assert_eq!((refused.json(), refused.exit()), (told, 2));
        assert!(refused.is_refusal() && !refused.is_unknown());
        assert!(!Failure::refused("OUTCOME_UNKNOWN", "", None).is_refusal());
    }
}
