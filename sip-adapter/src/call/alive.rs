//! Whether both ends of an answered call are still there: without this, a call whose phones vanish would last for ever.

use super::{Call, Cx, Phase};
use crate::wire::{Side, Wire};
use std::time::Duration;
use switchbook_core::call::CallOutcome;

/// Told to the end that is still there (RFC 3326).
pub(super) const PEER_GONE: &str = "SIP;cause=408;text=\"Peer gone\"";

impl Call {
    /// Sets the time of the next question, up to a fifth early or late: calls of one moment do not ask in one moment.
    pub(super) fn alive_later(&mut self, wire: &mut Wire) {
        let percent = u32::try_from(80 + wire.ids.u64() % 41).unwrap_or(100);
        let pause = (self.alive_check * percent / 100).max(Duration::from_secs(1));
        self.alive_at = Some(wire.now.instant + pause);
    }

    /// Asks both sides.
    pub(super) fn alive_due(&mut self, cx: &mut Cx<'_>) {
        if self.phase != Phase::Talking || self.alive_at.is_none_or(|at| at > cx.wire.now.instant) {
            return;
        }
        self.alive_later(cx.wire);
        let id = self.id;
        for side in [Some(Side::A), self.b.map(Side::B)].into_iter().flatten() {
            if let Some(leg) = self.leg_mut(side) {
                cx.wire.ask_alive(id, side, &mut leg.dialog, &leg.flow);
            }
        }
    }

    /// An answer. Any but these two comes from somebody who is there (RFC 3261 §12.2.1.2).
    pub(super) fn alive_said(&mut self, cx: &mut Cx<'_>, side: Side, status: u16) {
        if self.phase == Phase::Talking && matches!(status, 408 | 481) {
            self.peer_gone(cx, side);
        }
    }

    /// The dialog of one side is gone: that side is told nothing more, and the call ends for the other.
    pub(super) fn peer_gone(&mut self, cx: &mut Cx<'_>, side: Side) {
        if let Some(leg) = self.leg_mut(side) {
            leg.closed = true;
            leg.owes_bye = false;
            leg.unacknowledged = None;
        }
        self.hang_up(cx, CallOutcome::Failed, PEER_GONE);
    }
}
