//! The exchange as a whole: how it was founded, its realm, zone and digest policy.

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal};
use crate::exchange::Exchange;
use crate::fact::Fact;
use crate::group::{Group, GroupKind};
use crate::id::{BookId, GroupId};
use crate::number::Number;
use crate::permission::{Grant, Permission};
use crate::position::Position;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Which digest algorithms are offered, for the whole realm and never by device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum DigestPolicy {
    /// MD5 first (what every phone knows), then SHA-256.
    #[default]
    Md5ThenSha256,
    /// SHA-256 only (RFC 8760): MD5 answers are refused.
    Sha256Only,
}

/// Settings of the exchange. Empty before the book was founded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// The book's own id.
    pub book: BookId,
    /// The one digest realm and SIP domain, fixed for ever.
    pub realm: Fact<String>,
    /// The system's time zone (F-6, last resort).
    pub time_zone: Fact<Tz>,
    /// Offered digest algorithms.
    pub digest: Fact<DigestPolicy>,
    /// All Users: generated, holds everybody.
    pub all_users: GroupId,
    /// All Hosts: generated, holds every phone.
    pub all_hosts: GroupId,
    /// The administrators.
    pub admins: GroupId,
    /// Prefixes that may not be forwarding targets (UC-ADV, F-8).
    pub blocked_targets: Vec<Fact<Number>>,
}

/// The book was begun: realm, zone and the three built-in groups, with the permissions they start with
/// (`roaming` for all users on all hosts, RO-*; `outbound` for all users; `admin` for the administrators).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExchangeFounded {
    /// The book's own id.
    pub book: BookId,
    /// Digest realm and SIP domain.
    pub realm: String,
    /// The system's time zone.
    pub time_zone: Tz,
    /// All Users.
    pub all_users: GroupId,
    /// All Hosts.
    pub all_hosts: GroupId,
    /// Administrators.
    pub admins: GroupId,
}

/// The server came up on this book.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServerStarted {
    /// Version of Switchbook.
    pub version: String,
    /// The stop before was clean.
    pub clean: bool,
}

/// The server stopped on request, with everything written; it is the last event before the next start. A start that
/// finds none came after a crash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServerStopped {}

/// The system's time zone was set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimeZoneSet {
    /// From now on.
    pub time_zone: Tz,
}

/// The offered digest algorithms were set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DigestPolicySet {
    /// From now on.
    pub policy: DigestPolicy,
}

/// A number or prefix was blocked as a forwarding target (F-8, UC-ADV).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ForwardingTargetBlocked {
    /// Every number that begins with these digits.
    pub prefix: Number,
}

/// The block on a number or prefix was lifted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ForwardingTargetUnblocked {
    /// The prefix as it was blocked.
    pub prefix: Number,
}

nothing_personal!(
    ExchangeFounded,
    ServerStarted,
    ServerStopped,
    TimeZoneSet,
    DigestPolicySet,
    ForwardingTargetBlocked,
    ForwardingTargetUnblocked
);

impl Evolve for ExchangeFounded {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
        out.extend([self.all_users, self.all_hosts, self.admins].map(Subject::Group));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let at = envelope.position;
        exchange.settings = Some(
            Settings {
                book: self.book,
                realm: Fact::new(self.realm.clone(), at),
                time_zone: Fact::new(self.time_zone, at),
                digest: Fact::new(DigestPolicy::default(), at),
                all_users: self.all_users,
                all_hosts: self.all_hosts,
                admins: self.admins,
                blocked_targets: Vec::new(),
            }
            .into(),
        );
        for (group, kind, name, title) in [
            (self.all_users, GroupKind::User, "users", "All Users"),
            (self.all_hosts, GroupKind::Host, "hosts", "All Hosts"),
            (self.admins, GroupKind::User, "admins", "Administrators"),
        ] {
            exchange.insert_group(group, Group::new(kind, name, title, at));
        }
        for (subject, permission, target) in [
            (self.all_users, Permission::Roaming, Some(self.all_hosts)),
            (self.all_users, Permission::Outbound, None),
            (self.admins, Permission::Admin, None),
        ] {
            exchange.permissions.insert(Grant { subject, permission, target }, at);
        }
    }
}

impl Evolve for ServerStarted {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
    }

    fn evolve(&self, _: &mut Exchange, _: &Envelope) {}
}

impl Evolve for ServerStopped {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
    }

    fn evolve(&self, _: &mut Exchange, _: &Envelope) {}
}

impl Evolve for TimeZoneSet {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        exchange.edit_settings(|settings| {
            settings.time_zone = Fact::new(self.time_zone, envelope.position);
        });
    }
}

impl Evolve for DigestPolicySet {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        exchange.edit_settings(|settings| {
            settings.digest = Fact::new(self.policy, envelope.position);
        });
    }
}

impl Evolve for ForwardingTargetBlocked {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Exchange, Subject::Number(self.prefix)]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let block = Fact::new(self.prefix, envelope.position);
        exchange.edit_settings(|settings| settings.blocked_targets.push(block));
    }
}

impl Evolve for ForwardingTargetUnblocked {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Exchange, Subject::Number(self.prefix)]);
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.edit_settings(|settings| {
            settings.blocked_targets.retain(|block| block.value != self.prefix);
        });
    }
}

impl Settings {
    /// The block that forbids `target` as a forwarding target, if one does.
    #[must_use]
    pub fn blocks(&self, target: Number) -> Option<Position> {
        let hit = |block: &&Fact<Number>| target.as_str().starts_with(block.value.as_str());
        self.blocked_targets.iter().find(hit).map(|block| block.at)
    }
}
