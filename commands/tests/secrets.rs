//! What becomes of entries of the vault that nothing names, on the real book and its fault layer.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use switchbook_commands::desk::{Clock, DeskHandle, Parts, SystemClock, unnamed};
use switchbook_commands::settings::StopBefore;
use switchbook_commands::startup::{Founding, forget_unnamed, recover, start};
use switchbook_commands::{Command, NoCalls, Order};
use switchbook_core::envelope::Actor;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{BookId, CommandId};
use switchbook_core::user::SecretRef;
use switchbook_journal::faults::SimDisk;
use switchbook_journal::{Book, Opened, Options, Vault};
use uuid::Uuid;

struct House {
    desk: DeskHandle,
    vault: Arc<Vault>,
}

async fn open(disk: &SimDisk) -> House {
    let options = Options { files: Arc::new(disk.clone()), index: false, ..Options::default() };
    let Opened { store, vault, leases, .. } = Book::open(Path::new("/book"), options).unwrap();
    let parts = Parts {
        store: store.clone(),
        secrets: vault.clone(),
        calls: Arc::new(NoCalls),
        leases: Arc::new(leases),
        clock: Arc::new(SystemClock),
        rouse: Arc::new(|| ()),
    };
    let founding = Founding {
        book: BookId(Uuid::from_u128(1)),
        realm: "pbx.test".into(),
        time_zone: "Europe/Berlin".parse().unwrap(),
    };
    let exchange = recover(&*store, Exchange::default()).await.unwrap();
    forget_unnamed(&parts, &exchange).await;
    let (desk, _) = start(parts, exchange, founding, "test", StopBefore::Clean).await.unwrap();
    House { desk, vault }
}

impl House {
    async fn asks(&self, json: &str) -> Result<(), String> {
        let command: Command = serde_json::from_str(json).unwrap();
        let order =
            Order::new(CommandId(SystemClock.new_id()), Actor::Supervisor { uid: 0 }, command);
        self.desk.submit(order).await.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Secrets that ada and her phone have.
    fn in_force(&self) -> Vec<SecretRef> {
        let exchange = &self.desk.published().exchange;
        let users = exchange.users.values().flat_map(|user| [user.password, user.pin]);
        let devices = exchange.devices.values().map(|device| device.credential);
        let mut all: Vec<SecretRef> = users.chain(devices).flatten().map(|f| f.value).collect();
        all.sort_unstable();
        all
    }

    async fn vault_holds_only_what_is_in_force(&self) {
        // Forgetting happens beside the writer; it is asked, not timed.
        for _ in 0..10_000 {
            if self.vault.secrets() == self.in_force() {
                return;
            }
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
        assert_eq!(self.vault.secrets(), self.in_force());
    }
}

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada","password":"pass-word",
    "pin":"4711","numbers":["100"],"devices":[{"name":"p1","type":"desk","password":"secret-secret"}]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn superseded_and_deleted_secrets_leave_the_vault_when_the_event_is_durable() {
    let house = open(&SimDisk::new(1)).await;
    house.asks(ADA).await.unwrap();
    let first = house.in_force();
    assert_eq!(first.len(), 3);
    house.asks(r#"{"command":"user.pin","user":"ada","pin":"4712"}"#).await.unwrap();
    house.vault_holds_only_what_is_in_force().await;
    let password = r#"{"command":"device.password","device":"p1","password":"another-one"}"#;
    house.asks(password).await.unwrap();
    house.vault_holds_only_what_is_in_force().await;
    assert_eq!(first.iter().filter(|secret| house.in_force().contains(secret)).count(), 1);
    house.asks(r#"{"command":"user.delete","user":"ada","confirm":true}"#).await.unwrap();
    house.vault_holds_only_what_is_in_force().await;
}

/// A password was set twice, and no one waited: both stand in one group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_passwords_at_once_only_the_last_stays() {
    let house = open(&SimDisk::new(2)).await;
    house.asks(ADA).await.unwrap();
    let passwords = (0..20).map(|n| {
        format!(r#"{{"command":"device.password","device":"p1","password":"password-{n}"}}"#)
    });
    let all: Vec<_> = passwords.collect();
    let mut asked: Vec<_> = all.iter().map(|json| Box::pin(house.asks(json))).collect();
    std::future::poll_fn(|context| {
        asked.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if asked.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    house.vault_holds_only_what_is_in_force().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_no_event_names_are_forgotten_at_the_next_start_and_no_other() {
    let disk = SimDisk::new(3);
    let (in_force, orphans);
    {
        let house = open(&disk).await;
        house.asks(ADA).await.unwrap();
        // Refused by the writer, after the front had kept its secrets.
        house.asks(ADA).await.unwrap_err();
        in_force = house.in_force();
        orphans = unnamed(&*house.vault, &house.desk.published().exchange);
        assert_eq!((in_force.len(), orphans.len()), (3, 3));
    }
    let house = open(&disk.power_cut()).await;
    assert_eq!(house.in_force(), in_force);
    assert_eq!(house.vault.secrets(), in_force);
    assert!(in_force.iter().all(|secret| house.vault.secret(*secret).is_some()));
}

/// The key of the seals is named by its event alone, and no later one takes its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_the_seals_is_there_after_every_start() {
    let disk = SimDisk::new(1);
    let house = open(&disk).await;
    house.asks(ADA).await.unwrap();
    let secret = SecretRef { id: switchbook_core::id::SecretId(Uuid::from_u128(9)), version: 1 };
    house.vault.put_secret(secret, &[7; 32]).unwrap();
    let (root, checkpoint) = (switchbook_core::seal::Root([0; 32]), String::new());
    let new_key = Some((secret, "pbx.test/b+00000000+AQ==".into()));
    let seal =
        switchbook_commands::seal::Seal { size: 1, root, checkpoint, new_key, replaces: None };
    let order = Order::new(CommandId(Uuid::now_v7()), Actor::System, seal);
    house.desk.submit(order).await.unwrap();
    let house = open(&disk.power_cut()).await;
    assert!(house.vault.secret(secret).is_some());
}

/// Whoever edited a snapshot had the server destroy secrets that are in force.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_destroyed_on_the_word_of_a_snapshot() {
    let disk = SimDisk::new(4);
    let in_force = {
        let house = open(&disk).await;
        house.asks(ADA).await.unwrap();
        house.asks(ADA).await.unwrap_err();
        house.in_force()
    };
    let disk = disk.power_cut();
    let options = Options { files: Arc::new(disk.clone()), index: false, ..Options::default() };
    let Opened { store, vault, leases, .. } = Book::open(Path::new("/book"), options).unwrap();
    let mut false_one = recover(&*store, Exchange::default()).await.unwrap();
    for user in false_one.users.keys().copied().collect::<Vec<_>>() {
        let mut without = (*false_one.users[&user]).clone();
        without.password = None;
        false_one.users.insert(user, Arc::new(without));
    }
    let parts = Parts {
        store: store.clone(),
        secrets: vault.clone(),
        calls: Arc::new(NoCalls),
        leases: Arc::new(leases),
        clock: Arc::new(SystemClock),
        rouse: Arc::new(|| ()),
    };
    assert_eq!(unnamed(&*vault, &false_one).len(), 4);
    forget_unnamed(&parts, &false_one).await;
    assert_eq!(vault.secrets(), in_force, "the three that nothing names went, and no other");
}
