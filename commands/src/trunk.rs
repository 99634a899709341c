//! Commands about trunks (behaviour.md 1.19): static peers and their inbound numbers.

use crate::command::Decide;
use crate::draft::Draft;
use crate::form::text;
use crate::lookup;
use crate::refusal::{Refusal, RefusalCode};
use crate::wire::TrunkRef;
use serde::Deserialize;
use std::net::SocketAddr;
use switchbook_core::id::TrunkId;
use switchbook_core::number::Number;
use switchbook_core::routing::outbound::EMERGENCY;
use switchbook_core::trunk::{
    Inbound, InboundNumberAssigned, InboundNumberFreed, TrunkAdded, TrunkRemoved,
};

/// Adds a static trunk.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// What people call it, unique.
    pub name: String,
    /// The only address calls come from and go to, `ip:port`.
    pub peer: SocketAddr,
    /// Dialled before an outside number (Amtsholung); empty: none needed.
    #[serde(default)]
    pub outbound_prefix: String,
    /// Put before the caller's number on the way out; absent withholds the number.
    #[serde(default)]
    pub base_number: Option<String>,
}

impl Decide for Add {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        draft.settings()?;
        let name = text(&self.name, "name")?.to_owned();
        if draft.exchange().trunks.values().any(|trunk| trunk.name == name) {
            return Err(Refusal::new(RefusalCode::TrunkNameTaken).with("name", name));
        }
        let prefix = &self.outbound_prefix;
        if prefix.len() > 15 || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid("outbound_prefix", "it has up to 15 digits and nothing else"));
        }
        // Dialled, such a number would call for help (step 0).
        let help = EMERGENCY.map(|help| format!("{prefix}{help}").parse::<Number>().ok());
        if help.into_iter().flatten().any(|number| draft.exchange().numbers.contains_key(&number)) {
            return Err(invalid(
                "outbound_prefix",
                "with 110 or 112 behind it, it is a number that somebody has; whoever dials that would call for help",
            ));
        }
        let same = draft.exchange().trunks.values().find(|t| t.outbound_prefix == *prefix);
        if let Some(trunk) = same {
            return Err(Refusal::new(RefusalCode::PrefixTaken)
                .with("prefix", prefix)
                .with("trunk", &trunk.name));
        }
        if let Some(base) = &self.base_number {
            dialled(base, "base_number")?;
        }
        let trunk = TrunkId(draft.new_id());
        draft.tell_last(TrunkAdded {
            trunk,
            name,
            peer: self.peer,
            outbound_prefix: prefix.clone(),
            base_number: self.base_number.clone(),
        });
        Ok(())
    }
}

fn invalid(field: &'static str, why: &'static str) -> Refusal {
    Refusal::new(RefusalCode::ValueInvalid).with("field", field).with("why", why)
}

/// Digits of the public network: up to 32, a leading `+` allowed.
fn dialled(given: &str, field: &'static str) -> Result<(), Refusal> {
    let digits = given.strip_prefix('+').unwrap_or(given);
    let fits = digits.bytes().all(|b| b.is_ascii_digit());
    if digits.is_empty() || digits.len() > 32 || !fits {
        return Err(invalid(field, "it has 1 to 32 digits, with a + before them or without"));
    }
    Ok(())
}

/// Removes a trunk, and its inbound rules.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Which.
    pub trunk: TrunkRef,
}

impl Decide for Remove {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let (trunk, _) = lookup::trunk(draft.exchange(), &self.trunk)?;
        draft.tell_last(TrunkRemoved { trunk });
        Ok(())
    }
}

/// Gives called digits of a trunk to a number (direct inward dialling).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// Which trunk.
    pub trunk: TrunkRef,
    /// As the network sends them.
    pub dialled: String,
    /// Whom they reach.
    pub number: Number,
}

impl Decide for Assign {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        dialled(&self.dialled, "dialled")?;
        lookup::number(draft.exchange(), self.number)?;
        let (trunk, state) = lookup::trunk(draft.exchange(), &self.trunk)?;
        let held = state.inbound.iter().find(|rule| rule.value.dialled == self.dialled);
        match held {
            Some(rule) if rule.value.number == self.number => Ok(()),
            Some(rule) => Err(Refusal::new(RefusalCode::DialledTaken)
                .with("dialled", &self.dialled)
                .with("number", rule.value.number)),
            None => {
                let rule = Inbound { dialled: self.dialled.clone(), number: self.number };
                draft.tell_last(InboundNumberAssigned { trunk, rule });
                Ok(())
            }
        }
    }
}

/// Takes called digits from their number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Free {
    /// Which trunk.
    pub trunk: TrunkRef,
    /// As the network sends them.
    pub dialled: String,
}

impl Decide for Free {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let (trunk, state) = lookup::trunk(draft.exchange(), &self.trunk)?;
        if !state.inbound.iter().any(|rule| rule.value.dialled == self.dialled) {
            return Err(Refusal::new(RefusalCode::DialledUnknown)
                .with("trunk", &state.name)
                .with("dialled", &self.dialled));
        }
        draft.tell_last(InboundNumberFreed { trunk, dialled: self.dialled.clone() });
        Ok(())
    }
}
