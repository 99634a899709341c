//! Groups (Gruppen) of users, phones and more (behaviour.md 1.6, X-9).

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal};
use crate::exchange::{Exchange, edit};
use crate::fact::Fact;
use crate::id::{DeviceId, GroupId, UserId};
use crate::position::Position;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// What a group holds; fixed when it is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum GroupKind {
    /// Users.
    User,
    /// Phones (Telefongruppe).
    Host,
    /// Fax numbers.
    Fax,
    /// Queues.
    Queue,
    /// Parts of the admin client.
    ModuleGui,
}

impl GroupKind {
    /// The word used in commands and pages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Host => "host",
            Self::Fax => "fax",
            Self::Queue => "queue",
            Self::ModuleGui => "module_gui",
        }
    }
}

/// A group as it is now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// What it holds.
    pub kind: GroupKind,
    /// Internal name: unique, never changed.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// The event that made it.
    pub at: Position,
    /// Time zone of its members, when they have none of their own (F-6, wish 12).
    pub time_zone: Option<Fact<Tz>>,
    /// Members of a user group. All Users holds everybody without listing anybody.
    pub users: Vec<Fact<UserId>>,
    /// Members of a host group. All Hosts holds every phone without listing any.
    pub devices: Vec<Fact<DeviceId>>,
}

impl Group {
    pub(crate) fn new(kind: GroupKind, name: &str, title: &str, at: Position) -> Self {
        Self {
            kind,
            name: name.into(),
            title: title.into(),
            at,
            time_zone: None,
            users: Vec::new(),
            devices: Vec::new(),
        }
    }
}

/// Something that can be in a group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Member {
    /// In a user group.
    User(UserId),
    /// In a host group.
    Device(DeviceId),
}

impl Member {
    fn subject(self) -> Subject {
        match self {
            Self::User(user) => Subject::User(user),
            Self::Device(device) => Subject::Device(device),
        }
    }
}

/// A group was added.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupAdded {
    /// Its id.
    pub group: GroupId,
    /// What it holds.
    pub kind: GroupKind,
    /// Internal name.
    pub name: String,
    /// Title for people.
    pub title: String,
}

/// A group was removed; the permissions that named it and its members had gone before, by events of their own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupRemoved {
    /// Which.
    pub group: GroupId,
}

/// A member was added.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupMemberAdded {
    /// Which group.
    pub group: GroupId,
    /// Who or what.
    pub member: Member,
}

/// A member was removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupMemberRemoved {
    /// Which group.
    pub group: GroupId,
    /// Who or what.
    pub member: Member,
}

/// A group's time zone was set (F-6).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupTimeZoneSet {
    /// Which group.
    pub group: GroupId,
    /// From now on; none: the system's.
    pub time_zone: Option<Tz>,
}

/// A group's title was changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupRetitled {
    /// Which group.
    pub group: GroupId,
    /// From now on.
    pub title: String,
}

nothing_personal!(
    GroupAdded,
    GroupRemoved,
    GroupMemberAdded,
    GroupMemberRemoved,
    GroupTimeZoneSet,
    GroupRetitled
);

impl Evolve for GroupAdded {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Group(self.group));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let group = Group::new(self.kind, &self.name, &self.title, envelope.position);
        exchange.insert_group(self.group, group);
    }
}

impl Evolve for GroupRemoved {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Group(self.group));
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        let Some(group) = exchange.groups.remove(&self.group) else { return };
        exchange.group_names.remove(group.name.as_str());
        exchange.permissions = std::mem::take(&mut exchange.permissions)
            .into_iter()
            .filter(|(grant, _)| grant.subject != self.group && grant.target != Some(self.group))
            .collect();
        for user in &group.users {
            edit(&mut exchange.users, &user.value, |user| {
                user.groups.retain(|id| *id != self.group);
            });
        }
        for device in &group.devices {
            edit(&mut exchange.devices, &device.value, |device| {
                device.groups.retain(|id| *id != self.group);
            });
        }
    }
}

impl Evolve for GroupMemberAdded {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Group(self.group), self.member.subject()]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let (group, at) = (self.group, envelope.position);
        match self.member {
            Member::User(user) => {
                edit(&mut exchange.groups, &group, |g| g.users.push(Fact::new(user, at)));
                edit(&mut exchange.users, &user, |u| u.groups.push(group));
            }
            Member::Device(device) => {
                edit(&mut exchange.groups, &group, |g| g.devices.push(Fact::new(device, at)));
                edit(&mut exchange.devices, &device, |d| d.groups.push(group));
            }
        }
    }
}

impl Evolve for GroupMemberRemoved {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Group(self.group), self.member.subject()]);
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        let group = self.group;
        match self.member {
            Member::User(user) => {
                edit(&mut exchange.groups, &group, |g| g.users.retain(|m| m.value != user));
                edit(&mut exchange.users, &user, |u| u.groups.retain(|id| *id != group));
            }
            Member::Device(device) => {
                edit(&mut exchange.groups, &group, |g| g.devices.retain(|m| m.value != device));
                edit(&mut exchange.devices, &device, |d| d.groups.retain(|id| *id != group));
            }
        }
    }
}

impl Evolve for GroupTimeZoneSet {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Group(self.group));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        edit(&mut exchange.groups, &self.group, |group| {
            group.time_zone = self.time_zone.map(|zone| Fact::new(zone, envelope.position));
        });
    }
}

impl Evolve for GroupRetitled {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Group(self.group));
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        edit(&mut exchange.groups, &self.group, |group| group.title.clone_from(&self.title));
    }
}
