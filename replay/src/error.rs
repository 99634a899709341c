//! Why an auditor's question cannot be answered, in words that say what to do.

use switchbook_core::id::CallId;
use switchbook_core::position::Position;
use switchbook_journal::ReadError;
use switchbook_projections::audit_trail::NotAKind;
use switchbook_projections::names::NotFound;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The book could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No object of that name.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// No kind of event of that name.
    #[error(transparent)]
    NotAKind(#[from] NotAKind),
    /// A text that says no time.
    #[error(
        "`{0}` is no position and no moment: write #123, 2026-11-23T12:00:00Z, \"2026-11-23 12:00\" (on the wall clock of the exchange), or now"
    )]
    NotATime(String),
    /// Behind the end of the book.
    #[error("the book ends at {tail}; there is no {position} in it yet")]
    NotYet {
        /// What was asked for.
        position: Position,
        /// Where the book ends.
        tail: Position,
    },
    /// The book knows no such call.
    #[error(
        "the book knows no call {0}: the call log lists the calls with their positions; check the id, or give the position of the CallPlaced"
    )]
    NoSuchCall(CallId),
    /// The event there places no call.
    #[error(
        "{position} is {found}, and no call: give the position of a CallPlaced, or the call's id"
    )]
    NotACall {
        /// Which event.
        position: Position,
        /// What it is.
        found: &'static str,
    },
    /// The object has no such field now.
    #[error("{object} has no field `{field}` then; it has: {there}")]
    NoSuchField {
        /// Which object.
        object: String,
        /// What was asked for.
        field: String,
        /// What there is.
        there: String,
    },
}
