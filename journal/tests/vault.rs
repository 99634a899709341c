//! The vault on a disk that hangs: who reads never waits for who writes.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use support::*;
use switchbook_core::id::SecretId;
use switchbook_core::personal::KeyId;
use switchbook_core::user::SecretRef;
use switchbook_journal::faults::SimDisk;
use switchbook_journal::{Book, Opened, Options, Vault};
use uuid::Uuid;

fn open(disk: &SimDisk) -> Opened {
    let options = Options { files: Arc::new(disk.clone()), index: false, ..Options::default() };
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
) -> (SimDisk, Arc<Vault>) {
    let disk = SimDisk::new(7);
    let vault = Arc::clone(&open(&disk).vault);
    vault.put_secret(secret(1), b"one").unwrap();
    let sealed = vault.seal(key(ADA), "Ada").unwrap();
    vault.flush().unwrap();
    disk.hang(Some("vault"));
    let writer = thread::spawn({
        let vault = Arc::clone(&vault);
        move || write(&vault)
    });
    disk.until_something_hangs();
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
    disk.hang(None);
    writer.join().unwrap();
    reader.join().unwrap();
    told.unwrap();
    (disk, vault)
}

fn again(disk: &SimDisk) -> Arc<Vault> {
    Arc::clone(&open(&disk.power_cut()).vault)
}

#[test]
fn a_secret_being_written_stops_no_reader_and_shows_when_it_is_durable() {
    let (disk, vault) = answered_meanwhile(
        |vault| vault.put_secret(secret(2), b"two").unwrap(),
        |vault| assert_eq!(vault.secret(secret(2)), None, "it shows before it is durable"),
    );
    assert_eq!(vault.secret(secret(2)).unwrap().as_slice(), b"two");
    assert_eq!(again(&disk).secret(secret(2)).unwrap().as_slice(), b"two");
}

#[test]
fn keys_being_written_stop_neither_readers_nor_sealing() {
    let (disk, vault) = answered_meanwhile(
        |vault| {
            let _ = vault.seal(key(BOB), "Bob").unwrap();
            vault.flush().unwrap();
        },
        |vault| drop(vault.seal(key(3), "made meanwhile").unwrap()),
    );
    // The key made meanwhile was not in that write: it waits for the next.
    vault.flush().unwrap();
    let again = again(&disk);
    assert!(again.has_key(key(BOB)) && again.has_key(key(3)));
}

#[test]
fn an_erasure_being_written_stops_no_reader_of_others() {
    let (disk, vault) = answered_meanwhile(
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
