//! What a built-in phone does when it is called, and within a call.

use super::{Call, Ua, sound_of};
use crate::phone::{OnCall, PhoneEvent};
use bytes::Bytes;
use std::time::Instant;
use switchbook_sip::dialog::{Dialog, Retransmit2xx, Stage};
use switchbook_sip::message::{Builder, HeaderName, Method, Request, Response};
use switchbook_sip::sdp::{Direction, Sdp};
use switchbook_sip::transaction::{Config, Flow, Key};

impl Ua {
    pub(super) fn requested(&mut self, now: Instant, key: Key, flow: Flow, request: Request) {
        let tag = request.to().ok().and_then(|to| to.tag().map(str::to_owned));
        let ours = self.call.as_ref().is_some_and(|call| tag.as_deref() == Some(&call.tag));
        match (request.method(), ours) {
            (Method::Invite, true) => self.changed_by_them(now, key, flow, request),
            (Method::Invite, false) if tag.is_none() => self.called(now, key, flow, request),
            (Method::Bye, true) => {
                self.respond(now, key, flow, &request, 200, None);
                self.call = None;
                self.events.push(PhoneEvent::Ended);
            }
            // Within a dialog that it knows, or outside of all; of another it knows nothing (RFC 3261 §12.2.2).
            (Method::Options, ours) if ours || tag.is_none() => {
                self.respond(now, key, flow, &request, 200, None);
            }
            (Method::Info | Method::Message, true) => {
                self.respond(now, key, flow, &request, 200, None);
            }
            _ => self.respond(now, key, flow, &request, 481, None),
        }
    }

    fn called(&mut self, now: Instant, key: Key, flow: Flow, request: Request) {
        let refusal = match self.config.on_call {
            _ if self.call.is_some() => Some(486),
            OnCall::Refuse(status) => Some(status),
            OnCall::Answer(_) | OnCall::Ring => None,
        };
        if let Some(status) = refusal {
            return self.respond(now, key, flow, &request, status, None);
        }
        let caller = request.from().ok().and_then(|from| from.uri().ok());
        let caller = caller.and_then(|uri| uri.as_sip()?.user.map(str::to_owned));
        let (call_id, tag) = (String::new(), self.ids.tag());
        let sound = sound_of(request.body());
        let mut call = Call::new(key, Some(request), call_id, tag);
        call.sound = sound;
        if let OnCall::Answer(after) = self.config.on_call {
            call.answer_at = Some(now + after);
        }
        self.call = Some(call);
        self.respond_to_invite(now, flow, 180, None);
        self.events.push(PhoneEvent::Called(caller.unwrap_or_default()));
    }

    pub(super) fn answer(&mut self, now: Instant) {
        let sdp = self.description(1, Direction::SendRecv);
        let flow = self.flow;
        let Some(call) = &mut self.call else { return };
        let Some(invite) = &call.invite else { return };
        call.dialog = Dialog::uas(invite, &call.tag, Stage::Confirmed).ok();
        let sent = self.respond_to_invite(now, flow, 200, Some(&sdp));
        if let Some(call) = &mut self.call {
            let timers = Config::default().timers;
            call.unacknowledged = sent.map(|bytes| Retransmit2xx::new(now, &timers, bytes));
        }
        self.events.push(PhoneEvent::Talks);
    }

    fn respond_to_invite(
        &mut self,
        now: Instant,
        flow: Flow,
        status: u16,
        sdp: Option<&str>,
    ) -> Option<Bytes> {
        let call = self.call.as_ref()?;
        let (key, tag, invite) = (call.key, call.tag.clone(), call.invite.clone()?);
        self.write_response(now, key, flow, &invite, status, Some(&tag), sdp)
    }

    fn respond(
        &mut self,
        now: Instant,
        key: Key,
        flow: Flow,
        request: &Request,
        status: u16,
        sdp: Option<&str>,
    ) {
        let tag = self.ids.tag();
        self.write_response(now, key, flow, request, status, Some(&tag), sdp);
    }

    #[allow(clippy::too_many_arguments)]
    fn write_response(
        &mut self,
        now: Instant,
        key: Key,
        flow: Flow,
        request: &Request,
        status: u16,
        tag: Option<&str>,
        sdp: Option<&str>,
    ) -> Option<Bytes> {
        let contact = self.contact();
        let phrase = switchbook_sip::message::reason_phrase(status);
        let mut b = Builder::reply(&mut self.buf, request, status, phrase, tag, flow.remote);
        b.copy(request, HeaderName::RecordRoute);
        b.addr(HeaderName::Contact, None, &contact, None);
        let bytes = match sdp {
            Some(sdp) => b.body("application/sdp", sdp.as_bytes()),
            None => b.finish(),
        };
        let bytes = bytes.ok()?;
        self.table.respond(now, key, bytes.clone()).ok()?;
        Some(bytes)
    }

    /// A re-INVITE of theirs: agreed to.
    fn changed_by_them(&mut self, now: Instant, key: Key, flow: Flow, request: Request) {
        let Some(call) = &mut self.call else { return };
        let in_order = call.dialog.as_mut().is_some_and(|dialog| dialog.receive(&request).is_ok());
        if !in_order {
            return self.respond(now, key, flow, &request, 500, None);
        }
        let held = Sdp::parse(request.body()).is_ok_and(|sdp| sdp.is_hold());
        call.sound = sound_of(request.body()).or(call.sound);
        call.version += 1;
        call.key = key;
        let changed = std::mem::replace(&mut call.held, held) != held;
        let (version, answer) =
            (call.version, if held { Direction::RecvOnly } else { Direction::SendRecv });
        let sdp = self.description(version, answer);
        let sent = self.write_response(now, key, flow, &request, 200, None, Some(&sdp));
        if let Some(call) = &mut self.call {
            let timers = Config::default().timers;
            call.unacknowledged = sent.map(|bytes| Retransmit2xx::new(now, &timers, bytes));
        }
        if changed {
            self.events.push(PhoneEvent::Held(held));
        }
    }

    pub(super) fn hold(&mut self, now: Instant, on: bool) {
        let contact = self.contact();
        let Some(call) = &mut self.call else { return };
        call.version += 1;
        call.holds = on;
        let version = call.version;
        let sdp =
            self.description(version, if on { Direction::SendOnly } else { Direction::SendRecv });
        let (branch, sent_by) = (self.ids.branch(), self.flow.local.to_string());
        let Some(call) = &mut self.call else { return };
        let Some(dialog) = &mut call.dialog else { return };
        let mut b = dialog.request(&mut self.buf, Method::Invite, "UDP", &sent_by, &branch);
        b.addr(HeaderName::Contact, None, &contact, None);
        if let Ok(bytes) = b.body("application/sdp", sdp.as_bytes()) {
            call.change = self.table.request(now, self.flow, bytes).ok();
        }
    }

    pub(super) fn changed(&mut self, _: Instant, status: u16, response: &Response) {
        let Some(call) = &mut self.call else { return };
        if status < 300 {
            let branch = self.ids.branch();
            let sent_by = self.flow.local.to_string();
            if let Some(dialog) = &call.dialog {
                let ack = dialog.ack(&mut self.buf, "UDP", &sent_by, &branch).finish();
                self.direct.extend(ack.ok().map(|ack| (self.flow.remote, ack)));
            }
            call.sound = sound_of(response.body()).or(call.sound);
        }
        self.events.push(PhoneEvent::Changed(status));
    }

    pub(super) fn hang_up(&mut self, now: Instant) {
        let flow = self.flow;
        let Some(call) = &mut self.call else { return };
        match &mut call.dialog {
            Some(dialog) => {
                let (branch, sent_by) = (self.ids.branch(), flow.local.to_string());
                let mut b = dialog.request(&mut self.buf, Method::Bye, "UDP", &sent_by, &branch);
                if let Ok(bytes) = b.finish() {
                    let _ = self.table.request(now, flow, bytes);
                }
                self.call = None;
                self.events.push(PhoneEvent::Ended);
            }
            // Theirs, not answered yet.
            None if call.number.is_empty() => {
                self.respond_to_invite(now, flow, 603, None);
                self.call = None;
                self.events.push(PhoneEvent::Ended);
            }
            None => {
                let _ = self.table.cancel(now, call.key, None);
            }
        }
    }

    pub(super) fn cancelled(&mut self, now: Instant, key: Key) {
        if self.call.as_ref().is_some_and(|call| call.key == key && call.dialog.is_none()) {
            self.respond_to_invite(now, self.flow, 487, None);
            self.call = None;
            self.events.push(PhoneEvent::Ended);
        }
    }
}
