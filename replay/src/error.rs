//! Why an auditor's question cannot be answered, in words that say what to do.

use switchbook_core::id::CallId;
use switchbook_core::position::Position;
use switchbook_journal::ReadError;
use switchbook_projections::audit_trail::NotAKind;
use switchbook_projections::names::NotFound;
use switchbook_projections::text::Text;

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
    /// No fact of it is in the state then.
    #[error("{0} is not there then: `switchbook audit history {0}` shows when it came or went")]
    NotThere(String),
    /// The object has no such field now.
    #[error("{object} has no field `{field}` then; it has: {there}")]
    NoSuchField {
        /// Which object.
        object: String,
        /// What was asked for.
        field: String,
        /// What there is.
        there: Text,
    },
}

impl ReplayError {
    /// For people. What stands behind a book that cannot be read speaks English alone.
    #[must_use]
    pub fn text(&self) -> Text {
        let en = self.to_string();
        let de = match self {
            Self::Read(error) => format!("das Buch ist nicht lesbar: {error}"),
            Self::NotFound(error) => return error.text(),
            Self::NotAKind(error) => return error.text(),
            Self::NotATime(text) => format!(
                "`{text}` ist weder Position noch Zeitpunkt: Schreiben Sie #123, 2026-11-23T12:00:00Z, \"2026-11-23 12:00\" (nach der Uhr der Anlage) oder now"
            ),
            Self::NotYet { position, tail } => {
                format!("das Buch endet bei {tail}; {position} steht noch nicht darin")
            }
            Self::NoSuchCall(call) => format!(
                "das Buch kennt keinen Ruf {call}: Das Rufjournal nennt die Rufe mit ihren Positionen; prüfen Sie die Id, oder nennen Sie die Position des CallPlaced"
            ),
            Self::NotACall { position, found } => format!(
                "{position} ist {found} und kein Ruf: Nennen Sie die Position eines CallPlaced, oder die Id des Rufs"
            ),
            Self::NotThere(object) => format!(
                "{object} gibt es dann nicht: `switchbook audit history {object}` zeigt, wann es kam oder ging"
            ),
            Self::NoSuchField { object, field, there } => {
                let there = &there.de;
                format!("{object} hat dann kein Feld `{field}`; es hat: {there}")
            }
        };
        Text { en, de }
    }
}
