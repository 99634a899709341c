//! Numbers of outside parties: a plain prefix for statistics and rules, the rest personal (architecture.md, way 7).

use crate::event::personal_fields;
use crate::personal::{KeyId, Personal};
use serde::{Deserialize, Serialize};
use std::fmt;

/// At most so many leading characters stay plain: country and area, as in `+49891`.
const MOST_PLAIN: usize = 6;
/// At least so many at the end are sealed: no prefix tells one subscriber from a thousand others.
const LEAST_SEALED: usize = 5;

/// A number outside the exchange, as dialled or as the network gave it. Once its period's key is destroyed, only the
/// prefix is left.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutsideNumber {
    /// Leading digits in the clear, 0 to 6, a `+` counted.
    pub prefix: String,
    /// The rest.
    pub rest: Personal,
}

impl OutsideNumber {
    /// Splits a number. A text that is no number (anything but digits behind an optional `+`) is sealed whole.
    #[must_use]
    pub fn new(key: KeyId, text: &str) -> Self {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let plain = match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.len().saturating_sub(LEAST_SEALED).min(MOST_PLAIN),
            false => 0,
        };
        let (prefix, rest) = text.split_at(plain);
        Self { prefix: prefix.into(), rest: Personal::new(key, rest) }
    }

    /// The whole number, if the rest can still be read.
    #[must_use]
    pub fn known(&self) -> Option<String> {
        self.rest.known().map(|rest| format!("{}{rest}", self.prefix))
    }
}

/// The number, or its prefix and a word for what is gone.
impl fmt::Display for OutsideNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.prefix, self.rest)
    }
}

personal_fields!(OutsideNumber: rest);

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (String, Option<String>) {
        let number = OutsideNumber::new(KeyId::Period(202_611), text);
        (number.prefix.clone(), number.rest.known().map(ToOwned::to_owned))
    }

    #[test]
    fn country_and_area_stay_plain_and_never_the_last_five_digits() {
        let expect = |prefix: &str, rest: &str| (prefix.to_owned(), Some(rest.to_owned()));
        assert_eq!(split("+498912345678"), expect("+49891", "2345678"));
        assert_eq!(split("+4930555"), expect("+49", "30555"));
        assert_eq!(split("0301234567"), expect("03012", "34567"));
        assert_eq!(split("110"), expect("", "110"));
        assert_eq!(split(""), expect("", ""));
        assert_eq!(split("anonymous"), expect("", "anonymous"));
        assert_eq!(split("\u{663}\u{664}123456789"), expect("", "\u{663}\u{664}123456789"));
    }

    #[test]
    fn when_the_key_is_gone_the_prefix_is_left() {
        let mut number = OutsideNumber::new(KeyId::Period(202_611), "+498912345678");
        assert_eq!(number.known().as_deref(), Some("+498912345678"));
        number.rest.seal_with(|_, _| vec![1]);
        number.rest.open_with(|_, _| None);
        assert_eq!(number.known(), None);
        assert_eq!(number.to_string(), "+49891[erased]");
    }
}
