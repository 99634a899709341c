//! Who may be logged in and out where: RO-1 to RO-17 (behaviour.md 2.3), in one place.

use crate::draft::{Draft, Force};
use crate::lookup;
use crate::refusal::{Refusal, RefusalCode};
use switchbook_core::device::{DeviceLoggedIn, LogoutReason};
use switchbook_core::envelope::Subject;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{DeviceId, SlotId, UserId};
use switchbook_core::permission::Permission;

/// May the user be logged off by taking the last number off a slot? The host that is left counts (RO-13); without one
/// the right on any host will do, since the transition counts and not the device (N-7).
pub(crate) fn may_leave(exchange: &Exchange, user: UserId, device: Option<DeviceId>) -> bool {
    match device {
        Some(device) => exchange.may_roam(user, device).is_some(),
        None => {
            let groups: Vec<_> = exchange.groups_of_user(user).collect();
            exchange.permissions.keys().any(|grant| {
                grant.permission == Permission::Roaming && groups.contains(&grant.subject)
            })
        }
    }
}

/// Logs a user in at a phone, on `wanted` or the slot that RO-10 chooses. What is in the way is logged off if that is
/// allowed, in the same step (RO-2, RO-11); else nothing changes.
pub(crate) fn log_in(
    draft: &mut Draft<'_, '_>,
    user: UserId,
    device: DeviceId,
    wanted: Option<SlotId>,
    force: Force,
) -> Result<(), Refusal> {
    let here = lookup::device_state(draft.exchange(), device)?.clone();
    let held = here.login.and_then(|login| {
        let holder = draft.exchange().slots.get(&login.value)?.user;
        Some((login.value, holder))
    });
    // Who is here already stays, unless he names another slot.
    if let Some((slot, holder)) = held
        && holder == user
        && wanted.is_none_or(|wanted| wanted == slot)
    {
        return Ok(());
    }
    let slot = match wanted {
        Some(slot) => fitting(draft.exchange(), slot, device)?,
        None => choose(draft.exchange(), user, device)?,
    };
    let elsewhere = lookup::slot_state(draft.exchange(), slot)?.device.map(|d| d.value);
    // All rights are asked before anything is told.
    if let Some((_, holder)) = held
        && !draft.standing.administers()
        && draft.exchange().may_roam(holder, device).is_none()
    {
        return Err(Refusal::new(RefusalCode::DeviceHeld)
            .with("device", &here.name)
            .about(Subject::Device(device)));
    }
    if let Some(old) = elsewhere
        && !draft.standing.administers()
        && draft.exchange().may_roam(user, old).is_none()
    {
        return Err(Refusal::new(RefusalCode::SlotOccupied)
            .with("slot", lookup::slot_name(draft.exchange(), slot))
            .with("device", lookup::device_name(draft.exchange(), old))
            .about(Subject::Slot(slot))
            .about(Subject::Device(device))
            .about(Subject::Device(old)));
    }
    if held.is_some() {
        draft.log_out(device, LogoutReason::Moved, force)?;
    }
    if let Some(old) = elsewhere {
        draft.log_out(old, LogoutReason::Moved, force)?;
    }
    draft.tell(DeviceLoggedIn { user, slot, device });
    Ok(())
}

/// RO-10: a slot takes only phones of its type.
pub(crate) fn fitting(
    exchange: &Exchange,
    slot: SlotId,
    device: DeviceId,
) -> Result<SlotId, Refusal> {
    let takes = lookup::slot_state(exchange, slot)?.device_type;
    let phone = lookup::device_state(exchange, device)?;
    if takes != phone.device_type {
        return Err(Refusal::new(RefusalCode::SlotTypeMismatch)
            .with("device", &phone.name)
            .with("type", phone.device_type)
            .with("slot", lookup::slot_name(exchange, slot))
            .with("takes", takes)
            .about(Subject::Slot(slot))
            .about(Subject::Device(device)));
    }
    Ok(slot)
}

/// RO-10: of the slots that fit, a free one goes before an occupied one; among equals the one last used on this phone,
/// else the lowest id.
fn choose(exchange: &Exchange, user: UserId, device: DeviceId) -> Result<SlotId, Refusal> {
    let phone = lookup::device_state(exchange, device)?;
    let slots = &lookup::user_state(exchange, user)?.slots;
    slots
        .iter()
        .filter_map(|id| Some((*id, exchange.slots.get(id)?)))
        .filter(|(_, slot)| slot.device_type == phone.device_type)
        .min_by_key(|(id, slot)| (slot.device.is_some(), phone.last_slot != Some(*id), *id))
        .map(|(id, _)| id)
        .ok_or_else(|| {
            Refusal::new(RefusalCode::NoSlotFits)
                .with("user", lookup::user_name(exchange, user))
                .with("type", phone.device_type)
                .about(Subject::User(user))
                .about(Subject::Device(device))
        })
}

/// RO-3, RO-6: logs off whoever is logged in at a phone.
pub(crate) fn log_out(
    draft: &mut Draft<'_, '_>,
    device: DeviceId,
    force: Force,
) -> Result<(), Refusal> {
    let user = logged_in(draft.exchange(), device)?;
    if draft.standing.administers() {
        return draft.log_out(device, LogoutReason::Admin, force);
    }
    if draft.exchange().may_roam(user, device).is_none() {
        return Err(Refusal::new(RefusalCode::RoamingDenied)
            .with("device", lookup::device_name(draft.exchange(), device))
            .about(Subject::Device(device))
            .about(Subject::User(user)));
    }
    draft.log_out(device, LogoutReason::User, force)
}

/// Who is logged in at a phone.
pub(crate) fn logged_in(exchange: &Exchange, device: DeviceId) -> Result<UserId, Refusal> {
    let state = lookup::device_state(exchange, device)?;
    state.login.and_then(|login| exchange.slots.get(&login.value)).map(|slot| slot.user).ok_or_else(
        || {
            Refusal::new(RefusalCode::NobodyLoggedIn)
                .with("device", &state.name)
                .about(Subject::Device(device))
        },
    )
}
