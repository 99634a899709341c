//! One INVITE to one contact of a device, or to a trunk: what it says, and what can come back.

use super::leg::Leg;
use super::plan::Verdict;
use super::{Call, Cx, Phase, Target, outcome};
use crate::wire::{ALLOW, PRODUCT, Role, Side, Wire, finish_with_body, reparse};
use bytes::Bytes;
use switchbook_core::id::DeviceId;
use switchbook_core::number::Number;
use switchbook_core::routing::caller_id::Shown;
use switchbook_sip::dialog::Dialog;
use switchbook_sip::message::{Builder, HeaderName, Method, Response};
use switchbook_sip::transaction::{Flow, Key};

/// Why the other phones stopped ringing: nobody missed this call (RFC 3326, 11g).
pub(super) const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// No answer yet, not even a provisional one.
    Calling,
    /// It rings.
    Ringing,
    /// Given up; its final answer is awaited.
    Cancelled,
    /// It answered 2xx, and was taken or turned away.
    Answered,
    /// It is over.
    Over,
}

/// One INVITE of ours.
pub(super) struct Branch {
    /// Which bell of the ring step; none for a trunk.
    pub place: Option<usize>,
    pub device: Option<DeviceId>,
    pub number: Option<Number>,
    pub state: State,
    pub tag: String,
    /// After the 2xx.
    pub leg: Option<Leg>,
    key: Key,
    flow: Flow,
    sent: Bytes,
}

impl Branch {
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Answered | State::Over)
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Calling | State::Ringing)
    }
}

impl Call {
    /// Sends one INVITE; `false` if it could not be sent. `outside` is the host of a trunk.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn invite_out(
        &mut self,
        cx: &mut Cx<'_>,
        at: Option<(usize, DeviceId)>,
        number: Option<Number>,
        target: &Target,
        shown: &Shown,
        called: &str,
        outside: Option<&str>,
    ) -> bool {
        let flow = cx.wire.flow_to(target.remote);
        let tag = cx.wire.ids.tag();
        let Some(sent) = self.write_invite(cx.wire, &flow, &tag, target, shown, called, outside)
        else {
            return false;
        };
        let index = self.branches.len();
        let owner = (self.id, Role::Branch(index));
        let Some(key) = cx.wire.request(flow, sent.clone(), owner) else { return false };
        cx.wire.dialogs.insert(tag.clone(), (self.id, Side::B(index)));
        let (place, device) = at.unzip();
        let state = State::Calling;
        // A branch is large, and most calls have one: no room is kept for three more.
        self.branches.reserve_exact(1);
        self.branches.push(Branch {
            place,
            device,
            number,
            state,
            tag,
            leg: None,
            key,
            flow,
            sent,
        });
        true
    }

    /// A new Call-ID, our own tag and Contact, the caller as 3.5 wants him shown (checklist 39); of the caller's INVITE
    /// nothing is taken over but its body and its hop count.
    #[allow(clippy::too_many_arguments)]
    fn write_invite(
        &self,
        wire: &mut Wire,
        flow: &Flow,
        tag: &str,
        target: &Target,
        shown: &Shown,
        called: &str,
        outside: Option<&str>,
    ) -> Option<Bytes> {
        let ours = wire.domain(flow);
        let (branch, call_id) = (wire.ids.branch(), wire.ids.call_id());
        let domain = outside.unwrap_or(&ours);
        let mut b = Builder::request(&mut wire.buf, Method::Invite, &target.uri);
        b.via(flow.transport.as_str(), &flow.local.to_string(), &branch);
        b.max_forwards(self.hops);
        match &shown.number {
            Some(number) => {
                let number = switchbook_sip::message::escape_user(number);
                let uri = format!("sip:{number}@{ours}");
                b.addr(HeaderName::From, shown.name.as_deref(), &uri, Some(tag));
                b.addr(HeaderName::PAssertedIdentity, shown.name.as_deref(), &uri, None);
            }
            None => {
                let uri = "sip:anonymous@anonymous.invalid";
                b.addr(HeaderName::From, Some("Anonymous"), uri, Some(tag));
                b.header(HeaderName::Privacy, "id");
            }
        }
        b.addr(HeaderName::To, None, &format!("sip:{called}@{domain}"), None);
        b.header(HeaderName::CallId, &call_id);
        b.cseq(1, Method::Invite);
        b.addr(HeaderName::Contact, None, &Wire::contact(flow), None);
        b.header(HeaderName::UserAgent, PRODUCT);
        b.header(HeaderName::Allow, ALLOW);
        finish_with_body(&mut b, Some(&self.invite)).ok()
    }

    pub(super) fn branch_response(&mut self, cx: &mut Cx<'_>, index: usize, response: &Response) {
        let open = self.branches.get(index).is_some_and(Branch::is_open);
        // 100 is the next hop's word: a border says it before it knows anything (RFC 3261 §8.2.6.1). It buys time, and
        // only what comes after it is a sign of life.
        if open {
            let trying = self.trying_until.filter(|_| response.status() == 100);
            self.silent_until = self.silent_until.and(trying);
        }
        match response.status() {
            100 => {}
            101..200 => self.branch_rings(cx, index, response),
            200..300 => self.branch_answers(cx, index, response),
            status => self.branch_fails(cx, index, status),
        }
    }

    /// Timer B, or nobody at the other end.
    pub(super) fn branch_lost(&mut self, cx: &mut Cx<'_>, index: usize) {
        self.branch_fails(cx, index, 408);
    }

    fn branch_rings(&mut self, cx: &mut Cx<'_>, index: usize, response: &Response) {
        let Some(branch) = self.branches.get_mut(index).filter(|branch| branch.is_open()) else {
            return;
        };
        branch.state = State::Ringing;
        if let Some(device) = branch.device
            && !self.rang.contains(&device)
        {
            self.rang.push(device);
        }
        if self.phase != Phase::Hunting {
            return;
        }
        let alone = self.branches.iter().filter(|branch| branch.is_open()).count() == 1;
        let early = !response.body().is_empty()
            && alone
            && self.plan.single_leg(self.step)
            && !crate::endpoint::sdp_is_hostile(response);
        // Without sound of its own, 183 tells the caller nothing; and a caller who hears one phone stays with it.
        if early {
            self.progress(cx, response.status(), Some(response));
        } else if self.progress < 180 {
            self.progress(cx, 180, None);
        }
    }

    fn branch_answers(&mut self, cx: &mut Cx<'_>, index: usize, response: &Response) {
        let hunting = self.phase == Phase::Hunting;
        let Some(branch) = self.branches.get_mut(index) else { return };
        let open = branch.is_open();
        if let Some(leg) = &branch.leg {
            let theirs = response.to().ok().and_then(|to| to.tag()).unwrap_or("");
            if theirs == leg.dialog.id().remote_tag {
                if let super::leg::Ack::Sent(flow, bytes) = &leg.ack {
                    cx.wire.direct.push_back((*flow, bytes.clone()));
                }
                return;
            }
        }
        let flow = branch.flow;
        let sent = reparse(branch.sent.clone());
        let Some(Ok(dialog)) = sent.map(|sent| Dialog::uac(&sent, response)) else {
            // A 2xx without tag or Contact: nothing can be sent to it. It will time out by itself.
            if open {
                self.branch_fails(cx, index, 500);
            }
            return;
        };
        let first = branch.leg.is_none();
        let leg = Leg::new(dialog, flow);
        if hunting && open && first && crate::endpoint::sdp_is_hostile(response) {
            // It answered, but nobody can talk to it: ended, as if it had refused (checklist 33).
            self.branch_fails(cx, index, 488);
            self.turn_away(cx, index, leg);
        } else if hunting && open && first {
            branch.state = State::Answered;
            branch.leg = Some(leg);
            self.answered(cx, index, response);
        } else {
            self.turn_away(cx, index, leg);
        }
    }

    /// An answer nobody waits for any more, or a second one behind the same contact: taken and ended (RFC 3261
    /// §13.2.2.4, §9.1).
    fn turn_away(&mut self, cx: &mut Cx<'_>, index: usize, mut leg: Leg) {
        leg.acknowledge(cx.wire, None);
        if cx.wire.bye(self.id, &mut leg.dialog, &leg.flow, "") {
            self.byes += 1;
        }
        leg.closed = true;
        if let Some(branch) = self.branches.get_mut(index)
            && self.b != Some(index)
        {
            branch.state = State::Answered;
            branch.leg = Some(leg);
        }
    }

    fn branch_fails(&mut self, cx: &mut Cx<'_>, index: usize, status: u16) {
        let hunting = self.phase == Phase::Hunting;
        let Some(branch) = self.branches.get_mut(index) else { return };
        let was = std::mem::replace(&mut branch.state, State::Over);
        if branch.leg.is_some() {
            branch.state = State::Answered;
            return;
        }
        if !hunting || !matches!(was, State::Calling | State::Ringing) {
            return;
        }
        let Some(place) = branch.place else {
            if let Some(next) = self.no_way_out(cx, outcome::trunk_said(status)) {
                self.enter(cx, next);
            }
            return;
        };
        let verdict = outcome::phone_said(status);
        // A person who rejects, rejects for the whole device; a contact that is busy or gone speaks for itself.
        if verdict == Verdict::Rejected {
            self.cancel_branches(cx, |branch| branch.place == Some(place), None);
        }
        let at_place = |branch: &&Branch| branch.place == Some(place) && branch.is_open();
        if self.branches.iter().filter(at_place).count() == 0 {
            self.bell_over(place, verdict);
        }
        if let Some(next) = self.ring_over(cx) {
            self.enter(cx, next);
        }
    }

    /// Gives up what still rings. `reason` is a Reason header's value.
    pub(super) fn cancel_branches(
        &mut self,
        cx: &mut Cx<'_>,
        which: impl Fn(&Branch) -> bool,
        reason: Option<&str>,
    ) {
        let now = cx.wire.now.instant;
        for branch in self.branches.iter_mut().filter(|branch| branch.is_open() && which(branch)) {
            branch.state = match cx.wire.table.cancel(now, branch.key, reason) {
                Ok(()) => State::Cancelled,
                Err(_) => State::Over,
            };
        }
    }
}
