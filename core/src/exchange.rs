//! The exchange: the whole state, folded from the book. Cloning it costs a few reference counts, so every
//! reader can hold a snapshot of its own while the writer goes on.

use crate::call::OpenCall;
use crate::device::Device;
use crate::envelope::Recorded;
use crate::erasure::Erasures;
use crate::forwarding::Profile;
use crate::group::Group;
use crate::id::{CallId, DeviceId, GroupId, ProfileId, ScheduleId, SlotId, TrunkId, UserId};
use crate::number::{Number, NumberState};
use crate::permission::Grant;
use crate::personal::{HasPersonal, KeyId, Personal};
use crate::position::{Moment, Position};
use crate::registration::{Binding, Registration};
use crate::schedule::Schedule;
use crate::seal::Seals;
use crate::settings::Settings;
use crate::slot::Slot;
use crate::stored::{names, table};
use crate::user::User;
use crate::usernames::Usernames;
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A table of the exchange: ordered, so that equal books give equal bytes; persistent, so that clones are cheap.
pub type Table<K, V> = OrdMap<K, Arc<V>>;

/// The state of everything at one position of the book.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Exchange {
    /// The last event folded in.
    pub position: Position,
    /// The last event that was configuration: not a registration, not a call, not a fired edge, not a refusal.
    pub configuration: Position,
    /// When the last event was recorded.
    pub recorded_at: Moment,
    /// Settings; none before the book was founded.
    pub settings: Option<Arc<Settings>>,
    /// Users.
    #[serde(deserialize_with = "table")]
    pub users: Table<UserId, User>,
    /// Log-in name → user.
    #[serde(skip, default = "Usernames::unmade")]
    pub usernames: Usernames,
    /// Numbers that belong to somebody.
    #[serde(deserialize_with = "table")]
    pub numbers: Table<Number, NumberState>,
    /// Slots.
    #[serde(deserialize_with = "table")]
    pub slots: Table<SlotId, Slot>,
    /// Devices.
    #[serde(deserialize_with = "table")]
    pub devices: Table<DeviceId, Device>,
    /// Address of record → device.
    #[serde(deserialize_with = "names")]
    pub device_names: OrdMap<Arc<str>, DeviceId>,
    /// Service number → device.
    pub service_numbers: OrdMap<Number, DeviceId>,
    /// Groups.
    #[serde(deserialize_with = "table")]
    pub groups: Table<GroupId, Group>,
    /// Internal name → group.
    #[serde(deserialize_with = "names")]
    pub group_names: OrdMap<Arc<str>, GroupId>,
    /// Permission triples, each with the event that granted it.
    pub permissions: OrdMap<Grant, Position>,
    /// Forwarding profiles.
    #[serde(deserialize_with = "table")]
    pub profiles: Table<ProfileId, Profile>,
    /// Schedule entries.
    #[serde(deserialize_with = "table")]
    pub schedules: Table<ScheduleId, Schedule>,
    /// Up to where edges of schedules have been recorded (architecture.md way 5).
    pub edges_until: Moment,
    /// Trunks.
    #[serde(deserialize_with = "table")]
    pub trunks: Table<TrunkId, crate::trunk::Trunk>,
    /// Where devices can be reached.
    #[serde(deserialize_with = "table")]
    pub registrations: Table<DeviceId, Registration>,
    /// Calls without an end.
    #[serde(deserialize_with = "table")]
    pub open_calls: Table<CallId, OpenCall>,
    /// Sealing: the key, and the newest seal.
    pub seals: Arc<Seals>,
    /// What was erased, and how long the rest is kept.
    pub erasures: Arc<Erasures>,
}

/// Where devices can be reached, by itself: most looks at the past pass over it, so a snapshot keeps it apart.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Registrations(#[serde(deserialize_with = "table")] pub Table<DeviceId, Registration>);

/// Changes one entry of a table in place; an entry that is not there stays not there.
pub(crate) fn edit<K: Ord + Clone, V: Clone>(
    table: &mut Table<K, V>,
    key: &K,
    change: impl FnOnce(&mut V),
) {
    if let Some(entry) = table.get_mut(key) {
        change(Arc::make_mut(entry));
    }
}

/// Adds to a list that seldom gets longer than one: a vector that grows by itself keeps room for three more, in every
/// user, slot and number.
pub(crate) fn add<T>(list: &mut Vec<T>, entry: T) {
    list.reserve_exact(1);
    list.push(entry);
}

impl Exchange {
    /// Folds one recorded event in. It cannot fail: an event is a fact.
    pub fn evolve(&mut self, recorded: &Recorded) {
        recorded.event.apply(self, &recorded.envelope);
        self.position = recorded.envelope.position;
        self.recorded_at = recorded.envelope.recorded_at;
        // Tags 0x0002, 0x0005, 0x0006 and 0x0009 tell of attempts, starts and stops, 0x000b and 0x000c of seals, 0x000f of backups; from
        // 0x0803 to 0x0804 fired edges; from 0x0a00 on registrations and calls.
        const TELLING: [u16; 9] =
            [0x0002, 0x0005, 0x0006, 0x0009, 0x000b, 0x000c, 0x000f, 0x0803, 0x0804];
        let tag = recorded.event.tag();
        let telling = TELLING.contains(&tag) || tag >= 0x0a00;
        if !telling {
            self.configuration = recorded.envelope.position;
        }
    }

    /// Events up to this one went by that change nothing of what is kept here.
    pub fn pass(&mut self, position: Position, recorded_at: Moment) {
        self.position = position;
        self.recorded_at = recorded_at;
    }

    /// The user with this log-in name.
    #[must_use]
    pub fn user_named(&self, username: &str) -> Option<UserId> {
        self.usernames.get(username, &self.users)
    }

    /// The device with this address of record.
    #[must_use]
    pub fn device_named(&self, name: &str) -> Option<DeviceId> {
        self.device_names.get(name).copied()
    }

    /// The group with this internal name.
    #[must_use]
    pub fn group_named(&self, name: &str) -> Option<GroupId> {
        self.group_names.get(name).copied()
    }

    /// Makes the index of log-in names, for whoever keeps a state behind a snapshot: else each copy of it would make its
    /// own when it is asked.
    pub fn index(&mut self) {
        self.usernames = Usernames::of(&self.users);
    }

    /// A key was destroyed: what it sealed is forgotten here too. It touches only what was sealed under it.
    pub fn forget(&mut self, key: KeyId) {
        let forget = |value: &mut Personal| {
            if value.key() == key {
                value.forget();
            }
        };
        if let KeyId::Person(user) = key {
            edit(&mut self.users, &user, |user| user.each_personal(&mut { forget }));
            self.usernames.forget(user);
        }
        let profiles = self.profiles.iter().filter(|(_, profile)| profile.name.value.key() == key);
        let profiles: Vec<ProfileId> = profiles.map(|(id, _)| *id).collect();
        for id in profiles {
            edit(&mut self.profiles, &id, |profile| profile.each_personal(&mut { forget }));
        }
        let sealed = |(binding, _): &(Arc<Binding>, Position)| {
            binding.contact.key() == key || binding.source.key() == key
        };
        let bound =
            self.registrations.iter().filter(|(_, bound)| bound.bindings.iter().any(sealed));
        let bound: Vec<DeviceId> = bound.map(|(id, _)| *id).collect();
        for id in bound {
            edit(&mut self.registrations, &id, |registration| {
                for (binding, _) in &mut registration.bindings {
                    binding.each_personal(&mut { forget });
                }
            });
        }
    }

    pub(crate) fn edit_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        if let Some(settings) = &mut self.settings {
            change(Arc::make_mut(settings));
        }
    }

    pub(crate) fn insert_group(&mut self, id: GroupId, group: Group) {
        self.group_names.insert(group.name.as_str().into(), id);
        self.groups.insert(id, group.into());
    }

    /// A number goes: its ticks, its profile setting, its schedules, its inbound rules (N-9, U-4).
    pub(crate) fn forget_number(&mut self, number: Number) {
        let Some(gone) = self.numbers.remove(&number) else { return };
        for tick in &gone.slots {
            edit(&mut self.slots, &tick.value, |slot| {
                slot.numbers.retain(|other| *other != number);
                slot.selected = slot.selected.filter(|chosen| chosen.value != number);
            });
        }
        for schedule in &gone.schedules {
            self.schedules.remove(schedule);
        }
        edit(&mut self.users, &gone.owner.value, |user| user.numbers.retain(|n| *n != number));
        let shows_it = |user: &User| user.caller_id.is_some_and(|shown| shown.value == number);
        self.edit_users_with(shows_it, |user| user.caller_id = None);
        let reached: Vec<TrunkId> = self
            .trunks
            .iter()
            .filter(|(_, trunk)| trunk.inbound.iter().any(|rule| rule.value.number == number))
            .map(|(id, _)| *id)
            .collect();
        for trunk in reached {
            edit(&mut self.trunks, &trunk, |trunk| {
                trunk.inbound.retain(|rule| rule.value.number != number);
            });
        }
    }

    /// Changes all users that something is true of. It looks at every user: for rare events.
    pub(crate) fn edit_users_with(
        &mut self,
        with: impl Fn(&User) -> bool,
        change: impl Fn(&mut User),
    ) {
        let found: Vec<UserId> =
            self.users.iter().filter(|(_, user)| with(user)).map(|(id, _)| *id).collect();
        for id in found {
            edit(&mut self.users, &id, &change);
        }
    }

    /// A slot goes: its ticks and its log-in.
    pub(crate) fn forget_slot(&mut self, slot: SlotId) {
        let Some(gone) = self.slots.remove(&slot) else { return };
        for number in &gone.numbers {
            edit(&mut self.numbers, number, |n| n.slots.retain(|tick| tick.value != slot));
        }
        if let Some(device) = gone.device {
            edit(&mut self.devices, &device.value, |device| device.login = None);
        }
        edit(&mut self.users, &gone.user, |user| user.slots.retain(|id| *id != slot));
    }
}

impl HasPersonal for Exchange {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        each_in(&mut self.users, |user| user.each_personal(visit));
        each_in(&mut self.profiles, |profile| profile.each_personal(visit));
        each_in(&mut self.registrations, |registration| {
            for (binding, _) in &mut registration.bindings {
                binding.each_personal(visit);
            }
        });
    }
}

fn each_in<K: Ord + Clone, V: Clone>(table: &mut Table<K, V>, mut change: impl FnMut(&mut V)) {
    *table = std::mem::take(table)
        .into_iter()
        .map(|(key, mut entry)| {
            change(Arc::make_mut(&mut entry));
            (key, entry)
        })
        .collect();
}
