//! A real book in a real folder, written by the Desk, sealed as the server seals it.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchbook_commands::desk::{Answer, DeskHandle, Parts, SystemClock};
use switchbook_commands::seal::Seal;
use switchbook_commands::settings::StopBefore;
use switchbook_commands::{Command, NoCalls, Order, startup};
use switchbook_core::envelope::Actor;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{CommandId, SecretId, UserId};
use switchbook_core::seal::Root;
use switchbook_core::user::SecretRef;
use switchbook_journal::note::{Checkpoint, KeyKind, SignedNote, Signer};
use switchbook_journal::{Book, EventReader, EventStore, Leases, Opened, Options};
use tokio::task::JoinHandle;

pub const CONSOLE: Actor = Actor::Supervisor { uid: 0 };
pub const ORIGIN: &str = "pbx.test/book";

pub struct Written {
    pub folder: PathBuf,
    pub desk: DeskHandle,
    pub store: Arc<Book>,
    pub leases: Leases,
    pub signer: Signer,
    secret: SecretRef,
    task: JoinHandle<()>,
}

/// Segments small enough that a few dozen records fill several.
pub fn options() -> Options {
    Options { segment_bytes: 4096, ..Options::default() }
}

impl Written {
    /// Opens the book in a folder, or founds one.
    pub async fn open(folder: &Path) -> Self {
        let Opened { store, vault, leases, report } = Book::open(folder, options()).unwrap();
        let parts = Parts {
            store: store.clone(),
            secrets: vault.clone(),
            calls: Arc::new(NoCalls),
            leases: Arc::new(leases.clone()),
            clock: Arc::new(SystemClock),
            rouse: Arc::new(|| ()),
        };
        let founding = startup::Founding {
            book: report.book,
            realm: "pbx.test".into(),
            time_zone: "Europe/Berlin".parse().unwrap(),
        };
        let exchange = startup::recover(&*store, Exchange::default()).await.unwrap();
        let (desk, task) =
            startup::start(parts, exchange, founding, "test", StopBefore::Clean).await.unwrap();
        let secret = SecretRef { id: SecretId(uuid::Uuid::from_u128(0x5ea1)), version: 1 };
        let signer = Signer::new(ORIGIN, KeyKind::Log, &[7; 32]).unwrap();
        Self { folder: folder.to_path_buf(), desk, store, leases, signer, secret, task }
    }

    pub async fn order(&self, command: impl Into<Command>) -> Answer {
        let id = CommandId(uuid::Uuid::now_v7());
        self.desk.submit(Order::new(id, CONSOLE, command)).await.unwrap()
    }

    pub async fn tell(&self, json: &str) -> Answer {
        self.order(serde_json::from_str::<Command>(json).unwrap()).await
    }

    pub fn user(&self, name: &str) -> UserId {
        self.desk.published().exchange.user_named(name).unwrap()
    }

    /// So many users, three events each.
    pub async fn people(&self, names: &[&str]) {
        for (number, name) in (100..).zip(names) {
            self.tell(&format!(
                r#"{{"command":"user.add","username":"{name}","display_name":"The {name}","email":"{name}@example.com",
                "numbers":["{number}"],"slots":[{{"type":"desk"}}],"password":"12345678"}}"#
            ))
            .await;
        }
    }

    /// Seals the book up to now; gives the checkpoint.
    pub async fn seal(&self) -> SignedNote {
        let tree = self.store.tree();
        let (origin, size, root) = (ORIGIN.to_owned(), tree.leaves(), tree.root());
        let note = SignedNote::sign(&Checkpoint { origin, size, root }, &self.signer);
        let first = self.desk.published().exchange.seals.key.is_none();
        if first {
            self.store.vault().put_secret(self.secret, &[7; 32]).unwrap();
        }
        let new_key = first.then(|| (self.secret, self.key()));
        let root = Root(root);
        self.order(Seal { size, root, checkpoint: note.to_string(), new_key, replaces: None })
            .await;
        note
    }

    pub fn key(&self) -> String {
        self.signer.verifier().to_string()
    }

    /// Closes the book properly, lets the index take everything in, with a snapshot of each table.
    pub async fn close(self) {
        let folder = self.folder.clone();
        let Self { desk, store, leases, task, .. } = self;
        drop((desk, leases));
        task.await.unwrap();
        drop(store);
        let store = Book::open(&folder, options()).unwrap().store;
        let tail = store.tail();
        while store.indexed() != Some(tail) {
            tokio::task::yield_now().await;
        }
        let open = switchbook_projections::snapshot::closed();
        let tables = switchbook_projections::fold::tables_at(&*store, tail, &open);
        let tables = tables.await.unwrap();
        for (name, bytes) in tables.snapshots() {
            store.put_snapshot(name, tail, bytes).await.unwrap();
        }
    }
}

/// The segment files, in order.
pub fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("segments")).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Where the frames of a segment begin, and how long each is.
pub fn frames(bytes: &[u8]) -> Vec<(usize, usize)> {
    let peaks = usize::from(u16::from_le_bytes(bytes[10..12].try_into().unwrap()));
    let mut at = 64 + 32 * peaks + 4;
    let mut found = Vec::new();
    while at + 40 < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if length == 0 {
            break;
        }
        found.push((at, 40 + length));
        at += 40 + length;
    }
    found
}

/// A frame whose sums fit its body again: what somebody does who knows the format.
pub fn reseal(frame: &mut [u8]) {
    let leaf = switchbook_journal::merkle::leaf_hash(&frame[40..]);
    frame[8..40].copy_from_slice(&leaf);
    let sum = crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..]);
    frame[4..8].copy_from_slice(&sum.to_le_bytes());
}
