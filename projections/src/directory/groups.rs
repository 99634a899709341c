//! Groups and permissions (behaviour.md 1.6, 1.7).

use crate::names::Naming;
use crate::table::{Table, fact, maybe};
use crate::text;
use crate::text::either;
use chrono_tz::Tz;
use serde::Serialize;
use switchbook_core::exchange::Exchange;
use switchbook_core::fact::Fact;
use switchbook_core::group::GroupKind;
use switchbook_core::id::{GroupId, UserId};
use switchbook_core::permission::{Grant, Permission};
use switchbook_core::position::Position;
use switchbook_core::user::Language;

/// All groups, by name.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GroupsView {
    /// True at this position.
    pub position: Position,
    /// One row a group.
    pub groups: Vec<GroupRow>,
}

/// One group.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GroupRow {
    /// Its id.
    pub id: GroupId,
    /// Internal name, with the event that made it.
    pub name: Fact<String>,
    /// Title for people.
    pub title: String,
    /// What it holds.
    pub kind: GroupKind,
    /// Holds everybody or every phone, and nobody is put in or taken out by hand.
    pub holds_all: bool,
    /// Who or what was put in.
    pub members: Vec<Fact<String>>,
    /// Time zone of its members.
    pub time_zone: Option<Fact<Tz>>,
}

/// All triples.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PermissionsView {
    /// True at this position.
    pub position: Position,
    /// One row a triple.
    pub permissions: Vec<PermissionRow>,
}

/// One triple.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PermissionRow {
    /// The user group that holds it.
    pub group: String,
    /// The right.
    pub permission: Permission,
    /// On which group.
    pub target: Option<String>,
    /// The event that granted it.
    pub at: Position,
}

impl PermissionRow {
    /// `roaming → hosts #1`
    #[must_use]
    pub fn short(&self) -> String {
        match &self.target {
            Some(target) => format!("{} → {target} {}", self.permission, self.at),
            None => format!("{} {}", self.permission, self.at),
        }
    }
}

/// All groups.
#[must_use]
pub fn groups(exchange: &Exchange) -> GroupsView {
    let all = exchange.settings.as_ref().map(|settings| [settings.all_users, settings.all_hosts]);
    let mut groups: Vec<GroupRow> = exchange
        .groups
        .iter()
        .map(|(id, group)| {
            let users = group.users.iter().map(|m| Fact::new(exchange.user(m.value), m.at));
            let devices = group.devices.iter().map(|m| Fact::new(exchange.device(m.value), m.at));
            GroupRow {
                id: *id,
                name: Fact::new(group.name.clone(), group.at),
                title: group.title.clone(),
                kind: group.kind,
                holds_all: all.is_some_and(|all| all.contains(id)),
                members: users.chain(devices).collect(),
                time_zone: group.time_zone,
            }
        })
        .collect();
    groups.sort_by(|a, b| a.name.value.cmp(&b.name.value));
    GroupsView { position: exchange.position, groups }
}

/// All permissions.
#[must_use]
pub fn permissions(exchange: &Exchange) -> PermissionsView {
    let mut permissions: Vec<PermissionRow> =
        exchange.permissions.iter().map(|(grant, at)| row(exchange, grant, *at)).collect();
    permissions.sort_by(|a, b| {
        (&a.group, a.permission, &a.target).cmp(&(&b.group, b.permission, &b.target))
    });
    PermissionsView { position: exchange.position, permissions }
}

/// The triples that give a user his rights: those of all his groups (1.7: the union, there is no "deny").
#[must_use]
pub fn rights_of(exchange: &Exchange, user: UserId) -> Vec<PermissionRow> {
    let groups: Vec<GroupId> = exchange.groups_of_user(user).collect();
    let held = exchange.permissions.iter().filter(|(grant, _)| groups.contains(&grant.subject));
    held.map(|(grant, at)| row(exchange, grant, *at)).collect()
}

fn row(exchange: &Exchange, grant: &Grant, at: Position) -> PermissionRow {
    PermissionRow {
        group: exchange.group(grant.subject),
        permission: grant.permission,
        target: grant.target.map(|target| exchange.group(target)),
        at,
    }
}

impl GroupsView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("group", "Gruppe"),
            ("title", "Titel"),
            ("kind", "Art"),
            ("time zone", "Zeitzone"),
            ("members", "Mitglieder"),
        ];
        let mut table = Table::of(language, &text!("Groups", "Gruppen"), &columns);
        for row in &self.groups {
            let members = if row.holds_all {
                either(language, "all", "alle").into()
            } else {
                row.members.iter().map(fact).collect::<Vec<_>>().join(", ")
            };
            table.row([
                fact(&row.name),
                row.title.clone(),
                row.kind.word().into(),
                row.time_zone.as_ref().map(fact).unwrap_or_default(),
                members,
            ]);
        }
        table.as_of(language, self.position);
        table
    }
}

impl PermissionsView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns =
            [("group", "Gruppe"), ("right", "Recht"), ("on", "auf"), ("granted", "erteilt")];
        let mut table = Table::of(language, &text!("Permissions", "Berechtigungen"), &columns);
        for row in &self.permissions {
            table.row([
                row.group.clone(),
                row.permission.to_string(),
                maybe(row.target.as_ref()),
                row.at.to_string(),
            ]);
        }
        table.as_of(language, self.position);
        table
    }
}
