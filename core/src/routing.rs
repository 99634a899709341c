//! The routing decision: who rings when a number is called at T, and what then (behaviour.md part 3).
//!
//! [`route`] is pure. It sees the exchange at one position of the book and, through [`Volatile`], what changes too
//! fast for a book: who is registered, who is in a call. Everything volatile it looked at comes back with the plan, so
//! that the same call can be routed again from the book alone, years later, with the same result.

pub mod caller_id;
mod devices;
mod forward;
pub mod outbound;
pub mod plan;
pub mod profile;

use crate::call::{DeviceFact, Facts};
use crate::device::Origin;
use crate::exchange::Exchange;
use crate::id::{DeviceId, TrunkId, UserId};
use crate::number::Number;
use crate::position::Moment;
use plan::{Outcome, Reason, RoutePlan, Says, Step, StepIndex};
use std::cell::RefCell;

/// What changes too fast for a book.
pub trait Volatile {
    /// Has the device a binding that has not expired?
    fn registered(&self, device: DeviceId) -> bool;
    /// The calls in progress on the device: the number each goes over, none for a call without one.
    fn calls_on(&self, device: DeviceId) -> Vec<Option<Number>>;
    /// Is a call over this number in progress on any device (busy-if-any, step 10)?
    fn in_use(&self, number: Number) -> bool;
}

/// Recorded facts answer as the volatile world did then; what was not asked then answers "no".
impl Volatile for Facts {
    fn registered(&self, device: DeviceId) -> bool {
        find(self, device).is_some_and(|fact| fact.registered)
    }

    fn calls_on(&self, device: DeviceId) -> Vec<Option<Number>> {
        find(self, device).map(|fact| fact.calls.clone()).unwrap_or_default()
    }

    fn in_use(&self, number: Number) -> bool {
        self.numbers_in_use.binary_search(&number).is_ok()
    }
}

fn find(facts: &Facts, device: DeviceId) -> Option<&DeviceFact> {
    let place = facts.devices.binary_search_by_key(&device, |fact| fact.device).ok()?;
    facts.devices.get(place)
}

/// Who calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// A phone of this exchange.
    Device(DeviceId),
    /// Somebody outside, through this trunk.
    Trunk(TrunkId),
}

/// Everything the decision depends on.
#[derive(Clone, Copy)]
pub struct RoutingInput<'a> {
    /// The state of the book.
    pub exchange: &'a Exchange,
    /// What changes too fast for a book.
    pub volatile: &'a dyn Volatile,
    /// Who calls.
    pub from: From,
    /// What was dialled, digits with an optional leading `+`.
    pub dialled: &'a str,
    /// T: read once, kept for the whole decision.
    pub at: Moment,
}

/// The plan, and the volatile facts it was made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Routed {
    /// What to do.
    pub plan: RoutePlan,
    /// What was looked at.
    pub facts: Facts,
}

/// Forwardings deeper than this are a loop (3.4 a).
pub const MOST_HOPS: usize = 10;
/// A plan with more steps than this is cut (a fork bomb of forwardings, checklist 28).
pub const MOST_STEPS: usize = 64;

/// Decides a call. Pure: the same input gives the same plan.
#[must_use]
pub fn route(input: RoutingInput<'_>) -> Routed {
    let mut router = Router {
        input,
        facts: RefCell::default(),
        steps: Vec::new(),
        warnings: Vec::new(),
        hops: Vec::new(),
    };
    let origin = match input.from {
        From::Device(_) => Origin::Internal,
        From::Trunk(_) => Origin::External,
    };
    let start = router.start(origin);
    let mut facts = router.facts.into_inner();
    facts.devices.sort_unstable();
    facts.numbers_in_use.sort_unstable();
    let plan = RoutePlan {
        at: input.at,
        decided_on: input.exchange.position,
        origin,
        start,
        steps: router.steps,
        warnings: router.warnings,
    };
    Routed { plan, facts }
}

struct Router<'a> {
    input: RoutingInput<'a>,
    facts: RefCell<Facts>,
    steps: Vec<Step>,
    warnings: Vec<String>,
    /// Hops already worked out: the way there, the number, its first step.
    hops: Vec<(Vec<Number>, Number, StepIndex)>,
}

impl Router<'_> {
    /// Steps 0 to 3: emergency, origin, which number, whose it is.
    fn start(&mut self, origin: Origin) -> StepIndex {
        if origin == Origin::Internal
            && let Some(step) = self.outside()
        {
            return step;
        }
        let Some((number, because)) = self.called() else {
            let reason = Reason::new("3.1 step 2", Says::UnknownNumber, None);
            return self.refuse(Outcome::UnknownNumber, vec![reason]);
        };
        self.number(number, origin, &[], because)
    }

    /// Step 2: the number that was called. Only numbers of users exist so far.
    fn called(&self) -> Option<(Number, Vec<Reason>)> {
        let exchange = self.input.exchange;
        match self.input.from {
            From::Device(_) => {
                let number: Number = self.input.dialled.parse().ok()?;
                exchange.numbers.contains_key(&number).then(|| (number, Vec::new()))
            }
            From::Trunk(trunk) => {
                let rules = &exchange.trunks.get(&trunk)?.inbound;
                let dialled = self.input.dialled;
                let place =
                    rules.binary_search_by(|r| r.value.dialled.as_str().cmp(dialled)).ok()?;
                let rule = rules.get(place)?;
                let says = Says::Inbound { trunk, number: rule.value.number };
                Some((rule.value.number, vec![Reason::new("3.1 step 2", says, Some(rule.at))]))
            }
        }
    }

    /// Steps 3 to 14 for one number; `path` holds the numbers the call was forwarded from.
    fn number(
        &mut self,
        number: Number,
        origin: Origin,
        path: &[Number],
        mut because: Vec<Reason>,
    ) -> StepIndex {
        if self.steps.len() >= MOST_STEPS {
            self.warnings.push(format!("the plan was cut at {MOST_STEPS} steps, at {number}"));
            because.push(Reason::new("3.4 a", Says::TooManySteps, None));
            return self.refuse(Outcome::Loop, because);
        }
        let exchange = self.input.exchange;
        let Some(state) = exchange.numbers.get(&number).cloned() else {
            because.push(Reason::new("3.1 step 3", Says::UnknownNumber, None));
            return self.refuse(Outcome::UnknownNumber, because);
        };
        let in_force = profile::in_force(exchange, number, self.input.at);
        because.extend(in_force.reasons());
        if let Some(step) = self.always(number, origin, path, &in_force, &mut because) {
            return step;
        }
        let user = state.owner.value;
        if let Some(dnd) = exchange.users.get(&user).and_then(|u| u.do_not_disturb)
            && dnd.value
        {
            because.push(Reason::new("3.1 step 9", Says::DoNotDisturb { user }, Some(dnd.at)));
            return self.ended(number, origin, path, &in_force, Outcome::Busy, because);
        }
        if state.busy_if_any.value != crate::number::BusyIfAny::Off && self.in_use(number) {
            let says = Says::BusyIfAny { number };
            because.push(Reason::new("3.1 step 10", says, Some(state.busy_if_any.at)));
            return self.ended(number, origin, path, &in_force, Outcome::Busy, because);
        }
        self.devices(number, &state, origin, path, &in_force, because)
    }

    pub(crate) fn refuse(&mut self, outcome: Outcome, because: Vec<Reason>) -> StepIndex {
        self.push(Step::Refuse { outcome, because })
    }

    pub(crate) fn push(&mut self, step: Step) -> StepIndex {
        self.steps.push(step);
        StepIndex(self.steps.len() - 1)
    }

    fn in_use(&self, number: Number) -> bool {
        let used = self.input.volatile.in_use(number);
        let mut facts = self.facts.borrow_mut();
        if used && !facts.numbers_in_use.contains(&number) {
            facts.numbers_in_use.push(number);
        }
        used
    }

    /// What is known of a device at T; asked once, recorded once.
    pub(crate) fn fact(&self, device: DeviceId) -> DeviceFact {
        let mut facts = self.facts.borrow_mut();
        if let Some(known) = facts.devices.iter().find(|fact| fact.device == device) {
            return known.clone();
        }
        let volatile = self.input.volatile;
        let registered = volatile.registered(device);
        let mut calls = volatile.calls_on(device);
        calls.sort_unstable();
        let fact = DeviceFact { device, registered, calls };
        facts.devices.push(fact.clone());
        fact
    }

    pub(crate) fn owner(&self, number: Number) -> Option<UserId> {
        self.input.exchange.numbers.get(&number).map(|number| number.owner.value)
    }
}
