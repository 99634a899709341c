//! Commands about groups (behaviour.md 1.6).

use crate::command::Decide;
use crate::decide::keeps_an_administrator;
use crate::draft::Draft;
use crate::form::text;
use crate::lookup;
use crate::order::{Warning, WarningCode};
use crate::refusal::{Refusal, RefusalCode};
use crate::wire::{DeviceRef, GroupRef, UserRef, Word, Zone};
use serde::Deserialize;
use switchbook_core::envelope::Subject;
use switchbook_core::exchange::Exchange;
use switchbook_core::group::{
    GroupAdded, GroupKind, GroupMemberAdded, GroupMemberRemoved, GroupRemoved, GroupRetitled,
    GroupTimeZoneSet, Member,
};
use switchbook_core::id::GroupId;
use switchbook_core::permission::{Grant, PermissionWithdrawn};

/// Adds a group.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Internal name: unique, never changed.
    pub name: String,
    /// What it holds; never changed.
    pub kind: Word<GroupKind>,
    /// Title for people; else the name.
    #[serde(default)]
    pub title: Option<String>,
    /// Time zone of its members (F-6).
    #[serde(default)]
    pub time_zone: Option<Zone>,
}

impl Decide for Add {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        draft.settings()?;
        let name = self.name.as_str();
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
        let begins = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        let id = uuid::Uuid::try_parse(name).is_ok();
        if !begins || id || name.len() > 64 || !name.bytes().all(fits) {
            return Err(Refusal::new(RefusalCode::GroupNameInvalid).with("name", name));
        }
        if draft.exchange().group_named(name).is_some() {
            return Err(Refusal::new(RefusalCode::GroupNameTaken).with("name", name));
        }
        let title = text(self.title.as_deref().unwrap_or(name), "title")?.to_owned();
        let group = GroupId(draft.new_id());
        draft.tell(GroupAdded { group, kind: self.kind.0, name: name.into(), title });
        if let Some(zone) = self.time_zone {
            draft.tell_last(GroupTimeZoneSet { group, time_zone: Some(zone.0) });
        }
        Ok(())
    }
}

/// Removes a group, and before it, by events of their own, every permission that names it and its members. The built-in ones stay.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Which.
    pub group: GroupRef,
}

impl Decide for Remove {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let before = draft.exchange().clone();
        let group = lookup::group(&before, &self.group)?;
        let settings = draft.settings()?;
        if [settings.all_users, settings.all_hosts, settings.admins].contains(&group) {
            return Err(built_in(&before, group));
        }
        let names = |grant: &&Grant| grant.subject == group || grant.target == Some(group);
        let grants: Vec<Grant> = before.permissions.keys().filter(names).copied().collect();
        if !grants.is_empty() {
            draft.warn(Warning::new(WarningCode::GrantsLost).with("count", grants.len()));
        }
        for grant in grants {
            draft.tell(PermissionWithdrawn { grant });
        }
        let state = lookup::group_state(&before, group)?;
        let users = state.users.iter().map(|user| Member::User(user.value));
        let devices = state.devices.iter().map(|device| Member::Device(device.value));
        for member in users.chain(devices) {
            draft.tell(GroupMemberRemoved { group, member });
        }
        draft.tell(GroupRemoved { group });
        keeps_an_administrator(&before, draft)
            .map_err(|refusal| refusal.about(Subject::Group(group)))
    }
}

fn built_in(exchange: &Exchange, group: GroupId) -> Refusal {
    Refusal::new(RefusalCode::GroupBuiltIn)
        .with("group", lookup::group_name(exchange, group))
        .about(Subject::Group(group))
}

/// Can members of this kind be put into the group by hand?
pub(crate) fn fit_for_members(
    draft: &Draft<'_, '_>,
    group: GroupId,
    kind: GroupKind,
) -> Result<(), Refusal> {
    let settings = draft.settings()?;
    if [settings.all_users, settings.all_hosts].contains(&group) {
        return Err(built_in(draft.exchange(), group));
    }
    let state = lookup::group_state(draft.exchange(), group)?;
    if state.kind != kind {
        return Err(Refusal::new(RefusalCode::GroupKindMismatch)
            .with("group", &state.name)
            .with("kind", state.kind.word())
            .with("needs", kind.word()));
    }
    Ok(())
}

/// Puts a user into a user group, or a device into a host group.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddMember {
    /// Which group.
    pub group: GroupRef,
    /// Who.
    #[serde(default)]
    pub user: Option<UserRef>,
    /// Or which device.
    #[serde(default)]
    pub device: Option<DeviceRef>,
}

/// Takes a user out of a user group, or a device out of a host group (U-6).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveMember {
    /// Which group.
    pub group: GroupRef,
    /// Who.
    #[serde(default)]
    pub user: Option<UserRef>,
    /// Or which device.
    #[serde(default)]
    pub device: Option<DeviceRef>,
}

/// Who or what is meant, and whether it is in the group now.
fn membership(
    draft: &Draft<'_, '_>,
    group: GroupId,
    user: Option<&UserRef>,
    device: Option<&DeviceRef>,
) -> Result<(Member, bool), Refusal> {
    let exchange = draft.exchange();
    match (user, device) {
        (Some(user), None) => {
            fit_for_members(draft, group, GroupKind::User)?;
            let user = lookup::user(exchange, user)?;
            let inside = lookup::user_state(exchange, user)?.groups.contains(&group);
            Ok((Member::User(user), inside))
        }
        (None, Some(device)) => {
            fit_for_members(draft, group, GroupKind::Host)?;
            let device = lookup::device(exchange, device)?;
            let inside = lookup::device_state(exchange, device)?.groups.contains(&group);
            Ok((Member::Device(device), inside))
        }
        _ => Err(Refusal::new(RefusalCode::ValueInvalid)
            .with("field", "user or device")
            .with("why", "exactly one of them has to be named")),
    }
}

impl Decide for AddMember {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let group = lookup::group(draft.exchange(), &self.group)?;
        let (member, inside) = membership(draft, group, self.user.as_ref(), self.device.as_ref())?;
        if !inside {
            draft.tell_last(GroupMemberAdded { group, member });
        }
        Ok(())
    }
}

impl Decide for RemoveMember {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let before = draft.exchange().clone();
        let group = lookup::group(&before, &self.group)?;
        let (member, inside) = membership(draft, group, self.user.as_ref(), self.device.as_ref())?;
        if !inside {
            return Ok(());
        }
        draft.tell(GroupMemberRemoved { group, member });
        keeps_an_administrator(&before, draft)
            .map_err(|refusal| refusal.about(Subject::Group(group)))
    }
}

/// Sets the time zone of a group's members (F-6).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeZone {
    /// Which group.
    pub group: GroupRef,
    /// None: the system's.
    #[serde(default)]
    pub time_zone: Option<Zone>,
}

impl Decide for TimeZone {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let group = lookup::group(draft.exchange(), &self.group)?;
        let time_zone = self.time_zone.map(|zone| zone.0);
        let now = lookup::group_state(draft.exchange(), group)?.time_zone.map(|fact| fact.value);
        if now != time_zone {
            draft.tell_last(GroupTimeZoneSet { group, time_zone });
        }
        Ok(())
    }
}

/// Changes a group's title.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retitle {
    /// Which group.
    pub group: GroupRef,
    /// From now on.
    pub title: String,
}

impl Decide for Retitle {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let group = lookup::group(draft.exchange(), &self.group)?;
        let title = text(&self.title, "title")?.to_owned();
        if lookup::group_state(draft.exchange(), group)?.title != title {
            draft.tell_last(GroupRetitled { group, title });
        }
        Ok(())
    }
}
