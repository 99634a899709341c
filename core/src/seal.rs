//! Seals: who closed the book up to where, under which key, so that nothing before can be changed unseen.

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal};
use crate::exchange::Exchange;
use crate::fact::Fact;
use crate::position::Position;
use crate::user::SecretRef;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The root of the Merkle tree over a beginning of the book (RFC 9162 §2.1.1): SHA-256, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Root(pub [u8; 32]);

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({self})")
    }
}

/// What is known of sealing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Seals {
    /// The key that signs; none before the first seal.
    pub key: Option<Fact<SealingKey>>,
    /// The newest seal.
    pub last: Option<Fact<Seal>>,
}

/// A key that signs checkpoints. Its private half is in the vault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SealingKey {
    /// Where the private half is.
    pub secret: SecretRef,
    /// The public half as a verifier key of C2SP signed-note: `name+hash+base64`.
    pub verifier: String,
}

/// A beginning of the book, sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seal {
    /// So many records, from the first.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Root,
}

/// A key for seals was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SealingKeyMade {
    /// Where the private half is.
    pub secret: SecretRef,
    /// The public half as a verifier key of C2SP signed-note.
    pub verifier: String,
}

/// The book was sealed up to a place. The seal itself stands behind that place, and is covered by the next one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BookSealed {
    /// So many records, from the first.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Root,
    /// The event that made the key it is signed with; of one that hands over to a new key, the former key's.
    pub key: Position,
    /// The signed checkpoint as it left (C2SP tlog-checkpoint): it can be handed out again from the book.
    pub checkpoint: String,
}

nothing_personal!(SealingKeyMade, BookSealed);

impl Evolve for SealingKeyMade {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let key = SealingKey { secret: self.secret, verifier: self.verifier.clone() };
        Arc::make_mut(&mut exchange.seals).key = Some(Fact::new(key, envelope.position));
    }
}

impl Evolve for BookSealed {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let seal = Seal { size: self.size, root: self.root };
        Arc::make_mut(&mut exchange.seals).last = Some(Fact::new(seal, envelope.position));
    }
}
