//! A book held against checkpoints that were kept outside, as whoever restored it wants to know.

use super::EvidenceError;
use switchbook_journal::SegmentReader;
use switchbook_journal::note::{Chain, SignedNote, Verifier};

/// How a book stands to checkpoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Its first records are those that were sealed, so many.
    pub sealed: u64,
    /// The newest checkpoint seals so many.
    pub newest: u64,
}

/// Compares a book with every checkpoint that covers no more than its records; the keys are those of the book as they
/// were kept outside, and those that they handed over to. Reads all records.
///
/// # Errors
/// A checkpoint of another book, or signed by nobody trusted; records that are not those that were sealed;
/// [`EvidenceError::Shorter`] when every checkpoint covers more.
pub fn held(
    reader: &SegmentReader,
    mut notes: Vec<SignedNote>,
    keys: Vec<Verifier>,
) -> Result<Held, EvidenceError> {
    let book = reader.book().map(|book| book.to_string()).unwrap_or_default();
    let (mut chain, mut tree) = (Chain::of(keys), reader.tree(None, &mut |_| true)?);
    // Keys are followed from the oldest checkpoint to the newest.
    notes.sort_by_key(|note| note.checkpoint().map_or(0, |checkpoint| checkpoint.size));
    let mut held = Held { sealed: 0, newest: 0 };
    for note in &notes {
        let checkpoint = note.checkpoint()?;
        let (origin, size) = (&checkpoint.origin, checkpoint.size);
        if origin.rsplit('/').next() != Some(&book) {
            return Err(EvidenceError::Foreign { found: origin.clone(), expected: book });
        }
        if !chain.accepts(note) {
            return Err(EvidenceError::NotTrusted { size });
        }
        held.newest = size;
        if size <= reader.tail().0 {
            if tree.root(size)? != Some(checkpoint.root) {
                return Err(EvidenceError::AnotherBook { size });
            }
            held.sealed = size;
        }
    }
    if held.sealed == 0 {
        let (sealed, there) = (held.newest, reader.tail().0);
        return Err(EvidenceError::Shorter { sealed, there });
    }
    Ok(held)
}
