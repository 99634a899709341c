//! `audit prove`: that an event stands in a sealed book; that one sealed book is the beginning of another.

use super::{EvidenceError, Sealed, base64, hashes};
use serde::Serialize;
use std::path::Path;
use switchbook_core::position::Position;
use switchbook_core::user::Language;
use switchbook_journal::merkle::Hash;
use switchbook_journal::note::{Checkpoint, SignedNote};
use switchbook_journal::proof::{root_of_inclusion, roots_of_consistency};
use switchbook_journal::{SegmentReader, Tree};
use switchbook_projections::text;
use switchbook_projections::text::{Text, counted};

/// A proof as it is handed out (docs/evidence.md).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Proof {
    /// Version of this form.
    pub switchbook_proof: u8,
    /// What is proved.
    #[serde(flatten)]
    pub proved: Proved,
    /// Hashes, lowest first, base64.
    pub path: Vec<String>,
    /// The public key of the book's own seals.
    pub key: String,
    /// The checkpoints with which its keys handed over, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hand_overs: Vec<String>,
}

/// What a proof proves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Proved {
    /// A record stands in a sealed book (RFC 9162 §2.1.3).
    Inclusion {
        /// Its position, from 1; its index in the tree is one less.
        position: Position,
        /// Its bytes, base64: the leaf hash covers them.
        body: String,
        /// The signed checkpoint.
        checkpoint: String,
    },
    /// A sealed book is the beginning of another (RFC 9162 §2.1.4).
    Consistency {
        /// The shorter one.
        older: String,
        /// The longer one.
        newer: String,
    },
}

/// Proves from the segments, and checks every proof against the checkpoint before it is given.
pub struct Prover<'a> {
    reader: &'a SegmentReader,
    tree: Tree<'a>,
    /// The newest seal of the book.
    pub sealed: Sealed,
    /// The checkpoints with which its keys handed over, oldest first.
    pub(super) hand_overs: Vec<SignedNote>,
}

impl<'a> Prover<'a> {
    /// Opens the tree, with the cache in the book's folder. `told` hears how many records had to be read, and says
    /// whether to go on.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn open(
        reader: &'a SegmentReader,
        folder: &Path,
        told: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Self, EvidenceError> {
        let sealed = super::sealed(reader, Position(u64::MAX))?;
        let mut tree = reader.tree(Some(folder), told)?;
        let right = tree.root(sealed.checkpoint.size)? == Some(sealed.checkpoint.root);
        // The cache may be wrong; the records are asked before anybody is accused.
        let tree = if right { tree } else { reader.tree(None, told)? };
        let hand_overs = super::hand_overs(reader, Position(u64::MAX))?;
        Ok(Self { reader, tree, sealed, hand_overs })
    }

    /// Is a checkpoint one of this book?
    ///
    /// # Errors
    /// [`EvidenceError::Foreign`], [`EvidenceError::Shorter`], [`EvidenceError::AnotherBook`].
    pub fn check(&mut self, checkpoint: &Checkpoint) -> Result<(), EvidenceError> {
        let (found, expected) = (&checkpoint.origin, &self.sealed.checkpoint.origin);
        if found != expected {
            let (found, expected) = (found.clone(), expected.clone());
            return Err(EvidenceError::Foreign { found, expected });
        }
        let (sealed, there) = (checkpoint.size, self.reader.tail().0);
        match self.tree.root(sealed)? {
            None if sealed > there => Err(EvidenceError::Shorter { sealed, there }),
            Some(root) if root == checkpoint.root => Ok(()),
            _ => Err(EvidenceError::AnotherBook { size: sealed }),
        }
    }

    /// The path of a record in the tree of a checkpoint that was [checked](Self::check).
    pub(super) fn path(
        &mut self,
        position: Position,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<Hash>, EvidenceError> {
        let Checkpoint { size, root, .. } = checkpoint;
        let unsealed = || EvidenceError::NotSealed { position, sealed: *size };
        let path = self.tree.inclusion(position, *size)?.ok_or_else(unsealed)?;
        let leaf = self.tree.leaf(position)?.ok_or_else(unsealed)?;
        if root_of_inclusion(&leaf, position.0 - 1, *size, &path) != Some(*root) {
            return Err(EvidenceError::AnotherBook { size: *size });
        }
        Ok(path)
    }

    /// The path between two checkpoints that were [checked](Self::check).
    pub(super) fn between(
        &mut self,
        older: &Checkpoint,
        newer: &Checkpoint,
    ) -> Result<Vec<Hash>, EvidenceError> {
        let wrong = || EvidenceError::WrongOrder { older: older.size, newer: newer.size };
        let path = self.tree.consistency(older.size, newer.size)?.ok_or_else(wrong)?;
        let roots = roots_of_consistency(older.size, newer.size, &older.root, &path);
        if roots != Some((older.root, newer.root)) {
            return Err(EvidenceError::AnotherBook { size: newer.size });
        }
        Ok(path)
    }

    /// That the event at `position` stands in the book that `against` seals; against the book's newest seal when none
    /// is given.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn inclusion(
        &mut self,
        position: Position,
        against: Option<&SignedNote>,
    ) -> Result<Proof, EvidenceError> {
        let note = against.unwrap_or(&self.sealed.note).clone();
        let checkpoint = note.checkpoint()?;
        self.check(&checkpoint)?;
        let path = self.path(position, &checkpoint)?;
        let unsealed = EvidenceError::NotSealed { position, sealed: checkpoint.size };
        let record = self.reader.stored(position).next().transpose()?.ok_or(unsealed)?;
        let (body, checkpoint) = (base64(&record.body), note.to_string());
        Ok(self.proof(Proved::Inclusion { position, body, checkpoint }, &path))
    }

    /// That the book which `older` seals is the beginning of the one which `newer` seals.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn consistency(
        &mut self,
        older: &SignedNote,
        newer: &SignedNote,
    ) -> Result<Proof, EvidenceError> {
        let (first, second) = (older.checkpoint()?, newer.checkpoint()?);
        self.check(&first)?;
        self.check(&second)?;
        let path = self.between(&first, &second)?;
        let (older, newer) = (older.to_string(), newer.to_string());
        Ok(self.proof(Proved::Consistency { older, newer }, &path))
    }

    fn proof(&self, proved: Proved, path: &[Hash]) -> Proof {
        Proof {
            switchbook_proof: 1,
            proved,
            path: hashes(path),
            key: self.sealed.key.to_string(),
            hand_overs: self.hand_overs.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Proof {
    /// For people.
    #[must_use]
    pub fn lines(&self, language: Language) -> Vec<String> {
        let hashes = counted(self.path.len(), "hash shows it", "hashes show it");
        let hashwerte = counted(self.path.len(), "Hashwert zeigt es", "Hashwerte zeigen es");
        let size = |note: &str| note.lines().nth(1).unwrap_or_default().to_owned();
        let head: Text = match &self.proved {
            Proved::Inclusion { position, checkpoint, .. } => {
                let size = size(checkpoint);
                text!(
                    "{position} stands in the book of {size} records that was sealed; {hashes}",
                    "{position} steht in dem versiegelten Buch von {size} Einträgen; {hashwerte}"
                )
            }
            Proved::Consistency { older, newer } => {
                let (older, newer) = (size(older), size(newer));
                text!(
                    "the sealed book of {older} records is the beginning of the one of {newer}; {hashes}",
                    "das versiegelte Buch von {older} Einträgen ist der Anfang dessen von {newer}; {hashwerte}"
                )
            }
        };
        let key = &self.key;
        let below = text!(
            "Signed with {key}. With --json, this is checked by `switchbook-verify proof` on any machine.",
            "Signiert mit {key}. Mit --json prüft es `switchbook-verify proof` auf jedem Rechner."
        );
        let checkpoint = match &self.proved {
            Proved::Inclusion { checkpoint, .. } => checkpoint,
            Proved::Consistency { newer, .. } => newer,
        };
        let mut lines = vec![head.read(language).to_owned(), String::new()];
        lines.extend(checkpoint.lines().map(|line| format!("  {line}")));
        lines.extend([String::new(), below.read(language).to_owned()]);
        lines
    }
}
