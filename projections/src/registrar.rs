//! `registrar`: where each device can be reached, and until when (X-15, architecture.md way 3).
//!
//! A view of the exchange; the book has bindings as granted, leases bring in refreshes that changed nothing else.

use crate::halves;
use crate::names::Naming;
use crate::table::Table;
use crate::text;
use crate::text::{When, counted, either, zone};
use chrono_tz::Tz;
use serde::Serialize;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::DeviceId;
use switchbook_core::position::{Moment, Position, Seconds};
use switchbook_core::registration::{Binding, BindingId};
use switchbook_core::user::Language;
use switchbook_journal::Leases;

/// Refreshes since a binding was last in the book: the leases of a running server.
pub trait Refreshes: Sync {
    /// Until when a refresh has extended the binding, if one has.
    fn until(&self, device: DeviceId, binding: &Binding) -> Option<Moment>;

    /// Are refreshes known at all? Where not, a binding counts for as long as the book has it: its end would be in
    /// the book as an event.
    fn known(&self) -> bool {
        true
    }
}

/// Only the book: for views as of another time, which leases say nothing about.
#[derive(Clone, Copy, Debug, Default)]
pub struct BookOnly;

impl Refreshes for BookOnly {
    fn until(&self, _: DeviceId, _: &Binding) -> Option<Moment> {
        None
    }

    fn known(&self) -> bool {
        false
    }
}

impl Refreshes for Leases {
    fn until(&self, device: DeviceId, binding: &Binding) -> Option<Moment> {
        let lease = self.get(device, binding.binding)?;
        (lease.cseq >= binding.cseq).then_some(lease.expires_at)
    }
}

impl<F: Fn(DeviceId, BindingId) -> Option<Moment> + Sync> Refreshes for F {
    fn until(&self, device: DeviceId, binding: &Binding) -> Option<Moment> {
        self(device, binding.binding)
    }
}

/// A binding with its effective end.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bound<'a> {
    /// As the book has it.
    pub binding: &'a Binding,
    /// When it ends unless refreshed: the later of what the book and the lease say, and no later than granted from now.
    pub expires_at: Moment,
    /// The event that made or last changed it.
    pub at: Position,
}

/// The bindings of a device that have not ended at `now`, in the order they were made.
pub fn bindings<'a, L: Refreshes>(
    exchange: &'a Exchange,
    device: DeviceId,
    refreshes: &'a L,
    now: Moment,
) -> impl Iterator<Item = Bound<'a>> + 'a {
    let entries = exchange.registrations.get(&device).map(|entry| entry.bindings.as_slice());
    entries.unwrap_or_default().iter().filter_map(move |(binding, at)| {
        let leased = refreshes.until(device, binding);
        let expires_at = match refreshes.known() {
            true => binding.ends(leased, now),
            false => binding.expires_at,
        };
        (expires_at > now || !refreshes.known()).then_some(Bound { binding, expires_at, at: *at })
    })
}

/// The device of an address of record, with its bindings at `now`.
#[must_use]
pub fn look_up<'a, L: Refreshes>(
    exchange: &'a Exchange,
    name: &str,
    refreshes: &'a L,
    now: Moment,
) -> Option<(DeviceId, Vec<Bound<'a>>)> {
    let device = exchange.device_named(name)?;
    Some((device, bindings(exchange, device, refreshes, now).collect()))
}

/// The table.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RegistrarView {
    /// True at this position.
    pub position: Position,
    /// And this moment.
    pub at: When,
    /// One row a device, by name.
    pub devices: Vec<DeviceRow>,
    /// How many.
    pub counts: Counts,
    /// Refreshes are known; where not, `expires_at` is as granted in the book.
    pub refreshes_known: bool,
    #[serde(skip)]
    zone: Tz,
}

/// How many devices and bindings there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Devices in the book.
    pub devices: usize,
    /// Of those, with at least one binding.
    pub registered: usize,
    /// Bindings.
    pub bindings: usize,
}

/// One device.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeviceRow {
    /// Its id.
    pub id: DeviceId,
    /// User part of its address of record.
    pub device: String,
    /// The slot it is logged in on.
    pub slot: Option<String>,
    /// Where it can be reached.
    pub bindings: Vec<BindingRow>,
}

/// One binding.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BindingRow {
    /// Its name within the device.
    pub binding: BindingId,
    /// Contact URI.
    pub contact: String,
    /// Which handset, if it told.
    pub instance: Option<String>,
    /// Where the REGISTER came from.
    pub source: String,
    /// It is reached there, not where the contact says.
    pub behind_nat: bool,
    /// The phone's own words about itself.
    pub user_agent: Option<String>,
    /// Seconds granted.
    pub granted: Seconds,
    /// Effective end.
    pub expires_at: When,
    /// The event that made or last changed it.
    pub set_at: Position,
}

/// How many devices and bindings there are at `now`.
pub fn counts<L: Refreshes>(exchange: &Exchange, refreshes: &L, now: Moment) -> Counts {
    let mut counts = Counts { devices: exchange.devices.len(), ..Counts::default() };
    for device in exchange.registrations.keys() {
        let found = bindings(exchange, *device, refreshes, now).count();
        counts.registered += usize::from(found > 0);
        counts.bindings += found;
    }
    counts
}

/// All devices, or those that are registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Which {
    /// Every device.
    #[default]
    All,
    /// Those with a binding.
    Registered,
    /// One.
    Only(DeviceId),
}

/// The table at `now`.
pub fn view<L: Refreshes>(
    exchange: &Exchange,
    refreshes: &L,
    now: Moment,
    which: Which,
) -> RegistrarView {
    let wanted = |id: &DeviceId| !matches!(which, Which::Only(only) if only != *id);
    let all: Vec<_> = exchange.devices.iter().filter(|(id, _)| wanted(id)).collect();
    let mut devices = halves::each(&all, |(id, device)| DeviceRow {
        id: **id,
        device: device.name.clone(),
        slot: device.login.map(|login| exchange.slot(login.value)),
        bindings: bindings(exchange, **id, refreshes, now).map(row).collect(),
    });
    devices.retain(|row| which != Which::Registered || !row.bindings.is_empty());
    devices.sort_by(|a, b| a.device.cmp(&b.device));
    RegistrarView {
        position: exchange.position,
        at: When(now),
        devices,
        counts: counts(exchange, refreshes, now),
        refreshes_known: refreshes.known(),
        zone: zone(exchange),
    }
}

fn row(bound: Bound<'_>) -> BindingRow {
    let Bound { binding, expires_at, at } = bound;
    BindingRow {
        binding: binding.binding,
        contact: binding.contact.to_string(),
        instance: binding.instance.as_deref().map(Into::into),
        source: binding.source.to_string(),
        behind_nat: binding.behind_nat,
        user_agent: binding.user_agent.as_deref().map(Into::into),
        granted: binding.granted,
        expires_at: When(expires_at),
        set_at: at,
    }
}

impl BindingRow {
    /// The source, for people: only where it says more than the contact.
    fn seen_at(&self) -> String {
        if self.behind_nat { self.source.clone() } else { String::new() }
    }
}

impl RegistrarView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("device", "Telefon"),
            ("logged in on", "angemeldet auf"),
            ("contact", "Kontakt"),
            ("source", "Quelle"),
            ("until", "bis"),
            ("phone", "Modell"),
            ("set", "gesetzt"),
        ];
        let mut table = Table::of(language, &text!("Registrations", "Registrierungen"), &columns);
        for device in &self.devices {
            let slot = device.slot.clone().unwrap_or_default();
            if device.bindings.is_empty() {
                let name = device.device.clone();
                let not = either(language, "not registered", "nicht registriert");
                table.row([name, slot, not.into()]);
                continue;
            }
            for binding in &device.bindings {
                table.row([
                    device.device.clone(),
                    slot.clone(),
                    binding.contact.clone(),
                    binding.seen_at(),
                    binding.expires_at.local(self.zone),
                    binding.user_agent.clone().unwrap_or_default(),
                    binding.set_at.to_string(),
                ]);
            }
        }
        let Counts { devices, registered, bindings } = self.counts;
        let (position, at) = (self.position, self.at.local(self.zone));
        let (device, telefon) =
            if devices == 1 { ("device", "Telefon") } else { ("devices", "Telefonen") };
        let binding = counted(bindings, "binding", "bindings");
        let bindung = counted(bindings, "Bindung", "Bindungen");
        let note = text!(
            "{registered} of {devices} {device} registered, {binding}, as of {position} at {at}",
            "{registered} von {devices} {telefon} registriert, {bindung}, nach dem Stand von {position}, {at}"
        );
        table.note(note.read(language));
        if !self.refreshes_known {
            table.note(either(
                language,
                "refreshes that changed nothing else are not in the book: ends are as granted",
                "Auffrischungen, die sonst nichts änderten, stehen nicht im Buch: Enden wie gewährt",
            ));
        }
        table
    }
}
