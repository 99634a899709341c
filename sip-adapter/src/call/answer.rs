//! The first 2xx wins (11g); what the caller hears of it, and the ACKs on both sides (RFC 3261 §13).

use super::branch::ELSEWHERE;
use super::leg::Ack;
use super::{Call, Cx, Effect, Phase};
use crate::wire::{ALLOW, Side, Wire, finish_with_body};
use bytes::Bytes;
use switchbook_core::call::{CallAnswered, CallOutcome};
use switchbook_sip::dialog::Retransmit2xx;
use switchbook_sip::message::{HeaderName, Request, Response, reason_phrase};

impl Call {
    /// A provisional answer to the caller.
    pub(super) fn progress(&mut self, cx: &mut Cx<'_>, status: u16, early: Option<&Response>) {
        self.progress = status;
        let bytes = self.write_to_caller(cx.wire, status, reason_phrase(status), None, early);
        if let Some(bytes) = bytes {
            let _ = cx.wire.table.respond(cx.wire.now.instant, self.invite_key, bytes);
        }
    }

    /// A final refusal to the caller, once.
    pub(super) fn answer_caller(
        &mut self,
        cx: &mut Cx<'_>,
        status: u16,
        phrase: &str,
        reason: Option<&str>,
    ) {
        if std::mem::replace(&mut self.invite_answered, true) {
            return;
        }
        if let Some(bytes) = self.write_to_caller(cx.wire, status, phrase, reason, None) {
            let _ = cx.wire.table.respond(cx.wire.now.instant, self.invite_key, bytes);
        }
    }

    fn write_to_caller(
        &self,
        wire: &mut Wire,
        status: u16,
        phrase: &str,
        reason: Option<&str>,
        body: Option<&Response>,
    ) -> Option<Bytes> {
        let tag = &self.a.dialog.id().local_tag;
        let flow = &self.a.flow;
        let mut b = Wire::reply(&mut wire.buf, &self.invite, flow, status, phrase, Some(tag));
        if status < 300 {
            b.addr(HeaderName::Contact, None, &Wire::contact(flow), None);
            b.header(HeaderName::Allow, ALLOW);
            // The dialog's route set is what the INVITE recorded on its way (RFC 3261 §12.1.1).
            b.copy(&self.invite, HeaderName::RecordRoute);
        }
        if let Some(reason) = reason {
            b.header(HeaderName::Reason, reason);
        }
        finish_with_body(&mut b, body.map(|response| &**response)).ok()
    }

    /// A branch answered first.
    pub(super) fn answered(&mut self, cx: &mut Cx<'_>, index: usize, response: &Response) {
        self.b = Some(index);
        let now = cx.wire.now;
        let offered = !self.invite.body().is_empty();
        if let Some(leg) = self.branches.get_mut(index).and_then(|branch| branch.leg.as_mut()) {
            if offered {
                leg.acknowledge(cx.wire, None);
            } else {
                leg.ack = Ack::Owed;
            }
        }
        self.cancel_branches(cx, |_| true, Some(ELSEWHERE));
        self.phase = Phase::Talking;
        self.invite_answered = true;
        let (device, number) = match self.branches.get(index) {
            Some(branch) => (branch.device, branch.number),
            None => (None, None),
        };
        self.ring = None;
        (self.dial_until, self.silent_until) = (None, None);
        self.alive_later(cx.wire);
        let answered = CallAnswered { call: self.call, device, number, answered_at: now.moment };
        cx.effects.push(Effect::Record(Box::new(answered.into())));
        cx.effects.extend(device.zip(number).map(|(device, number)| Effect::InUse(device, number)));
        cx.wire.metrics.calls_answered.add(1);
        let bytes = self.write_to_caller(cx.wire, 200, "OK", None, Some(response));
        let sent = bytes.and_then(|bytes| {
            cx.wire.table.respond(now.instant, self.invite_key, bytes.clone()).ok().map(|()| bytes)
        });
        match sent {
            Some(bytes) => {
                self.a.dialog.confirm();
                let repeat = Retransmit2xx::new(now.instant, &cx.wire.timers, bytes);
                self.a.unacknowledged = Some((self.invite_key, repeat));
            }
            // The caller cannot be answered: there is no call.
            None => {
                self.a.closed = true;
                self.hang_up(cx, CallOutcome::Failed, "");
            }
        }
    }

    /// An ACK to a 2xx of ours.
    pub(super) fn acknowledged(&mut self, cx: &mut Cx<'_>, side: Side, request: &Request) {
        let Some(leg) = self.leg_mut(side).filter(|leg| leg.is_of(request)) else { return };
        leg.unacknowledged = None;
        let owed = std::mem::replace(&mut leg.owes_bye, false);
        if self.phase == Phase::Talking && crate::endpoint::sdp_is_hostile(request) {
            // The other side's ACK goes out without the answer, and its BYE after it (checklist 33).
            return self.hang_up(cx, CallOutcome::Failed, super::relay::HOSTILE);
        }
        // The answer to the other side's offer came with it.
        if let Some(other) = self.other(side)
            && let Some(leg) = self.leg_mut(other)
            && matches!(leg.ack, Ack::Owed)
        {
            leg.acknowledge(cx.wire, Some(request));
        }
        if owed {
            self.say_bye(cx, side, "");
        }
    }

    /// Repeats what was not acknowledged; a caller who never does is hung up on (RFC 3261 §13.3.1.4).
    pub(super) fn acks_due(&mut self, cx: &mut Cx<'_>) {
        for side in [Some(Side::A), self.b.map(Side::B)].into_iter().flatten() {
            let Some(leg) = self.leg_mut(side) else { continue };
            if !leg.repeat_2xx(cx.wire) {
                continue;
            }
            if std::mem::replace(&mut leg.owes_bye, false) {
                self.say_bye(cx, side, "");
            }
            self.hang_up(cx, CallOutcome::Failed, "SIP;cause=408;text=\"ACK missing\"");
        }
    }
}
