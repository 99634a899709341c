//! Which keys are trusted, from one that was given to those that it handed over to.

use super::{Checkpoint, SignedNote, Verifier};

/// Keys of a book that are trusted, each from one size of the book to another: those that were given, and those that they
/// handed over to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chain(Vec<Link>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Link {
    key: Verifier,
    from: u64,
    until: u64,
    /// The one that it handed over to.
    next: Option<Verifier>,
}

impl Chain {
    /// From keys that are trusted for the whole book.
    #[must_use]
    pub fn of(keys: impl IntoIterator<Item = Verifier>) -> Self {
        Self(
            keys.into_iter()
                .map(|key| Link { key, from: 0, until: u64::MAX, next: None })
                .collect(),
        )
    }

    /// Is it signed with a key that is trusted for its size? If it hands over to another key, that one is trusted from
    /// here on, and the former one no further. A key hands over once: whoever took it cannot do so again, to a key of his.
    /// Hand notes over from the oldest to the newest.
    pub fn accepts(&mut self, note: &SignedNote) -> bool {
        let Ok(Checkpoint { origin, size, .. }) = note.checkpoint() else { return false };
        let next = note.next_key();
        let signs = |link: &Link| {
            let again = next.as_ref().is_some_and(|next| {
                *next != link.key && link.next.as_ref().is_some_and(|first| first != next)
            });
            // A book's key bears its name.
            let counts = (link.from..=link.until).contains(&size) && origin == link.key.name();
            counts && !again && note.verify(&link.key).is_ok()
        };
        if !self.0.iter().any(signs) {
            return false;
        }
        if let Some(next) = &next {
            for link in &mut self.0 {
                if link.key != *next && link.next.is_none() && signs(link) {
                    (link.until, link.next) = (size, Some(next.clone()));
                }
            }
            if self.0.iter().all(|link| link.key != *next) {
                self.0.push(Link { key: next.clone(), from: size, until: u64::MAX, next: None });
            }
        }
        true
    }

    /// The key that is trusted for what comes.
    #[must_use]
    pub fn current(&self) -> Option<&Verifier> {
        self.0.iter().rev().find(|link| link.until == u64::MAX).map(|link| &link.key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KeyKind, Signer};
    use super::*;

    #[test]
    fn a_key_hands_over_to_the_next_and_signs_nothing_longer_from_then_on() {
        let signer = |seed: u8| Signer::new("pbx.test/b", KeyKind::Log, &[seed; 32]).unwrap();
        let (one, two, three) = (signer(1), signer(2), signer(3));
        let at = |size: u64| Checkpoint { origin: "pbx.test/b".into(), size, root: [7; 32] };
        let handed = SignedNote::hand_over(&at(20), &one, &two);
        assert_eq!(handed.next_key(), Some(two.verifier()));
        assert_eq!(handed.to_string().parse::<SignedNote>().unwrap(), handed);
        let mut chain = Chain::of([one.verifier()]);
        assert!(!chain.accepts(&SignedNote::sign(&at(30), &two)), "nobody has said so yet");
        assert!(chain.accepts(&SignedNote::sign(&at(10), &one)) && chain.accepts(&handed));
        assert_eq!(chain.current(), Some(&two.verifier()));
        assert!(chain.accepts(&SignedNote::sign(&at(30), &two)));
        assert!(!chain.accepts(&SignedNote::sign(&at(30), &one)), "it has handed over at 20");
        assert!(!chain.accepts(&SignedNote::sign(&at(10), &two)), "it was not there yet");
        assert!(chain.accepts(&SignedNote::hand_over(&at(40), &two, &three)));
        for size in [10, 20, 50] {
            let again = SignedNote::hand_over(&at(size), &one, &signer(9));
            assert!(!chain.accepts(&again), "a key hands over once, at {size} not again");
        }
        assert!(chain.accepts(&handed), "the same one is no second one");
        assert!(!chain.accepts(&SignedNote::sign(&at(60), &signer(9))));
        assert!(chain.accepts(&SignedNote::sign(&at(60), &three)));
    }

    #[test]
    fn nobody_hands_over_to_a_key_that_did_not_sign_or_in_words_that_were_not_signed() {
        let signer = |seed: u8| Signer::new("pbx.test/b", KeyKind::Log, &[seed; 32]).unwrap();
        let (one, two, thief) = (signer(1), signer(2), signer(9));
        let at = Checkpoint { origin: "pbx.test/b".into(), size: 20, root: [7; 32] };
        let handed = SignedNote::hand_over(&at, &one, &two).to_string();
        // Another name in the text breaks the former key's signature.
        let other = thief.verifier().to_string();
        let turned: SignedNote =
            handed.replace(&two.verifier().to_string(), &other).parse().unwrap();
        assert!(turned.next_key().is_none() && !Chain::of([one.verifier()]).accepts(&turned));
        // A signature below a checkpoint that names no next key hands over nothing.
        let mut plain = SignedNote::sign(&at, &one);
        plain.signatures.extend(SignedNote::sign(&at, &thief).signatures);
        let mut chain = Chain::of([one.verifier()]);
        assert!(chain.accepts(&plain));
        assert_eq!(chain.current(), Some(&one.verifier()));
        // Without the next key's own signature neither.
        let mut unsigned = SignedNote::hand_over(&at, &one, &two);
        unsigned.signatures.pop();
        assert!(chain.accepts(&unsigned));
        assert_eq!(chain.current(), Some(&one.verifier()));
    }
}
