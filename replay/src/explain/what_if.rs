//! What a decision that never was would have seen: the recorded facts first, the book where nothing was recorded.
//!
//! A call that was forwarded at once never asked which phones were registered. Without the forwarding they matter: the
//! book knows the registrations, and says nothing about calls in progress, so such a phone counts as idle.

use switchbook_core::call::Facts;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::DeviceId;
use switchbook_core::number::Number;
use switchbook_core::routing::Volatile;
use switchbook_projections::names::Naming;
use switchbook_projections::text;
use switchbook_projections::text::Text;

pub(super) struct WhatIf<'a> {
    pub(super) facts: &'a Facts,
    pub(super) exchange: &'a Exchange,
}

impl WhatIf<'_> {
    fn recorded(&self, device: DeviceId) -> bool {
        self.facts.devices.iter().any(|fact| fact.device == device)
    }
}

impl Volatile for WhatIf<'_> {
    fn registered(&self, device: DeviceId) -> bool {
        if self.recorded(device) {
            return self.facts.registered(device);
        }
        let entry = self.exchange.registrations.get(&device);
        entry.is_some_and(|entry| !entry.bindings.is_empty())
    }

    fn calls_on(&self, device: DeviceId) -> Vec<Option<Number>> {
        self.facts.calls_on(device)
    }

    fn in_use(&self, number: Number) -> bool {
        self.facts.in_use(number)
    }
}

/// What had to be taken from the book, since the decision of then did not ask for it.
pub(super) fn assumed(recorded: &Facts, used: &Facts, names: &dyn Naming) -> Vec<Text> {
    let known = |device: DeviceId| recorded.devices.iter().any(|fact| fact.device == device);
    let fresh = used.devices.iter().filter(|fact| !known(fact.device));
    fresh
        .map(|fact| {
            let device = names.device(fact.device);
            if fact.registered {
                text!(
                    "{device} was not asked about then; the book has it registered, and it is taken for idle",
                    "nach {device} wurde damals nicht gefragt; laut Buch war es registriert, und es gilt als frei"
                )
            } else {
                text!(
                    "{device} was not asked about then; the book has it not registered",
                    "nach {device} wurde damals nicht gefragt; laut Buch war es nicht registriert"
                )
            }
        })
        .collect()
}
