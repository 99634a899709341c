//! From a book to a running Desk: fold what stands there, found the exchange if nothing does, close what a crash left
//! open.

use crate::call::{Entry, Record};
use crate::desk::{Desk, DeskError, DeskHandle, Parts};
use crate::order::Order;
use crate::settings::{Found, Start, StopBefore};
use bincode::config::Configuration;
use chrono_tz::Tz;
use sha2::{Digest, Sha256};
use switchbook_core::call::CallLost;
use switchbook_core::envelope::Actor;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{BookId, CommandId};
use switchbook_core::personal::HasPersonal;
use switchbook_core::position::Position;
use switchbook_journal::{EventReader, EventStore, ReadError, Vault};
use tokio::task::JoinHandle;

/// What an exchange is founded with when its book is empty.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The id of the book, made with its folder.
    pub book: BookId,
    /// Digest realm and SIP domain, for ever.
    pub realm: String,
    /// The system's time zone.
    pub time_zone: Tz,
}

/// Why a Desk could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The book cannot be read.
    #[error("the book cannot be read: {0}")]
    Read(#[from] ReadError),
    /// The first commands were refused.
    #[error("the exchange cannot be started: {0}")]
    Refused(#[from] DeskError),
}

/// Snapshots of the exchange are kept under this name.
const SNAPSHOT: &str = "exchange";
/// Begins every snapshot: another version of Switchbook does not read it, and folds the book instead.
const STAMP: &str = concat!("switchbook exchange 1 ", env!("CARGO_PKG_VERSION"), "\n");
const CONFIG: Configuration = bincode::config::standard();
/// Records read at once.
const STRETCH: usize = 4096;

/// The exchange a book folds to: the newest usable snapshot, and every record after it.
///
/// # Errors
/// When the book cannot be read. An unusable snapshot is none: the whole book is folded.
pub async fn recover(book: &dyn EventReader, vault: &Vault) -> Result<Exchange, ReadError> {
    let mut exchange = match book.snapshot(SNAPSHOT, book.tail()).await? {
        Some((at, bytes)) => open(&bytes, at, vault).unwrap_or_default(),
        None => Exchange::default(),
    };
    loop {
        let records = book.read(exchange.position.next(), STRETCH).await?;
        if records.is_empty() {
            return Ok(exchange);
        }
        records.iter().for_each(|recorded| exchange.evolve(recorded));
    }
}

fn open(bytes: &[u8], at: Position, vault: &Vault) -> Option<Exchange> {
    let sealed = bytes.strip_prefix(STAMP.as_bytes())?;
    let (hash, body) = sealed.split_at_checked(32)?;
    (Sha256::digest(body).as_slice() == hash).then_some(())?;
    let (mut exchange, read): (Exchange, usize) =
        bincode::serde::decode_from_slice(body, CONFIG).ok()?;
    (read == body.len() && exchange.position == at).then_some(())?;
    exchange.each_personal(&mut |field| {
        field.open_with(|key, sealed| vault.open_sealed(key, sealed));
    });
    exchange.index();
    Some(exchange)
}

/// Keeps a snapshot of the exchange, so that the next start folds less.
///
/// # Errors
/// Why not; the book is not concerned.
pub async fn save(store: &dyn EventStore, exchange: &Exchange) -> Result<(), String> {
    let (at, exchange) = (exchange.position, exchange.clone());
    let encode = move || bincode::serde::encode_to_vec(&exchange, CONFIG);
    let body = tokio::task::spawn_blocking(encode).await.map_err(|error| error.to_string())?;
    let body = body.map_err(|error| error.to_string())?;
    let mut bytes = STAMP.as_bytes().to_vec();
    bytes.extend_from_slice(&Sha256::digest(&body));
    bytes.extend_from_slice(&body);
    store.put_snapshot(SNAPSHOT, at, bytes).await.map_err(|error| error.to_string())
}

/// Starts the Desk on a book: recovers, founds the exchange if the book is empty, tells that the server started, and
/// closes calls that were open when it stopped (way 4).
///
/// # Errors
/// [`StartError`].
pub async fn start(
    parts: Parts,
    vault: &Vault,
    founding: Founding,
    version: &str,
    stop_before: StopBefore,
) -> Result<(DeskHandle, JoinHandle<()>), StartError> {
    let exchange = recover(&*parts.store, vault).await?;
    let (founded, open_calls) =
        (exchange.settings.is_some(), exchange.open_calls.keys().copied().collect::<Vec<_>>());
    let clock = std::sync::Arc::clone(&parts.clock);
    let order =
        |command: crate::Command| Order::new(CommandId(clock.new_id()), Actor::System, command);
    let (desk, task) = Desk::start(parts, exchange);
    if !founded {
        let Founding { book, realm, time_zone } = founding;
        desk.submit(order(Found { book, realm, time_zone }.into())).await?;
    }
    desk.submit(order(Start { version: version.into(), stop_before }.into())).await?;
    if !open_calls.is_empty() {
        let entries = open_calls.into_iter().map(|call| Entry::Lost(CallLost { call })).collect();
        desk.submit(order(Record { entries }.into())).await?;
    }
    Ok((desk, task))
}
