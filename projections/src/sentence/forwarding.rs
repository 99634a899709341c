//! Forwarding profiles, schedules and trunks in words.

use super::bare;
use crate::names::Naming;
use crate::schedules::pattern;
use crate::text;
use crate::text::{Text, When};
use chrono_tz::Tz;
use switchbook_core::device::Origin;
use switchbook_core::event::Event;
use switchbook_core::forwarding::{Condition, ForwardingRule, Reach, Target};
use switchbook_core::schedule::Edge;

pub(super) fn line(event: &Event, names: &dyn Naming, zone: Tz) -> Text {
    match event.tag() {
        0x0700..=0x07ff => profile(event, names, zone),
        0x0800..=0x08ff => schedule(event, names, zone),
        _ => trunk(event, names),
    }
}

fn profile(event: &Event, names: &dyn Naming, zone: Tz) -> Text {
    match event {
        Event::ProfileAdded(e) => {
            let (owner, name, rules) = (names.user(e.owner), &e.name, rules(&e.rules));
            let Text { en, de } = rules;
            text!(
                "forwarding profile {owner}/{name} was added: {en}",
                "das Rufumleitungsprofil {owner}/{name} wurde angelegt: {de}"
            )
        }
        Event::ProfileRulesSet(e) => {
            let (profile, Text { en, de }) = (names.profile(e.profile), rules(&e.rules));
            text!(
                "forwarding profile {profile} was given new rules: {en}",
                "das Rufumleitungsprofil {profile} erhielt neue Regeln: {de}"
            )
        }
        Event::ProfileRenamed(e) => {
            let (id, name) = (e.profile, &e.name);
            text!(
                "forwarding profile {id} is called {name}",
                "das Rufumleitungsprofil {id} heißt jetzt {name}"
            )
        }
        Event::ProfileDeleted(e) => {
            let profile = names.profile(e.profile);
            text!(
                "forwarding profile {profile} was deleted",
                "das Rufumleitungsprofil {profile} wurde gelöscht"
            )
        }
        Event::ProfileActivated(e) => {
            let (number, profile) = (e.number, names.profile(e.profile));
            let mut line = text!(
                "forwarding profile {profile} was set for {number}",
                "das Rufumleitungsprofil {profile} wurde für {number} eingestellt"
            );
            line.push(&reach(e.reach, zone));
            line
        }
        Event::ProfileDeactivated(e) => {
            let number = e.number;
            let mut line = text!(
                "no forwarding profile was chosen for {number}",
                "für {number} wurde „Kein Rufumleitungsprofil“ gewählt"
            );
            line.push(&reach(e.reach, zone));
            line
        }
        other => bare(other),
    }
}

fn schedule(event: &Event, names: &dyn Naming, zone: Tz) -> Text {
    match event {
        Event::ScheduleAdded(e) => {
            let (number, profile) = (e.number, names.profile(e.profile));
            let Text { en, de } = pattern(&e.pattern);
            text!(
                "a schedule for {number} was added: {profile}, {en}",
                "eine Zeitsteuerung für {number} wurde angelegt: {profile}, {de}"
            )
        }
        Event::ScheduleRemoved(e) => {
            let (schedule, number) = (e.schedule, e.number);
            text!(
                "schedule {schedule} of {number} was removed",
                "die Zeitsteuerung {schedule} von {number} wurde entfernt"
            )
        }
        Event::ScheduleFired(e) => {
            let (number, profile) = (e.number, names.profile(e.profile));
            let due = When(e.due).local(zone);
            let mut line = match e.edge {
                Edge::Begins => text!(
                    "the schedule of {number} began: {profile} is due from {due}",
                    "die Zeitsteuerung von {number} begann: {profile} gilt ab {due}"
                ),
                Edge::Ends => text!(
                    "the schedule of {number} ended: {profile} was due until {due}",
                    "die Zeitsteuerung von {number} endete: {profile} galt bis {due}"
                ),
            };
            if e.late {
                line.push(&text!(
                    " (recorded late: the server was down)",
                    " (nachgetragen: der Server stand still)"
                ));
            }
            line
        }
        Event::ScheduleEdgesMissed(e) => {
            let (edges, after) = (e.edges, When(e.after).local(zone));
            let until = When(e.until).local(zone);
            text!(
                "{edges} edges of schedules from {after} to {until} passed while the server was down",
                "{edges} Schaltzeiten von {after} bis {until} vergingen, während der Server stillstand"
            )
        }
        other => bare(other),
    }
}

fn trunk(event: &Event, names: &dyn Naming) -> Text {
    match event {
        Event::TrunkAdded(e) => {
            let (name, peer) = (&e.name, e.peer);
            text!("trunk {name} to {peer} was added", "das Amt {name} zu {peer} wurde angelegt")
        }
        Event::TrunkRemoved(e) => {
            let trunk = names.trunk(e.trunk);
            text!("trunk {trunk} was removed", "das Amt {trunk} wurde entfernt")
        }
        Event::InboundNumberAssigned(e) => {
            let (trunk, number) = (names.trunk(e.trunk), e.rule.number);
            let dialled = &e.rule.dialled;
            text!(
                "{dialled} of trunk {trunk} reaches {number}",
                "{dialled} am Amt {trunk} erreicht {number}"
            )
        }
        Event::InboundNumberFreed(e) => {
            let (trunk, dialled) = (names.trunk(e.trunk), &e.dialled);
            text!(
                "{dialled} of trunk {trunk} reaches nobody any more",
                "{dialled} am Amt {trunk} erreicht niemanden mehr"
            )
        }
        other => bare(other),
    }
}

fn reach(reach: Reach, zone: Tz) -> Text {
    match reach {
        Reach::UnderSchedules => Text::default(),
        Reach::UntilWindowEnds(end) => {
            let end = When(end).local(zone);
            text!(
                ", against schedules until the window ends at {end}",
                ", gegen die Zeitsteuerung bis zum Ende des Zeitfensters {end}"
            )
        }
        Reach::UntilFurtherNotice => {
            text!(
                ", against schedules until further notice",
                ", gegen die Zeitsteuerung bis auf Weiteres"
            )
        }
    }
}

fn rules(rules: &[ForwardingRule]) -> Text {
    if rules.is_empty() {
        return text!("no rules", "keine Regeln");
    }
    let all: Vec<Text> = rules.iter().map(rule).collect();
    Text {
        en: all.iter().map(|rule| rule.en.as_str()).collect::<Vec<_>>().join("; "),
        de: all.iter().map(|rule| rule.de.as_str()).collect::<Vec<_>>().join("; "),
    }
}

/// One cell of a profile's table: `busy, internal → 300`.
#[must_use]
pub fn rule(rule: &ForwardingRule) -> Text {
    let (when, to) = (condition(rule.condition), target(rule.target));
    let from = origin(rule.origin);
    Text {
        en: format!("{}, {} → {}", when.en, from.en, to.en),
        de: format!("{}, {} → {}", when.de, from.de, to.de),
    }
}

/// Where a call comes from.
#[must_use]
pub fn origin(origin: Origin) -> Text {
    let en = origin.word().into();
    let de = match origin {
        Origin::Internal => "intern",
        Origin::External => "extern",
        Origin::Team => "Team",
    };
    Text { en, de: de.into() }
}

/// A row of a profile's table.
#[must_use]
pub fn condition(condition: Condition) -> Text {
    match condition {
        Condition::Always => text!("always", "sofort"),
        Condition::LoggedOff => text!("logged off", "abgemeldet"),
        Condition::Busy => text!("busy", "besetzt"),
        Condition::NoAnswer { after } => {
            text!("no answer after {after}", "keine Antwort nach {after}")
        }
    }
}

/// Where a rule sends a call.
#[must_use]
pub fn target(target: Target) -> Text {
    match target {
        Target::Number(number) => Text::same(number.to_string()),
        Target::Voicemail => text!("voicemail", "Voicemail"),
    }
}
