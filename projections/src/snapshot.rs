//! Snapshots: a table as bytes, and back. One place for all of them, so that the writer's start, the readers and the
//! auditor read the same bytes.
//!
//! bincode 2, standard configuration, of the serde form. Personal values go as sealed bytes only: equal books give
//! equal bytes, whatever has been erased since (architecture.md way 7). A snapshot is a cache: one that cannot be read
//! is no error, the book is folded instead.

use crate::bounded;
use crate::call_log::CallLog;
use crate::names::NameBook;
use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer};
use std::marker::PhantomData;
use std::sync::Arc;
use switchbook_core::exchange::Exchange;
use switchbook_core::extent::Extent;
use switchbook_core::personal::{HasPersonal, KeyId, Keys, opened_by};
use switchbook_core::position::Position;

/// The store's name for snapshots of the exchange. The number is the version of the shape and of the fold: when either
/// changes, the number does, and old snapshots are not found any more. A test holds the numbers to it.
pub const EXCHANGE: &str = "exchange/3";
/// The store's name for snapshots of the names.
pub const NAMES: &str = "names/3";
/// The store's name for snapshots of the call log.
pub const CALL_LOG: &str = "call_log/3";

/// Opens sealed values when somebody reads them: the vault, shared.
pub type Opener = Arc<dyn Keys>;
/// The same, lent.
pub type Open<'a> = &'a Opener;

/// Opens nothing: for readers without the vault.
#[must_use]
pub fn closed() -> Opener {
    struct Closed;
    impl Keys for Closed {
        fn open(&self, _: KeyId, _: &[u8]) -> Option<String> {
            None
        }
    }
    Arc::new(Closed)
}

/// Why bytes are no snapshot.
#[derive(Debug, thiserror::Error)]
#[error(
    "the snapshot cannot be read ({0}): it was written by another version or is damaged; it is a cache, so the book is folded from an earlier one, or from the beginning"
)]
pub struct NoSnapshot(String);

/// A table that can be kept as a snapshot.
pub trait Snapshot: Serialize + DeserializeOwned + HasPersonal {
    /// The store's name for it.
    const NAME: &'static str;
    /// The last event taken in.
    fn position(&self) -> Position;
    /// Reads it back as far as an extent goes; a table that is of one piece, as a whole.
    ///
    /// # Errors
    /// Those of serde.
    fn read<'de, D: Deserializer<'de>>(_: Extent, deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

/// All names, of this version.
pub const NAMES_OF_ALL: [&str; 3] = [EXCHANGE, NAMES, CALL_LOG];

impl Snapshot for Exchange {
    const NAME: &'static str = EXCHANGE;

    fn position(&self) -> Position {
        self.position
    }

    fn read<'de, D: Deserializer<'de>>(extent: Extent, from: D) -> Result<Self, D::Error> {
        Self::read(extent, from)
    }
}

impl Snapshot for NameBook {
    const NAME: &'static str = NAMES;

    fn position(&self) -> Position {
        Self::position(self)
    }
}

impl Snapshot for CallLog {
    const NAME: &'static str = CALL_LOG;

    fn position(&self) -> Position {
        Self::position(self)
    }
}

/// The canonical bytes of a table: equal folds, equal bytes.
#[must_use]
pub fn encode<S: Snapshot>(table: &S) -> Vec<u8> {
    // Only a shape that serde or bincode cannot express could fail, and the tests encode every shape there is.
    bincode::serde::encode_to_vec(table, bincode::config::standard()).unwrap_or_default()
}

/// Bytes back to a table, whose personal values are opened by `open` when they are read.
///
/// # Errors
/// [`NoSnapshot`] when the bytes are of another version, damaged, or have something behind them.
pub fn decode<S: Snapshot>(bytes: &[u8], open: Open<'_>) -> Result<S, NoSnapshot> {
    decode_of(Extent::EVERYTHING, bytes, open)
}

/// The same as far as an extent goes.
///
/// # Errors
/// As [`decode`], also for what is not kept.
pub fn decode_of<S: Snapshot>(
    extent: Extent,
    bytes: &[u8],
    open: Open<'_>,
) -> Result<S, NoSnapshot> {
    struct Within<S>(Extent, PhantomData<S>);
    impl<'de, S: Snapshot> DeserializeSeed<'de> for Within<S> {
        type Value = S;
        fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S, D::Error> {
            S::read(self.0, from)
        }
    }
    let within = Within::<S>(extent, PhantomData);
    let read = || bounded::decode(within, bytes);
    let (table, used) = opened_by(open, read).map_err(|error| NoSnapshot(error.to_string()))?;
    if used != bytes.len() {
        return Err(NoSnapshot("something stands behind it".into()));
    }
    Ok(table)
}

/// Forgets what a table's personal values were opened to, after keys were destroyed or a vault was brought in: whoever
/// reads one opens it anew.
pub fn reopen<S: Snapshot>(table: &mut S, open: Open<'_>) {
    table.each_personal(&mut |value| {
        if !value.sealed().is_empty() {
            value.open_by(Arc::clone(open));
        }
    });
}
