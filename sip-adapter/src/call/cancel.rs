//! The caller gives up before anybody answered (RFC 3261 §9.2).

use super::{Call, Cx, Phase};
use switchbook_core::call::CallOutcome;
use switchbook_sip::transaction::Key;

impl Call {
    /// CANCEL. The table answered it, and tells us only if no final answer was given: an answered call stays.
    pub(super) fn cancelled(&mut self, cx: &mut Cx<'_>) {
        if self.phase != Phase::Hunting {
            return;
        }
        self.cancel_branches(cx, |_| true, None);
        self.answer_caller(cx, 487, "Request Terminated", None);
        self.ended(cx, CallOutcome::Cancelled, 487);
    }

    /// The caller's INVITE transaction is gone before its answer: nobody is there to be connected.
    pub(super) fn caller_lost(&mut self, cx: &mut Cx<'_>, key: Key) {
        if key != self.invite_key || self.phase != Phase::Hunting {
            return;
        }
        self.invite_answered = true;
        self.cancel_branches(cx, |_| true, None);
        self.ended(cx, CallOutcome::Failed, 408);
    }
}
