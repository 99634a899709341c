//! Numbers, slots, devices and registrations in words.

use super::bare;
use crate::names::Naming;
use crate::numbers::busy_word;
use crate::text;
use crate::text::{Text, When};
use chrono_tz::Tz;
use switchbook_core::device::LogoutReason;
use switchbook_core::event::Event;

pub(super) fn line(event: &Event, names: &dyn Naming, zone: Tz) -> Text {
    match event.tag() {
        0x0200..=0x03ff => number(event, names),
        0x0400..=0x04ff => device(event, names),
        _ => registration(event, names, zone),
    }
}

fn number(event: &Event, names: &dyn Naming) -> Text {
    match event {
        Event::NumberAssigned(e) => {
            let (number, user) = (e.number, names.user(e.user));
            text!(
                "number {number} was given to {user}",
                "die Rufnummer {number} wurde {user} zugewiesen"
            )
        }
        Event::NumberFreed(e) => {
            let (number, user) = (e.number, names.user(e.user));
            text!(
                "number {number} was taken from {user} and is free",
                "die Rufnummer {number} wurde {user} entzogen und ist frei"
            )
        }
        Event::MatrixChanged(e) => {
            let (number, slot) = (e.number, names.slot(e.slot));
            if e.on {
                text!(
                    "number {number} was ticked for slot {slot}",
                    "die Rufnummer {number} wurde für den Slot {slot} angehakt"
                )
            } else {
                text!(
                    "the tick of number {number} for slot {slot} was cleared",
                    "der Haken der Rufnummer {number} für den Slot {slot} wurde entfernt"
                )
            }
        }
        Event::CallWaitingSet(e) => {
            let number = e.number;
            if e.on {
                text!(
                    "call waiting was switched on for {number}",
                    "Anklopfen wurde für {number} eingeschaltet"
                )
            } else {
                text!(
                    "call waiting was switched off for {number}",
                    "Anklopfen wurde für {number} ausgeschaltet"
                )
            }
        }
        Event::BusyIfAnySet(e) => {
            let (number, Text { en, de }) = (e.number, busy_word(e.scope));
            text!("busy-if-any of {number}: {en}", "Sammelbesetzt für {number}: {de}")
        }
        Event::SlotAdded(e) => {
            let (slot, user, kind) = (&e.name, names.user(e.user), e.device_type);
            text!(
                "slot {user}/{slot} ({kind}) was added",
                "der Slot {user}/{slot} ({kind}) wurde angelegt"
            )
        }
        Event::SlotRemoved(e) => {
            let slot = names.slot(e.slot);
            text!("slot {slot} was removed", "der Slot {slot} wurde entfernt")
        }
        Event::NumberSelected(e) => {
            let (slot, number) = (names.slot(e.slot), e.number);
            text!(
                "outgoing calls from slot {slot} use number {number}",
                "abgehende Rufe vom Slot {slot} benutzen die Rufnummer {number}"
            )
        }
        other => bare(other),
    }
}

fn device(event: &Event, names: &dyn Naming) -> Text {
    match event {
        Event::DeviceAdded(e) => {
            let (name, kind) = (&e.name, e.device_type);
            text!("device {name} ({kind}) was added", "das Telefon {name} ({kind}) wurde angelegt")
        }
        Event::DeviceRemoved(e) => {
            let name = names.device(e.device);
            text!("device {name} was removed", "das Telefon {name} wurde entfernt")
        }
        Event::DeviceCredentialSet(e) => {
            let name = names.device(e.device);
            text!(
                "the SIP password of device {name} was set",
                "das SIP-Kennwort des Telefons {name} wurde gesetzt"
            )
        }
        Event::DeviceLoggedIn(e) => {
            let (slot, device) = (names.slot(e.slot), names.device(e.device));
            text!("{slot} was logged in at {device}", "{slot} wurde an {device} angemeldet")
        }
        Event::DeviceLoggedOut(e) => {
            let (slot, device) = (names.slot(e.slot), names.device(e.device));
            let why = logout_reason(e.reason);
            let mut line = text!(
                "{slot} was logged out from {device}: ",
                "{slot} wurde von {device} abgemeldet: "
            );
            line.push(&why);
            line
        }
        Event::FollowMeSet(e) => {
            let (user, entry) = (names.user(e.user), e.entry);
            let (device, origin) = (names.device(entry.device), entry.origin);
            if !entry.enabled {
                return text!(
                    "{device} of {user} does not ring for {origin} calls",
                    "{device} von {user} klingelt nicht bei Rufen „{origin}“"
                );
            }
            let (wait, ring) = (entry.wait, entry.ring);
            text!(
                "{device} of {user} waits {wait} and rings {ring} for {origin} calls",
                "{device} von {user} wartet {wait} und klingelt {ring} bei Rufen „{origin}“"
            )
        }
        other => bare(other),
    }
}

fn registration(event: &Event, names: &dyn Naming, zone: Tz) -> Text {
    match event {
        Event::PhoneRegistered(e) => {
            let (device, contact) = (names.device(e.device), &e.binding.contact);
            let granted = e.binding.granted;
            text!(
                "{device} registered from {contact} for {granted}",
                "{device} hat sich von {contact} für {granted} registriert"
            )
        }
        Event::RegistrationChanged(e) => {
            let (device, contact) = (names.device(e.device), &e.binding.contact);
            let granted = e.binding.granted;
            text!(
                "{device} changed its registration: {contact} for {granted}",
                "{device} hat seine Registrierung geändert: {contact} für {granted}"
            )
        }
        Event::RegistrationRemoved(e) => {
            let (device, binding) = (names.device(e.device), e.binding.0);
            text!(
                "{device} gave up its registration {binding}",
                "{device} hat seine Registrierung {binding} aufgegeben"
            )
        }
        Event::RegistrationExpired(e) => {
            let (device, binding) = (names.device(e.device), e.binding.0);
            let when = When(e.expired_at).local(zone);
            text!(
                "registration {binding} of {device} ended at {when}: nobody refreshed it",
                "Registrierung {binding} von {device} lief {when} ab: niemand hat sie erneuert"
            )
        }
        other => bare(other),
    }
}

/// Why somebody was logged out (behaviour.md 2.3).
#[must_use]
pub fn logout_reason(reason: LogoutReason) -> Text {
    match reason {
        LogoutReason::User => text!("by himself", "von ihm selbst"),
        LogoutReason::Moved => text!("the log-in moved", "die Anmeldung ist umgezogen"),
        LogoutReason::Admin => text!("by an administrator", "von einem Administrator"),
        LogoutReason::LastNumber => {
            text!("the slot's last number went", "die letzte Rufnummer des Slots ging")
        }
        LogoutReason::SlotRemoved => text!("the slot was removed", "der Slot wurde entfernt"),
        LogoutReason::UserDeleted => {
            text!("the user was deleted", "der Benutzer wurde gelöscht")
        }
        LogoutReason::DeviceRemoved => {
            text!("the device was removed", "das Telefon wurde entfernt")
        }
    }
}
