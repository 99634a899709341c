//! From a book to a running Desk: fold what stands there, found the exchange if nothing does, close what a crash left
//! open.

use crate::call::{Entry, Record};
use crate::desk::{Desk, DeskError, DeskHandle, Parts, Secrets, apart, unnamed};
use crate::order::Order;
use crate::settings::{Found, Start, Stop, StopBefore};
use chrono_tz::Tz;
use std::sync::Arc;
use switchbook_core::call::CallLost;
use switchbook_core::envelope::Actor;
use switchbook_core::exchange::Exchange;
use switchbook_core::extent::Extent;
use switchbook_core::id::{BookId, CommandId};
use switchbook_core::position::Position;
use switchbook_core::user::SecretRef;
use switchbook_journal::{EventReader, ReadError};
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

/// Records read at once.
const STRETCH: usize = 4096;

/// The exchange as of the end of the book: what stands in it after `known`, folded onto that. Whoever has kept the
/// exchange of an earlier position begins with it; an empty exchange folds the whole book.
///
/// # Errors
/// When the book cannot be read.
pub async fn recover(book: &dyn EventReader, known: Exchange) -> Result<Exchange, ReadError> {
    let mut exchange = known;
    loop {
        let records = book.read(exchange.position.next(), STRETCH).await?;
        if records.is_empty() {
            return Ok(exchange);
        }
        records.iter().for_each(|recorded| exchange.evolve(recorded));
    }
}

/// Starts the Desk on a book that folds to `exchange`: founds the exchange if the book is empty, tells that the server started, and
/// closes calls that were open when it stopped (way 4).
///
/// # Errors
/// [`StartError`].
pub async fn start(
    parts: Parts,
    exchange: Exchange,
    founding: Founding,
    version: &str,
    stop_before: StopBefore,
) -> Result<(DeskHandle, JoinHandle<()>), StartError> {
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

/// Ends a run: everything asked for before is durable, then the book tells that the server stopped.
///
/// # Errors
/// When the book cannot be written, or the writer has ended.
pub async fn stop(desk: &DeskHandle) -> Result<(), DeskError> {
    desk.settled().await?;
    let id = CommandId(desk.clock().new_id());
    desk.submit(Order::new(id, Actor::System, Stop {})).await.map(|_| ())
}

/// Forgets secrets that nothing names. Which may be is found out at once: to be called between opening the book and
/// starting the Desk, when no command is on its way, so that what nothing names now never will be named. That nothing does
/// is the word of the book alone, from its first record, and not of this exchange, which may come from a snapshot: what is
/// forgotten is gone for ever. Takes as long as reading the book when there is something to forget; may be done while
/// the Desk runs, or not at all. Only right when the end of the book is certain.
pub fn forget_unnamed(
    parts: &Parts,
    exchange: &Exchange,
) -> impl Future<Output = ()> + Send + use<> {
    let perhaps = unnamed(&*parts.secrets, exchange);
    let (store, secrets) = (Arc::clone(&parts.store), Arc::clone(&parts.secrets));
    async move {
        if perhaps.is_empty() {
            return;
        }
        let by_the_book = match configured(&*store).await {
            Ok(exchange) => exchange,
            Err(error) => {
                tracing::warn!(%error, "secrets that no event seems to name stay in the vault");
                return;
            }
        };
        drop(store);
        let (gone, named) = apart(perhaps, &by_the_book);
        if named > 0 {
            tracing::error!(
                named,
                "secrets are in force that the tables the server began with do not name: they stay in the vault, but a snapshot is false. Run `switchbook audit verify`"
            );
        }
        forget(secrets, gone).await;
    }
}

/// The exchange as the records alone tell it, without registrations and calls, which name no secret.
async fn configured(book: &dyn EventReader) -> Result<Exchange, ReadError> {
    let (mut exchange, mut next) = (Exchange::default(), Position(1));
    loop {
        let stretch = book.read_of(Extent::CONFIGURATION, next, STRETCH).await?;
        stretch.records.iter().for_each(|recorded| exchange.evolve(recorded));
        match stretch.last {
            Some((last, _)) => next = last.next(),
            None => return Ok(exchange),
        }
    }
}

/// A vault that cannot be written is no reason not to go on: they are forgotten another time.
async fn forget(secrets: Arc<dyn Secrets>, gone: Vec<SecretRef>) {
    if gone.is_empty() {
        return;
    }
    let many = gone.len();
    match tokio::task::spawn_blocking(move || secrets.forget(&gone)).await {
        Ok(Ok(())) => tracing::info!(many, "secrets that no event names were forgotten"),
        Ok(Err(why)) => tracing::warn!(%why, "secrets that no event names stay in the vault"),
        Err(error) => tracing::warn!(%error, "secrets that no event names stay in the vault"),
    }
}
