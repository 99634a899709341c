//! Sentences in two languages, and moments as people and machines read them.

use chrono_tz::Tz;
use serde::{Serialize, Serializer};
use std::fmt;
use switchbook_core::exchange::Exchange;
use switchbook_core::position::Moment;
use switchbook_core::user::Language;

/// A sentence for a person, in English and in German.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Text {
    /// English.
    pub en: String,
    /// Deutsch.
    pub de: String,
}

impl Text {
    /// The same in both languages: a name, digits, a time.
    #[must_use]
    pub fn same(text: impl Into<String>) -> Self {
        let en = text.into();
        Self { de: en.clone(), en }
    }

    /// The sentence in one language.
    #[must_use]
    pub fn read(&self, language: Language) -> &str {
        match language {
            Language::English => &self.en,
            Language::German => &self.de,
        }
    }

    /// Appends to both.
    pub fn push(&mut self, more: &Self) {
        self.en.push_str(&more.en);
        self.de.push_str(&more.de);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.en)
    }
}

/// `text!("English {name}", "Deutsch {name}")`: both at once, with captured names.
#[macro_export]
macro_rules! text {
    ($en:literal, $de:literal $(,)?) => {
        $crate::text::Text { en: format!($en), de: format!($de) }
    };
}

/// One of two fixed texts: a heading, a word in a cell.
#[must_use]
pub const fn either(language: Language, en: &'static str, de: &'static str) -> &'static str {
    match language {
        Language::English => en,
        Language::German => de,
    }
}

/// `1 event`, `2 events`: how many, and the word that goes with it.
#[must_use]
pub fn counted<N: fmt::Display + PartialEq + From<u8>>(many: N, one: &str, more: &str) -> String {
    let word = if many == N::from(1) { one } else { more };
    format!("{many} {word}")
}

/// Would this character steer a terminal instead of being shown by it? Control characters, line and paragraph separators,
/// and what turns the direction of writing (Unicode TR 36 §2.5), behind which a name can look like another.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text from outside as a terminal may have it: what would steer it becomes a dot.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '·' } else { c }).collect()
}

/// A moment in a view: RFC 3339 in UTC in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct When(pub Moment);

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl When {
    /// The wall clock of a zone: `2026-11-23 12:00:00 CET`.
    #[must_use]
    pub fn local(self, zone: Tz) -> String {
        self.0.utc().with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z").to_string()
    }
}

/// The zone in which a page shows moments that belong to nobody: the system's; UTC before the book was founded.
#[must_use]
pub fn zone(exchange: &Exchange) -> Tz {
    exchange.settings.as_ref().map_or(Tz::UTC, |settings| settings.time_zone.value)
}
