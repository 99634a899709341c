//! The Desk's front: what is slow or secret is done here, before the writer sees the command. Runs on the sender's
//! task and on threads for blocking work.

use super::clock::Clock;
use super::login_guard::LoginGuard;
use super::secrets::{Entry, Secrets};
use crate::authorise::authorise;
use crate::command::Command;
use crate::lookup;
use crate::order::Order;
use crate::refusal::{Refusal, RefusalCode};
use crate::secret::{self, DigestHashes, NOBODYS_HASH, NewSecret, PinEntry, SecretFor, check_form};
use std::fmt::Write;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::Arc;
use switchbook_core::envelope::Actor;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{SecretId, UserId};
use switchbook_core::user::SecretRef;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Are secrets kept, or only looked at?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// They go into the vault.
    Yes,
    /// A dry run: form rules only.
    No,
}

/// What the front needs.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) secrets: Arc<dyn Secrets>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) guard: Arc<LoginGuard>,
    /// Argon2 takes 19 MiB and a core for each hash: so many at a time, whoever else asks waits.
    pub(crate) hashing: Arc<Semaphore>,
}

/// Hashes at a time.
pub(crate) const HASHES_AT_A_TIME: usize = 2;

impl Front {
    /// Replaces every clear secret by the name of its entry, and checks a PIN that was typed.
    pub(crate) async fn prepare(
        &self,
        exchange: &Exchange,
        mut order: Order,
        keep: Keep,
    ) -> Result<Order, Refusal> {
        if !has_secret(&mut order.command) {
            return Ok(order);
        }
        // Who may not, costs nobody a hash; the writer refuses and records it.
        if authorise(exchange, &order).is_err() {
            return Ok(order);
        }
        let unavailable = |_| Refusal::new(RefusalCode::SecretsUnavailable);
        let turn = Arc::clone(&self.hashing).acquire_owned().await.map_err(unavailable)?;
        let (front, exchange) = (self.clone(), exchange.clone());
        let work = move || front.prepare_blocking(&exchange, order, keep);
        let done = tokio::task::spawn_blocking(work).await;
        drop(turn);
        done.map_err(|_| Refusal::new(RefusalCode::SecretsUnavailable))?
    }

    fn prepare_blocking(
        &self,
        exchange: &Exchange,
        mut order: Order,
        keep: Keep,
    ) -> Result<Order, Refusal> {
        if let (Command::PhoneLogIn(login), Actor::Phone(device)) =
            (&mut order.command, order.actor)
        {
            if let (PinEntry::Clear(pin), Keep::Yes) = (&login.pin, keep) {
                login.pin = match self.guard.take(self.clock.now(), login.extension, device) {
                    Err(seconds) => PinEntry::Locked { seconds },
                    Ok(()) => match self.verify(exchange, login.extension, pin) {
                        Some(user) => {
                            self.guard.succeeded(login.extension, device);
                            PinEntry::Right(user)
                        }
                        None => PinEntry::Wrong,
                    },
                };
            }
            return Ok(order);
        }
        let mut entries = Vec::new();
        self.replace(exchange, &mut order.command, keep, &mut entries)?;
        self.keep(&entries)?;
        Ok(order)
    }

    /// Checks the form of every secret, then hashes it and puts its entry's name in its place.
    pub(crate) fn replace(
        &self,
        exchange: &Exchange,
        command: &mut Command,
        keep: Keep,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Refusal> {
        let realm = exchange.settings.as_ref().map(|settings| settings.realm.value.clone());
        let mut outcome = Ok(());
        command.each_secret(&mut |new, usage| {
            let NewSecret::Clear(clear) = &*new else { return };
            let clear = clear.clone();
            let done = check_form(&clear, &usage).and_then(|()| {
                let name = SecretRef { id: SecretId(self.clock.new_id()), version: 1 };
                if keep == Keep::Yes {
                    entries.push((name, hashes(exchange, realm.as_deref(), &clear, &usage)?));
                }
                *new = NewSecret::Stored(name);
                Ok(())
            });
            if outcome.is_ok() {
                outcome = done;
            }
        });
        outcome
    }

    pub(crate) fn keep(&self, entries: &[Entry]) -> Result<(), Refusal> {
        if entries.is_empty() {
            return Ok(());
        }
        self.secrets.keep(entries).map_err(|why| {
            tracing::error!(%why, "the vault does not take secrets");
            Refusal::new(RefusalCode::SecretsUnavailable)
        })
    }

    /// RO-12: the user whose PIN this is. No such extension, no PIN and a wrong PIN cost alike.
    fn verify(
        &self,
        exchange: &Exchange,
        extension: switchbook_core::number::Number,
        pin: &str,
    ) -> Option<UserId> {
        let owner = exchange.numbers.get(&extension).map(|number| number.owner.value);
        let stored = owner
            .and_then(|owner| exchange.users.get(&owner)?.pin)
            .and_then(|pin| self.secrets.find(pin.value));
        let nobody = || Zeroizing::new(NOBODYS_HASH.as_bytes().to_vec());
        let right = secret::verify(pin, &stored.unwrap_or_else(nobody));
        owner.filter(|_| right)
    }
}

/// Is there something to hash or to check before the writer sees it?
pub(crate) fn has_secret(command: &mut Command) -> bool {
    let mut found = matches!(command, Command::PhoneLogIn(_));
    command.each_secret(&mut |_, _| found = true);
    found
}

/// What commands are told from others by: their secrets too, which their texts do not show. In this process only, by keys that
/// nobody knows: a print says nothing about a secret.
pub(crate) fn print(keys: &RandomState, commands: &mut [Command]) -> u64 {
    struct Into(DefaultHasher);
    impl std::fmt::Write for Into {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut into = Into(keys.build_hasher());
    for command in commands {
        // A hasher takes everything.
        let _ = write!(into, "{command:?}");
        command.each_secret(&mut |secret, _| {
            if let NewSecret::Clear(clear) = &*secret {
                clear.as_bytes().hash(&mut into.0);
            }
        });
    }
    into.0.finish()
}

/// The bytes that are kept for a secret of this use.
fn hashes(
    exchange: &Exchange,
    realm: Option<&str>,
    clear: &str,
    usage: &SecretFor,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let realm = || realm.ok_or(Refusal::new(RefusalCode::NotFounded));
    match usage {
        SecretFor::UserPassword | SecretFor::UserPin => {
            secret::hash(clear).ok_or(Refusal::new(RefusalCode::SecretsUnavailable))
        }
        SecretFor::NewDevice(name) => Ok(DigestHashes::of(name, realm()?, clear).to_bytes()),
        SecretFor::Device(reference) => {
            let device = lookup::device(exchange, reference)?;
            let name = lookup::device_name(exchange, device);
            Ok(DigestHashes::of(&name, realm()?, clear).to_bytes())
        }
    }
}
