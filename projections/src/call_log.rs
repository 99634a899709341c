//! `call_log`: every call with caller, dialled number, way, answer and length, and who missed it (11g).
//!
//! A fold of its own with bounded memory: calls in progress, and the latest [`CallLog::KEPT`] that ended. Older calls
//! are answered from the store's history of the call. Outside numbers stay sealed values, so that an erasure reaches
//! them; names are looked up when somebody looks.

mod logins;
mod view;

pub use view::{CallLogView, CallRow, Filter, Missed, PhoneShare, Which, row, view};

use imbl::OrdMap;
use logins::LogIns;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use switchbook_core::call::{CallOutcome, CallStatus, Caller, Dialled, ReleaseCause};
use switchbook_core::device::Origin;
use switchbook_core::envelope::Recorded;
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{CallId, DeviceId, UserId};
use switchbook_core::number::Number;
use switchbook_core::personal::{HasPersonal, Personal};
use switchbook_core::position::{Moment, Position};

/// A call as the book tells it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Call {
    /// Its id.
    pub call: CallId,
    /// The event that placed it.
    pub placed: Position,
    /// T.
    pub at: Moment,
    /// Who called.
    pub caller: Caller,
    /// The user who was logged in at the calling phone.
    pub caller_user: Option<UserId>,
    /// What was dialled.
    pub dialled: Dialled,
    /// Internal or external.
    pub origin: Origin,
    /// The forwardings it took, in order.
    pub hops: Vec<Hop>,
    /// Who answered.
    pub answered: Option<Answered>,
    /// How it ended; none while it is in progress.
    pub end: Option<End>,
}

/// One forwarding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hop {
    /// From this number.
    pub from: Number,
    /// To this one.
    pub to: Number,
    /// How the first one ended; none for an always rule.
    pub status: Option<CallStatus>,
    /// The event.
    pub position: Position,
}

/// The answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// The phone; none outside.
    pub device: Option<DeviceId>,
    /// The user who was logged in there.
    pub user: Option<UserId>,
    /// The number it was reached by.
    pub number: Option<Number>,
    /// When.
    pub at: Moment,
    /// The event.
    pub position: Position,
}

/// The end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct End {
    /// How; none when the server stopped without notice (`CallLost`).
    pub outcome: Option<CallOutcome>,
    /// When; for a lost call, when the loss was recorded.
    pub at: Moment,
    /// Why, as a cause value of ITU-T Q.850; none when the server stopped without notice.
    pub cause: Option<ReleaseCause>,
    /// Devices that rang, each with the user who was logged in there.
    pub rang: Vec<(DeviceId, Option<UserId>)>,
    /// The event.
    pub position: Position,
}

/// Where a call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has answered yet.
    Ringing,
    /// Answered, not ended.
    Talking,
    /// Answered and ended.
    Answered,
    /// Ended without an answer.
    Unanswered,
    /// Open when the server stopped without notice.
    Lost,
}

/// What a call was for a phone that rang (11g).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// It answered.
    Answered,
    /// Another phone did: not missed.
    AnsweredElsewhere,
    /// Nobody did.
    Missed,
    /// The only phone that rang rejected it: seen, not missed.
    Rejected,
}

impl Call {
    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        match (&self.end, &self.answered) {
            (None, None) => State::Ringing,
            (None, Some(_)) => State::Talking,
            (Some(end), _) if end.outcome.is_none() => State::Lost,
            (Some(_), Some(_)) => State::Answered,
            (Some(_), None) => State::Unanswered,
        }
    }

    /// How long it was talked, once answered and ended.
    #[must_use]
    pub fn seconds(&self) -> Option<i64> {
        let (end, answered) = (self.end.as_ref()?, self.answered?);
        end.outcome?;
        Some((end.at.0.saturating_sub(answered.at.0) / 1_000_000).max(0))
    }

    /// What it was for each phone that rang (11g). Known once it has ended.
    pub fn shares(&self) -> impl Iterator<Item = (DeviceId, Option<UserId>, Share)> + '_ {
        let rang = self.end.as_ref().map(|end| end.rang.as_slice()).unwrap_or_default();
        let rejected = rang.len() == 1
            && self.end.as_ref().and_then(|end| end.outcome) == Some(CallOutcome::Rejected);
        rang.iter().map(move |(device, user)| {
            let share = match self.answered {
                Some(answer) if answer.device == Some(*device) => Share::Answered,
                Some(_) => Share::AnsweredElsewhere,
                None if rejected => Share::Rejected,
                None => Share::Missed,
            };
            (*device, *user, share)
        })
    }

    /// Did this user miss it: one of his phones rang, and nobody answered anywhere?
    #[must_use]
    pub fn missed_by(&self, user: UserId) -> bool {
        self.shares().any(|(_, of, share)| of == Some(user) && share == Share::Missed)
    }

    /// Has the user to do with it: he called, answered, or one of his phones rang?
    #[must_use]
    pub fn concerns(&self, user: UserId) -> bool {
        self.caller_user == Some(user)
            || self.answered.is_some_and(|answer| answer.user == Some(user))
            || self.shares().any(|(_, of, _)| of == Some(user))
    }
}

impl HasPersonal for Call {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        self.caller.each_personal(visit);
        self.dialled.each_personal(visit);
    }
}

/// The fold.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct CallLog {
    position: Position,
    /// Every call that is kept, by the event that placed it.
    calls: OrdMap<Position, Arc<Call>>,
    /// Calls in progress.
    open: OrdMap<CallId, Position>,
    /// Call records that the book could not take (way 4).
    missing: u64,
    #[serde(skip)]
    logins: LogIns,
}

impl CallLog {
    /// So many ended calls are kept.
    pub const KEPT: usize = 10_000;

    /// The last event taken in.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Call records that are missing since the book could not be written.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    /// The kept calls, newest first.
    pub fn calls(&self) -> impl Iterator<Item = &Arc<Call>> {
        self.calls.iter().rev().map(|(_, call)| call)
    }

    /// Calls in progress.
    pub fn open(&self) -> impl Iterator<Item = &Arc<Call>> {
        self.open.values().filter_map(|placed| self.calls.get(placed))
    }

    /// A kept call by its id.
    #[must_use]
    pub fn get(&self, call: CallId) -> Option<&Arc<Call>> {
        let open = self.open.get(&call).and_then(|placed| self.calls.get(placed));
        open.or_else(|| self.calls().find(|kept| kept.call == call))
    }

    /// Events up to this one went by that change nothing here.
    pub(crate) fn pass(&mut self, position: Position) {
        self.position = self.position.max(position);
    }

    /// Takes an event in; `exchange` is the state with this event folded in. One that was taken in already changes
    /// nothing.
    pub fn apply(&mut self, recorded: &Recorded, exchange: &Exchange) {
        let at = recorded.envelope.position;
        if at <= self.position {
            return;
        }
        self.position = at;
        self.logins.follow(&recorded.event);
        match &recorded.event {
            Event::CallPlaced(event) => {
                let caller_user = match event.caller {
                    Caller::Device { device, .. } => self.logins.at(exchange, device),
                    Caller::Trunk { .. } => None,
                };
                let call = Call {
                    call: event.call,
                    placed: at,
                    at: event.decided_for,
                    caller: event.caller.clone(),
                    caller_user,
                    dialled: event.dialled.clone(),
                    origin: event.origin,
                    hops: Vec::new(),
                    answered: None,
                    end: None,
                };
                self.calls.insert(at, call.into());
                self.open.insert(event.call, at);
            }
            Event::CallAnswered(event) => {
                let user = event.device.and_then(|device| self.logins.at(exchange, device));
                self.edit(event.call, |call| {
                    call.answered = Some(Answered {
                        device: event.device,
                        user,
                        number: event.number,
                        at: event.answered_at,
                        position: at,
                    });
                });
            }
            Event::CallDiverted(event) => {
                let (from, to, status) = (event.from, event.to, event.status);
                let hop = Hop { from, to, status, position: at };
                self.edit(event.call, |call| call.hops.push(hop));
            }
            Event::CallEnded(event) => {
                let rang = event.rang.iter();
                let rang = rang.map(|id| (*id, self.logins.at(exchange, *id))).collect();
                let end = End {
                    outcome: Some(event.outcome),
                    at: event.ended_at,
                    cause: Some(event.cause),
                    rang,
                    position: at,
                };
                self.end(event.call, end);
            }
            Event::CallLost(event) => {
                let at_moment = recorded.envelope.recorded_at;
                let end = End {
                    outcome: None,
                    at: at_moment,
                    cause: None,
                    rang: Vec::new(),
                    position: at,
                };
                self.end(event.call, end);
            }
            Event::CallRecordsMissed(event) => {
                self.missing = self.missing.saturating_add(event.records);
            }
            _ => {}
        }
    }

    fn edit(&mut self, call: CallId, change: impl FnOnce(&mut Call)) {
        let placed = self.open.get(&call).copied();
        if let Some(entry) = placed.and_then(|placed| self.calls.get_mut(&placed)) {
            change(Arc::make_mut(entry));
        }
    }

    fn end(&mut self, call: CallId, end: End) {
        self.edit(call, |call| call.end = Some(end));
        self.open.remove(&call);
        while self.calls.len().saturating_sub(self.open.len()) > Self::KEPT {
            let oldest = self.calls.iter().find(|(_, call)| call.end.is_some());
            let Some(placed) = oldest.map(|(placed, _)| *placed) else { return };
            self.calls.remove(&placed);
        }
    }
}

impl HasPersonal for CallLog {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        self.calls = std::mem::take(&mut self.calls)
            .into_iter()
            .map(|(placed, mut call)| {
                Arc::make_mut(&mut call).each_personal(visit);
                (placed, call)
            })
            .collect();
    }
}
