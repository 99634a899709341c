//! The form of what people type: names and texts.

use crate::refusal::{Refusal, RefusalCode};

/// U-2, and what references need: no slash, nothing that looks like an id.
pub(crate) fn check_username(name: &str) -> Result<(), Refusal> {
    let refuse = || Err(Refusal::new(RefusalCode::UsernameInvalid).with("username", name));
    let letter = |c: char| c.is_alphabetic() && c.is_lowercase();
    let fits = |c: char| letter(c) || c.is_ascii_digit() || ".-_".contains(c);
    let begins = name.chars().next().is_some_and(letter);
    let id = uuid::Uuid::try_parse(name).is_ok();
    if !begins || id || name.chars().count() > 64 || !name.chars().all(fits) {
        return refuse();
    }
    Ok(())
}

/// A text for people: not empty, at most 128 characters, nothing invisible. Spaces around it are dropped.
pub(crate) fn text<'t>(given: &'t str, field: &'static str) -> Result<&'t str, Refusal> {
    let text = given.trim();
    let refuse =
        |why| Err(Refusal::new(RefusalCode::ValueInvalid).with("field", field).with("why", why));
    if text.is_empty() {
        return refuse("it is empty");
    }
    if text.chars().count() > 128 {
        return refuse("it is longer than 128 characters");
    }
    // What turns the direction of writing makes one name look like another (Unicode TR 36 §2.5).
    let turns = |c: char| matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if text.chars().any(|c| c.is_control() || turns(c)) {
        return refuse("it holds control characters");
    }
    Ok(text)
}

/// A text that may be absent.
pub(crate) fn optional<'t>(
    given: &'t Option<String>,
    field: &'static str,
) -> Result<Option<&'t String>, Refusal> {
    match given {
        Some(value) => text(value, field).map(|_| Some(value)),
        None => Ok(None),
    }
}
