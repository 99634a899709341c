//! One call as a machine: it carries out a [`RoutePlan`] between a caller and those the plan names.
//!
//! Messages, timers and commands come in with the clock, messages and [`Effect`]s go out. The machine decides nothing
//! about who is called: every way it can take stands in the plan. It owns no socket, no task and no clock.
//!
//! | File | Subject |
//! |---|---|
//! | `begin` | the caller's INVITE becomes a call |
//! | `plan` | from step to step: ringing, waiting, forwarding, refusing |
//! | `branch` | one INVITE to one contact, and what it can answer |
//! | `answer` | the first 2xx wins; ACKs |
//! | `alive` | whether both ends are still there |
//! | `cancel`, `bye` | how calls end |
//! | `relay` | re-INVITE, UPDATE, INFO, MESSAGE between the two sides |
//! | `refer` | transfers, refused so far |
//! | `leg` | one end with its dialog |
//! | `outcome` | from outcomes to statuses: the only place that knows 486 |
//! | `code` | a feature code dialled as a call: a machine of its own |

mod alive;
mod answer;
mod begin;
mod branch;
mod bye;
mod cancel;
pub(crate) mod code;
mod leg;
pub(crate) mod outcome;
mod plan;
mod refer;
mod relay;

use crate::wire::{Role, SessionId, Side, Wire};
use branch::Branch;
use leg::Leg;
use plan::Ring;
use relay::Relay;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchbook_core::event::Event;
use switchbook_core::id::{CallId, DeviceId, SlotId, TrunkId};
use switchbook_core::number::Number;
use switchbook_core::position::Position;
use switchbook_core::routing::caller_id::Shown;
use switchbook_core::routing::plan::{RoutePlan, StepIndex};
use switchbook_sip::message::{Method, Request, Response};
use switchbook_sip::transaction::{Flow, Key};

pub(crate) use begin::Begin;

/// Where a device can be reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    /// The contact as the phone wrote it.
    pub uri: String,
    /// Where requests for it go.
    pub remote: SocketAddr,
}

/// What a call asks of the exchange while it runs.
pub(crate) trait Places {
    /// Where a device can be reached now.
    fn contacts(&self, device: DeviceId) -> Vec<Target>;
    /// The peer of a trunk.
    fn trunk(&self, trunk: TrunkId) -> Option<SocketAddr>;
    /// The slot that is logged in on a device now.
    fn login(&self, device: DeviceId) -> Option<SlotId>;
    /// The position of the last change that is configuration.
    fn configuration(&self) -> Position;
    /// What the outside is shown of a caller (3.5).
    fn shown_outside(&self, device: DeviceId, trunk: TrunkId) -> Shown;
    /// What a call for help shows of it.
    fn shown_for_help(&self, device: DeviceId, trunk: TrunkId) -> Shown;
}

/// What a call tells the endpoint besides messages.
#[derive(Debug)]
pub(crate) enum Effect {
    /// For the book.
    Record(Box<Event>),
    /// The end, for the book, and the event that ordered it, if one did.
    Ended(Box<Event>, Option<Position>),
    /// The device is in a call over this number from now on.
    InUse(DeviceId, Number),
    /// The call occupies no device any more.
    Free,
}

/// Everything a call may touch while it handles one input.
pub(crate) struct Cx<'a> {
    pub wire: &'a mut Wire,
    pub effects: &'a mut Vec<Effect>,
    pub places: &'a dyn Places,
}

/// Everything that can happen to a call.
pub(crate) enum Input {
    /// The caller gave up.
    Cancel(Role),
    /// An ACK to a 2xx of ours.
    Ack(Side, Request),
    /// A request within one of the dialogs.
    Request { side: Side, key: Key, flow: Flow, request: Request },
    /// A response to a request of ours.
    Response { role: Role, key: Key, response: Response },
    /// A transaction ended without a final answer.
    Lost { role: Role, key: Key },
    /// A deadline came.
    Timer,
    /// Somebody ends the call from outside: an event that ordered it, or a stop of the server.
    HangUp(Option<Position>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The plan is being carried out.
    Hunting,
    /// Somebody answered.
    Talking,
    /// The end is told; answers to BYE and CANCEL are still awaited.
    Ending,
}

/// Who calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Party {
    Device(DeviceId),
    Trunk(TrunkId),
}

/// A call in progress.
pub(crate) struct Call {
    id: SessionId,
    call: CallId,
    phase: Phase,
    plan: Arc<RoutePlan>,
    party: Party,
    shown: Shown,
    dialled: String,
    hops: u8,
    /// The caller's INVITE: its transaction, and whether it got its final answer.
    invite: Request,
    invite_key: Key,
    invite_answered: bool,
    /// The highest provisional answer the caller got.
    progress: u16,
    a: Leg,
    branches: Vec<Branch>,
    /// The branch that answered.
    b: Option<usize>,
    step: StepIndex,
    steps_taken: usize,
    ring: Option<Ring>,
    /// When a trunk has to have answered.
    dial_until: Option<Instant>,
    /// When it has to have said something, if there is another way out.
    silent_until: Option<Instant>,
    /// And until when, if it says that it tries.
    trying_until: Option<Instant>,
    trunk_ring: Duration,
    /// How often both ends of the answered call are asked whether they are there, and when next.
    alive_check: Duration,
    alive_at: Option<Instant>,
    relays: Vec<Relay>,
    next_relay: u64,
    rang: Vec<DeviceId>,
    /// BYEs without an answer yet.
    byes: usize,
    /// The last device that ended its ringing did so by rejecting.
    rejected: bool,
    /// The event that ordered its end.
    ordered: Option<Position>,
}

impl Call {
    /// One input.
    pub fn handle(&mut self, cx: &mut Cx<'_>, input: Input) {
        match input {
            Input::Cancel(Role::Caller) => self.cancelled(cx),
            Input::Cancel(Role::Relay(serial)) => self.relay_cancelled(cx, serial),
            Input::Cancel(_) => {}
            Input::Ack(side, request) => self.acknowledged(cx, side, &request),
            Input::Request { side, key, flow, request } => {
                self.in_dialog(cx, side, key, flow, request);
            }
            Input::Response { role, key, response } => match role {
                Role::Branch(index) => self.branch_response(cx, index, &response),
                Role::Relay(serial) => self.relay_response(cx, serial, key, &response),
                Role::Bye if response.status() >= 200 => self.bye_done(),
                Role::Alive(side) => self.alive_said(cx, side, response.status()),
                Role::Bye | Role::Caller => {}
            },
            Input::Lost { role, key } => match role {
                Role::Branch(index) => self.branch_lost(cx, index),
                Role::Relay(serial) => self.relay_lost(cx, serial, key),
                Role::Bye => self.bye_done(),
                Role::Alive(side) => self.alive_said(cx, side, 408),
                Role::Caller => self.caller_lost(cx, key),
            },
            Input::Timer => self.timer(cx),
            Input::HangUp(ordered) => self.hung_up(cx, ordered),
        }
    }

    /// When the next [`Input::Timer`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let ring = self.ring.as_ref().and_then(Ring::deadline);
        let legs = std::iter::once(&self.a).chain(self.b_leg());
        let acks = legs.filter_map(Leg::deadline);
        let trunk = self.silent_until.into_iter().chain(self.dial_until);
        ring.into_iter().chain(trunk).chain(self.alive_at).chain(acks).min()
    }

    /// Whether nothing is left to be done or awaited.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Ending
            && self.invite_answered
            && self.byes == 0
            && self.relays.is_empty()
            && !self.a.owes_bye
            && self.b_leg().is_none_or(|leg| !leg.owes_bye)
            && self.branches.iter().all(Branch::is_over)
    }

    /// Whether the call still occupies anybody.
    pub fn is_live(&self) -> bool {
        self.phase != Phase::Ending
    }

    fn timer(&mut self, cx: &mut Cx<'_>) {
        self.ring_timer(cx);
        if self.dial_until.is_some_and(|until| until <= cx.wire.now.instant) {
            self.dial_unanswered(cx);
        }
        if self.silent_until.is_some_and(|until| until <= cx.wire.now.instant) {
            self.dial_silent(cx);
        }
        self.acks_due(cx);
        self.alive_due(cx);
    }

    fn b_leg(&self) -> Option<&Leg> {
        self.b.and_then(|index| self.branches.get(index)).and_then(|branch| branch.leg.as_ref())
    }

    fn leg_mut(&mut self, side: Side) -> Option<&mut Leg> {
        match side {
            Side::A => Some(&mut self.a),
            Side::B(index) => self.branches.get_mut(index).and_then(|branch| branch.leg.as_mut()),
        }
    }

    /// The side a call in progress connects `side` with.
    fn other(&self, side: Side) -> Option<Side> {
        match side {
            Side::A => self.b.map(Side::B),
            Side::B(index) => (self.b == Some(index)).then_some(Side::A),
        }
    }

    /// A request within a dialog (RFC 3261 §12.2.2).
    fn in_dialog(&mut self, cx: &mut Cx<'_>, side: Side, key: Key, flow: Flow, request: Request) {
        let Some(leg) = self.leg_mut(side).filter(|leg| leg.is_of(&request)) else {
            let phrase = "Call/Transaction Does Not Exist";
            return cx.wire.refuse(key, &flow, &request, 481, phrase, &[]);
        };
        if !leg.keeps_pace(cx.wire, key, &flow, &request) {
            return;
        }
        if let Err(rejection) = leg.dialog.receive(&request) {
            let headers = [(switchbook_sip::HeaderName::RetryAfter, "1")];
            let (status, reason) = (rejection.status, rejection.reason);
            return cx.wire.answer_with(key, &flow, &request, status, reason, None, &headers);
        }
        match request.method() {
            Method::Bye => self.bye(cx, side, key, flow, &request),
            Method::Options => crate::endpoint::options::answer(cx.wire, key, &flow, &request),
            Method::Refer => refer::answer(cx.wire, key, &flow, &request),
            Method::Notify | Method::Subscribe => {
                cx.wire.answer(key, &flow, &request, 489, None);
            }
            Method::Invite | Method::Update | Method::Info | Method::Message => {
                self.relay(cx, side, key, flow, request);
            }
            _ => {
                let headers = [(switchbook_sip::HeaderName::Allow, crate::wire::ALLOW)];
                let phrase = "Method Not Allowed";
                cx.wire.answer_with(key, &flow, &request, 405, phrase, None, &headers);
            }
        }
    }
}
