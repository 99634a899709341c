//! Commands about slots (behaviour.md 1.3, N-3, N-9).

use crate::command::Decide;
use crate::device::{self, NewDevice};
use crate::draft::{Draft, Force};
use crate::form::text;
use crate::lookup;
use crate::number::not_on_slot;
use crate::refusal::{Refusal, RefusalCode};
use crate::wire::{SlotRef, UserRef, Word};
use serde::de::{Deserialize, Deserializer, Error as _};
use switchbook_core::device::LogoutReason;
use switchbook_core::id::{SlotId, UserId};
use switchbook_core::number::Number;
use switchbook_core::slot::{DeviceType, NumberSelected, SlotAdded, SlotRemoved};

/// A slot to be made: `"desk"`, or `{"type":"desk","name":"office"}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSlot {
    /// What it takes.
    pub device_type: Word<DeviceType>,
    /// What people call it; else the type's word, with a number when that is taken.
    pub name: Option<String>,
}

impl<'de> Deserialize<'de> for NewSlot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            r#type: Word<DeviceType>,
            #[serde(default)]
            name: Option<String>,
        }
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(word) => {
                let device_type = word.parse().map_err(D::Error::custom)?;
                Ok(Self { device_type, name: None })
            }
            value => {
                let long: Long = serde_json::from_value(value).map_err(D::Error::custom)?;
                Ok(Self { device_type: long.r#type, name: long.name })
            }
        }
    }
}

/// Adds a slot for a device type (N-3); no ticks. A softphone slot gets a device of its own.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Whose.
    pub user: UserRef,
    /// What it takes.
    #[serde(rename = "type")]
    pub device_type: Word<DeviceType>,
    /// What people call it: unique among the user's slots.
    #[serde(default)]
    pub name: Option<String>,
}

impl Decide for Add {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = lookup::user(draft.exchange(), &self.user)?;
        let new = NewSlot { device_type: self.device_type, name: self.name.clone() };
        let slot = add(draft, user, &new)?;
        own_softphone(draft, slot)
    }
}

/// Makes a slot under a name that is free.
pub(crate) fn add(
    draft: &mut Draft<'_, '_>,
    user: UserId,
    new: &NewSlot,
) -> Result<SlotId, Refusal> {
    let taken = |name: &str| lookup::slot_of(draft.exchange(), user, name).is_some();
    let name = match &new.name {
        Some(given) => {
            let name = text(given, "name")?;
            if taken(name) {
                return Err(Refusal::new(RefusalCode::SlotNameTaken)
                    .with("user", lookup::user_name(draft.exchange(), user))
                    .with("name", name));
            }
            name.to_owned()
        }
        None => {
            let word = new.device_type.word();
            let numbered = (2..).map(|n: u32| format!("{word}-{n}"));
            let mut names = std::iter::once(word.to_owned()).chain(numbered);
            names.find(|name| !taken(name)).unwrap_or_default()
        }
    };
    let slot = SlotId(draft.new_id());
    draft.tell(SlotAdded { slot, user, name, device_type: new.device_type.0 });
    Ok(slot)
}

/// a softphone is not a phone on a desk: its slot brings its own device, logged in from the beginning.
pub(crate) fn own_softphone(draft: &mut Draft<'_, '_>, slot: SlotId) -> Result<(), Refusal> {
    let state = lookup::slot_state(draft.exchange(), slot)?.clone();
    if state.device_type != DeviceType::Softphone {
        return Ok(());
    }
    let free = |name: &String| draft.exchange().device_named(name).is_none();
    let base = device::usable_name(&format!(
        "{}-{}",
        lookup::user_name(draft.exchange(), state.user),
        state.name
    ));
    let numbered = (2..).map(|n: u32| format!("{base}-{n}"));
    let name = std::iter::once(base.clone()).chain(numbered).find(free).unwrap_or_default();
    let device = device::add(draft, &NewDevice::named(&name, DeviceType::Softphone))?;
    device::attach(draft, state.user, slot, device)
}

/// Removes a slot; a phone on it is logged off (N-9). Administrators only.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Which.
    pub slot: SlotRef,
    /// Even if its phone is in a call (RO-14).
    #[serde(default)]
    pub force: Force,
}

impl Decide for Remove {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let slot = lookup::slot(draft.exchange(), &self.slot)?;
        let state = lookup::slot_state(draft.exchange(), slot)?.clone();
        if let Some(device) = state.device {
            draft.log_out(device.value, LogoutReason::SlotRemoved, self.force)?;
        }
        draft.tell(SlotRemoved { slot, user: state.user });
        Ok(())
    }
}

/// Selects the number for outgoing calls from a slot (3.3).
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Select {
    /// Which slot.
    pub slot: SlotRef,
    /// One of its ticked numbers.
    pub number: Number,
}

impl Decide for Select {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let slot = lookup::slot(draft.exchange(), &self.slot)?;
        let state = lookup::slot_state(draft.exchange(), slot)?;
        if !state.numbers.contains(&self.number) {
            return Err(not_on_slot(draft.exchange(), self.number, slot));
        }
        if state.selected.is_none_or(|chosen| chosen.value != self.number) {
            draft.tell_last(NumberSelected { slot, number: self.number });
        }
        Ok(())
    }
}
