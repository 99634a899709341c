//! What several states hold alike stands in memory once: the binding of a phone is the largest thing it leaves there.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;
use support::*;
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::position::Position;
use switchbook_core::registration::Binding;
use switchbook_journal::{Book, EventReader, EventStore, Options};

fn binding(event: &Event) -> Arc<Binding> {
    let Event::PhoneRegistered(registered) = event else { panic!("{event:?}") };
    Arc::clone(&registered.binding)
}

/// The writer asked each record whether all of it is sealed with a look that copies what is shared, so the readers' binding
/// was another than the Desk's.
#[tokio::test]
async fn followers_hold_the_binding_that_the_desk_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Book::open(folder.path(), Options::default()).unwrap().store;
    let mut event = registered(1);
    store.seal(&mut event).unwrap();
    let commit = commit(Position(1), Actor::Phone(device(1)), command(1), vec![event.clone()]);
    store.append(vec![commit]).await.unwrap();
    let read = store.read(Position(1), 1).await.unwrap();
    assert!(Arc::ptr_eq(&binding(&event), &binding(&read[0].event)));
}
