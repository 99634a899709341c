//! From outcomes to what the caller is told. The only place that knows 486.

use super::plan::Verdict;
use switchbook_core::call::{CallOutcome, ReleaseCause};
use switchbook_core::routing::plan::Outcome;

/// What the caller is told, and what the book is.
pub(crate) struct Told {
    pub status: u16,
    pub phrase: &'static str,
    /// Value of a Reason header: the cause in the words of the telephone network (RFC 3326, ITU-T Q.850).
    pub reason: &'static str,
    pub recorded: CallOutcome,
}

/// No answer is 480, as is nobody there: 408 would make some phones believe that we are gone. The Reason header tells
/// the two apart.
pub(crate) fn told(outcome: Outcome, rejected: bool) -> Told {
    let (status, phrase, reason, recorded) = match outcome {
        Outcome::Busy if rejected => {
            (486, "Busy Here", "Q.850;cause=21;text=\"Rejected\"", CallOutcome::Rejected)
        }
        Outcome::Busy => (486, "Busy Here", "Q.850;cause=17;text=\"Busy\"", CallOutcome::Busy),
        Outcome::NotAvailable => (
            480,
            "Temporarily Unavailable",
            "Q.850;cause=20;text=\"Not available\"",
            CallOutcome::NotAvailable,
        ),
        Outcome::NoAnswer => {
            (480, "No Answer", "Q.850;cause=19;text=\"No answer\"", CallOutcome::NoAnswer)
        }
        Outcome::UnknownNumber => {
            (404, "Not Found", "Q.850;cause=1;text=\"Unknown number\"", CallOutcome::UnknownNumber)
        }
        Outcome::NotPermitted => {
            (403, "Forbidden", "Q.850;cause=57;text=\"Not permitted\"", CallOutcome::NotPermitted)
        }
        Outcome::NoNumberOnSlot => (
            403,
            "No Number On Slot",
            "Q.850;cause=57;text=\"No number on slot\"",
            CallOutcome::NotPermitted,
        ),
        Outcome::Loop => {
            (482, "Loop Detected", "Q.850;cause=25;text=\"Forwarding loop\"", CallOutcome::Loop)
        }
        Outcome::NoTrunk => {
            (503, "Service Unavailable", "Q.850;cause=34;text=\"No trunk\"", CallOutcome::Failed)
        }
    };
    Told { status, phrase, reason, recorded }
}

/// What a phone's refusal says of it. A redirection is not followed: where calls go is the plan's affair
/// (checklist 38). A challenge is not answered (checklist 10).
pub(super) fn phone_said(status: u16) -> Verdict {
    match status {
        486 | 600 => Verdict::Busy,
        603 | 607 | 608 => Verdict::Rejected,
        _ => Verdict::Unreachable,
    }
}

/// What a trunk's refusal says of the number behind it.
pub(super) fn trunk_said(status: u16) -> Outcome {
    match status {
        486 | 600 | 603 => Outcome::Busy,
        404 | 410 | 484 | 485 | 604 => Outcome::UnknownNumber,
        403 => Outcome::NotPermitted,
        480 | 487 => Outcome::NotAvailable,
        482 | 483 => Outcome::Loop,
        _ => Outcome::NoTrunk,
    }
}

/// What the book is told: the cause in the words of the telephone network. What the outcome says goes before what
/// the status line says, as RFC 3398 §8.2.6.1 maps it; 0 is an end by BYE.
pub(crate) fn cause(outcome: CallOutcome, status: u16) -> ReleaseCause {
    match outcome {
        CallOutcome::HungUpByCaller | CallOutcome::HungUpByCallee | CallOutcome::Cancelled => {
            ReleaseCause::NORMAL
        }
        CallOutcome::Busy => ReleaseCause::USER_BUSY,
        CallOutcome::Rejected => ReleaseCause::REJECTED,
        CallOutcome::NoAnswer => ReleaseCause::NO_ANSWER,
        CallOutcome::NotAvailable => ReleaseCause::ABSENT,
        CallOutcome::UnknownNumber => ReleaseCause::UNALLOCATED,
        CallOutcome::NotPermitted => ReleaseCause::NOT_AUTHORIZED,
        CallOutcome::Loop => ReleaseCause::EXCHANGE_ROUTING_ERROR,
        CallOutcome::Failed | CallOutcome::FeatureCode => of_status(status),
    }
}

fn of_status(status: u16) -> ReleaseCause {
    match status {
        0..300 => ReleaseCause::NORMAL,
        401..=403 | 407 | 603 => ReleaseCause::REJECTED,
        404 | 485 | 604 => ReleaseCause::UNALLOCATED,
        408 | 504 => ReleaseCause::TIMER_EXPIRED,
        480 => ReleaseCause::NO_USER_RESPONDING,
        482 | 483 => ReleaseCause::EXCHANGE_ROUTING_ERROR,
        486 | 600 => ReleaseCause::USER_BUSY,
        400 | 481 | 500 | 503 => ReleaseCause::TEMPORARY_FAILURE,
        _ => ReleaseCause::INTERWORKING,
    }
}
