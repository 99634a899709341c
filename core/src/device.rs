//! Devices (Telefone, hosts): what registers, with credentials of its own (behaviour.md 1.5, X-15).

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal};
use crate::exchange::{Exchange, edit};
use crate::fact::Fact;
use crate::id::{DeviceId, GroupId, SlotId, UserId};
use crate::number::Number;
use crate::position::{Position, Seconds};
use crate::slot::DeviceType;
use crate::user::SecretRef;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a call comes from, as the called side sees it (behaviour.md part 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// From another subscriber of this exchange.
    Internal,
    /// Through a trunk; it stays external on every forwarding hop.
    External,
    /// Through a team or queue.
    Team,
}

impl Origin {
    /// The word used in commands and pages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
            Self::Team => "team",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// When and how long a user's device rings for calls of one origin (1.14, D-2, D-3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FollowMe {
    /// Which device.
    pub device: DeviceId,
    /// For calls of this origin.
    pub origin: Origin,
    /// Off: the device does not ring for this origin.
    pub enabled: bool,
    /// Seconds before it begins to ring.
    pub wait: Seconds,
    /// Seconds it rings.
    pub ring: Seconds,
}

impl FollowMe {
    /// How long a device rings when nothing was set for it.
    pub const DEFAULT_RING: Seconds = Seconds(60);
}

/// A device as it is now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Device {
    /// User part of its address of record, unique: what the phone registers as.
    pub name: String,
    /// Kind of device.
    pub device_type: DeviceType,
    /// Hardware address, as twelve lower-case hexadecimal digits.
    pub mac: Option<String>,
    /// Its own number while nobody is logged in (1.5).
    pub service_number: Option<Number>,
    /// The event that made it.
    pub at: Position,
    /// Digest hashes, in the vault.
    pub credential: Option<Fact<SecretRef>>,
    /// The slot it is logged in on, if somebody is.
    pub login: Option<Fact<SlotId>>,
    /// The slot it was logged in on last (RO-10).
    pub last_slot: Option<SlotId>,
    /// Host groups it was put into (All Hosts holds it besides).
    pub groups: Vec<GroupId>,
}

/// Why a device was logged out (behaviour.md 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LogoutReason {
    /// At the phone or in the user client.
    User,
    /// The slot moved to another phone (RO-2), or another user took this one (RO-11).
    Moved,
    /// By an administrator.
    Admin,
    /// The last number was taken off the slot (N-5, X-8).
    LastNumber,
    /// The slot was removed (N-9).
    SlotRemoved,
    /// The user was deleted (U-5).
    UserDeleted,
    /// The device was removed.
    DeviceRemoved,
}

/// A device was added; it has no credentials yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceAdded {
    /// Its id.
    pub device: DeviceId,
    /// What it registers as.
    pub name: String,
    /// Kind of device.
    pub device_type: DeviceType,
    /// Hardware address.
    pub mac: Option<String>,
    /// Its own number while nobody is logged in.
    pub service_number: Option<Number>,
}

/// A device was removed; a log-in on it ended before, by an event of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceRemoved {
    /// Which.
    pub device: DeviceId,
}

/// A device's password was set; the digest hashes are in the vault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceCredentialSet {
    /// Which.
    pub device: DeviceId,
    /// Where the hashes are.
    pub secret: SecretRef,
}

/// A user was logged in at a device, on one of his slots (RO-*).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceLoggedIn {
    /// Who.
    pub user: UserId,
    /// On which slot.
    pub slot: SlotId,
    /// At which phone.
    pub device: DeviceId,
}

/// A user was logged out from a device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceLoggedOut {
    /// Who.
    pub user: UserId,
    /// From which slot.
    pub slot: SlotId,
    /// At which phone.
    pub device: DeviceId,
    /// Why.
    pub reason: LogoutReason,
}

/// Wait and ring seconds of a user's device for one origin were set (1.14).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FollowMeSet {
    /// Whose setting.
    pub user: UserId,
    /// The entry.
    pub entry: FollowMe,
}

nothing_personal!(
    DeviceAdded,
    DeviceRemoved,
    DeviceCredentialSet,
    DeviceLoggedIn,
    DeviceLoggedOut,
    FollowMeSet
);

impl Evolve for DeviceAdded {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Device(self.device));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let device = Device {
            name: self.name.clone(),
            device_type: self.device_type,
            mac: self.mac.clone(),
            service_number: self.service_number,
            at: envelope.position,
            credential: None,
            login: None,
            last_slot: None,
            groups: Vec::new(),
        };
        exchange.device_names.insert(self.name.as_str().into(), self.device);
        if let Some(number) = self.service_number {
            exchange.service_numbers.insert(number, self.device);
        }
        exchange.devices.insert(self.device, device.into());
    }
}

impl Evolve for DeviceRemoved {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Device(self.device));
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.registrations.remove(&self.device);
        let Some(device) = exchange.devices.remove(&self.device) else { return };
        exchange.device_names.remove(device.name.as_str());
        if let Some(number) = device.service_number {
            exchange.service_numbers.remove(&number);
        }
        for group in &device.groups {
            edit(&mut exchange.groups, group, |group| {
                group.devices.retain(|member| member.value != self.device);
            });
        }
        let of_it = |entry: &Fact<FollowMe>| entry.value.device == self.device;
        let with = |user: &crate::user::User| user.follow_me.iter().any(of_it);
        exchange.edit_users_with(with, |user| user.follow_me.retain(|entry| !of_it(entry)));
    }
}

impl Evolve for DeviceCredentialSet {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Device(self.device));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        edit(&mut exchange.devices, &self.device, |device| {
            device.credential = Some(Fact::new(self.secret, envelope.position));
        });
    }
}

impl Evolve for DeviceLoggedIn {
    fn subjects(&self, out: &mut Vec<Subject>) {
        let (device, slot) = (Subject::Device(self.device), Subject::Slot(self.slot));
        out.extend([device, slot, Subject::User(self.user)]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        edit(&mut exchange.slots, &self.slot, |slot| {
            slot.device = Some(Fact::new(self.device, envelope.position));
            slot.last_device = Some(self.device);
        });
        edit(&mut exchange.devices, &self.device, |device| {
            device.login = Some(Fact::new(self.slot, envelope.position));
            device.last_slot = Some(self.slot);
        });
    }
}

impl Evolve for DeviceLoggedOut {
    fn subjects(&self, out: &mut Vec<Subject>) {
        let (device, slot) = (Subject::Device(self.device), Subject::Slot(self.slot));
        out.extend([device, slot, Subject::User(self.user)]);
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        edit(&mut exchange.slots, &self.slot, |slot| slot.device = None);
        edit(&mut exchange.devices, &self.device, |device| device.login = None);
    }
}

impl Evolve for FollowMeSet {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::User(self.user), Subject::Device(self.entry.device)]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let entry = self.entry;
        edit(&mut exchange.users, &self.user, |user| {
            let same = |old: &Fact<FollowMe>| {
                old.value.device == entry.device && old.value.origin == entry.origin
            };
            user.follow_me.retain(|old| !same(old));
            user.follow_me.push(Fact::new(entry, envelope.position));
        });
    }
}
