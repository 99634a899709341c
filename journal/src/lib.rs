//! The book: an append-only file of events that survives power cuts, tells a torn end from damage, keeps personal
//! data sealed, and can be read while it is written.
//!
//! [`store`] has the two traits, [`book`] the real store, [`memory`] the one for tests. docs/journal-format.md tells
//! every byte.

pub mod backup;
pub mod book;
mod bytes;
pub mod codec;
pub mod error;
#[cfg(feature = "faults")]
pub mod faults;
pub mod files;
mod frame;
mod index;
pub mod leases;
pub mod memory;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod record;
mod segment;
mod snapshots;
pub mod store;
mod tiles;
pub mod vault;
pub mod version;
mod view;

pub use backup::BackupError;
pub use book::{Ahead, Batch, Book, Hands, OpenReport, Opened, Options, Written};
pub use error::{AppendError, Damage, LeaseError, OpenError, ReadError, VaultError};
pub use index::audit::{Compared, IndexCopy};
pub use leases::{Lease, Leases};
pub use memory::MemoryStore;
pub use record::decode_record;
pub use segment::reader::{SegmentReader, StoredRecord};
pub use segment::tree::Tree;
pub use snapshots::{RECORD, SPACING, SnapshotFolder, spacing};
pub use store::{Commit, EventReader, EventStore, Health, Stretch};
pub use vault::Vault;
pub use version::Version;
