//! What the called side is shown of the caller (3.5, 1.15).

use super::outbound::{CallingAs, calling_as};
use crate::exchange::Exchange;
use crate::id::{DeviceId, TrunkId};

/// Number and name as shown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// Digits; none when withheld.
    pub number: Option<String>,
    /// Display name; none when there is none, or when it was erased.
    pub name: Option<String>,
}

/// To another subscriber: the alternative CID number if set, else the number in use; the display name. A phone nobody
/// is logged in on shows its service number.
#[must_use]
pub fn inside(exchange: &Exchange, device: DeviceId) -> Shown {
    match calling_as(exchange, device) {
        CallingAs::User { user, number, .. } => {
            let state = exchange.users.get(&user);
            let alternative = state.and_then(|user| user.caller_id).map(|chosen| chosen.value);
            let name = state.and_then(|user| user.display_name.value.known());
            Shown {
                number: Some(alternative.unwrap_or(number).to_string()),
                name: name.map(Into::into),
            }
        }
        CallingAs::NoNumberOnSlot { .. } => Shown::default(),
        CallingAs::Device { service_number } => {
            Shown { number: service_number.map(|number| number.to_string()), name: None }
        }
    }
}

/// To the outside: the trunk's base number and the number in use; withheld when the trunk has none. Names stay inside.
#[must_use]
pub fn outside(exchange: &Exchange, device: DeviceId, trunk: TrunkId) -> Shown {
    let base = exchange.trunks.get(&trunk).and_then(|trunk| trunk.base_number.clone());
    let number = match calling_as(exchange, device) {
        CallingAs::User { number, .. } => Some(number),
        CallingAs::Device { service_number } => service_number,
        CallingAs::NoNumberOnSlot { .. } => None,
    };
    let shown = base.zip(number).map(|(base, number)| format!("{base}{number}"));
    Shown { number: shown, name: None }
}

/// To those who help (step 0): whatever leads them to the phone, and never nothing. As outside, else the phone's own
/// number behind the trunk's base, else the one of the two that is there.
#[must_use]
pub fn for_help(exchange: &Exchange, device: DeviceId, trunk: TrunkId) -> Shown {
    let shown = outside(exchange, device, trunk);
    if shown.number.is_some() {
        return shown;
    }
    let base = exchange.trunks.get(&trunk).and_then(|trunk| trunk.base_number.clone());
    let own = exchange.devices.get(&device).and_then(|device| device.service_number);
    let own = own.map(|number| number.to_string());
    let number = match (base, own) {
        (Some(base), Some(own)) => Some(base + &own),
        (base, own) => base.or(own).or_else(|| inside(exchange, device).number),
    };
    Shown { number, name: None }
}
