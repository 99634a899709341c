//! Calls as the book tells them: placed with everything the decision saw, answered, diverted, ended.

use crate::device::Origin;
use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal, personal_fields};
use crate::exchange::Exchange;
use crate::fact::Fact;
use crate::id::{CallId, DeviceId, TrunkId};
use crate::number::Number;
use crate::outside::OutsideNumber;
use crate::personal::Personal;
use crate::position::{Moment, Position};
use serde::{Deserialize, Serialize};

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Caller {
    /// A phone of this exchange, with the number in use on it (3.3).
    Device {
        /// The phone.
        device: DeviceId,
        /// The number it calls with: ticked and selected, or the phone's service number.
        number: Option<Number>,
    },
    /// Somebody outside.
    Trunk {
        /// Through which trunk.
        trunk: TrunkId,
        /// His number as the trunk gave it; none when withheld.
        number: Option<OutsideNumber>,
    },
}

/// What was dialled: digits of this exchange stay plain, an outside number is personal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Dialled {
    /// A number or code of this exchange.
    Inside(Number),
    /// An outside number, as dialled.
    Outside(OutsideNumber),
    /// Not a number (a name, letters, too long), as dialled.
    Other(Personal),
}

/// What the decision was told of one device: everything volatile about it at T.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct DeviceFact {
    /// Which device.
    pub device: DeviceId,
    /// It had a binding.
    pub registered: bool,
    /// The calls in progress on it, ascending: the number each goes over, none for a call without one (from a phone
    /// on which nobody is logged in).
    pub calls: Vec<Option<Number>>,
}

/// The volatile inputs of a decision, as far as it looked at them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    /// Devices, ascending.
    pub devices: Vec<DeviceFact>,
    /// Numbers over which a call was in progress, of those asked about, ascending.
    pub numbers_in_use: Vec<Number>,
}

/// A call was placed: T (the envelope's moment), what was dialled, every volatile input, and the plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallPlaced {
    /// The call.
    pub call: CallId,
    /// Who calls.
    pub caller: Caller,
    /// What was dialled.
    pub dialled: Dialled,
    /// Internal or external.
    pub origin: Origin,
    /// The volatile inputs the decision used.
    pub facts: Facts,
    /// The book position the decision was made on.
    pub decided_on: Position,
    /// T: the moment the decision was made for.
    pub decided_for: Moment,
    /// The plan with its reasons, as JSON text: evidence, never read back into state.
    pub plan: String,
}

/// Somebody answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallAnswered {
    /// The call.
    pub call: CallId,
    /// The phone that answered; none outside.
    pub device: Option<DeviceId>,
    /// The number it was reached by.
    pub number: Option<Number>,
    /// When.
    pub answered_at: Moment,
}

/// Why a branch of the plan was taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum CallStatus {
    /// Busy: occupied devices, do not disturb, or the last ringing device rejected.
    Busy,
    /// Rejected by the last ringing device; treated as busy, kept for the record.
    Rejected,
    /// Nobody answered in time.
    NoAnswer,
    /// Nobody logged in, nothing registered, or no ringing device could be reached.
    NotAvailable,
}

/// The call went on to another number (3.4).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallDiverted {
    /// The call.
    pub call: CallId,
    /// From this number.
    pub from: Number,
    /// To this one.
    pub to: Number,
    /// How the first one ended; none for an always rule.
    pub status: Option<CallStatus>,
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum CallOutcome {
    /// Answered, and hung up by the caller.
    HungUpByCaller,
    /// Answered, and hung up by the called side.
    HungUpByCallee,
    /// Given up by the caller before an answer.
    Cancelled,
    /// Busy, after every branch of the plan.
    Busy,
    /// Nobody answered, after every branch of the plan.
    NoAnswer,
    /// Not available, after every branch of the plan.
    NotAvailable,
    /// Nothing is at this number.
    UnknownNumber,
    /// The caller may not.
    NotPermitted,
    /// Rejected.
    Rejected,
    /// A forwarding loop (3.4 a).
    Loop,
    /// Something broke: a leg vanished, a message could not be sent.
    Failed,
    /// A feature code was carried out or refused.
    FeatureCode,
}

/// Why a connection was released: the cause value of ITU-T Q.850, what every kind of signalling can be told in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseCause(pub u8);

impl ReleaseCause {
    /// Nothing is at this number.
    pub const UNALLOCATED: Self = Self(1);
    /// Hung up, or given up by the caller.
    pub const NORMAL: Self = Self(16);
    /// Busy.
    pub const USER_BUSY: Self = Self(17);
    /// The phone gives no sign.
    pub const NO_USER_RESPONDING: Self = Self(18);
    /// It rang and nobody answered.
    pub const NO_ANSWER: Self = Self(19);
    /// Nobody logged in, nothing registered.
    pub const ABSENT: Self = Self(20);
    /// Rejected.
    pub const REJECTED: Self = Self(21);
    /// Too many hops: a loop.
    pub const EXCHANGE_ROUTING_ERROR: Self = Self(25);
    /// Ended by somebody outside of the call.
    pub const NORMAL_UNSPECIFIED: Self = Self(31);
    /// No way out, or none free.
    pub const NO_CIRCUIT: Self = Self(34);
    /// Something failed for now.
    pub const TEMPORARY_FAILURE: Self = Self(41);
    /// The caller may not.
    pub const NOT_AUTHORIZED: Self = Self(57);
    /// A timer ran out.
    pub const TIMER_EXPIRED: Self = Self(102);
    /// The other kind of signalling has no better word.
    pub const INTERWORKING: Self = Self(127);
}

impl std::fmt::Display for ReleaseCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A call ended. Who rang without answering missed it, unless it was answered elsewhere (11g).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallEnded {
    /// The call.
    pub call: CallId,
    /// How.
    pub outcome: CallOutcome,
    /// When.
    pub ended_at: Moment,
    /// Why, in the words of the telephone network.
    pub cause: ReleaseCause,
    /// Devices that rang.
    pub rang: Vec<DeviceId>,
}

/// A call that was open when the server stopped without notice, closed at the next start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallLost {
    /// The call.
    pub call: CallId,
}

/// Calls went on while the book could not be written; so many records were not made (way 4).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallRecordsMissed {
    /// From.
    pub from: Moment,
    /// Until.
    pub until: Moment,
    /// So many records.
    pub records: u64,
}

/// Somebody had a call ended from outside it; the envelope says who. Its [`CallEnded`] follows, and names this event as
/// its cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HangUpOrdered {
    /// The call.
    pub call: CallId,
}

/// A call without an end in the book yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpenCall {
    /// The event that placed it.
    pub placed: Position,
    /// The event that answered it.
    pub answered: Option<Fact<Option<DeviceId>>>,
}

nothing_personal!(
    CallAnswered,
    CallDiverted,
    CallEnded,
    CallLost,
    CallRecordsMissed,
    HangUpOrdered
);
personal_fields!(CallPlaced: caller, dialled);

impl crate::personal::HasPersonal for Caller {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        match self {
            Self::Device { .. } => {}
            Self::Trunk { number, .. } => number.each_personal(visit),
        }
    }
}

impl crate::personal::ShowsPersonal for Caller {
    fn any_personal(&self, is: &dyn Fn(&Personal) -> bool) -> bool {
        match self {
            Self::Device { .. } => false,
            Self::Trunk { number, .. } => number.any_personal(is),
        }
    }
}

impl crate::personal::ShowsPersonal for Dialled {
    fn any_personal(&self, is: &dyn Fn(&Personal) -> bool) -> bool {
        match self {
            Self::Inside(_) => false,
            Self::Outside(number) => number.any_personal(is),
            Self::Other(text) => text.any_personal(is),
        }
    }
}

impl crate::personal::HasPersonal for Dialled {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        match self {
            Self::Inside(_) => {}
            Self::Outside(number) => number.each_personal(visit),
            Self::Other(text) => text.each_personal(visit),
        }
    }
}

impl Evolve for CallPlaced {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Call(self.call));
        match &self.caller {
            Caller::Device { device, number } => {
                out.push(Subject::Device(*device));
                out.extend(number.map(Subject::Number));
            }
            Caller::Trunk { trunk, .. } => out.push(Subject::Trunk(*trunk)),
        }
        if let Dialled::Inside(number) = self.dialled {
            out.push(Subject::Number(number));
        }
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let open = OpenCall { placed: envelope.position, answered: None };
        exchange.open_calls.insert(self.call, open.into());
    }
}

impl Evolve for CallAnswered {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Call(self.call));
        out.extend(self.device.map(Subject::Device));
        out.extend(self.number.map(Subject::Number));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        crate::exchange::edit(&mut exchange.open_calls, &self.call, |call| {
            call.answered = Some(Fact::new(self.device, envelope.position));
        });
    }
}

impl Evolve for CallDiverted {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Call(self.call));
        out.extend([Subject::Number(self.from), Subject::Number(self.to)]);
    }

    fn evolve(&self, _: &mut Exchange, _: &Envelope) {}
}

impl Evolve for CallEnded {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Call(self.call));
        out.extend(self.rang.iter().copied().map(Subject::Device));
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.open_calls.remove(&self.call);
    }
}

impl Evolve for CallLost {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Call(self.call));
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.open_calls.remove(&self.call);
    }
}

impl Evolve for CallRecordsMissed {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
    }

    fn evolve(&self, _: &mut Exchange, _: &Envelope) {}
}

impl Evolve for HangUpOrdered {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Call(self.call));
    }

    fn evolve(&self, _: &mut Exchange, _: &Envelope) {}
}
