//! The vault on a disk that fails and is well again: memory never says more than the disk holds.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::sync::Arc;
use support::*;
use switchbook_core::envelope::Actor;
use switchbook_core::id::SecretId;
use switchbook_core::personal::KeyId;
use switchbook_core::user::SecretRef;
use switchbook_journal::faults::SimDisk;
use switchbook_journal::{Book, EventReader, EventStore, Opened, Options};

fn open(disk: &SimDisk) -> Opened {
    let options = Options { files: Arc::new(disk.clone()), index: false, ..Options::default() };
    Book::open(Path::new("/book"), options).unwrap()
}

fn secret(version: u32) -> SecretRef {
    SecretRef { id: SecretId(uuid::Uuid::from_u128(1)), version }
}

/// What somebody who copies the disk now can read.
fn stolen(disk: &SimDisk, opened: Opened) -> Opened {
    let copy = disk.process_death();
    drop(opened);
    open(&copy)
}

#[tokio::test]
async fn a_key_whose_destruction_failed_is_gone_from_the_disk_when_the_next_try_says_so() {
    let disk = SimDisk::new(7);
    let opened = open(&disk);
    let mut event = user_added(1, "Ada");
    opened.store.seal(&mut event).unwrap();
    let first = opened.store.tail().next();
    let commit = commit(first, Actor::Admin(user(1)), command(1), vec![event]);
    opened.store.append(vec![commit]).await.unwrap();
    let key = KeyId::Person(user(1));
    disk.fail_write(Some("vault"));
    opened.vault.destroy(key).unwrap_err();
    opened.vault.destroy(key).unwrap_err();
    opened.vault.destroy_all(&[key]).unwrap_err();
    disk.fail_write(None);
    opened.vault.destroy(key).unwrap();
    assert!(!stolen(&disk, opened).vault.has_key(key));
}

#[test]
fn a_secret_whose_forgetting_failed_is_gone_from_the_disk_when_the_next_try_says_so() {
    let disk = SimDisk::new(7);
    let opened = open(&disk);
    opened.vault.put_secret(secret(1), b"hash").unwrap();
    disk.fail_write(Some("vault"));
    opened.vault.forget_secrets(&[secret(1)]).unwrap_err();
    disk.fail_write(None);
    opened.vault.forget_secrets(&[secret(1)]).unwrap();
    assert!(stolen(&disk, opened).vault.secret(secret(1)).is_none());
}

#[test]
fn a_vault_whose_disk_is_well_again_takes_secrets_by_itself() {
    let disk = SimDisk::new(7);
    let opened = open(&disk);
    disk.fail_write(Some("vault"));
    opened.vault.put_secret(secret(1), b"first").unwrap_err();
    disk.fail_write(None);
    opened.vault.put_secret(secret(2), b"second").unwrap();
    let after = stolen(&disk, opened);
    assert_eq!(after.vault.secret(secret(2)).unwrap().as_slice(), b"second");
    assert!(after.vault.secret(secret(1)).is_none());
}
