//! From references as people write them to the things they mean.

use crate::refusal::{Refusal, RefusalCode};
use crate::wire::{
    CallRef, DeviceRef, GroupRef, ProfileRef, ScheduleRef, SlotRef, TrunkRef, UserRef,
};
use std::sync::Arc;
use switchbook_core::device::Device;
use switchbook_core::exchange::Exchange;
use switchbook_core::forwarding::Profile;
use switchbook_core::group::Group;
use switchbook_core::id::{
    CallId, DeviceId, GroupId, ProfileId, ScheduleId, SlotId, TrunkId, UserId,
};
use switchbook_core::number::{Number, NumberState};
use switchbook_core::position::Position;
use switchbook_core::schedule::Schedule;
use switchbook_core::slot::Slot;
use switchbook_core::trunk::Trunk;
use switchbook_core::user::User;
use uuid::Uuid;

fn uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// The user meant by a log-in name or id.
///
/// # Errors
/// `USER_UNKNOWN`.
pub fn user(exchange: &Exchange, reference: &UserRef) -> Result<UserId, Refusal> {
    let by_id = || uuid(&reference.0).map(UserId).filter(|id| exchange.users.contains_key(id));
    exchange
        .user_named(&reference.0)
        .or_else(by_id)
        .ok_or_else(|| Refusal::new(RefusalCode::UserUnknown).with("user", reference))
}

/// A user by id.
pub(crate) fn user_state(exchange: &Exchange, id: UserId) -> Result<&Arc<User>, Refusal> {
    exchange.users.get(&id).ok_or_else(|| Refusal::new(RefusalCode::UserUnknown).with("user", id))
}

/// The state of a number somebody has.
///
/// # Errors
/// `NUMBER_UNKNOWN`.
pub fn number(exchange: &Exchange, number: Number) -> Result<&Arc<NumberState>, Refusal> {
    exchange
        .numbers
        .get(&number)
        .ok_or_else(|| Refusal::new(RefusalCode::NumberUnknown).with("number", number))
}

/// The device meant by what it registers as, or by id.
///
/// # Errors
/// `DEVICE_UNKNOWN`.
pub fn device(exchange: &Exchange, reference: &DeviceRef) -> Result<DeviceId, Refusal> {
    let by_id = || uuid(&reference.0).map(DeviceId).filter(|id| exchange.devices.contains_key(id));
    exchange
        .device_named(&reference.0)
        .or_else(by_id)
        .ok_or_else(|| Refusal::new(RefusalCode::DeviceUnknown).with("device", reference))
}

/// A device by id.
pub(crate) fn device_state(exchange: &Exchange, id: DeviceId) -> Result<&Arc<Device>, Refusal> {
    exchange
        .devices
        .get(&id)
        .ok_or_else(|| Refusal::new(RefusalCode::DeviceUnknown).with("device", id))
}

/// The group meant by its internal name or id.
///
/// # Errors
/// `GROUP_UNKNOWN`.
pub fn group(exchange: &Exchange, reference: &GroupRef) -> Result<GroupId, Refusal> {
    let by_id = || uuid(&reference.0).map(GroupId).filter(|id| exchange.groups.contains_key(id));
    exchange
        .group_named(&reference.0)
        .or_else(by_id)
        .ok_or_else(|| Refusal::new(RefusalCode::GroupUnknown).with("group", reference))
}

/// A group by id.
pub(crate) fn group_state(exchange: &Exchange, id: GroupId) -> Result<&Arc<Group>, Refusal> {
    exchange
        .groups
        .get(&id)
        .ok_or_else(|| Refusal::new(RefusalCode::GroupUnknown).with("group", id))
}

/// The slot meant by `user/slot` or id.
///
/// # Errors
/// `SLOT_UNKNOWN`.
pub fn slot(exchange: &Exchange, reference: &SlotRef) -> Result<SlotId, Refusal> {
    let by_id = || uuid(&reference.0).map(SlotId).filter(|id| exchange.slots.contains_key(id));
    let by_name = || {
        let (owner, name) = reference.0.split_once('/')?;
        let owner = user(exchange, &owner.into()).ok()?;
        slot_of(exchange, owner, name)
    };
    by_id()
        .or_else(by_name)
        .ok_or_else(|| Refusal::new(RefusalCode::SlotUnknown).with("slot", reference))
}

/// A user's slot by name.
pub(crate) fn slot_of(exchange: &Exchange, owner: UserId, name: &str) -> Option<SlotId> {
    let owner = exchange.users.get(&owner)?;
    let named = |id: &&SlotId| exchange.slots.get(*id).is_some_and(|slot| slot.name == name);
    owner.slots.iter().find(named).copied()
}

/// A slot by id.
pub(crate) fn slot_state(exchange: &Exchange, id: SlotId) -> Result<&Arc<Slot>, Refusal> {
    exchange.slots.get(&id).ok_or_else(|| Refusal::new(RefusalCode::SlotUnknown).with("slot", id))
}

/// The profile meant by `user/profile` or id.
///
/// # Errors
/// `PROFILE_UNKNOWN`.
pub fn profile(exchange: &Exchange, reference: &ProfileRef) -> Result<ProfileId, Refusal> {
    let by_id =
        || uuid(&reference.0).map(ProfileId).filter(|id| exchange.profiles.contains_key(id));
    let by_name = || {
        let (owner, name) = reference.0.split_once('/')?;
        let owner = user(exchange, &owner.into()).ok()?;
        profile_of(exchange, owner, name)
    };
    by_id()
        .or_else(by_name)
        .ok_or_else(|| Refusal::new(RefusalCode::ProfileUnknown).with("profile", reference))
}

/// A user's profile by name.
pub(crate) fn profile_of(exchange: &Exchange, owner: UserId, name: &str) -> Option<ProfileId> {
    let owner = exchange.users.get(&owner)?;
    let named = |id: &&ProfileId| {
        exchange.profiles.get(*id).is_some_and(|p| p.name.value.known() == Some(name))
    };
    owner.profiles.iter().find(named).copied()
}

/// A profile by id.
pub(crate) fn profile_state(exchange: &Exchange, id: ProfileId) -> Result<&Arc<Profile>, Refusal> {
    exchange
        .profiles
        .get(&id)
        .ok_or_else(|| Refusal::new(RefusalCode::ProfileUnknown).with("profile", id))
}

/// The schedule entry meant by an id.
///
/// # Errors
/// `SCHEDULE_UNKNOWN`.
pub fn schedule<'e>(
    exchange: &'e Exchange,
    reference: &ScheduleRef,
) -> Result<(ScheduleId, &'e Arc<Schedule>), Refusal> {
    uuid(&reference.0)
        .map(ScheduleId)
        .and_then(|id| Some((id, exchange.schedules.get(&id)?)))
        .ok_or_else(|| Refusal::new(RefusalCode::ScheduleUnknown).with("schedule", reference))
}

/// The trunk meant by its name or id.
///
/// # Errors
/// `TRUNK_UNKNOWN`.
pub fn trunk<'e>(
    exchange: &'e Exchange,
    reference: &TrunkRef,
) -> Result<(TrunkId, &'e Arc<Trunk>), Refusal> {
    let by_id = || uuid(&reference.0).and_then(|id| exchange.trunks.get_key_value(&TrunkId(id)));
    exchange
        .trunks
        .iter()
        .find(|(_, trunk)| trunk.name == reference.0)
        .or_else(by_id)
        .map(|(id, trunk)| (*id, trunk))
        .ok_or_else(|| Refusal::new(RefusalCode::TrunkUnknown).with("trunk", reference))
}

/// The call in progress meant by its id, or by the position of the event that placed it (`#123`).
///
/// # Errors
/// `CALL_UNKNOWN`.
pub fn open_call(exchange: &Exchange, reference: &CallRef) -> Result<CallId, Refusal> {
    let by_id = || uuid(&reference.0).map(CallId).filter(|id| exchange.open_calls.contains_key(id));
    let placed = || reference.0.trim_start_matches('#').parse().ok().map(Position);
    let by_place = |place| {
        let mut open = exchange.open_calls.iter();
        open.find(|(_, call)| call.placed == place).map(|(id, _)| *id)
    };
    by_id()
        .or_else(|| placed().and_then(by_place))
        .ok_or_else(|| Refusal::new(RefusalCode::CallUnknown))
}

/// What people call a user: his log-in name, else his id.
pub(crate) fn user_name(exchange: &Exchange, id: UserId) -> String {
    let name = exchange.users.get(&id).and_then(|user| user.username.value.known().map(Into::into));
    name.unwrap_or_else(|| id.to_string())
}

/// What people call a device.
pub(crate) fn device_name(exchange: &Exchange, id: DeviceId) -> String {
    exchange.devices.get(&id).map_or_else(|| id.to_string(), |device| device.name.clone())
}

/// What people call a group.
pub(crate) fn group_name(exchange: &Exchange, id: GroupId) -> String {
    exchange.groups.get(&id).map_or_else(|| id.to_string(), |group| group.name.clone())
}

/// What people call a slot: `user/slot`.
pub(crate) fn slot_name(exchange: &Exchange, id: SlotId) -> String {
    exchange.slots.get(&id).map_or_else(
        || id.to_string(),
        |slot| format!("{}/{}", user_name(exchange, slot.user), slot.name),
    )
}

/// What people call a profile: `user/profile`.
pub(crate) fn profile_name(exchange: &Exchange, id: ProfileId) -> String {
    exchange.profiles.get(&id).map_or_else(
        || id.to_string(),
        |profile| format!("{}/{}", user_name(exchange, profile.owner), profile.name.value),
    )
}
