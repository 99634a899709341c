//! Requests passed on from one side of a call to the other: re-INVITE and UPDATE (hold, resume, other media), INFO and
//! MESSAGE. Bodies are passed on as they came (RFC 3261 §14, RFC 3311, RFC 6086, RFC 3428).

use super::alive::PEER_GONE;
use super::leg::Ack;
use super::{Call, Cx, Phase};
use crate::wire::{ALLOW, Role, Side, Wire, finish_with_body};
use switchbook_core::call::CallOutcome;
use switchbook_sip::dialog::Retransmit2xx;
use switchbook_sip::message::{HeaderName, Method, Request, Response, reason_phrase};
use switchbook_sip::transaction::{Flow, Key};

/// Requests of one call that may be under way at once: one phone must not use up the transactions of all.
const MOST_RELAYS: usize = 32;

/// Told to both ends of a call whose answer would send media to everybody (RFC 3326).
pub(super) const HOSTILE: &str = "SIP;cause=488;text=\"Not Acceptable Here\"";

/// One request on its way through us.
pub(super) struct Relay {
    serial: u64,
    from: Side,
    to: Side,
    server: Key,
    client: Key,
    flow: Flow,
    request: Request,
}

impl Relay {
    /// Does it change the session?
    fn is_offer(&self) -> bool {
        changes_session(&self.request)
    }
}

fn changes_session(request: &Request) -> bool {
    match request.method() {
        Method::Invite => true,
        Method::Update => !request.body().is_empty(),
        _ => false,
    }
}

impl Call {
    pub(super) fn relay(
        &mut self,
        cx: &mut Cx<'_>,
        from: Side,
        key: Key,
        flow: Flow,
        request: Request,
    ) {
        let Some(to) = self.other(from).filter(|_| self.phase == Phase::Talking) else {
            // Early, or already over.
            let (status, phrase) = match self.phase {
                Phase::Ending => (481, reason_phrase(481)),
                _ => (500, "Server Internal Error"),
            };
            let later = [(HeaderName::RetryAfter, "3")];
            return cx.wire.answer_with(key, &flow, &request, status, phrase, None, &later);
        };
        if self.relays.len() >= MOST_RELAYS {
            let later = [(HeaderName::RetryAfter, "1")];
            let phrase = "Too Many Requests Under Way";
            return cx.wire.refuse(key, &flow, &request, 503, phrase, &later);
        }
        if crate::endpoint::sdp_is_hostile(&request) {
            return cx.wire.answer(key, &flow, &request, 488, None);
        }
        if changes_session(&request)
            && let Err((status, phrase)) = self.begin_offer(from, to)
        {
            let later = [(HeaderName::RetryAfter, "2")];
            return cx.wire.answer_with(key, &flow, &request, status, phrase, None, &later);
        }
        if request.method() != Method::Message
            && request.has(HeaderName::Contact)
            && let Some(leg) = self.leg_mut(from)
        {
            // A target that cannot be read leaves the old one (RFC 3261 §12.2.2).
            let _ = leg.dialog.refresh_target(&request);
        }
        let serial = self.next_relay;
        self.next_relay += 1;
        let (id, role) = (self.id, Role::Relay(serial));
        let client = self.leg_mut(to).and_then(|leg| {
            let method = request.method();
            let (way, mut b) = Wire::in_dialog(
                &mut cx.wire.buf,
                &mut cx.wire.ids,
                &mut leg.dialog,
                &leg.flow,
                method,
            );
            if matches!(method, Method::Invite | Method::Update) {
                b.addr(HeaderName::Contact, None, &Wire::contact(&leg.flow), None);
                b.header(HeaderName::Allow, ALLOW);
            }
            if method == Method::Info {
                for value in request.values_named("Info-Package") {
                    b.header_named("Info-Package", value);
                }
            }
            let bytes = finish_with_body(&mut b, Some(&request)).ok()?;
            cx.wire.request(way, bytes, (id, role))
        });
        let Some(client) = client else {
            self.settle(from, to, &request);
            return cx.wire.answer(key, &flow, &request, 500, None);
        };
        cx.wire.owners.insert(key, (id, role));
        self.relays.push(Relay { serial, from, to, server: key, client, flow, request });
    }

    /// Both dialogs must be free for an offer; else the asker tries again later (RFC 3261 §14.2).
    fn begin_offer(&mut self, from: Side, to: Side) -> Result<(), (u16, &'static str)> {
        if let Some(leg) = self.leg_mut(from) {
            leg.offer.begin_theirs().map_err(|glare| glare.status())?;
        }
        let free = self.leg_mut(to).is_some_and(|leg| {
            leg.unacknowledged.is_none() && !matches!(leg.ack, Ack::Owed) && leg.offer.begin_ours()
        });
        if !free {
            if let Some(leg) = self.leg_mut(from) {
                leg.offer.settle();
            }
            return Err((491, "Request Pending"));
        }
        Ok(())
    }

    fn settle(&mut self, from: Side, to: Side, request: &Request) {
        if !changes_session(request) {
            return;
        }
        for side in [from, to] {
            if let Some(leg) = self.leg_mut(side) {
                leg.offer.settle();
            }
        }
    }

    pub(super) fn relay_cancelled(&mut self, cx: &mut Cx<'_>, serial: u64) {
        if let Some(relay) = self.relays.iter().find(|relay| relay.serial == serial) {
            // Its final answer, 487 or the 2xx that crossed, is passed on like any other.
            let _ = cx.wire.table.cancel(cx.wire.now.instant, relay.client, None);
        }
    }

    pub(super) fn relay_response(
        &mut self,
        cx: &mut Cx<'_>,
        serial: u64,
        key: Key,
        response: &Response,
    ) {
        let status = response.status();
        let Some(place) = self.relays.iter().position(|relay| relay.serial == serial) else {
            return self.repeat_ack(cx, response);
        };
        if status < 200 || self.relays.get(place).is_none_or(|relay| relay.client != key) {
            return;
        }
        let relay = self.relays.remove(place);
        self.settle(relay.from, relay.to, &relay.request);
        let is_invite = relay.request.method() == Method::Invite;
        if (200..300).contains(&status)
            && let Some(leg) = self.leg_mut(relay.to)
        {
            if relay.is_offer() || is_invite {
                let _ = leg.dialog.refresh_target(response);
            }
            if is_invite && !relay.request.body().is_empty() {
                leg.acknowledge(cx.wire, None);
            } else if is_invite {
                leg.ack = Ack::Owed;
            }
        }
        if (200..300).contains(&status) && crate::endpoint::sdp_is_hostile(response) {
            // What was agreed there cannot be told here (checklist 33).
            self.pass_back(cx, &relay, 488, None);
            return self.hang_up(cx, CallOutcome::Failed, HOSTILE);
        }
        self.pass_back(cx, &relay, status, Some(response));
        // The dialog is gone at the other end, or nobody is there (RFC 3261 §12.2.1.2).
        match status {
            481 if relay.is_offer() => self.peer_gone(cx, relay.to),
            408 if relay.is_offer() => self.hang_up(cx, CallOutcome::Failed, PEER_GONE),
            _ => {}
        }
    }

    pub(super) fn relay_lost(&mut self, cx: &mut Cx<'_>, serial: u64, key: Key) {
        let Some(place) = self.relays.iter().position(|relay| relay.serial == serial) else {
            return;
        };
        if self.relays.get(place).is_none_or(|relay| relay.client != key) {
            return;
        }
        let relay = self.relays.remove(place);
        self.settle(relay.from, relay.to, &relay.request);
        self.pass_back(cx, &relay, 408, None);
        if relay.is_offer() {
            self.hang_up(cx, CallOutcome::Failed, PEER_GONE);
        }
    }

    fn pass_back(
        &mut self,
        cx: &mut Cx<'_>,
        relay: &Relay,
        status: u16,
        response: Option<&Response>,
    ) {
        // A phone's challenge is nobody else's to answer (checklist 10).
        let status = if matches!(status, 401 | 407) { 403 } else { status };
        let phrase = reason_phrase(status);
        let flow = relay.flow;
        let mut b = Wire::reply(&mut cx.wire.buf, &relay.request, &flow, status, phrase, None);
        let method = relay.request.method();
        if status < 300 && matches!(method, Method::Invite | Method::Update) {
            b.addr(HeaderName::Contact, None, &Wire::contact(&flow), None);
            b.header(HeaderName::Allow, ALLOW);
        }
        if let Some(response) = response {
            b.copy(response, HeaderName::RetryAfter);
        }
        let body = response.filter(|_| status < 300).map(|response| &**response);
        let Ok(bytes) = finish_with_body(&mut b, body) else { return };
        let now = cx.wire.now.instant;
        let sent = cx.wire.table.respond(now, relay.server, bytes.clone()).is_ok();
        if sent && status < 300 && method == Method::Invite {
            let repeat = Retransmit2xx::new(now, &cx.wire.timers, bytes);
            if let Some(leg) = self.leg_mut(relay.from) {
                leg.unacknowledged = Some((relay.server, repeat));
            }
        }
    }

    /// A repeated 2xx to a re-INVITE of ours: our ACK was lost.
    fn repeat_ack(&mut self, cx: &mut Cx<'_>, response: &Response) {
        let invite = response.cseq().is_ok_and(|cseq| cseq.method == Method::Invite);
        if !invite || !(200..300).contains(&response.status()) {
            return;
        }
        let tag = response.from().ok().and_then(|from| from.tag().map(str::to_owned));
        for side in [Some(Side::A), self.b.map(Side::B)].into_iter().flatten() {
            let Some(leg) = self.leg_mut(side) else { continue };
            if tag.as_deref() == Some(leg.dialog.id().local_tag.as_str())
                && let Ack::Sent(flow, bytes) = &leg.ack
            {
                cx.wire.direct.push_back((*flow, bytes.clone()));
            }
        }
    }

    /// The call is over: what was being passed on gets its answer (RFC 3261 §15.1.2).
    pub(super) fn end_relays(&mut self, cx: &mut Cx<'_>) {
        for relay in std::mem::take(&mut self.relays) {
            if relay.request.method() == Method::Invite {
                let _ = cx.wire.table.cancel(cx.wire.now.instant, relay.client, None);
            }
            self.pass_back(cx, &relay, 487, None);
        }
    }
}
