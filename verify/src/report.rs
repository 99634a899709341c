//! What was found, for people and for programs.

use crate::note::Key;
use serde_json::{Value, json};
use std::io::Write;

/// Something that does not hold.
struct Bad {
    place: String,
    english: String,
    german: String,
    byte: Option<u64>,
    record: Option<u64>,
}

/// What a check found.
#[derive(Default)]
pub struct Report {
    bad: Vec<Bad>,
    /// What was checked and holds: name for programs, value, and both sentences.
    good: Vec<(&'static str, Value, String, String)>,
    cosigned: Vec<(String, u64)>,
}

impl Report {
    /// Does everything hold?
    pub fn holds(&self) -> bool {
        self.bad.is_empty()
    }

    /// Something does not.
    pub fn bad(&mut self, place: &str, english: &str, german: &str) {
        self.bad_at(place, None, None, english, german);
    }

    /// Something does not, at a byte and a record.
    pub fn bad_at(
        &mut self,
        place: &str,
        byte: Option<u64>,
        record: Option<u64>,
        english: &str,
        german: &str,
    ) {
        let (place, english, german) = (place.into(), english.into(), german.into());
        self.bad.push(Bad { place, english, german, byte, record });
    }

    /// Something does.
    pub fn good(&mut self, name: &'static str, value: Value, english: String, german: String) {
        self.good.push((name, value, english, german));
    }

    /// A witness cosigned at this time, in seconds since 1970.
    pub fn cosigned(&mut self, witness: &Key, seconds: u64) {
        let one = (witness.name.clone(), seconds);
        if !self.cosigned.contains(&one) {
            self.cosigned.push(one);
        }
    }

    /// Prints it.
    pub fn print(&self, json: bool, german: bool) {
        let mut out = std::io::stdout().lock();
        // A reader that has gone is no reason to give another exit code.
        let _ = if json {
            writeln!(out, "{}", escaped(&self.json()))
        } else {
            self.text(&mut out, german)
        };
    }

    fn json(&self) -> Value {
        let mut value = json!({ "holds": self.holds() });
        for (name, found, ..) in &self.good {
            match value.get_mut(*name) {
                Some(Value::Array(all)) => all.push(found.clone()),
                Some(first) => *first = json!([first.clone(), found]),
                None => value[*name] = found.clone(),
            }
        }
        value["cosigned"] = self
            .cosigned
            .iter()
            .map(|(witness, seconds)| json!({ "witness": witness, "time": seconds }))
            .collect();
        value["findings"] = self
            .bad
            .iter()
            .map(|bad| {
                json!({
                    "place": bad.place, "byte": bad.byte, "record": bad.record,
                    "english": bad.english, "german": bad.german,
                })
            })
            .collect();
        value
    }

    fn text(&self, out: &mut impl Write, german: bool) -> std::io::Result<()> {
        for (.., english, deutsch) in &self.good {
            writeln!(out, "✓ {}", clean(if german { deutsch } else { english }))?;
        }
        for (witness, seconds) in &self.cosigned {
            let witness = clean(witness);
            match german {
                true => writeln!(out, "✓ mitsigniert von {witness}, {seconds} s nach 1970")?,
                false => writeln!(out, "✓ cosigned by {witness}, {seconds} s after 1970")?,
            }
        }
        for bad in &self.bad {
            let mut place = clean(&bad.place);
            if let Some(byte) = bad.byte {
                place.push_str(&format!(", {} {byte}", if german { "Byte" } else { "byte" }));
            }
            if let Some(record) = bad.record {
                place.push_str(&format!(
                    ", {} #{record}",
                    if german { "Eintrag" } else { "record" }
                ));
            }
            writeln!(out, "✗ {place}: {}", clean(if german { &bad.german } else { &bad.english }))?;
        }
        match (self.holds(), german) {
            (true, false) => writeln!(out, "It holds."),
            (true, true) => writeln!(out, "Es gilt."),
            (false, false) => writeln!(out, "It does NOT hold."),
            (false, true) => writeln!(out, "Es gilt NICHT."),
        }
    }
}

/// `1 record`, `2 records`: how many, and the word that goes with it.
pub fn counted(many: u64, one: &str, more: &str) -> String {
    format!("{many} {}", if many == 1 { one } else { more })
}

/// Text from outside shall not steer a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '·' } else { c }).collect()
}

/// Control characters, separators of lines, and what turns the direction of writing.
fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control()
}

/// JSON that steers no terminal: what would stands only in strings, where an escape says the same.
fn escaped(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match steers(c) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
    }
    out
}

/// Why nothing could be checked.
#[derive(Debug)]
pub struct Unchecked {
    english: String,
    german: String,
}

impl Unchecked {
    /// In both languages.
    pub fn new(english: impl Into<String>, german: impl Into<String>) -> Self {
        Self { english: english.into(), german: german.into() }
    }

    /// A file that cannot be read.
    pub fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Self {
        let path = path.display();
        Self::new(
            format!("{path} cannot be read: {error}"),
            format!("{path} ist nicht lesbar: {error}"),
        )
    }

    /// Prints it.
    pub fn print(&self, json: bool, german: bool) {
        let mut error = std::io::stderr().lock();
        let text = if german { &self.german } else { &self.english };
        let _ = if json {
            let value = json!({ "holds": null, "english": self.english, "german": self.german });
            writeln!(std::io::stdout(), "{}", escaped(&value))
        } else {
            writeln!(error, "switchbook-verify: {}", clean(text))
        };
    }
}

/// Does the environment ask for German, as for other programs (`LC_ALL`, `LC_MESSAGES`, `LANG`)?
pub fn german_environment() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set);
    locale.is_some_and(|locale| locale.starts_with("de"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_is_one_and_none_are_many() {
        let told = [0, 1, 2].map(|many| super::counted(many, "seal", "seals"));
        assert_eq!(told, ["0 seals", "1 seal", "2 seals"]);
    }

    #[test]
    fn what_a_bundle_says_steers_no_terminal() {
        assert_eq!(super::clean("a\u{1b}[2J\u{202e}b\u{2066}\nc"), "a·[2J·b··c");
    }
}
