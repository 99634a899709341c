//! Commands about numbers and their ticks in the matrix (behaviour.md 2.2).

use crate::command::Decide;
use crate::draft::{Confirm, Draft, Force};
use crate::lookup;
use crate::order::{Warning, WarningCode};
use crate::refusal::{Refusal, RefusalCode};
use crate::roaming;
use crate::user::owner_name;
use crate::wire::{SlotRef, UserRef, Word};
use serde::Deserialize;
use switchbook_core::device::LogoutReason;
use switchbook_core::envelope::Subject;
use switchbook_core::exchange::Exchange;
use switchbook_core::forwarding::Target;
use switchbook_core::id::{DeviceId, SlotId, UserId};
use switchbook_core::number::{
    BusyIfAny, BusyIfAnySet, CallWaitingSet, MatrixChanged, Number, NumberAssigned, NumberFreed,
};
use switchbook_core::routing::outbound::is_emergency;
use switchbook_core::trunk::InboundNumberFreed;
use switchbook_core::user::{CallerIdChosen, User};

/// Gives a free number to a user (N-1). It has no ticks (N-2) unless slots are named.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// To whom.
    pub user: UserRef,
    /// Which.
    pub number: Number,
    /// Slots it is ticked for at once.
    #[serde(default)]
    pub slots: Vec<SlotRef>,
}

impl Decide for Add {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = lookup::user(draft.exchange(), &self.user)?;
        assign(draft, user, self.number)?;
        for reference in &self.slots {
            let slot = lookup::slot(draft.exchange(), reference)?;
            tick(draft, self.number, slot)?;
        }
        if self.slots.is_empty() {
            let warning = Warning::new(WarningCode::NumberUnreachable);
            draft.warn(warning.with("number", self.number));
        }
        Ok(())
    }
}

/// N-1: a usable, free number becomes the user's.
pub(crate) fn assign(
    draft: &mut Draft<'_, '_>,
    user: UserId,
    number: Number,
) -> Result<(), Refusal> {
    check_internal(draft.exchange(), number)?;
    if let Some(owner) = owner_of(draft.exchange(), number) {
        return Err(Refusal::new(RefusalCode::NumberTaken)
            .with("number", number)
            .with("owner", owner)
            .about(Subject::Number(number)));
    }
    draft.tell(NumberAssigned { number, user });
    Ok(())
}

/// Number rules of 1.2: at least two digits, not beginning with 0, no emergency number, also behind no trunk's prefix.
pub(crate) fn check_internal(exchange: &Exchange, number: Number) -> Result<(), Refusal> {
    let digits = number.as_str();
    if digits.len() < 2 || digits.starts_with('0') || is_emergency(exchange, digits) {
        return Err(Refusal::new(RefusalCode::NumberInvalid).with("number", number));
    }
    Ok(())
}

/// Who has a number: all kinds of owners share one space (1.2).
pub(crate) fn owner_of(exchange: &Exchange, number: Number) -> Option<String> {
    let device = || {
        let device = exchange.service_numbers.get(&number)?;
        Some(lookup::device_name(exchange, *device))
    };
    owner_name(exchange, number).or_else(device)
}

/// Takes a number from its user (N-9). A phone that loses its last number by it is logged off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Which.
    pub number: Number,
    /// The sender knows that others forward to it.
    #[serde(default)]
    pub confirm: Confirm,
    /// Even if a phone that is logged off by it is in a call (RO-14).
    #[serde(default)]
    pub force: Force,
}

impl Decide for Remove {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let state = lookup::number(draft.exchange(), self.number)?.clone();
        not_referenced(draft, &[self.number], Some(state.owner.value), self.confirm)?;
        let alone = |slot: &SlotId| {
            let slot = draft.exchange().slots.get(slot)?;
            (slot.numbers.len() == 1).then_some(slot.device?.value)
        };
        let devices: Vec<DeviceId> =
            state.slots.iter().filter_map(|tick| alone(&tick.value)).collect();
        for device in devices {
            draft.log_out(device, LogoutReason::LastNumber, self.force)?;
        }
        release(draft, &[self.number], None);
        draft.tell(NumberFreed {
            number: self.number,
            user: state.owner.value,
            schedules: state.schedules.clone(),
        });
        Ok(())
    }
}

/// What names the numbers goes before them, by events of its own: inbound rules, and the choices of everybody but who
/// leaves himself to be shown as one of them (N-9, U-4).
pub(crate) fn release(draft: &mut Draft<'_, '_>, numbers: &[Number], leaving: Option<UserId>) {
    let exchange = draft.exchange();
    let trunks = exchange.trunks.iter();
    let inbound: Vec<InboundNumberFreed> = trunks
        .flat_map(|(&trunk, state)| {
            let rules = state.inbound.iter().filter(|rule| numbers.contains(&rule.value.number));
            rules.map(move |rule| InboundNumberFreed { trunk, dialled: rule.value.dialled.clone() })
        })
        .collect();
    let shows = |user: &User| user.caller_id.is_some_and(|shown| numbers.contains(&shown.value));
    let users = exchange.users.iter().filter(|&(id, user)| Some(*id) != leaving && shows(user));
    let shown: Vec<UserId> = users.map(|(id, _)| *id).collect();
    for freed in inbound {
        draft.tell(freed);
    }
    for user in shown {
        draft.tell(CallerIdChosen { user, number: None });
    }
}

/// U-5: foreign profiles and inbound rules that lead to the numbers are listed first.
pub(crate) fn not_referenced(
    draft: &mut Draft<'_, '_>,
    numbers: &[Number],
    owner: Option<UserId>,
    confirm: Confirm,
) -> Result<(), Refusal> {
    let by = references(draft.exchange(), numbers, owner);
    if by.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = numbers.iter().map(Number::as_str).collect();
    let (what, by) = (named.join(", "), by.join(", "));
    match confirm {
        Confirm::No => {
            let refusal = Refusal::new(RefusalCode::Referenced).with("what", what).with("by", by);
            Err(numbers.iter().fold(refusal, |r, number| r.about(Subject::Number(*number))))
        }
        Confirm::Yes => {
            let warning = Warning::new(WarningCode::ReferencesLost);
            draft.warn(warning.with("what", what).with("by", by));
            Ok(())
        }
    }
}

fn references(exchange: &Exchange, numbers: &[Number], owner: Option<UserId>) -> Vec<String> {
    let hits = |target: Target| matches!(target, Target::Number(to) if numbers.contains(&to));
    let profiles = exchange
        .profiles
        .iter()
        .filter(|(_, profile)| Some(profile.owner) != owner)
        .filter(|(_, profile)| profile.rules.value.iter().any(|rule| hits(rule.target)))
        .map(|(id, _)| lookup::profile_name(exchange, *id));
    let inbound = exchange.trunks.values().flat_map(|trunk| {
        let rules = trunk.inbound.iter().filter(|rule| numbers.contains(&rule.value.number));
        rules.map(|rule| format!("{} {}", trunk.name, rule.value.dialled))
    });
    profiles.chain(inbound).collect()
}

/// Sets a tick: the number rings on the slot and can call out from it (N-4).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tick {
    /// Row.
    pub number: Number,
    /// Column.
    pub slot: SlotRef,
}

impl Decide for Tick {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let slot = lookup::slot(draft.exchange(), &self.slot)?;
        tick(draft, self.number, slot)
    }
}

/// Sets a tick, if it is not set already.
pub(crate) fn tick(draft: &mut Draft<'_, '_>, number: Number, slot: SlotId) -> Result<(), Refusal> {
    let user = same_owner(draft.exchange(), number, slot)?;
    if lookup::number(draft.exchange(), number)?.tick(slot).is_none() {
        draft.tell(MatrixChanged { user, number, slot, on: true });
    }
    Ok(())
}

/// Rows and columns of one matrix belong to one user (1.4).
fn same_owner(exchange: &Exchange, number: Number, slot: SlotId) -> Result<UserId, Refusal> {
    let owner = lookup::number(exchange, number)?.owner.value;
    if lookup::slot_state(exchange, slot)?.user != owner {
        return Err(Refusal::new(RefusalCode::WrongOwner)
            .with("what", number)
            .with("other", lookup::slot_name(exchange, slot))
            .about(Subject::Number(number))
            .about(Subject::Slot(slot)));
    }
    Ok(owner)
}

/// Clears a tick (N-4). Taking the last number off a slot logs its phone off, and needs the right to (N-5, N-7).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Untick {
    /// Row.
    pub number: Number,
    /// Column.
    pub slot: SlotRef,
    /// Even if the phone that is logged off by it is in a call (RO-14).
    #[serde(default)]
    pub force: Force,
}

impl Decide for Untick {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let slot = lookup::slot(draft.exchange(), &self.slot)?;
        let user = same_owner(draft.exchange(), self.number, slot)?;
        if lookup::number(draft.exchange(), self.number)?.tick(slot).is_none() {
            return Ok(());
        }
        let state = lookup::slot_state(draft.exchange(), slot)?.clone();
        if state.numbers.len() == 1 {
            let device = state.device.map(|device| device.value);
            if !draft.standing.administers() && !roaming::may_leave(draft.exchange(), user, device)
            {
                return Err(Refusal::new(RefusalCode::LastNumberOnSlot)
                    .with("number", self.number)
                    .with("slot", lookup::slot_name(draft.exchange(), slot))
                    .about(Subject::Slot(slot))
                    .about(Subject::Number(self.number)));
            }
            if let Some(device) = device {
                draft.log_out(device, LogoutReason::LastNumber, self.force)?;
            }
        }
        draft.tell(MatrixChanged { user, number: self.number, slot, on: false });
        Ok(())
    }
}

/// Changes which number is active on a slot, in one step: the log-in stays (N-6, RO-5).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// On which slot.
    pub slot: SlotRef,
    /// The number whose tick is cleared.
    pub off: Number,
    /// The number whose tick is set.
    pub on: Number,
}

impl Decide for Swap {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let slot = lookup::slot(draft.exchange(), &self.slot)?;
        let user = same_owner(draft.exchange(), self.on, slot)?;
        same_owner(draft.exchange(), self.off, slot)?;
        if lookup::number(draft.exchange(), self.off)?.tick(slot).is_none() {
            return Err(not_on_slot(draft.exchange(), self.off, slot));
        }
        if self.on == self.off {
            return Ok(());
        }
        let selected = lookup::slot_state(draft.exchange(), slot)?.selected;
        tick(draft, self.on, slot)?;
        draft.tell(MatrixChanged { user, number: self.off, slot, on: false });
        if selected.is_some_and(|chosen| chosen.value == self.off) {
            draft.tell(switchbook_core::slot::NumberSelected { slot, number: self.on });
        }
        Ok(())
    }
}

pub(crate) fn not_on_slot(exchange: &Exchange, number: Number, slot: SlotId) -> Refusal {
    Refusal::new(RefusalCode::NumberNotOnSlot)
        .with("number", number)
        .with("slot", lookup::slot_name(exchange, slot))
        .about(Subject::Slot(slot))
        .about(Subject::Number(number))
}

/// Switches call waiting (Anklopfen).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallWaiting {
    /// For which number.
    pub number: Number,
    /// On or off.
    pub on: bool,
}

impl Decide for CallWaiting {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        if lookup::number(draft.exchange(), self.number)?.call_waiting.value != self.on {
            draft.tell_last(CallWaitingSet { number: self.number, on: self.on });
        }
        Ok(())
    }
}

/// Sets what busy-if-any (Sammelbesetzt) covers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetBusyIfAny {
    /// For which number.
    pub number: Number,
    /// `off`, `calls` or `calls-and-team-calls`.
    pub scope: Word<BusyIfAny>,
}

impl Decide for SetBusyIfAny {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        if lookup::number(draft.exchange(), self.number)?.busy_if_any.value != self.scope.0 {
            draft.tell_last(BusyIfAnySet { number: self.number, scope: self.scope.0 });
        }
        Ok(())
    }
}
