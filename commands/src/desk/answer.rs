//! What the Desk answers.

use crate::order::{LeaseRenewal, Warning};
use crate::refusal::{Refusal, RefusalCode};
use std::sync::Arc;
use switchbook_core::envelope::Recorded;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::CommandId;
use switchbook_core::position::Position;

/// A command was carried out, and it is durable.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Which.
    pub command: CommandId,
    /// The book up to here has to be seen to see its effect.
    pub position: Position,
    /// What stands in the book because of it; nothing when everything was so already.
    pub records: Arc<[Recorded]>,
    /// Bindings that live on without an event.
    pub leases: Vec<LeaseRenewal>,
    /// What the sender should know.
    pub warnings: Vec<Warning>,
}

impl Answer {
    /// First and last position of its events.
    #[must_use]
    pub fn positions(&self) -> Option<(Position, Position)> {
        let (first, last) = (self.records.first()?, self.records.last()?);
        Some((first.envelope.position, last.envelope.position))
    }
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeskError {
    /// The command was refused; nothing was changed by it, unless its code says that this is not known.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A command of a bulk was refused; nothing of it was changed.
    #[error("command {} of the list: {refusal}", index + 1)]
    RefusedInBulk {
        /// Which, from 0.
        index: usize,
        /// Why.
        refusal: Refusal,
    },
    /// The Desk is closed: the server stops.
    #[error("the server is stopping: nothing was changed; repeat when it is up again")]
    Closed,
}

impl DeskError {
    /// The refusal's code, if it is one.
    #[must_use]
    pub const fn code(&self) -> Option<RefusalCode> {
        match self {
            Self::Refused(refusal) | Self::RefusedInBulk { refusal, .. } => Some(refusal.code),
            Self::Closed => None,
        }
    }
}

/// The exchange as readers see it: everything in it is durable.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// The state.
    pub exchange: Exchange,
    /// The last event in it.
    pub position: Position,
}

/// Does the Desk take commands that change something?
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeskHealth {
    /// Yes.
    Writable,
    /// No, since the book cannot be written; it tries again by itself.
    ReadOnly {
        /// Why.
        why: String,
    },
}
