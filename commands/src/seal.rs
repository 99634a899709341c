//! Sealing the book. Who holds the tree and the key signs outside; the decision says who did it and what follows.

use crate::command::Decide;
use crate::draft::Draft;
use crate::refusal::{Refusal, RefusalCode};
use switchbook_core::position::Position;
use switchbook_core::seal::{BookSealed, Root, SealingKeyMade};
use switchbook_core::user::SecretRef;

/// A beginning of the book was signed, and the signature is about to leave. It is recorded before it does.
#[derive(Clone, Debug)]
pub struct Seal {
    /// So many records, from the first.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Root,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The key, when it was made for this seal: where its private half is, and the public one.
    pub new_key: Option<(SecretRef, String)>,
    /// The event that made the key before, when this checkpoint hands over from it to the new one.
    pub replaces: Option<Position>,
}

impl Decide for Seal {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        draft.settings()?;
        let (seals, end) = (&draft.exchange().seals, draft.exchange().position.0);
        let behind = seals.last.is_some_and(|last| last.value.size >= self.size);
        let overtaken = || Refusal::new(RefusalCode::SealOvertaken);
        if self.size == 0 || self.size > end || behind {
            return Err(overtaken());
        }
        let there = seals.key.as_ref().map(|key| key.at);
        let key = match (there, &self.new_key) {
            (Some(key), None) => key,
            // One that hands over names the key that did: from there the chain is followed.
            (former, Some((secret, verifier))) if former == self.replaces => {
                draft.tell(SealingKeyMade { secret: *secret, verifier: verifier.clone() });
                former.unwrap_or(draft.exchange().position)
            }
            _ => return Err(overtaken()),
        };
        let (size, root, checkpoint) = (self.size, self.root, self.checkpoint.clone());
        draft.tell_last(BookSealed { size, root, key, checkpoint });
        Ok(())
    }
}
