//! A feature code dialled as a call: the Desk is asked; an accepted code is answered with silence and ended by
//! BYE, a refused one gets the refusal's words.

use super::leg::Leg;
use crate::port::{Done, Trouble};
use crate::wire::{ALLOW, PRODUCT, Role, SessionId, Side, Wire};
use std::time::Instant;
use switchbook_sip::dialog::{Dialog, DialogError, Retransmit2xx, Stage};
use switchbook_sip::message::{HeaderName, Method, Request};
use switchbook_sip::sdp::Sdp;
use switchbook_sip::transaction::{Flow, Key};

/// A feature code on its way.
pub(crate) struct CodeCall {
    id: SessionId,
    key: Key,
    invite: Request,
    leg: Leg,
    /// The INVITE has its final answer.
    answered: bool,
    /// The Desk has spoken. The caller may have gone before: what came of it is told all the same.
    decided: bool,
    /// A BYE waits for its answer.
    bye: bool,
}

impl CodeCall {
    pub fn new(
        wire: &mut Wire,
        id: SessionId,
        key: Key,
        flow: Flow,
        invite: Request,
    ) -> Result<Self, DialogError> {
        let tag = wire.ids.tag();
        let dialog = Dialog::uas(&invite, &tag, Stage::Early)?;
        wire.dialogs.insert(tag, (id, Side::A));
        wire.owners.insert(key, (id, Role::Caller));
        let leg = Leg::new(dialog, flow);
        Ok(Self { id, key, invite, leg, answered: false, decided: false, bye: false })
    }

    pub fn tag(&self) -> &str {
        &self.leg.dialog.id().local_tag
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.leg.deadline()
    }

    pub fn is_over(&self) -> bool {
        self.answered && self.decided && self.leg.unacknowledged.is_none() && !self.bye
    }

    /// The Desk has spoken; the status told to the phone.
    pub fn decided(&mut self, wire: &mut Wire, outcome: &Result<Done, Trouble>) -> u16 {
        self.decided = true;
        if std::mem::replace(&mut self.answered, true) {
            return 487;
        }
        let (status, phrase) = match outcome {
            Ok(Done { .. }) => return self.accept(wire),
            Err(Trouble::Refused { text, .. }) => (403, phrase(text)),
            Err(Trouble::ReadOnly | Trouble::Overloaded) => {
                (503, "The change could not be stored, try again later".to_owned())
            }
            Err(Trouble::Unknown) => (500, "Outcome unknown, please check".to_owned()),
        };
        let tag = self.tag().to_owned();
        let (key, flow) = (self.key, self.leg.flow);
        wire.answer_with(key, &flow, &self.invite, status, &phrase, Some(&tag), &[]);
        status
    }

    fn accept(&mut self, wire: &mut Wire) -> u16 {
        let flow = self.leg.flow;
        let tag = self.leg.dialog.id().local_tag.clone();
        let sdp = silence(&self.invite, &flow);
        let mut b = Wire::reply(&mut wire.buf, &self.invite, &flow, 200, "OK", Some(&tag));
        b.addr(HeaderName::Contact, None, &Wire::contact(&flow), None);
        b.header(HeaderName::Allow, ALLOW);
        b.copy(&self.invite, HeaderName::RecordRoute);
        let now = wire.now.instant;
        if let Ok(bytes) = b.body("application/sdp", sdp.as_bytes())
            && wire.table.respond(now, self.key, bytes.clone()).is_ok()
        {
            self.leg.dialog.confirm();
            let repeat = Retransmit2xx::new(now, &wire.timers, bytes);
            self.leg.unacknowledged = Some((self.key, repeat));
        }
        200
    }

    /// The caller gave up before the Desk spoke; what he asked for may happen all the same.
    pub fn cancelled(&mut self, wire: &mut Wire) {
        if !std::mem::replace(&mut self.answered, true) {
            let tag = self.tag().to_owned();
            wire.answer(self.key, &self.leg.flow, &self.invite, 487, Some(&tag));
        }
    }

    pub fn acknowledged(&mut self, wire: &mut Wire, request: &Request) {
        if self.leg.is_of(request) && self.leg.unacknowledged.take().is_some() {
            self.say_bye(wire);
        }
    }

    pub fn request(&mut self, wire: &mut Wire, key: Key, flow: Flow, request: &Request) {
        if !self.leg.is_of(request) {
            let phrase = "Call/Transaction Does Not Exist";
            return wire.refuse(key, &flow, request, 481, phrase, &[]);
        }
        if !self.leg.keeps_pace(wire, key, &flow, request) {
            return;
        }
        match request.method() {
            Method::Bye => {
                wire.answer(key, &flow, request, 200, None);
                self.cancelled(wire);
                self.leg.closed = true;
                self.leg.unacknowledged = None;
            }
            Method::Options => crate::endpoint::options::answer(wire, key, &flow, request),
            _ => wire.answer(key, &flow, request, 491, None),
        }
    }

    pub fn bye_done(&mut self) {
        self.bye = false;
    }

    /// The INVITE's transaction is gone.
    pub fn lost(&mut self, key: Key) {
        if key == self.key && !self.answered {
            self.answered = true;
        }
    }

    pub fn timer(&mut self, wire: &mut Wire) {
        if self.leg.repeat_2xx(wire) {
            self.say_bye(wire);
        }
    }

    fn say_bye(&mut self, wire: &mut Wire) {
        if !std::mem::replace(&mut self.leg.closed, true) {
            self.bye = wire.bye(self.id, &mut self.leg.dialog, &self.leg.flow, "");
        }
    }
}

/// Audio that nobody sends: an answer to the phone's offer, or an offer if it made none.
fn silence(invite: &Request, flow: &Flow) -> String {
    let ip = flow.local.ip();
    match Sdp::parse(invite.body()) {
        Ok(offer) => offer.inactive_answer(ip, 9, 1),
        Err(_) => {
            let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
            format!(
                "v=0\r\no={PRODUCT} 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
                 m=audio 9 RTP/AVP 0 8\r\na=inactive\r\n"
            )
        }
    }
}

/// A sentence as a reason phrase: one line, of a length a display can show.
pub(crate) fn phrase(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(160).collect()
}
