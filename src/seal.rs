//! Sealing: the tree's root is signed, the signature recorded through the Desk, and then handed out.

use crate::failure::{Failure, failed};
use serde_json::{Value, json};
use std::sync::Arc;
use switchbook_commands::desk::{DeskError, DeskHandle};
use switchbook_commands::seal::Seal;
use switchbook_commands::{Order, Refusal, RefusalCode};
use switchbook_core::envelope::Actor;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{CommandId, SecretId, UserId};
use switchbook_core::position::Position;
use switchbook_core::seal::Root;
use switchbook_core::user::SecretRef;
use switchbook_journal::Book;
use switchbook_journal::note::{Checkpoint, KeyKind, SignedNote, Signer};

/// Seals the book, one seal at a time.
pub struct Sealer {
    desk: DeskHandle,
    store: Arc<Book>,
    turn: tokio::sync::Mutex<()>,
}

/// A seal that was recorded.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The event that says so.
    pub at: Position,
    /// So many records are sealed.
    pub size: u64,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The public key.
    pub key: String,
}

/// Why there is no seal.
#[derive(Debug)]
pub enum NoSeal {
    /// The Desk refused.
    Refused(DeskError),
    /// The key or the book is not as it must be.
    Failed(Failure),
}

impl std::fmt::Display for NoSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl From<Failure> for NoSeal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Sealer {
    /// For the book that this Desk writes.
    pub fn new(desk: DeskHandle, store: Arc<Book>) -> Self {
        Self { desk, store, turn: tokio::sync::Mutex::new(()) }
    }

    /// Seals everything that is durable now.
    pub async fn seal(&self, actor: Actor, on_behalf_of: Option<UserId>) -> Result<Sealed, NoSeal> {
        let _one_at_a_time = self.turn.lock().await;
        let published = self.desk.published();
        let tree = self.store.tree();
        let origin = origin(&published.exchange)?;
        let (signer, new_key) = self.signer(&published.exchange, &origin)?;
        let (size, root) = (tree.leaves(), tree.root());
        let note = SignedNote::sign(&Checkpoint { origin, size, root }, &signer);
        let (checkpoint, key) = (note.to_string(), signer.verifier().to_string());
        let new_key = new_key.map(|secret| (secret, key.clone()));
        let seal = Seal { size, root: Root(root), checkpoint: checkpoint.clone(), new_key };
        let mut order = Order::new(CommandId(uuid::Uuid::now_v7()), actor, seal);
        order.on_behalf_of = on_behalf_of;
        let answer = self.desk.submit(order).await.map_err(NoSeal::Refused)?;
        Ok(Sealed { at: answer.position, size, checkpoint, key })
    }

    /// The key of the book's seals; made and kept in the vault before anything names it.
    fn signer(
        &self,
        exchange: &Exchange,
        origin: &str,
    ) -> Result<(Signer, Option<SecretRef>), NoSeal> {
        let broken = |error| Failure::new(format!("the book cannot be sealed: {error}"));
        let of = |seed: &[u8; 32]| Signer::new(origin, KeyKind::Log, seed).map_err(broken);
        let secrets = self.desk.secrets();
        if let Some(key) = &exchange.seals.key {
            let kept = secrets.find(key.value.secret);
            let seed = kept.as_deref().and_then(|bytes| bytes.as_slice().try_into().ok());
            let seed = seed.ok_or_else(|| {
                Failure::new("the key for seals is not in the vault any more")
                    .advice("Restore the file `vault` from its backup.")
            })?;
            return Ok((of(seed)?, None));
        }
        let seed = Signer::fresh_seed().map_err(failed("no key for seals can be made"))?;
        let secret = SecretRef { id: SecretId(uuid::Uuid::new_v4()), version: 1 };
        let kept = secrets.keep(&[(secret, zeroizing(&seed[..]))]);
        kept.map_err(|_| NoSeal::Refused(Refusal::new(RefusalCode::SecretsUnavailable).into()))?;
        Ok((of(&seed)?, Some(secret)))
    }
}

fn zeroizing(bytes: &[u8]) -> zeroize::Zeroizing<Vec<u8>> {
    zeroize::Zeroizing::new(bytes.to_vec())
}

/// Which book it is, for all the world: realm and book id, written like an address.
fn origin(exchange: &Exchange) -> Result<String, Failure> {
    let settings = exchange.settings.as_ref();
    let settings = settings.ok_or_else(|| Failure::new("the book has not been founded yet"))?;
    Ok(format!("{}/{}", settings.realm.value, settings.book))
}

impl Sealed {
    /// For the command line.
    pub fn answer(&self) -> Value {
        json!({
            "position": self.at, "size": self.size, "checkpoint": self.checkpoint, "key": self.key,
        })
    }
}
