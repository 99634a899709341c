//! Where secrets are kept, as the Desk sees it; and when they are forgotten: what a durable event took the place of at
//! once, what no event ever named at the next start.

use crate::secret::DigestHashes;
use std::collections::HashSet;
use std::sync::Arc;
use switchbook_core::envelope::Recorded;
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::user::SecretRef;
use switchbook_journal::Vault;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// A secret that is to be kept: its name and the bytes of its hashes.
pub type Entry = (SecretRef, Zeroizing<Vec<u8>>);

/// Keeps hashes of passwords and PINs. Entries are on disk before an event names them.
pub trait Secrets: Send + Sync {
    /// Keeps all of them, durably.
    ///
    /// # Errors
    /// Why not, for the log.
    fn keep(&self, entries: &[Entry]) -> Result<(), String>;

    /// What is kept under a name.
    fn find(&self, secret: SecretRef) -> Option<Zeroizing<Vec<u8>>>;

    /// Names of everything kept.
    fn kept(&self) -> Vec<SecretRef>;

    /// Forgets entries, durably. Nothing may name them any more, and the event that says so must be durable.
    ///
    /// # Errors
    /// Why not, for the log.
    fn forget(&self, secrets: &[SecretRef]) -> Result<(), String>;

    /// The digest hashes of a device.
    fn digest(&self, secret: SecretRef) -> Option<DigestHashes> {
        DigestHashes::from_bytes(&self.find(secret)?)
    }
}

impl Secrets for Vault {
    fn keep(&self, entries: &[Entry]) -> Result<(), String> {
        let borrowed: Vec<(SecretRef, &[u8])> =
            entries.iter().map(|(secret, bytes)| (*secret, bytes.as_slice())).collect();
        self.put_secrets(&borrowed).map_err(|error| error.to_string())
    }

    fn find(&self, secret: SecretRef) -> Option<Zeroizing<Vec<u8>>> {
        self.secret(secret)
    }

    fn kept(&self) -> Vec<SecretRef> {
        self.secrets()
    }

    fn forget(&self, secrets: &[SecretRef]) -> Result<(), String> {
        self.forget_secrets(secrets).map_err(|error| error.to_string())
    }
}

/// Every secret that is in force.
fn named(exchange: &Exchange) -> HashSet<SecretRef> {
    let of_users = exchange.users.values().flat_map(|user| [user.password, user.pin]);
    let of_devices = exchange.devices.values().map(|device| device.credential);
    let of_seals = exchange.seals.key.iter().map(|key| key.value.secret);
    of_users.chain(of_devices).flatten().map(|fact| fact.value).chain(of_seals).collect()
}

/// Entries that nothing in the exchange names: of commands that were refused, or lost with a crash before their event;
/// and superseded ones whose forgetting a crash prevented. Only right while no command is on its way, since an entry is
/// kept before the event that names it.
#[must_use]
pub fn unnamed(secrets: &dyn Secrets, exchange: &Exchange) -> Vec<SecretRef> {
    let named = named(exchange);
    secrets.kept().into_iter().filter(|secret| !named.contains(secret)).collect()
}

/// Those of these that nothing in the exchange names, and how many others there are.
pub(crate) fn apart(secrets: Vec<SecretRef>, exchange: &Exchange) -> (Vec<SecretRef>, usize) {
    let (named, all) = (named(exchange), secrets.len());
    let gone: Vec<_> = secrets.into_iter().filter(|secret| !named.contains(secret)).collect();
    let others = all - gone.len();
    (gone, others)
}

/// What these events, which are durable, took the place of.
pub(crate) fn superseded<'a>(
    before: &Exchange,
    after: &Exchange,
    records: impl Iterator<Item = &'a Recorded>,
) -> Vec<SecretRef> {
    let of_user = |exchange: &Exchange, user| {
        let user = exchange.users.get(user);
        user.map_or([None, None], |user| [user.password, user.pin])
    };
    let of_device = |exchange: &Exchange, device| {
        [exchange.devices.get(device).and_then(|device| device.credential)]
    };
    let mut gone = Vec::new();
    let mut add = |set: Option<SecretRef>, old: &[Option<_>], new: &[Option<_>]| {
        let value = |fact: &Option<switchbook_core::fact::Fact<SecretRef>>| {
            fact.as_ref().map(|fact| fact.value)
        };
        let new: Vec<_> = new.iter().filter_map(value).collect();
        let candidates = old.iter().filter_map(value).chain(set);
        gone.extend(candidates.filter(|secret| !new.contains(secret)));
    };
    for recorded in records {
        let (user, device, set) = match &recorded.event {
            // One that was set and superseded in the same group is in neither state.
            Event::PasswordSet(e) => (Some(&e.user), None, Some(e.secret)),
            Event::PinSet(e) => (Some(&e.user), None, Some(e.secret)),
            Event::UserDeleted(e) => (Some(&e.user), None, None),
            Event::DeviceCredentialSet(e) => (None, Some(&e.device), Some(e.secret)),
            Event::DeviceRemoved(e) => (None, Some(&e.device), None),
            _ => continue,
        };
        if let Some(user) = user {
            add(set, &of_user(before, user), &of_user(after, user));
        }
        if let Some(device) = device {
            add(set, &of_device(before, device), &of_device(after, device));
        }
    }
    // A key for seals that has handed over signs nothing any more.
    let key = |exchange: &Exchange| exchange.seals.key.as_ref().map(|key| key.value.secret);
    if let (Some(former), now) = (key(before), key(after))
        && now != Some(former)
    {
        gone.push(former);
    }
    gone.sort_unstable();
    gone.dedup();
    gone
}

/// So many groups' worth may wait to be forgotten; more are left to the next start.
const WAITING: usize = 1024;

/// A way to have secrets forgotten without waiting for the vault's disk. Ends with its last handle.
pub(crate) fn forgetter(secrets: Arc<dyn Secrets>) -> mpsc::Sender<Vec<SecretRef>> {
    let (sender, mut waiting) = mpsc::channel::<Vec<SecretRef>>(WAITING);
    tokio::spawn(async move {
        let mut lists = Vec::new();
        // The file is written anew for all that wait together.
        while waiting.recv_many(&mut lists, WAITING).await > 0 {
            let (secrets, all) = (Arc::clone(&secrets), std::mem::take(&mut lists).concat());
            let forgotten = tokio::task::spawn_blocking(move || secrets.forget(&all)).await;
            if let Ok(Err(why)) = forgotten {
                tracing::warn!(%why, "superseded secrets stay in the vault until the next start");
            }
        }
    });
    sender
}
