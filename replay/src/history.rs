//! `audit history`: the events of an object, of an actor, of a stretch of time, of a kind.

use crate::as_of::{self, At};
use crate::error::ReplayError;
use switchbook_core::id::CorrelationId;
use switchbook_core::position::Position;
use switchbook_journal::EventReader;
use switchbook_projections::audit_trail::{self, By, Order, Page, Query};
use switchbook_projections::fold;
use switchbook_projections::snapshot::Open;

/// A question as it is typed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Request {
    /// `user:ada`, `number:100`, `slot:ada/desk`, `device:p1`, `group:…`, `profile:ada/Urlaub`, `schedule:ID`,
    /// `trunk:…`, `call:ID`, `exchange`; everything when none.
    pub object: Option<String>,
    /// `system`, `console`, `user:ada`, `device:p1`, `schedule:ID`.
    pub by: Option<String>,
    /// From here on.
    pub from: Option<At>,
    /// Up to here.
    pub to: Option<At>,
    /// Names of events, however written (`ScheduleAdded`, `schedule-added`).
    pub kinds: Vec<String>,
    /// Only of this thread: a command and everything it led to.
    pub thread: Option<CorrelationId>,
    /// Behind this position: the next page.
    pub after: Position,
    /// Which first.
    pub order: Order,
    /// At most so many; 200 when 0.
    pub limit: usize,
}

/// Answers it. Names are those that things have or had at the end of the book.
///
/// # Errors
/// [`ReplayError`] for names, kinds and times that mean nothing, and the reader's.
pub async fn history(
    reader: &dyn EventReader,
    request: &Request,
    open: Open<'_>,
) -> Result<Page, ReplayError> {
    let names = fold::names_at(reader, reader.tail(), open).await?;
    let object = request.object.as_deref().map(|object| names.find(object)).transpose()?;
    let by = request.by.as_deref().map(|by| By::parse(by, &names)).transpose()?;
    let kinds: Result<Vec<String>, _> =
        request.kinds.iter().map(|kind| audit_trail::kind(kind).map(Into::into)).collect();
    let mut query = Query {
        subject: object,
        actor: by,
        kinds: kinds?,
        after: request.after,
        correlation: request.thread,
        order: request.order,
        ..Query::default()
    };
    if request.limit > 0 {
        query.limit = request.limit;
    }
    match request.from {
        Some(At::Position(position)) => {
            query.after = query.after.max(Position(position.0.saturating_sub(1)));
        }
        Some(at) => query.from = as_of::moment(reader, at).await?,
        None => {}
    }
    match request.to {
        Some(At::Position(position)) => query.up_to = Some(position),
        Some(at) => query.to = as_of::moment(reader, at).await?,
        None => {}
    }
    let zone = as_of::zone(reader).await?;
    Ok(audit_trail::page(reader, &names, zone, &query).await?)
}
