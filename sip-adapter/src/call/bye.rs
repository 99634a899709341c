//! How an answered call ends (RFC 3261 §15).

use super::leg::Ack;
use super::{Call, Cx, Phase};
use crate::wire::Side;
use switchbook_core::call::CallOutcome;
use switchbook_core::position::Position;
use switchbook_sip::message::Request;
use switchbook_sip::transaction::{Flow, Key};

/// Told to both sides of a call that an administrator ends (RFC 3326).
const ORDERED: &str = "Q.850;cause=31;text=\"Ended by an administrator\"";

impl Call {
    /// BYE from one side.
    pub(super) fn bye(
        &mut self,
        cx: &mut Cx<'_>,
        side: Side,
        key: Key,
        flow: Flow,
        request: &Request,
    ) {
        cx.wire.answer(key, &flow, request, 200, None);
        let in_call = self.other(side).is_some();
        if let Some(leg) = self.leg_mut(side) {
            leg.closed = true;
            leg.owes_bye = false;
            leg.unacknowledged = None;
        }
        match (self.phase, side) {
            // A caller may leave an early dialog by BYE as well.
            (Phase::Hunting, Side::A) => {
                self.cancel_branches(cx, |_| true, None);
                self.answer_caller(cx, 487, "Request Terminated", None);
                self.ended(cx, CallOutcome::Cancelled, 487);
            }
            (Phase::Talking, Side::A) => self.hang_up(cx, CallOutcome::HungUpByCaller, ""),
            (Phase::Talking, Side::B(_)) if in_call => {
                self.hang_up(cx, CallOutcome::HungUpByCallee, "");
            }
            _ => {}
        }
    }

    /// Somebody outside the call ends it: by an order that stands in the book, or by stopping the server.
    pub(super) fn hung_up(&mut self, cx: &mut Cx<'_>, ordered: Option<Position>) {
        let Some(ordered) = ordered else { return self.hang_up(cx, CallOutcome::Failed, "") };
        if self.phase == Phase::Ending {
            return;
        }
        self.ordered = Some(ordered);
        if self.phase == Phase::Hunting {
            // Not 503: the server is well, and another attempt may go through.
            self.cancel_branches(cx, |_| true, Some(ORDERED));
            self.answer_caller(cx, 480, "Temporarily Unavailable", Some(ORDERED));
            return self.ended(cx, CallOutcome::Failed, 480);
        }
        self.hang_up(cx, CallOutcome::Failed, ORDERED);
    }

    /// Ends the call on every side that is still there.
    pub(super) fn hang_up(&mut self, cx: &mut Cx<'_>, outcome: CallOutcome, reason: &str) {
        self.end_relays(cx);
        match self.phase {
            Phase::Hunting => {
                self.cancel_branches(cx, |_| true, None);
                self.answer_caller(cx, 503, "Service Unavailable", None);
                self.ended(cx, outcome, 503);
            }
            Phase::Talking => {
                self.say_bye(cx, Side::A, reason);
                if let Some(index) = self.b {
                    self.say_bye(cx, Side::B(index), reason);
                }
                self.ended(cx, outcome, 0);
            }
            Phase::Ending => {}
        }
    }

    /// Sends BYE to one side, unless one came or went. A side that has not acknowledged our 2xx yet gets it after its
    /// ACK (RFC 3261 §15); a side whose 2xx we have not acknowledged gets the ACK first.
    pub(super) fn say_bye(&mut self, cx: &mut Cx<'_>, side: Side, reason: &str) {
        let id = self.id;
        let Some(leg) = self.leg_mut(side) else { return };
        if leg.closed {
            return;
        }
        if leg.unacknowledged.is_some() {
            leg.owes_bye = true;
            return;
        }
        if matches!(leg.ack, Ack::Owed) {
            leg.acknowledge(cx.wire, None);
        }
        leg.closed = true;
        let sent = cx.wire.bye(id, &mut leg.dialog, &leg.flow, reason);
        self.byes += usize::from(sent);
    }

    /// A BYE of ours was answered, or never will be: either way that side is gone.
    pub(super) fn bye_done(&mut self) {
        self.byes = self.byes.saturating_sub(1);
    }
}
