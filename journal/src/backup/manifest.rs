//! What a backup consists of: one line of JSON, and below it the SHA-256 of that line in hexadecimal.

use super::BackupError;
use crate::segment::{self, watermark};
use crate::version::{self, Version};
use crate::{leases, vault};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use switchbook_core::id::BookId;
use switchbook_core::position::{Moment, Position};

/// The file's name. It is written last: a backup without it was not finished.
pub const MANIFEST: &str = "manifest";
/// The newest format this Switchbook writes and reads.
const FORMAT: u16 = 1;

/// What a backup consists of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Its format.
    pub format: u16,
    /// Whose.
    pub book: BookId,
    /// The last record in it.
    pub position: Position,
    /// Root of the Merkle tree over its records, in hexadecimal. A restore point has none: it is the folder as it lay
    /// there, and nothing of it was read.
    pub root: Option<String>,
    /// When it was made.
    pub made_at: Option<Moment>,
    /// By which Switchbook.
    pub version: Version,
    /// So many keys were destroyed when it was made.
    pub erased_keys: usize,
    /// Its files, in the order they are restored in.
    pub files: Vec<FileSum>,
}

/// One file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileSum {
    /// Its name in the book's folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Is this a file that a backup may consist of? Nothing else is ever written by a restore, whatever a manifest says.
pub(super) fn is_ours(name: &str) -> bool {
    [vault::NAME, leases::NAME, watermark::NAME, version::NAME].contains(&name)
        || name.strip_prefix("segments/").is_some_and(|name| segment::first_of(name).is_some())
}

/// The file by which a folder is a book.
pub(super) fn first_segment() -> String {
    format!("segments/{}", segment::file_name(Position(1)))
}

impl Manifest {
    pub(super) const FORMAT: u16 = FORMAT;

    pub(super) fn encode(&self) -> Result<Vec<u8>, BackupError> {
        let line = serde_json::to_string(self)
            .map_err(|error| BackupError::io("writing the manifest")(error.into()))?;
        let sum = hex(&Sha256::digest(line.as_bytes()));
        Ok(format!("{line}\n{sum}\n").into_bytes())
    }

    pub(super) fn decode(place: &Path, bytes: Option<Vec<u8>>) -> Result<Self, BackupError> {
        let bytes = bytes.ok_or_else(|| BackupError::NoManifest(place.to_path_buf()))?;
        let bad = |what: &str| BackupError::damaged(MANIFEST, what);
        let text = String::from_utf8(bytes).map_err(|_| bad("it is no text"))?;
        let (line, rest) = text.split_once('\n').ok_or_else(|| bad("it is cut off"))?;
        if rest.trim_end() != hex(&Sha256::digest(line.as_bytes())) {
            return Err(bad("its checksum is wrong"));
        }
        #[derive(Deserialize)]
        struct Format {
            format: u16,
        }
        let Format { format: found } =
            serde_json::from_str(line).map_err(|_| bad("it tells no format"))?;
        if found > FORMAT {
            return Err(BackupError::Newer { found, known: FORMAT });
        }
        let manifest: Self = serde_json::from_str(line)
            .map_err(|error| bad(&format!("it says nothing: {error}")))?;
        let mut names = BTreeSet::new();
        for FileSum { name, .. } in &manifest.files {
            if !is_ours(name) {
                return Err(BackupError::damaged(name, "this is no file of a book"));
            }
            if !names.insert(name) {
                return Err(BackupError::damaged(name, "the manifest names it twice"));
            }
        }
        Ok(manifest)
    }

    /// Does it name whatever a book cannot be without? Segments behind the first are missed when the records are read.
    pub(super) fn check_complete(&self) -> Result<(), BackupError> {
        let first = first_segment();
        // A restore point is the folder as it lay there, in which some of these may be lost.
        let names: &[&str] = match self.root {
            Some(_) => &[vault::NAME, &first, watermark::NAME, leases::NAME, version::NAME],
            None => &[vault::NAME, &first],
        };
        let named = |name: &str| self.files.iter().any(|file| file.name == name);
        match names.iter().find(|name| !named(name)) {
            Some(name) => Err(BackupError::damaged(name, "the manifest does not name it")),
            None => Ok(()),
        }
    }
}
