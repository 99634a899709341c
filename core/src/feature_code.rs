//! Feature codes: what a phone dials to be logged in, to be left alone, to be forwarded. The whole code comes in one
//! INVITE; nothing is prompted for.

use crate::number::Number;
use std::fmt;

/// A PIN on its way to the check. It shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(String);

impl Pin {
    /// The digits, for the check alone.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// A code as dialled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FeatureCode {
    /// `*44*EXTENSION*PIN`: log in at this phone (W-1's code, with the separators a keypad has).
    LogIn {
        /// One of the user's numbers.
        extension: Number,
        /// His PIN.
        pin: Pin,
    },
    /// `*44`: log out at this phone (RO-3).
    LogOut,
    /// `*78`: do not disturb on.
    DoNotDisturbOn,
    /// `*79`: do not disturb off.
    DoNotDisturbOff,
    /// `*72*N`: the N-th forwarding profile of the user on, for the number in use.
    ProfileOn {
        /// Counted from 1 in the order the profiles were made.
        profile: u8,
    },
    /// `*73`: no forwarding profile for the number in use.
    ProfileOff,
    /// Begins with `*` and means nothing.
    Unknown,
}

impl FeatureCode {
    /// Reads what was dialled; `None` when it is no code but a number.
    #[must_use]
    pub fn parse(dialled: &str) -> Option<Self> {
        let mut parts = dialled.strip_prefix('*')?.trim_end_matches('#').split('*');
        let (code, one, two, more) = (parts.next(), parts.next(), parts.next(), parts.next());
        if more.is_some() {
            return Some(Self::Unknown);
        }
        Some(match (code.unwrap_or_default(), one, two) {
            ("44", None, None) => Self::LogOut,
            ("44", Some(extension), Some(pin)) => match extension.parse() {
                Ok(extension) => Self::LogIn { extension, pin: Pin(pin.into()) },
                Err(_) => Self::Unknown,
            },
            ("78", None, None) => Self::DoNotDisturbOn,
            ("79", None, None) => Self::DoNotDisturbOff,
            ("72", Some(profile), None) => match profile.parse() {
                Ok(profile) if profile > 0 => Self::ProfileOn { profile },
                _ => Self::Unknown,
            },
            ("73", None, None) => Self::ProfileOff,
            _ => Self::Unknown,
        })
    }

    /// The code without what is nobody's business: for logs and call records.
    #[must_use]
    pub const fn masked(&self) -> &'static str {
        match self {
            Self::LogIn { .. } => "*44*…*…",
            Self::LogOut => "*44",
            Self::DoNotDisturbOn => "*78",
            Self::DoNotDisturbOff => "*79",
            Self::ProfileOn { .. } => "*72*…",
            Self::ProfileOff => "*73",
            Self::Unknown => "*…",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_whole() {
        let code = FeatureCode::parse("*44*416*4711").unwrap();
        assert_eq!(
            code,
            FeatureCode::LogIn { extension: "416".parse().unwrap(), pin: Pin("4711".into()) }
        );
        assert_eq!(FeatureCode::parse("*44"), Some(FeatureCode::LogOut));
        assert_eq!(FeatureCode::parse("*44#"), Some(FeatureCode::LogOut));
        assert_eq!(FeatureCode::parse("*72*2"), Some(FeatureCode::ProfileOn { profile: 2 }));
        assert_eq!(FeatureCode::parse("*72*0"), Some(FeatureCode::Unknown));
        assert_eq!(FeatureCode::parse("*44*416"), Some(FeatureCode::Unknown));
        assert_eq!(FeatureCode::parse("*1*2*3*4"), Some(FeatureCode::Unknown));
        assert_eq!(FeatureCode::parse("416"), None);
    }

    #[test]
    fn a_pin_shows_itself_to_nobody() {
        let code = FeatureCode::parse("*44*416*4711").unwrap();
        assert!(!format!("{code:?} {}", code.masked()).contains("4711"));
    }
}
