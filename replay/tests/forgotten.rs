//! What an erasure leaves to a replay: everything but the clear text.
#![allow(missing_docs, clippy::unwrap_used)]

mod folder;

use folder::*;
use switchbook_core::personal::KeyId;
use switchbook_core::position::Position;
use switchbook_projections::fold::exchange_at;
use switchbook_projections::snapshot::closed;
use switchbook_replay::SegmentBook;
use switchbook_replay::as_of::state_hash;

/// The key of a person and of the month are gone, with or without the event that says so: the replay comes to its end, and
/// to the same state, byte for byte, since only sealed bytes are part of it.
#[tokio::test]
async fn c62_with_keys_destroyed_the_replay_ends_in_the_same_state() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("book");
    let book = Written::open(&folder).await;
    book.people(&["ada", "bob"]).await;
    book.tell(r#"{"command":"profile.add","user":"ada","name":"clinic"}"#).await;
    book.tell(r#"{"command":"user.rename","user":"ada","display_name":"Countess"}"#).await;
    let (ada, vault) = (book.user("ada"), book.store.vault().clone());
    book.close().await;
    let folded = || async {
        let reader = SegmentBook::open(&folder, Some(vault.clone())).unwrap();
        let open: switchbook_projections::snapshot::Opener = vault.clone();
        let exchange = exchange_at(&reader, Position(u64::MAX), &open).await.unwrap();
        let name = exchange.users[&ada].display_name.value.to_string();
        (exchange.position, state_hash(&exchange), name)
    };
    let (end, before, name) = folded().await;
    assert_eq!(name, "Countess");
    vault.destroy(KeyId::Person(ada)).unwrap();
    let (same_end, after, name) = folded().await;
    assert_eq!((same_end, after, name.as_str()), (end, before, "[erased]"));
    // Without any key at all, as an auditor without the vault folds it.
    let reader = SegmentBook::open(&folder, None).unwrap();
    let exchange = exchange_at(&reader, Position(u64::MAX), &closed()).await.unwrap();
    assert_eq!((exchange.position, state_hash(&exchange)), (end, before));
}
