//! Calls in progress, and their timers.

use super::places::World;
use super::{Endpoint, Pending};
use crate::call::code::CodeCall;
use crate::call::{Call, Cx, Effect, Input};
use crate::port::{Done, Trouble};
use crate::wire::{Role, SessionId};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;
use switchbook_core::call::{CallEnded, CallOutcome};
use switchbook_core::id::CallId;
use switchbook_core::position::Position;

/// Something that began with an INVITE.
pub(super) enum Session {
    Call(Box<Call>),
    Code(Box<CodeCall>, CallId),
}

struct Slot {
    session: Session,
    /// The deadline that stands in the heap.
    due: Option<Instant>,
    live: bool,
}

/// All sessions.
#[derive(Default)]
pub(super) struct Sessions {
    slots: FxHashMap<SessionId, Slot>,
    deadlines: BinaryHeap<Reverse<(Instant, SessionId)>>,
    by_call: FxHashMap<CallId, SessionId>,
    next: u64,
    /// Calls that occupy somebody.
    pub live: usize,
}

impl Sessions {
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((due, _))| *due)
    }

    pub fn next_id(&mut self) -> SessionId {
        self.next += 1;
        SessionId(self.next)
    }

    pub fn insert(&mut self, id: SessionId, call: CallId, session: Session) {
        let live = matches!(session, Session::Call(_));
        self.live += usize::from(live);
        self.by_call.insert(call, id);
        self.slots.insert(id, Slot { session, due: None, live });
    }
}

impl Endpoint {
    /// Hands an input to a session, and carries out what it tells.
    pub(super) fn session(&mut self, id: SessionId, input: Input) {
        let mut effects = Vec::new();
        let Some(slot) = self.sessions.slots.get_mut(&id) else {
            // The last answers to BYE and CANCEL of a call that is over.
            if let Input::Request { key, flow, request, .. } = input {
                self.wire.answer(key, &flow, &request, 481, None);
            }
            return;
        };
        match &mut slot.session {
            Session::Call(call) => {
                let exchange = self.port.exchange();
                let places = World {
                    exchange: &exchange,
                    port: &*self.port,
                    usage: &self.usage,
                    at: self.wire.now.moment,
                };
                let mut cx = Cx { wire: &mut self.wire, effects: &mut effects, places: &places };
                call.handle(&mut cx, input);
            }
            Session::Code(code, _) => {
                let wire = &mut self.wire;
                match input {
                    Input::Cancel(_) | Input::HangUp(_) => code.cancelled(wire),
                    Input::Ack(_, request) => code.acknowledged(wire, &request),
                    Input::Request { key, flow, request, .. } => {
                        code.request(wire, key, flow, &request);
                    }
                    Input::Response { role: Role::Bye, response, .. } => {
                        if response.status() >= 200 {
                            code.bye_done();
                        }
                    }
                    Input::Lost { role: Role::Bye, .. } => code.bye_done(),
                    Input::Lost { key, .. } => code.lost(key),
                    Input::Response { .. } => {}
                    Input::Timer => code.timer(wire),
                }
            }
        }
        self.carry_out(id, effects);
        self.settle(id);
    }

    /// Begins to carry out a call's plan.
    pub(super) fn start_call(&mut self, id: SessionId) {
        let mut effects = Vec::new();
        if let Some(Slot { session: Session::Call(call), .. }) = self.sessions.slots.get_mut(&id) {
            let exchange = self.port.exchange();
            let places = World {
                exchange: &exchange,
                port: &*self.port,
                usage: &self.usage,
                at: self.wire.now.moment,
            };
            let mut cx = Cx { wire: &mut self.wire, effects: &mut effects, places: &places };
            call.start(&mut cx);
        }
        self.carry_out(id, effects);
        self.settle(id);
    }

    fn carry_out(&mut self, id: SessionId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Record(event) => self.record(event),
                Effect::Ended(event, cause) => self.record_end(event, cause),
                Effect::InUse(device, number) => self.usage.take(id, device, Some(number)),
                Effect::Free => self.usage.free(id),
            }
        }
    }

    /// Notes the next deadline of a session, or forgets it.
    fn settle(&mut self, id: SessionId) {
        let Some(slot) = self.sessions.slots.get_mut(&id) else { return };
        let (over, live, deadline) = match &slot.session {
            Session::Call(call) => (call.is_over(), call.is_live(), call.deadline()),
            Session::Code(code, _) => (code.is_over(), false, code.deadline()),
        };
        if slot.live && !live {
            slot.live = false;
            self.sessions.live -= 1;
        }
        if over {
            self.forget(id);
        } else if let Some(due) = deadline
            && slot.due.is_none_or(|noted| due < noted)
        {
            slot.due = Some(due);
            self.sessions.deadlines.push(Reverse((due, id)));
        }
        self.wire.metrics.calls_active.set(self.sessions.live as u64);
    }

    fn forget(&mut self, id: SessionId) {
        let Some(slot) = self.sessions.slots.remove(&id) else { return };
        match &slot.session {
            Session::Call(call) => {
                for tag in call.tags() {
                    self.wire.dialogs.remove(tag);
                }
                self.sessions.by_call.remove(&call.name());
            }
            Session::Code(code, call) => {
                self.wire.dialogs.remove(code.tag());
                self.sessions.by_call.remove(call);
            }
        }
    }

    pub(super) fn session_timers(&mut self) {
        let now = self.wire.now.instant;
        while let Some(Reverse((due, id))) = self.sessions.deadlines.peek().copied() {
            if due > now {
                break;
            }
            self.sessions.deadlines.pop();
            let Some(slot) = self.sessions.slots.get_mut(&id) else { continue };
            if slot.due == Some(due) {
                slot.due = None;
                self.session(id, Input::Timer);
            }
        }
    }

    /// Ends this call, or all; `cause` is the event that ordered it.
    pub(super) fn hang_up(&mut self, call: Option<CallId>, cause: Option<Position>) {
        let ids: Vec<SessionId> = match call {
            Some(call) => self.sessions.by_call.get(&call).copied().into_iter().collect(),
            None => self.sessions.slots.keys().copied().collect(),
        };
        for id in ids {
            self.session(id, Input::HangUp(cause));
        }
    }

    /// The Desk has decided about a feature code.
    pub(super) fn code_decided(&mut self, id: SessionId, outcome: Result<Done, Trouble>) {
        let Some(slot) = self.sessions.slots.get_mut(&id) else { return };
        let Session::Code(code, call) = &mut slot.session else { return };
        let (call, status) = (*call, code.decided(&mut self.wire, &outcome));
        let ended_at = self.wire.now.moment;
        let outcome = CallOutcome::FeatureCode;
        let cause = crate::call::outcome::cause(outcome, status);
        let ended = CallEnded { call, outcome, ended_at, cause, rang: Vec::new() };
        self.record(Box::new(ended.into()));
        self.settle(id);
    }

    pub(super) fn pending_code(id: SessionId) -> Pending {
        Pending::Code(id)
    }
}
