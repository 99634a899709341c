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
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;
use switchbook_core::exchange::{Exchange, Registrations, Table};
use switchbook_core::extent::Extent;
use switchbook_core::personal::{HasPersonal, KeyId, Keys, opened_by};
use switchbook_core::position::Position;

/// The store's name for snapshots of the exchange. The number is the version of the shape and of the fold: when either
/// changes, the number does, and old snapshots are not found any more. A test holds the numbers to it.
pub const EXCHANGE: &str = "exchange/4";
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

    /// Its bytes; a table that is of one piece, as a whole.
    fn to_bytes(&self) -> Vec<u8> {
        canonical(self)
    }

    /// Reads it back as far as an extent goes.
    ///
    /// # Errors
    /// [`NoSnapshot`] when the bytes are not those of such a table.
    fn of_bytes(_: Extent, bytes: &[u8]) -> Result<Self, NoSnapshot> {
        whole(bytes)
    }
}

/// All names, of this version.
pub const NAMES_OF_ALL: [&str; 3] = [EXCHANGE, NAMES, CALL_LOG];

impl Snapshot for Exchange {
    const NAME: &'static str = EXCHANGE;

    fn position(&self) -> Position {
        self.position
    }

    /// The length of the first part (eight bytes, little endian), everything but registrations, registrations: who needs
    /// none of them passes over the second part without decoding it.
    fn to_bytes(&self) -> Vec<u8> {
        let mut rest = self.clone();
        let registrations = Registrations(std::mem::take(&mut rest.registrations));
        let (rest, registrations) = (canonical(&rest), canonical(&registrations));
        let length = (rest.len() as u64).to_le_bytes();
        [&length[..], &rest, &registrations].concat()
    }

    fn of_bytes(extent: Extent, bytes: &[u8]) -> Result<Self, NoSnapshot> {
        let short = || NoSnapshot("its first part ends behind it".into());
        let (length, parts) = bytes.split_first_chunk().ok_or_else(short)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| short())?;
        let (rest, registrations) = parts.split_at_checked(length).ok_or_else(short)?;
        let mut exchange: Self = whole(rest)?;
        // The first part has none of its own.
        exchange.registrations = match extent.registrations {
            true => whole::<Registrations>(registrations)?.0,
            false => Table::new(),
        };
        if !extent.calls {
            exchange.open_calls = Table::new();
        }
        Ok(exchange)
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

/// The bytes of a table as a snapshot: equal folds, equal bytes.
#[must_use]
pub fn encode<S: Snapshot>(table: &S) -> Vec<u8> {
    table.to_bytes()
}

/// The canonical bytes of anything that is kept in a table: equal values, equal bytes.
#[must_use]
pub fn canonical(value: &impl Serialize) -> Vec<u8> {
    // Only a shape that serde or bincode cannot express could fail, and the tests encode every shape there is.
    bincode::serde::encode_to_vec(value, bincode::config::standard()).unwrap_or_default()
}

/// All of the bytes back to a value.
fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NoSnapshot> {
    let decoded = bounded::decode(PhantomData::<T>, bytes);
    let (value, used) = decoded.map_err(|error| NoSnapshot(error.to_string()))?;
    match used == bytes.len() {
        true => Ok(value),
        false => Err(NoSnapshot("something stands behind it".into())),
    }
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
/// As [`decode`]; what is passed over is not looked at.
pub fn decode_of<S: Snapshot>(
    extent: Extent,
    bytes: &[u8],
    open: Open<'_>,
) -> Result<S, NoSnapshot> {
    opened_by(open, || S::of_bytes(extent, bytes))
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
