//! The reasons of a routing plan in words (behaviour.md part 3): an unread reason is a bug to be seen in the pages.

use super::forwarding::{condition, target};
use crate::names::Naming;
use crate::text;
use crate::text::{Text, When};
use chrono_tz::Tz;
use switchbook_core::number::Number;
use switchbook_core::routing::plan::{Outcome, Says};

/// What a rule found.
#[must_use]
pub fn reason(says: &Says, names: &dyn Naming, zone: Tz) -> Text {
    match says {
        Says::Schedule { profile, from, to, .. } => {
            let profile = names.profile(*profile);
            let (from, to) = (When(*from).local(zone), When(*to).local(zone));
            text!(
                "a schedule has profile {profile} in force from {from} to {to}",
                "eine Zeitsteuerung hält das Profil {profile} von {from} bis {to} in Kraft"
            )
        }
        Says::Manual { profile, over_schedule } => {
            let mut line = match profile.map(|profile| names.profile(profile)) {
                Some(profile) => text!(
                    "profile {profile} was set by hand",
                    "das Profil {profile} wurde von Hand eingestellt"
                ),
                None => text!(
                    "\"no profile\" was chosen by hand",
                    "„Kein Rufumleitungsprofil“ wurde von Hand gewählt"
                ),
            };
            if *over_schedule {
                line.push(&text!(
                    " and goes before the schedule",
                    " und geht der Zeitsteuerung vor"
                ));
            }
            line
        }
        Says::Rule { profile, condition: row, target: to } => {
            let profile = names.profile(*profile);
            let (row, to) = (condition(*row), target(*to));
            let (en, de, to_en, to_de) = (row.en, row.de, to.en, to.de);
            text!(
                "profile {profile} says: {en} → {to_en}",
                "das Profil {profile} sagt: {de} → {to_de}"
            )
        }
        Says::Emergency
        | Says::NextTrunk { .. }
        | Says::OutboundPrefix { .. }
        | Says::OutboundRight { .. }
        | Says::Inbound { .. } => way(says, names),
        Says::Ticked { .. }
        | Says::FollowMe { .. }
        | Says::FollowMeOff { .. }
        | Says::NotRegistered { .. }
        | Says::InCall { .. }
        | Says::CallWaiting { .. }
        | Says::NobodyLoggedIn => device(says, names),
        _ => end(says, names),
    }
}

fn way(says: &Says, names: &dyn Naming) -> Text {
    match says {
        Says::Emergency => text!("an emergency number", "ein Notruf"),
        Says::NextTrunk { after } => {
            let after = names.trunk(*after);
            text!(
                "trunk {after} did not carry the call for help",
                "das Amt {after} hat den Notruf nicht getragen"
            )
        }
        Says::OutboundPrefix { trunk } => {
            let trunk = names.trunk(*trunk);
            text!(
                "the dialled prefix belongs to trunk {trunk}",
                "die gewählte Vorwahl gehört zum Amt {trunk}"
            )
        }
        Says::OutboundRight { user, granted } => {
            let user = user.map_or_else(|| "–".to_owned(), |user| names.user(user));
            if *granted {
                text!("{user} may call outside", "{user} darf nach außen rufen")
            } else {
                text!("{user} may not call outside", "{user} darf nicht nach außen rufen")
            }
        }
        Says::Inbound { trunk, number } => {
            let trunk = names.trunk(*trunk);
            text!(
                "the digits called through trunk {trunk} belong to {number}",
                "die über das Amt {trunk} gerufenen Ziffern gehören zu {number}"
            )
        }
        _ => Text::default(),
    }
}

fn device(says: &Says, names: &dyn Naming) -> Text {
    match says {
        Says::Ticked { slot, device } => {
            let (slot, device) = (names.slot(*slot), names.device(*device));
            text!(
                "the number is ticked for slot {slot}, where {device} is logged in",
                "die Rufnummer ist für den Slot {slot} angehakt, auf dem {device} angemeldet ist"
            )
        }
        Says::FollowMeOff { device } => {
            let device = names.device(*device);
            text!(
                "{device} does not ring for calls of this origin",
                "{device} klingelt bei Rufen dieser Herkunft nicht"
            )
        }
        Says::FollowMe { device, wait, ring } => {
            let device = names.device(*device);
            text!(
                "{device} waits {wait}, then rings {ring}",
                "{device} wartet {wait}, klingelt dann {ring}"
            )
        }
        Says::NotRegistered { device } => {
            let device = names.device(*device);
            text!("{device} was not registered", "{device} war nicht registriert")
        }
        Says::InCall { device } => {
            let device = names.device(*device);
            text!(
                "{device} was in a call, and call waiting is off for the number",
                "{device} war im Gespräch, und Anklopfen ist für die Rufnummer aus"
            )
        }
        Says::CallWaiting { device } => {
            let device = names.device(*device);
            text!(
                "{device} was in a call; call waiting is on for the number, so it rings with a tone",
                "{device} war im Gespräch; Anklopfen ist für die Rufnummer an, also klopft es an"
            )
        }
        Says::NobodyLoggedIn => text!(
            "nobody is logged in on any slot ticked for the number",
            "auf keinem für die Rufnummer angehakten Slot ist jemand angemeldet"
        ),
        _ => Text::default(),
    }
}

fn end(says: &Says, names: &dyn Naming) -> Text {
    match says {
        Says::UnknownNumber => {
            text!("nothing is at this number", "unter dieser Rufnummer ist nichts")
        }
        Says::NoNumberOnSlot { slot } => {
            let slot = names.slot(*slot);
            text!(
                "slot {slot} has no number to call with",
                "der Slot {slot} hat keine Rufnummer zum Rufen"
            )
        }
        Says::DoNotDisturb { user } => {
            let user = names.user(*user);
            text!("{user} does not want to be disturbed", "{user} will nicht gestört werden")
        }
        Says::BusyIfAny { number } => text!(
            "busy-if-any is on for {number}, and a call over it was in progress",
            "Sammelbesetzt ist für {number} an, und ein Gespräch darüber lief"
        ),
        Says::TargetBlocked { target } => text!(
            "{target} is blocked as a forwarding target",
            "{target} ist als Umleitungsziel gesperrt"
        ),
        Says::Loop { path } => {
            let path: Vec<&str> = path.iter().map(Number::as_str).collect();
            let path = path.join(" → ");
            text!("forwarding loop: {path}", "Umleitungsschleife: {path}")
        }
        Says::TooManySteps => text!("the plan grew too large", "der Plan wurde zu groß"),
        Says::NothingElse => {
            text!("no rule says anything else", "keine Regel sagt etwas anderes")
        }
        _ => Text::default(),
    }
}

/// How a plan's branch ends without an answer.
#[must_use]
pub fn refusal(outcome: Outcome) -> Text {
    match outcome {
        Outcome::Busy => text!("busy", "besetzt"),
        Outcome::NotAvailable => text!("not available", "nicht erreichbar"),
        Outcome::NoAnswer => text!("no answer", "keine Antwort"),
        Outcome::UnknownNumber => text!("unknown number", "unbekannte Rufnummer"),
        Outcome::NotPermitted => text!("not permitted", "nicht erlaubt"),
        Outcome::NoNumberOnSlot => {
            text!("no number to call with", "keine Rufnummer zum Rufen")
        }
        Outcome::Loop => text!("forwarding loop", "Umleitungsschleife"),
        Outcome::NoTrunk => text!("no trunk carries it", "kein Amt trägt den Ruf"),
    }
}
