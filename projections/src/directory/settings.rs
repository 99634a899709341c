//! Settings of the exchange, and trunks (behaviour.md 1.19).

use crate::table::{Table, fact};
use chrono_tz::Tz;
use serde::Serialize;
use std::net::SocketAddr;
use switchbook_core::exchange::Exchange;
use switchbook_core::fact::Fact;
use switchbook_core::id::{BookId, TrunkId};
use switchbook_core::number::Number;
use switchbook_core::position::Position;
use switchbook_core::settings::DigestPolicy;
use switchbook_core::trunk::Inbound;

/// Settings; none before the book was founded.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SettingsView {
    /// True at this position.
    pub position: Position,
    /// The book's own id.
    pub book: BookId,
    /// Digest realm and SIP domain.
    pub realm: Fact<String>,
    /// The system's time zone.
    pub time_zone: Fact<Tz>,
    /// Offered digest algorithms.
    pub digest: Fact<DigestPolicy>,
    /// Prefixes that may not be forwarding targets.
    pub blocked_targets: Vec<Fact<Number>>,
}

/// The settings.
#[must_use]
pub fn settings(exchange: &Exchange) -> Option<SettingsView> {
    let settings = exchange.settings.as_ref()?;
    Some(SettingsView {
        position: exchange.position,
        book: settings.book,
        realm: settings.realm.clone(),
        time_zone: settings.time_zone,
        digest: settings.digest,
        blocked_targets: settings.blocked_targets.clone(),
    })
}

/// All trunks, by name.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TrunksView {
    /// True at this position.
    pub position: Position,
    /// One row a trunk.
    pub trunks: Vec<TrunkRow>,
}

/// One trunk.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TrunkRow {
    /// Its id.
    pub id: TrunkId,
    /// What people call it, with the event that made it.
    pub name: Fact<String>,
    /// The peer's address.
    pub peer: SocketAddr,
    /// Dialled before an outside number.
    pub outbound_prefix: String,
    /// Put before the caller's number on the way out.
    pub base_number: Option<String>,
    /// Called digits → number.
    pub inbound: Vec<Fact<Inbound>>,
}

/// All trunks.
#[must_use]
pub fn trunks(exchange: &Exchange) -> TrunksView {
    let row = |(id, trunk): (&TrunkId, &std::sync::Arc<switchbook_core::trunk::Trunk>)| TrunkRow {
        id: *id,
        name: Fact::new(trunk.name.clone(), trunk.at),
        peer: trunk.peer,
        outbound_prefix: trunk.outbound_prefix.clone(),
        base_number: trunk.base_number.clone(),
        inbound: trunk.inbound.clone(),
    };
    let mut trunks: Vec<TrunkRow> = exchange.trunks.iter().map(row).collect();
    trunks.sort_by(|a, b| a.name.value.cmp(&b.name.value));
    TrunksView { position: exchange.position, trunks }
}

impl SettingsView {
    /// For people.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new("Settings", &["setting", "value"]);
        table.row(["book".into(), self.book.to_string()]);
        table.row(["realm".into(), fact(&self.realm)]);
        table.row(["time zone".into(), fact(&self.time_zone)]);
        let offered = match self.digest.value {
            DigestPolicy::Md5ThenSha256 => "MD5, then SHA-256",
            DigestPolicy::Sha256Only => "SHA-256 only",
        };
        table.row(["digest".into(), format!("{offered} {}", self.digest.at)]);
        let blocked: Vec<String> = self.blocked_targets.iter().map(fact).collect();
        table.row(["blocked forwarding targets".into(), blocked.join(", ")]);
        table.note(format!("as of {}", self.position));
        table
    }
}

impl TrunksView {
    /// For people.
    #[must_use]
    pub fn table(&self) -> Table {
        let columns = ["trunk", "peer", "prefix", "base number", "inbound"];
        let mut table = Table::new("Trunks", &columns);
        for row in &self.trunks {
            let inbound = row
                .inbound
                .iter()
                .map(|rule| format!("{} → {} {}", rule.value.dialled, rule.value.number, rule.at));
            table.row([
                fact(&row.name),
                row.peer.to_string(),
                row.outbound_prefix.clone(),
                row.base_number.clone().unwrap_or_else(|| "withheld".into()),
                inbound.collect::<Vec<_>>().join(", "),
            ]);
        }
        table.note(format!("as of {}", self.position));
        table
    }
}
