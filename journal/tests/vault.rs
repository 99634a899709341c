//! The vault on a disk that hangs: who reads never waits for who writes.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;
use support::*;
use switchbook_core::id::SecretId;
use switchbook_core::personal::KeyId;
use switchbook_core::user::SecretRef;
use switchbook_journal::faults::SimDisk;
use switchbook_journal::files::{FileLike, Files, How};
use switchbook_journal::{Book, Opened, Options, Vault};
use uuid::Uuid;

/// Syncs of the vault wait while the gate is shut.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    shut: bool,
    waiting: usize,
}

impl Gate {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn shut(&self) {
        self.change(|state| state.shut = true);
    }

    fn open(&self) {
        self.change(|state| state.shut = false);
    }

    fn pass(&self) {
        self.change(|state| state.waiting += 1);
        let state = self.0.0.lock().unwrap();
        self.0.1.wait_while(state, |state| state.shut).unwrap().waiting -= 1;
    }

    /// Until somebody stands at the gate.
    fn until_waited_for(&self) {
        let state = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(state, |state| state.waiting == 0).unwrap());
    }
}

#[derive(Debug)]
struct Slow {
    disk: SimDisk,
    gate: Gate,
}

#[derive(Debug)]
struct SlowFile {
    file: Box<dyn FileLike>,
    gate: Option<Gate>,
}

impl Files for Slow {
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn FileLike>> {
        let vault = path.file_stem().is_some_and(|name| name == "vault");
        let (file, gate) = (self.disk.open(path, how)?, vault.then(|| self.gate.clone()));
        Ok(Box::new(SlowFile { file, gate }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.create_folder(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }
}

impl FileLike for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        self.file.sync()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}

fn open(disk: &SimDisk, gate: &Gate) -> Opened {
    let files = Arc::new(Slow { disk: disk.clone(), gate: gate.clone() });
    let options = Options { files, index: false, ..Options::default() };
    Book::open(Path::new("/book"), options).unwrap()
}

fn secret(n: u128) -> SecretRef {
    SecretRef { id: SecretId(Uuid::from_u128(n)), version: 1 }
}

const ADA: u128 = 1;
const BOB: u128 = 2;

fn key(n: u128) -> KeyId {
    KeyId::Person(user(n))
}

/// While `write` hangs at the disk, `read` is answered.
fn answered_meanwhile(
    write: impl FnOnce(&Vault) + Send + 'static,
    read: impl FnOnce(&Vault) + Send + 'static,
) -> (SimDisk, Gate, Arc<Vault>) {
    let (disk, gate) = (SimDisk::new(7), Gate::default());
    let vault = Arc::clone(&open(&disk, &gate).vault);
    vault.put_secret(secret(1), b"one").unwrap();
    let sealed = vault.seal(key(ADA), "Ada").unwrap();
    vault.flush().unwrap();
    gate.shut();
    let writer = thread::spawn({
        let vault = Arc::clone(&vault);
        move || write(&vault)
    });
    gate.until_waited_for();
    let (tell, told) = channel();
    let reader = thread::spawn({
        let vault = Arc::clone(&vault);
        move || {
            assert_eq!(vault.secret(secret(1)).unwrap().as_slice(), b"one");
            assert_eq!(vault.open_sealed(key(ADA), &sealed).as_deref(), Some("Ada"));
            assert!(vault.has_key(key(ADA)) && !vault.is_destroyed(key(ADA)));
            read(&vault);
            tell.send(()).unwrap();
        }
    });
    let told = told.recv_timeout(Duration::from_secs(5));
    gate.open();
    writer.join().unwrap();
    reader.join().unwrap();
    told.unwrap();
    (disk, gate, vault)
}

fn again(disk: &SimDisk) -> Arc<Vault> {
    Arc::clone(&open(&disk.power_cut(), &Gate::default()).vault)
}

#[test]
fn a_secret_being_written_stops_no_reader_and_shows_when_it_is_durable() {
    let (disk, _, vault) = answered_meanwhile(
        |vault| vault.put_secret(secret(2), b"two").unwrap(),
        |vault| assert_eq!(vault.secret(secret(2)), None, "it shows before it is durable"),
    );
    assert_eq!(vault.secret(secret(2)).unwrap().as_slice(), b"two");
    assert_eq!(again(&disk).secret(secret(2)).unwrap().as_slice(), b"two");
}

#[test]
fn keys_being_written_stop_neither_readers_nor_sealing() {
    let (disk, gate, vault) = answered_meanwhile(
        |vault| {
            let _ = vault.seal(key(BOB), "Bob").unwrap();
            vault.flush().unwrap();
        },
        |vault| drop(vault.seal(key(3), "made meanwhile").unwrap()),
    );
    // The key made meanwhile was not in that write: it waits for the next.
    gate.open();
    vault.flush().unwrap();
    let again = again(&disk);
    assert!(again.has_key(key(BOB)) && again.has_key(key(3)));
}

#[test]
fn an_erasure_being_written_stops_no_reader_of_others() {
    let (disk, _, vault) = answered_meanwhile(
        |vault| vault.destroy(key(BOB)).unwrap(),
        |vault| assert!(vault.is_destroyed(key(BOB))),
    );
    assert_eq!(vault.destroyed(), [key(BOB)]);
    assert_eq!(again(&disk).destroyed(), [key(BOB)]);
}

#[test]
fn a_book_that_needs_no_new_key_is_not_held_up_by_a_secret_being_written() {
    let _ = answered_meanwhile(
        |vault| vault.put_secret(secret(2), b"two").unwrap(),
        |vault| vault.flush().unwrap(),
    );
}
