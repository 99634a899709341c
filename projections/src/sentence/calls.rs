//! Calls in words.

use super::bare;
use crate::names::Naming;
use crate::text;
use crate::text::{Text, When};
use chrono_tz::Tz;
use switchbook_core::call::{CallOutcome, CallStatus, Caller, Dialled};
use switchbook_core::event::Event;

pub(super) fn line(event: &Event, names: &dyn Naming, zone: Tz) -> Text {
    match event {
        Event::CallPlaced(e) => {
            let (from, to) = (caller(&e.caller, names), dialled(&e.dialled));
            let Text { en, de } = from;
            text!("{en} called {to}", "{de} rief {to} an")
        }
        Event::CallAnswered(e) => {
            let number = e.number.map(|number| format!(" ({number})")).unwrap_or_default();
            match e.device.map(|device| names.device(device)) {
                Some(device) => {
                    text!("answered at {device}{number}", "angenommen an {device}{number}")
                }
                None => text!("answered outside{number}", "außerhalb angenommen{number}"),
            }
        }
        Event::CallDiverted(e) => {
            let (from, to) = (e.from, e.to);
            match e.status.map(status) {
                None => text!("forwarded from {from} to {to}", "umgeleitet von {from} zu {to}"),
                Some(Text { en, de }) => text!(
                    "forwarded from {from} to {to}: {en}",
                    "umgeleitet von {from} zu {to}: {de}"
                ),
            }
        }
        Event::CallEnded(e) => {
            let Text { en, de } = outcome(e.outcome);
            text!("the call ended: {en}", "der Ruf endete: {de}")
        }
        Event::CallLost(_) => text!(
            "the call was open when the server stopped without notice; its end is not known",
            "der Ruf war offen, als der Server ohne Ankündigung hielt; sein Ende ist unbekannt"
        ),
        Event::CallRecordsMissed(e) => {
            let (records, from) = (e.records, When(e.from).local(zone));
            let until = When(e.until).local(zone);
            text!(
                "{records} call records from {from} to {until} are missing: the book could not be written",
                "{records} Rufdatensätze von {from} bis {until} fehlen: das Buch war nicht beschreibbar"
            )
        }
        Event::HangUpOrdered(_) => {
            text!("the call was ordered to be hung up", "das Auflegen des Rufs wurde angeordnet")
        }
        other => bare(other),
    }
}

/// Who calls: `desk-1 (100)`, `+49301234 through amt`.
#[must_use]
pub fn caller(caller: &Caller, names: &dyn Naming) -> Text {
    match caller {
        Caller::Device { device, number } => {
            let device = names.device(*device);
            Text::same(match number {
                Some(number) => format!("{device} ({number})"),
                None => device,
            })
        }
        Caller::Trunk { trunk, number } => {
            let trunk = names.trunk(*trunk);
            match number {
                Some(number) => text!("{number} through {trunk}", "{number} über {trunk}"),
                None => text!(
                    "a withheld number through {trunk}",
                    "eine unterdrückte Rufnummer über {trunk}"
                ),
            }
        }
    }
}

/// What was dialled, `[erased]` when it was an outside number whose key is gone.
#[must_use]
pub fn dialled(dialled: &Dialled) -> String {
    match dialled {
        Dialled::Inside(number) => number.to_string(),
        Dialled::Outside(number) => number.to_string(),
        Dialled::Other(text) => text.to_string(),
    }
}

/// How a number's part of a call ended.
#[must_use]
pub fn status(status: CallStatus) -> Text {
    match status {
        CallStatus::Busy => text!("busy", "besetzt"),
        CallStatus::Rejected => text!("rejected", "abgelehnt"),
        CallStatus::NoAnswer => text!("no answer", "keine Antwort"),
        CallStatus::NotAvailable => text!("not available", "nicht erreichbar"),
    }
}

/// How a call ended.
#[must_use]
pub fn outcome(outcome: CallOutcome) -> Text {
    match outcome {
        CallOutcome::HungUpByCaller => text!("hung up by the caller", "vom Anrufer beendet"),
        CallOutcome::HungUpByCallee => {
            text!("hung up by the called side", "von der gerufenen Seite beendet")
        }
        CallOutcome::Cancelled => {
            text!("given up by the caller", "vom Anrufer vor der Annahme aufgegeben")
        }
        CallOutcome::Busy => text!("busy", "besetzt"),
        CallOutcome::NoAnswer => text!("no answer", "keine Antwort"),
        CallOutcome::NotAvailable => text!("not available", "nicht erreichbar"),
        CallOutcome::UnknownNumber => text!("unknown number", "unbekannte Rufnummer"),
        CallOutcome::NotPermitted => text!("not permitted", "nicht erlaubt"),
        CallOutcome::Rejected => text!("rejected", "abgelehnt"),
        CallOutcome::Loop => text!("forwarding loop", "Umleitungsschleife"),
        CallOutcome::Failed => text!("failed", "fehlgeschlagen"),
        CallOutcome::FeatureCode => text!("feature code", "Funktionscode"),
    }
}
