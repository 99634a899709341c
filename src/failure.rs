//! What went wrong, for a person: what happened, what it means, what to do; and for a program: a code that stays.

use crate::console::protocol::Language;
use serde_json::{Map, Value, json};
use std::fmt;
use switchbook_projections::text::Text;

/// The code of what has none of its own.
const PLAIN: &str = "FAILED";

/// What is said of a failure: in both languages, or as a library says it.
#[derive(Clone, Debug)]
pub struct Words {
    /// English.
    pub english: String,
    /// German, where somebody wrote it.
    pub german: Option<String>,
}

impl From<String> for Words {
    fn from(english: String) -> Self {
        Self { english, german: None }
    }
}

impl From<&str> for Words {
    fn from(english: &str) -> Self {
        english.to_owned().into()
    }
}

impl From<Text> for Words {
    fn from(text: Text) -> Self {
        Self { english: text.en, german: Some(text.de) }
    }
}

impl Words {
    fn read(&self, language: Language) -> &str {
        match &self.german {
            Some(german) if language == Language::German => german,
            _ => &self.english,
        }
    }

    fn replace(&mut self, from: &str, to: &str) {
        for text in std::iter::once(&mut self.english).chain(&mut self.german) {
            *text = text.replace(from, to);
        }
    }
}

/// A failure of a command-line run, with the exit code it ends with.
#[derive(Debug)]
pub struct Failure(Box<Told>);

#[derive(Debug)]
struct Told {
    code: String,
    /// As it is printed for people.
    text: Words,
    /// For programs, where they are told something else than people.
    texts: Option<(String, String)>,
    facts: Map<String, Value>,
    line: Option<usize>,
    advice: Option<Words>,
    exit: u8,
    language: Language,
}

impl Failure {
    /// Something did not work (exit code 1).
    pub fn new(text: impl Into<Words>) -> Self {
        Self(Box::new(Told {
            code: PLAIN.into(),
            text: text.into(),
            texts: None,
            facts: Map::new(),
            line: None,
            advice: None,
            exit: 1,
            language: Language::English,
        }))
    }

    /// The exchange refused a command (exit code 2), by its stable code; `text` is in the language that was asked for, and
    /// may be of one line of many.
    pub fn refused(code: &str, text: &str, line: Option<usize>) -> Self {
        let told = |word| {
            let place = line.map(|n| format!("{word} {n}: ")).unwrap_or_default();
            format!("{code}: {place}{text}")
        };
        let text = Words { english: told("line"), german: Some(told("Zeile")) };
        let mut refused = Self::new(text).code(code);
        (refused.0.line, refused.0.exit) = (line, 2);
        refused
    }

    /// With a stable code of its own.
    pub fn code(mut self, code: &str) -> Self {
        self.0.code = code.into();
        self
    }

    /// The sentence in both languages, for programs: a refusal is printed with its code, in the language that was asked for.
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
    pub fn advice(mut self, advice: impl Into<Words>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// To be printed in this language, as far as somebody wrote it.
    pub fn told_in(mut self, language: Language) -> Self {
        self.0.language = language;
        self
    }

    /// In both languages with what to do about it, as one text each; German only where somebody wrote it.
    pub fn words(&self) -> Words {
        let told = |language| {
            let text = self.0.text.read(language);
            match &self.0.advice {
                Some(advice) => format!("{text}\n  {}", advice.read(language)),
                None => text.to_owned(),
            }
        };
        let german = self.0.text.german.is_some().then(|| told(Language::German));
        Words { english: told(Language::English), german }
    }

    /// Personal fields were not opened: nothing says whether what is closed was erased.
    pub fn closed(mut self) -> Self {
        self.0.text.replace("[erased]", "[sealed]");
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
            value["advice"] = advice.english.as_str().into();
        }
        value
    }

    /// Texts of libraries and of the operating system speak English alone: the German one says so and quotes them.
    fn both(&self) -> (String, String) {
        self.0.texts.clone().unwrap_or_else(|| {
            let english = &self.0.text.english;
            let german = self.0.text.german.clone().unwrap_or_else(|| {
                format!("Das ging nicht; die Meldung gibt es nur auf Englisch: {english}")
            });
            (german, english.clone())
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each as far as somebody wrote it in that language: a library's English may come with advice in German.
        f.write_str(self.0.text.read(self.0.language))?;
        match &self.0.advice {
            Some(advice) => write!(f, "\n  {}", advice.read(self.0.language)),
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
    use switchbook_projections::text;

    #[test]
    fn a_failure_has_its_code_and_both_languages() {
        let plain = Failure::new("the disk is gone").advice("Buy one.").json();
        assert_eq!(plain["code"], "FAILED");
        assert_eq!(plain["text_en"], "the disk is gone");
        assert_eq!(plain["advice"], "Buy one.");
        assert!(plain["text_de"].as_str().unwrap().starts_with("Das ging nicht"));
        let both = Failure::new(text!("no disk", "keine Platte"));
        let both = both.advice(text!("Buy one.", "Kaufen Sie eine."));
        assert_eq!(both.to_string(), "no disk\n  Buy one.");
        assert_eq!(both.json()["text_de"], "keine Platte");
        assert_eq!(both.json()["advice"], "Buy one.", "as ever: one text");
        let german = both.told_in(Language::German);
        assert_eq!(german.to_string(), "keine Platte\n  Kaufen Sie eine.");
        let alone = Failure::new("ENOSPC").told_in(Language::German);
        assert_eq!(alone.to_string(), "ENOSPC");
        let refused = Failure::refused("USER_UNKNOWN", "there is no eve", Some(3));
        let refused = refused.texts("es gibt keine eve", "there is no eve");
        assert_eq!(refused.to_string(), "USER_UNKNOWN: line 3: there is no eve");
        let told = json!({ "code": "USER_UNKNOWN", "text_de": "es gibt keine eve", "text_en": "there is no eve", "line": 3 });
        assert_eq!((refused.json(), refused.exit()), (told, 2));
        assert!(refused.is_refusal() && !refused.is_unknown());
        let refused = Failure::refused("USER_UNKNOWN", "es gibt keine eve", Some(3));
        let refused = refused.advice(text!("Nothing was done.", "Nichts geschah."));
        let told = refused.told_in(Language::German).to_string();
        assert_eq!(told, "USER_UNKNOWN: Zeile 3: es gibt keine eve\n  Nichts geschah.");
        let quoted = Failure::new("ENOSPC").advice(text!("Make room.", "Schaffen Sie Platz."));
        let told = quoted.told_in(Language::German).to_string();
        assert_eq!(told, "ENOSPC\n  Schaffen Sie Platz.");
        assert!(!Failure::refused("OUTCOME_UNKNOWN", "", None).is_refusal());
    }
}
