//! Step 11: which devices ring, when, and for how long.

use super::Router;
use super::plan::{Leg, Outcome, Reason, Says, Step, StepIndex};
use super::profile::InForce;
use crate::device::{FollowMe, Origin};
use crate::exchange::Exchange;
use crate::fact::Fact;
use crate::forwarding::Condition;
use crate::id::{DeviceId, UserId};
use crate::number::{Number, NumberState};
use crate::position::{Position, Seconds};

/// The wait and ring seconds of a user's device for calls of one origin, and where they were set (1.14).
#[must_use]
pub(crate) fn follow_me(
    exchange: &Exchange,
    user: UserId,
    device: DeviceId,
    origin: Origin,
) -> Fact<FollowMe> {
    let default =
        FollowMe { device, origin, enabled: true, wait: Seconds(0), ring: FollowMe::DEFAULT_RING };
    let entries = exchange.users.get(&user).map(|u| u.follow_me.as_slice()).unwrap_or_default();
    entries
        .iter()
        .find(|entry| entry.value.device == device && entry.value.origin == origin)
        .copied()
        .unwrap_or(Fact::new(default, Position::START))
}

impl Router<'_> {
    /// Step 11, a to h.
    pub(super) fn devices(
        &mut self,
        number: Number,
        state: &NumberState,
        origin: Origin,
        path: &[Number],
        in_force: &InForce,
        mut because: Vec<Reason>,
    ) -> StepIndex {
        let (legs, registered) = self.legs(state, origin, &mut because);
        if legs.is_empty() {
            let outcome = if registered { Outcome::Busy } else { Outcome::NotAvailable };
            return self.ended(number, origin, path, in_force, outcome, because);
        }
        let mut until = legs.iter().map(|leg| leg.to).max().unwrap_or_default();
        let no_answer = in_force.profile.as_ref().and_then(|(_, profile)| profile.rule(3, origin));
        if let Some(Condition::NoAnswer { after }) = no_answer.map(|rule| rule.condition) {
            until = until.min(after);
        }
        let legs: Vec<Leg> = legs
            .into_iter()
            .filter(|leg| leg.from < until)
            .map(|leg| Leg { to: leg.to.min(until), ..leg })
            .collect();
        let mut ended = |outcome| self.ended(number, origin, path, in_force, outcome, Vec::new());
        let on_busy = ended(Outcome::Busy);
        let on_no_answer = ended(Outcome::NoAnswer);
        let on_not_available = ended(Outcome::NotAvailable);
        let user = state.owner.value;
        self.push(Step::Ring {
            number,
            user,
            legs,
            until,
            on_busy,
            on_no_answer,
            on_not_available,
            because,
        })
    }

    /// The devices that ring, and whether any was there at all (registered, for this origin).
    fn legs(
        &self,
        state: &NumberState,
        origin: Origin,
        because: &mut Vec<Reason>,
    ) -> (Vec<Leg>, bool) {
        let exchange = self.input.exchange;
        let (mut legs, mut registered, mut anybody) = (Vec::new(), false, false);
        for tick in &state.slots {
            let slot = tick.value;
            let Some(login) = exchange.slots.get(&slot).and_then(|slot| slot.device) else {
                continue;
            };
            anybody = true;
            let device = login.value;
            let ticked = Says::Ticked { slot, device };
            because.push(Reason::new("3.1 step 11", ticked, Some(tick.at.max(login.at))));
            let entry = follow_me(exchange, state.owner.value, device, origin);
            if !entry.value.enabled {
                let off = Says::FollowMeOff { device };
                because.push(Reason::new("3.1 step 11a", off, Some(entry.at)));
                continue;
            }
            let fact = self.fact(device);
            if !fact.registered {
                because.push(Reason::new("3.1 step 11b", Says::NotRegistered { device }, None));
                continue;
            }
            registered = true;
            let call_waiting = !fact.calls.is_empty();
            if call_waiting {
                let at = Some(state.call_waiting.at);
                if !state.call_waiting.value {
                    because.push(Reason::new("3.1 step 11c", Says::InCall { device }, at));
                    continue;
                }
                because.push(Reason::new("3.1 step 11c", Says::CallWaiting { device }, at));
            }
            let FollowMe { wait, ring, .. } = entry.value;
            if entry.at != Position::START {
                let says = Says::FollowMe { device, wait, ring };
                because.push(Reason::new("3.1 step 11e", says, Some(entry.at)));
            }
            let to = Seconds(wait.0.saturating_add(ring.0));
            legs.push(Leg { device, slot, from: wait, to, call_waiting });
        }
        if !anybody {
            because.push(Reason::new("3.1 step 11b", Says::NobodyLoggedIn, None));
        }
        (legs, registered)
    }
}
