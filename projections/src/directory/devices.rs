//! Devices as administrators see them (behaviour.md 1.5).

use crate::names::Naming;
use crate::table::{Table, fact, maybe};
use crate::text;
use crate::text::counted;
use serde::Serialize;
use switchbook_core::exchange::Exchange;
use switchbook_core::fact::Fact;
use switchbook_core::id::DeviceId;
use switchbook_core::number::Number;
use switchbook_core::position::Position;
use switchbook_core::slot::DeviceType;
use switchbook_core::user::Language;

/// All devices, by name.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DevicesView {
    /// True at this position.
    pub position: Position,
    /// One row a device.
    pub devices: Vec<DeviceRow>,
}

/// One device.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeviceRow {
    /// Its id.
    pub id: DeviceId,
    /// User part of its address of record, with the event that made it.
    pub name: Fact<String>,
    /// Kind of device.
    pub device_type: DeviceType,
    /// Hardware address.
    pub mac: Option<String>,
    /// Its number while nobody is logged in.
    pub service_number: Option<Number>,
    /// When its SIP password was set; never what it is.
    pub credential_set: Option<Position>,
    /// The slot logged in on it.
    pub login: Option<Fact<String>>,
    /// Bindings in the book.
    pub bindings: usize,
    /// Host groups it was put into; All Hosts holds it besides.
    pub groups: Vec<Fact<String>>,
}

/// All devices.
#[must_use]
pub fn devices(exchange: &Exchange) -> DevicesView {
    let mut devices: Vec<DeviceRow> = exchange
        .devices
        .iter()
        .map(|(id, device)| {
            let group = |group| {
                let members = &exchange.groups.get(group)?.devices;
                let at = members.iter().find(|member| member.value == *id)?.at;
                Some(Fact::new(exchange.group(*group), at))
            };
            DeviceRow {
                id: *id,
                name: Fact::new(device.name.clone(), device.at),
                device_type: device.device_type,
                mac: device.mac.clone(),
                service_number: device.service_number,
                credential_set: device.credential.map(|secret| secret.at),
                login: device.login.map(|slot| Fact::new(exchange.slot(slot.value), slot.at)),
                bindings: exchange.registrations.get(id).map_or(0, |entry| entry.bindings.len()),
                groups: device.groups.iter().filter_map(group).collect(),
            }
        })
        .collect();
    devices.sort_by(|a, b| a.name.value.cmp(&b.name.value));
    DevicesView { position: exchange.position, devices }
}

impl DevicesView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("device", "Telefon"),
            ("type", "Typ"),
            ("mac", "MAC"),
            ("service", "Servicenummer"),
            ("password", "Kennwort"),
            ("logged in", "angemeldet"),
            ("bindings", "Bindungen"),
            ("groups", "Gruppen"),
        ];
        let mut table = Table::of(language, &text!("Devices", "Telefone"), &columns);
        for row in &self.devices {
            table.row([
                fact(&row.name),
                row.device_type.to_string(),
                row.mac.clone().unwrap_or_default(),
                maybe(row.service_number.as_ref()),
                maybe(row.credential_set.as_ref()),
                row.login.as_ref().map(fact).unwrap_or_default(),
                row.bindings.to_string(),
                row.groups.iter().map(fact).collect::<Vec<_>>().join(", "),
            ]);
        }
        let (count, position) = (self.devices.len(), self.position);
        let (en, de) = (counted(count, "device", "devices"), counted(count, "Telefon", "Telefone"));
        let note = text!("{en}, as of {position}", "{de}, nach dem Stand von {position}");
        table.note(note.read(language));
        table
    }
}
