//! Settings of the exchange, and trunks (behaviour.md 1.19).

use crate::table::{Table, fact};
use crate::text;
use crate::text::either;
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
use switchbook_core::user::Language;

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
    pub fn table(&self, language: Language) -> Table {
        let columns = [("setting", "Einstellung"), ("value", "Wert")];
        let mut table = Table::of(language, &text!("Settings", "Einstellungen"), &columns);
        let mut line = |en, de, value| table.row([either(language, en, de).into(), value]);
        line("book", "Buch", self.book.to_string());
        line("realm", "Realm", fact(&self.realm));
        line("time zone", "Zeitzone", fact(&self.time_zone));
        let offered = match self.digest.value {
            DigestPolicy::Md5ThenSha256 => {
                either(language, "MD5, then SHA-256", "MD5, dann SHA-256")
            }
            DigestPolicy::Sha256Only => either(language, "SHA-256 only", "nur SHA-256"),
        };
        line("digest", "Digest", format!("{offered} {}", self.digest.at));
        let blocked: Vec<String> = self.blocked_targets.iter().map(fact).collect();
        line("blocked forwarding targets", "gesperrte Umleitungsziele", blocked.join(", "));
        table.as_of(language, self.position);
        table
    }
}

impl TrunksView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("trunk", "Amt"),
            ("peer", "Gegenstelle"),
            ("prefix", "Amtsholung"),
            ("base number", "Stammnummer"),
            ("inbound", "ankommend"),
        ];
        let mut table = Table::of(language, &text!("Trunks", "Ämter"), &columns);
        for row in &self.trunks {
            let inbound = row
                .inbound
                .iter()
                .map(|rule| format!("{} → {} {}", rule.value.dialled, rule.value.number, rule.at));
            table.row([
                fact(&row.name),
                row.peer.to_string(),
                row.outbound_prefix.clone(),
                row.base_number
                    .clone()
                    .unwrap_or_else(|| either(language, "withheld", "unterdrückt").into()),
                inbound.collect::<Vec<_>>().join(", "),
            ]);
        }
        table.as_of(language, self.position);
        table
    }
}
