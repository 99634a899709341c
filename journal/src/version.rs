//! Which Switchbook wrote a book last. Kept in a small file of its own, so that an older one refuses a newer one's book
//! before it touches anything, and a newer one makes a restore point first (X-10, B-1).

use crate::files::{Files, read_first, replace};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

pub(crate) const NAME: &str = "written-by";

/// A version of Switchbook. One that differs in the last number only reads and writes the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Version {
    /// Changed by what breaks.
    pub major: u32,
    /// Changed by what an older one cannot read.
    pub minor: u32,
    /// Changed by everything else.
    pub patch: u32,
}

impl Version {
    /// This Switchbook.
    ///
    /// # Panics
    /// Never: the package's version is three numbers.
    #[must_use]
    pub fn this() -> Self {
        env!("CARGO_PKG_VERSION").parse().unwrap_or(Self { major: 0, minor: 0, patch: 0 })
    }

    /// Can this one read and write what `other` wrote?
    #[must_use]
    pub fn understands(self, other: Self) -> bool {
        (self.major, self.minor) >= (other.major, other.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A text that is no version.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no version")]
pub struct NotAVersion(String);

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let read = || {
            let mut parts = text.split('.').map(|part| part.parse().ok());
            let version =
                Self { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
            parts.next().is_none().then_some(version)
        };
        read().ok_or_else(|| NotAVersion(text.into()))
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl TryFrom<String> for Version {
    type Error = NotAVersion;

    fn try_from(text: String) -> Result<Self, NotAVersion> {
        text.parse()
    }
}

/// No version is longer.
const LONGEST: u64 = 256;

/// Who wrote the book last; `None` when nothing tells.
pub(crate) fn read(files: &dyn Files, book: &Path) -> io::Result<Option<Version>> {
    let bytes = read_first(files, &book.join(NAME), LONGEST)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().unwrap_or_default();
    Ok(line.strip_prefix("switchbook ").and_then(|version| version.trim().parse().ok()))
}

/// What the file holds.
pub(crate) fn text(version: Version) -> Vec<u8> {
    format!("switchbook {version}\n").into_bytes()
}

pub(crate) fn write(files: &dyn Files, book: &Path, version: Version) -> io::Result<()> {
    replace(files, book, NAME, &text(version)).map(drop)
}
