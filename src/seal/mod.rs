//! Sealing: the tree's root is signed, the signature recorded through the Desk, and then handed out.

mod list;
mod outside;
mod recorded;
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
    /// One seal at a time.
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
    /// The checkpoints that handed over to other keys before it, with their events: whoever missed one gets it first, since
    /// he could not follow otherwise.
    pub handed_over: Vec<(Position, String)>,
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
    /// For the book that this Desk writes. Its newest seal may not have got out before the server stopped, nor those
    /// that handed over: they are handed out from the book again.
    pub async fn open(desk: DeskHandle, store: Arc<Book>) -> Result<Self, Failure> {
        let newest = recorded::newest(&*store, &desk.published().exchange.seals).await?;
        let (turn, seals) = (tokio::sync::Mutex::default(), watch::Sender::new(newest));
        Ok(Self { desk, store, turn, seals, waiting: Arc::new(Waiting::default()) })
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
        self.seal_with(Keep::Key, actor, on_behalf_of).await
    }

    /// The same, and hands over to a new key, which signs from then on; the former one is destroyed.
    pub async fn rotate(
        &self,
        actor: Actor,
        on_behalf_of: Option<UserId>,
    ) -> Result<Sealed, NoSeal> {
        self.seal_with(Keep::Nothing, actor, on_behalf_of).await
    }

    async fn seal_with(
        &self,
        keep: Keep,
        actor: Actor,
        on_behalf_of: Option<UserId>,
    ) -> Result<Sealed, NoSeal> {
        let _turn = self.turn.lock().await;
        let published = self.desk.published();
        let tree = self.store.tree();
        let origin = origin(&published.exchange)?;
        // Before anything is recorded: what stands in the book is told, and gets out, whatever cannot be read.
        let handed_over = match &published.exchange.seals.key {
            Some(key) => recorded::hand_overs(&*self.store, key.at).await?,
            None => Vec::new(),
        };
        let (size, root) = (tree.leaves(), tree.root());
        let signed = Checkpoint { origin: origin.clone(), size, root };
        let former = self.former(&published.exchange, &origin)?;
        let (note, key, new_key, replaces) = match (former, keep) {
            (Some((signer, _)), Keep::Key) => {
                (SignedNote::sign(&signed, &signer), signer.verifier(), None, None)
            }
            (former, _) => {
                let (signer, secret) = self.fresh(&origin)?;
                let note = match &former {
                    Some((former, _)) => SignedNote::hand_over(&signed, former, &signer),
                    None => SignedNote::sign(&signed, &signer),
                };
                (note, signer.verifier(), Some(secret), former.map(|(_, at)| at))
            }
        };
        let (checkpoint, key) = (note.to_string(), key.to_string());
        let new_key = new_key.map(|secret| (secret, key.clone()));
        let (root, checkpoint_too) = (Root(root), checkpoint.clone());
        let seal = Seal { size, root, checkpoint: checkpoint_too, new_key, replaces };
        let mut order = Order::new(CommandId(self.desk.clock().new_id()), actor, seal);
        order.on_behalf_of = on_behalf_of;
        let answer = self.desk.submit(order).await.map_err(NoSeal::Refused)?;
        let sealed = Sealed { at: answer.position, size, checkpoint, key, handed_over };
        self.seals.send_replace(Some(sealed.clone()));
        Ok(sealed)
    }

    /// The key that signs, and the event that made it; none before the first seal.
    fn former(
        &self,
        exchange: &Exchange,
        origin: &str,
    ) -> Result<Option<(Signer, Position)>, NoSeal> {
        let Some(key) = &exchange.seals.key else { return Ok(None) };
        let kept = self.desk.secrets().find(key.value.secret);
        let seed = kept.as_deref().and_then(|bytes| bytes.as_slice().try_into().ok());
        let seed = seed.ok_or_else(|| {
            Failure::new("the key for seals is not in the vault any more")
                .advice("Restore the file `vault` from its backup.")
        })?;
        Ok(Some((signer(origin, seed)?, key.at)))
    }

    /// A new key, kept in the vault before anything names it.
    fn fresh(&self, origin: &str) -> Result<(Signer, SecretRef), NoSeal> {
        let seed = Signer::fresh_seed().map_err(failed("no key for seals can be made"))?;
        let secret = SecretRef { id: SecretId(self.desk.clock().new_id()), version: 1 };
        let kept = self.desk.secrets().keep(&[(secret, zeroizing(&seed[..]))]);
        kept.map_err(|_| NoSeal::Refused(Refusal::new(RefusalCode::SecretsUnavailable).into()))?;
        Ok((signer(origin, &seed)?, secret))
    }
}

/// Does the key that signs stay?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Key,
    Nothing,
}

fn signer(origin: &str, seed: &[u8; 32]) -> Result<Signer, NoSeal> {
    let broken = |error| Failure::new(format!("the book cannot be sealed: {error}"));
    Ok(Signer::new(origin, KeyKind::Log, seed).map_err(broken)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interior::{Interior, Wishes};
    use std::os::unix::fs::FileExt;
    use std::path::Path;
    use switchbook_commands::desk::{Rouse, SystemClock};
    use switchbook_journal::Options;
    use tokio::runtime::Handle;

    async fn open(data: &Path) -> Interior {
        let opened = Book::open(data, Options { index: false, ..Options::default() }).unwrap();
        let wishes = Wishes { accept_lost_erasures: true, ..Wishes::new(data) };
        let room = (&Handle::current(), Arc::new(|| {}) as Rouse);
        Interior::open(opened, &wishes, Arc::new(SystemClock), room).await.unwrap()
    }

    /// A seal that stands in the book was told as one that failed, and did not get out, when the checkpoints before it
    /// could not be read.
    #[tokio::test]
    async fn a_seal_is_recorded_and_told_or_neither() {
        let folder = tempfile::tempdir().unwrap();
        let (first, data) = (folder.path().join("first"), folder.path().join("data"));
        let running = open(&first).await;
        let actor = Actor::System;
        running.sealer.seal(actor, None).await.unwrap();
        let rotated = running.sealer.rotate(actor, None).await.unwrap();
        // As another start finds it: what was written lately is in the memory of the one that wrote it.
        std::fs::create_dir_all(data.join("segments")).unwrap();
        let segment = "segments/00000000000000000001.seg";
        for name in ["vault", "watermark", "written-by", segment] {
            std::fs::copy(first.join(name), data.join(name)).unwrap();
        }
        let interior = open(&data).await;
        let newest = || interior.desk.published().exchange.seals.last.map(|last| last.at);
        assert_eq!(newest(), Some(rotated.at));
        let bytes = std::fs::read(data.join(segment)).unwrap();
        let at = bytes.windows(9).rposition(|part| part == b"next-key ").unwrap() as u64;
        let file = std::fs::File::options().write(true).open(data.join(segment)).unwrap();
        file.write_all_at(b"N", at).unwrap();
        interior.sealer.seal(actor, None).await.unwrap_err();
        interior.sealer.rotate(actor, None).await.unwrap_err();
        assert_eq!(newest(), Some(rotated.at), "it is recorded, and told as one that failed");
        file.write_all_at(b"n", at).unwrap();
        let sealed = interior.sealer.seal(actor, None).await.unwrap();
        assert_eq!((newest(), sealed.handed_over.len()), (Some(sealed.at), 1));
    }
}
