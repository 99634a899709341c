//! Permissions (Berechtigungen): triples of user group, right and target group (behaviour.md 1.7).
//!
//! The effective right is the union over all groups of the user; there is no "deny".

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal};
use crate::exchange::Exchange;
use crate::group::GroupKind;
use crate::id::{DeviceId, GroupId, UserId};
use crate::position::Position;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A right that a user group can hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Permission {
    /// May log out at phones of the target host group (Abmeldeberechtigung, RO-*).
    Roaming,
    /// May use the admin client; no target.
    Admin,
    /// May read the whole book and every view as of any moment; no target.
    Audit,
    /// May, besides, open personal fields; each opening is recorded; no target.
    AuditPersonal,
    /// May call and forward through trunks; no target.
    Outbound,
    /// May see, send and receive faxes of the target fax group (FX-2).
    Fax,
}

impl Permission {
    /// All of them, in the order of lists.
    pub const ALL: [Self; 6] =
        [Self::Roaming, Self::Admin, Self::Audit, Self::AuditPersonal, Self::Outbound, Self::Fax];

    /// The word used in commands and pages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Roaming => "roaming",
            Self::Admin => "admin",
            Self::Audit => "audit",
            Self::AuditPersonal => "audit.personal",
            Self::Outbound => "outbound",
            Self::Fax => "fax",
        }
    }

    /// The kind of group it is granted on; `None` when it needs no target.
    #[must_use]
    pub const fn target_kind(self) -> Option<GroupKind> {
        match self {
            Self::Roaming => Some(GroupKind::Host),
            Self::Fax => Some(GroupKind::Fax),
            Self::Admin | Self::Audit | Self::AuditPersonal | Self::Outbound => None,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Not a right that exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a permission is one of roaming, admin, audit, audit.personal, outbound, fax")]
pub struct NotAPermission;

impl FromStr for Permission {
    type Err = NotAPermission;

    fn from_str(text: &str) -> Result<Self, NotAPermission> {
        Self::ALL.into_iter().find(|right| right.word() == text).ok_or(NotAPermission)
    }
}

/// One triple.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// The user group that holds it.
    pub subject: GroupId,
    /// The right.
    pub permission: Permission,
    /// On which group; none for rights without a target.
    pub target: Option<GroupId>,
}

/// A permission was granted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PermissionGranted {
    /// The triple.
    pub grant: Grant,
}

/// A permission was withdrawn; who is logged in stays logged in (RO-8).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PermissionWithdrawn {
    /// The triple.
    pub grant: Grant,
}

nothing_personal!(PermissionGranted, PermissionWithdrawn);

fn subjects(grant: &Grant, out: &mut Vec<Subject>) {
    out.extend([Subject::Exchange, Subject::Group(grant.subject)]);
    out.extend(grant.target.map(Subject::Group));
}

impl Evolve for PermissionGranted {
    fn subjects(&self, out: &mut Vec<Subject>) {
        subjects(&self.grant, out);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        exchange.permissions.insert(self.grant, envelope.position);
    }
}

impl Evolve for PermissionWithdrawn {
    fn subjects(&self, out: &mut Vec<Subject>) {
        subjects(&self.grant, out);
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.permissions.remove(&self.grant);
    }
}

impl Exchange {
    /// The groups whose rights a user has: All Users, and those he was put into.
    pub fn groups_of_user(&self, user: UserId) -> impl Iterator<Item = GroupId> + '_ {
        let everybody = self.settings.as_ref().map(|settings| settings.all_users);
        let own = self.users.get(&user).map(|user| user.groups.as_slice()).unwrap_or_default();
        everybody.into_iter().chain(own.iter().copied())
    }

    /// The host groups that hold a device: All Hosts, and those it was put into.
    pub fn groups_of_device(&self, device: DeviceId) -> impl Iterator<Item = GroupId> + '_ {
        let every = self.settings.as_ref().map(|settings| settings.all_hosts);
        let own = self.devices.get(&device).map(|d| d.groups.as_slice()).unwrap_or_default();
        every.into_iter().chain(own.iter().copied())
    }

    /// Does the user hold a right without a target? The position is that of the grant.
    #[must_use]
    pub fn holds(&self, user: UserId, permission: Permission) -> Option<Position> {
        self.users.get(&user)?;
        self.groups_of_user(user).find_map(|subject| {
            self.permissions.get(&Grant { subject, permission, target: None }).copied()
        })
    }

    /// `may_roam(user, host)` of behaviour.md 2.3: some group of his holds `roaming` on some group of the host's.
    #[must_use]
    pub fn may_roam(&self, user: UserId, device: DeviceId) -> Option<Position> {
        self.users.get(&user)?;
        self.groups_of_user(user).find_map(|subject| {
            self.groups_of_device(device).find_map(|host| {
                let grant = Grant { subject, permission: Permission::Roaming, target: Some(host) };
                self.permissions.get(&grant).copied()
            })
        })
    }

    /// The users who are administrators now (U-6): members of any group that holds `admin`.
    #[must_use]
    pub fn administrators(&self) -> Vec<UserId> {
        let admin = |user: &UserId| self.holds(*user, Permission::Admin).is_some();
        self.users.keys().copied().filter(admin).collect()
    }
}
