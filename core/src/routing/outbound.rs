//! Calls to the outside: emergency (step 0), trunk prefixes (step 2), and which number a phone calls with (3.3).

use super::plan::{Otherwise, Outcome, Reason, Says, Step, StepIndex};
use super::{From, Router};
use crate::exchange::Exchange;
use crate::fact::Fact;
use crate::id::{DeviceId, SlotId, TrunkId, UserId};
use crate::number::Number;
use crate::permission::Permission;
use crate::position::Seconds;
use crate::trunk::Trunk;
use std::sync::Arc;

/// Numbers that work from any device, without any right and past every limit (step 0).
pub const EMERGENCY: [&str; 2] = ["110", "112"];
/// A trunk that has been silent for so long does not carry a call for help: over UDP it was asked four times by then
/// (RFC 3261 §17.1.1.2).
const SILENT: Seconds = Seconds(5);
/// So many trunks are tried for one call for help.
const MOST_TRUNKS: usize = 16;

/// Is this a call for help, dialled with a trunk's prefix or without (step 0)?
#[must_use]
pub fn is_emergency(exchange: &Exchange, dialled: &str) -> bool {
    EMERGENCY.contains(&dialled) || exchange.trunks.values().any(|trunk| prefixed(trunk, dialled))
}

fn prefixed(trunk: &Trunk, dialled: &str) -> bool {
    let rest = dialled.strip_prefix(trunk.outbound_prefix.as_str());
    rest.is_some_and(|rest| EMERGENCY.contains(&rest))
}

/// Who calls from a device, and with which number (3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallingAs {
    /// A user, with a number ticked on his slot: the selected one, else the lowest.
    User {
        /// Who.
        user: UserId,
        /// On which slot.
        slot: SlotId,
        /// With which number.
        number: Number,
    },
    /// A user whose slot has no number; only an administrator can have caused it.
    NoNumberOnSlot {
        /// Who.
        user: UserId,
        /// Which slot.
        slot: SlotId,
    },
    /// Nobody is logged in: the device itself, with its service number if it has one (1.5).
    Device {
        /// Its service number.
        service_number: Option<Number>,
    },
}

/// Which number a device calls with (3.3).
#[must_use]
pub fn calling_as(exchange: &Exchange, device: DeviceId) -> CallingAs {
    let Some(state) = exchange.devices.get(&device) else {
        return CallingAs::Device { service_number: None };
    };
    let slot = state.login.and_then(|login| Some((login.value, exchange.slots.get(&login.value)?)));
    let Some((slot, place)) = slot else {
        return CallingAs::Device { service_number: state.service_number };
    };
    let user = place.user;
    let number = place.selected.map(|chosen| chosen.value).or(place.numbers.first().copied());
    match number {
        Some(number) => CallingAs::User { user, slot, number },
        None => CallingAs::NoNumberOnSlot { user, slot },
    }
}

impl Router<'_> {
    /// Steps 0 and 2 for a call from inside: out through a trunk, or refused; `None` for a call to the inside.
    pub(super) fn outside(&mut self) -> Option<StepIndex> {
        let From::Device(device) = self.input.from else { return None };
        let dialled = self.input.dialled;
        if let Some(step) = self.emergency(dialled) {
            return Some(step);
        }
        let calling = calling_as(self.input.exchange, device);
        if let CallingAs::NoNumberOnSlot { slot, .. } = calling {
            let reason = Reason::new("3.3", Says::NoNumberOnSlot { slot }, None);
            return Some(self.refuse(Outcome::NoNumberOnSlot, vec![reason]));
        }
        let inside: Option<Number> = dialled.parse().ok();
        if inside.is_some_and(|number| self.input.exchange.numbers.contains_key(&number)) {
            return None;
        }
        let (trunk, state) = by_prefix(self.input.exchange, dialled)?;
        let prefix = Reason::new("3.1 step 2", Says::OutboundPrefix { trunk }, Some(state.at));
        let user = match calling {
            CallingAs::User { user, .. } => Some(user),
            _ => None,
        };
        let right = user.and_then(|user| self.input.exchange.holds(user, Permission::Outbound));
        let says = Says::OutboundRight { user, granted: right.is_some() };
        let because = vec![prefix, Reason::new("1.7", says, right)];
        if right.is_none() {
            return Some(self.refuse(Outcome::NotPermitted, because));
        }
        let strip = state.outbound_prefix.len();
        Some(self.push(Step::Dial { trunk, emergency: false, strip, otherwise: None, because }))
    }

    /// Step 0: out through the trunk whose prefix was dialled, else the oldest, and when that fails through the others,
    /// the oldest first. With a prefix or without, from wherever it is dialled, the network gets the bare number.
    fn emergency(&mut self, dialled: &str) -> Option<StepIndex> {
        let mut trunks: Vec<(TrunkId, Arc<Trunk>)> =
            self.input.exchange.trunks.iter().map(|(id, trunk)| (*id, Arc::clone(trunk))).collect();
        let strip = match trunks.iter().find(|(_, trunk)| prefixed(trunk, dialled)) {
            _ if EMERGENCY.contains(&dialled) => 0,
            Some((_, trunk)) => trunk.outbound_prefix.len(),
            None => return None,
        };
        trunks.sort_by_key(|(_, trunk)| (!prefixed(trunk, dialled), trunk.at));
        trunks.truncate(MOST_TRUNKS);
        if trunks.is_empty() {
            let because = vec![Reason::new("3.1 step 0", Says::Emergency, None)];
            return Some(self.refuse(Outcome::NoTrunk, because));
        }
        // From the last to the first: a step names the one that follows it.
        let mut next = None;
        for (place, (trunk, state)) in trunks.iter().enumerate().rev() {
            let mut because = vec![Reason::new("3.1 step 0", Says::Emergency, Some(state.at))];
            let before = place.checked_sub(1).and_then(|before| trunks.get(before));
            because.extend(before.map(|(after, _)| {
                Reason::new("3.1 step 0", Says::NextTrunk { after: *after }, None)
            }));
            let otherwise = next.map(|then| Otherwise { silent: SILENT, then });
            let trunk = *trunk;
            next =
                Some(self.push(Step::Dial { trunk, emergency: true, strip, otherwise, because }));
        }
        next
    }
}

/// The trunk whose prefix begins the dialled digits: the longest prefix wins, then the older trunk.
fn by_prefix(exchange: &Exchange, dialled: &str) -> Option<(TrunkId, Arc<Trunk>)> {
    let digits = dialled.strip_prefix('+').unwrap_or(dialled);
    if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    exchange
        .trunks
        .iter()
        .filter(|(_, trunk)| {
            dialled.len() > trunk.outbound_prefix.len()
                && dialled.starts_with(trunk.outbound_prefix.as_str())
        })
        .max_by_key(|(_, trunk)| (trunk.outbound_prefix.len(), std::cmp::Reverse(trunk.at)))
        .map(|(id, trunk)| (*id, Arc::clone(trunk)))
}

/// The number a call in progress is held over, for busy-if-any: the one the device calls with.
#[must_use]
pub fn number_in_use(exchange: &Exchange, device: DeviceId) -> Option<Fact<Number>> {
    match calling_as(exchange, device) {
        CallingAs::User { slot, number, .. } => {
            let selected = exchange.slots.get(&slot).and_then(|slot| slot.selected);
            Some(selected.unwrap_or(Fact::new(number, crate::position::Position::START)))
        }
        _ => None,
    }
}
