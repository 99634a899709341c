//! Sealing: the tree's root is signed, the signature recorded through the Desk, and then handed out.

mod outside;
mod times;

pub use outside::Place;
pub use times::{Times, time};

use crate::failure::{Failure, failed};
use outside::Waiting;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
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
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Seals the book, one seal at a time.
pub struct Sealer {
    desk: DeskHandle,
    store: Arc<Book>,
    turn: tokio::sync::Mutex<()>,
    /// Follows the seals, for whoever takes them outside.
    seals: watch::Sender<Option<Sealed>>,
    waiting: Arc<Waiting>,
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
        let (turn, seals) = (tokio::sync::Mutex::new(()), watch::Sender::new(None));
        Self { desk, store, turn, seals, waiting: Arc::new(Waiting::default()) }
    }

    /// Takes every seal to these places from now on.
    pub fn carry_to(&self, places: Vec<Place>) -> Vec<JoinHandle<()>> {
        let carry = |place| {
            let waiting = Arc::clone(&self.waiting);
            tokio::spawn(outside::carry(place, self.seals.subscribe(), waiting))
        };
        places.into_iter().map(carry).collect()
    }

    /// What waits to get out, a sentence each.
    pub fn notices(&self) -> Vec<String> {
        self.waiting.notices()
    }

    /// Seals at set times, until the process ends. A seal that says nothing new is left out.
    pub async fn run(&self, times: &Times) {
        loop {
            let exchange = self.desk.published();
            let zone = switchbook_projections::text::zone(&exchange.exchange);
            let now = self.desk.clock().now();
            let Some(next) = times.next(now, zone) else { return std::future::pending().await };
            let micros = u64::try_from(next.0.saturating_sub(now.0)).unwrap_or(0);
            tokio::time::sleep(Duration::from_micros(micros)).await;
            if !self.is_due() {
                continue;
            }
            match self.seal(Actor::System, None).await {
                Ok(sealed) => tracing::info!(at = %sealed.at, "the book was sealed"),
                Err(error) => {
                    tracing::warn!(%error, "the book could not be sealed; the next time comes")
                }
            }
        }
    }

    /// Was anything recorded since the newest seal, besides that seal itself?
    fn is_due(&self) -> bool {
        let published = self.desk.published();
        let last = published.exchange.seals.last;
        last.is_none_or(|last| last.at < published.position)
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
        let mut order = Order::new(CommandId(self.desk.clock().new_id()), actor, seal);
        order.on_behalf_of = on_behalf_of;
        let answer = self.desk.submit(order).await.map_err(NoSeal::Refused)?;
        let sealed = Sealed { at: answer.position, size, checkpoint, key };
        self.seals.send_replace(Some(sealed.clone()));
        Ok(sealed)
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
        let secret = SecretRef { id: SecretId(self.desk.clock().new_id()), version: 1 };
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
