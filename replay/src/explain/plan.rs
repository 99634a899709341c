//! A plan in words: its steps from the first on, each with its reasons and what follows.

use crate::source::Source;
use chrono_tz::Tz;
use serde::Serialize;
use std::collections::BTreeMap;
use switchbook_core::position::Position;
use switchbook_core::routing::plan::{RoutePlan, Step, StepIndex};
use switchbook_projections::names::Naming;
use switchbook_projections::sentence;
use switchbook_projections::text;
use switchbook_projections::text::{Text, counted};

/// One step.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Told {
    /// Its number in this telling, from 1.
    pub step: usize,
    /// What is done.
    pub does: Text,
    /// Why.
    pub because: Vec<Why>,
    /// What follows.
    pub then: Vec<Branch>,
}

/// One reason.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Why {
    /// Where the rule stands (behaviour.md).
    pub rule: String,
    /// What it found.
    pub says: Text,
    /// The event that made it so; none for what is volatile or built in.
    pub source: Option<Source>,
}

/// What follows a step.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Branch {
    /// In which case.
    pub when: Text,
    /// The number of the step in this telling.
    pub step: usize,
}

/// The steps that can be reached, in the order a reader meets them.
pub(super) fn tell(
    plan: &RoutePlan,
    names: &dyn Naming,
    zone: Tz,
    sources: &BTreeMap<Position, Source>,
) -> Vec<Told> {
    let order = order(plan);
    let number = |index: StepIndex| order.iter().position(|known| *known == index);
    order
        .iter()
        .enumerate()
        .filter_map(|(place, index)| {
            let step = plan.step(*index)?;
            let because = step.because().iter().map(|reason| Why {
                rule: reason.rule.to_string(),
                says: sentence::reason(&reason.says, names, zone),
                source: reason.at.and_then(|at| sources.get(&at)).cloned(),
            });
            let then = branches(step)
                .into_iter()
                .filter_map(|(when, to)| Some(Branch { when, step: number(to)? + 1 }));
            Some(Told {
                step: place + 1,
                does: does(step, names),
                because: because.collect(),
                then: then.collect(),
            })
        })
        .collect()
}

/// Each step once; a stored plan may name steps that are not there, or go in circles.
fn order(plan: &RoutePlan) -> Vec<StepIndex> {
    let (mut order, mut next) = (Vec::new(), vec![plan.start]);
    while let Some(index) = next.pop() {
        let Some(step) = plan.step(index).filter(|_| !order.contains(&index)) else { continue };
        order.push(index);
        next.extend(branches(step).into_iter().rev().map(|(_, to)| to));
    }
    order
}

fn branches(step: &Step) -> Vec<(Text, StepIndex)> {
    match step {
        Step::Ring { on_busy, on_no_answer, on_not_available, .. } => vec![
            (text!("if busy or rejected", "wenn besetzt oder abgelehnt"), *on_busy),
            (text!("if nobody answers", "wenn niemand annimmt"), *on_no_answer),
            (
                text!("if no phone can be reached", "wenn kein Telefon erreichbar ist"),
                *on_not_available,
            ),
        ],
        Step::Forward { then, .. } => vec![(text!("then", "dann"), *then)],
        Step::Dial { otherwise: Some(otherwise), .. } => {
            let silent = otherwise.silent;
            let when = text!(
                "if the trunk refuses or is silent for {silent}",
                "wenn das Amt ablehnt oder {silent} schweigt"
            );
            vec![(when, otherwise.then)]
        }
        Step::Dial { .. } | Step::Voicemail { .. } | Step::Refuse { .. } => Vec::new(),
    }
}

fn does(step: &Step, names: &dyn Naming) -> Text {
    match step {
        Step::Ring { number, user, legs, until, .. } => {
            let user = names.user(*user);
            let leg = |tone: &str| -> String {
                let legs = legs.iter().map(|leg| {
                    let (device, from, to) = (names.device(leg.device), leg.from.0, leg.to);
                    let tone = if leg.call_waiting { tone } else { "" };
                    format!("{device} {from}–{to}{tone}")
                });
                legs.collect::<Vec<_>>().join(", ")
            };
            let (en, de) = (leg(" with call-waiting tone"), leg(" mit Anklopfton"));
            text!(
                "{number} of {user} rings: {en}; at most {until}",
                "{number} von {user} klingelt: {de}; höchstens {until}"
            )
        }
        Step::Forward { from, to, .. } => {
            text!("the call to {from} goes on to {to}", "der Ruf an {from} geht weiter an {to}")
        }
        Step::Dial { trunk, emergency, .. } => {
            let trunk = names.trunk(*trunk);
            if *emergency {
                text!("emergency call through trunk {trunk}", "Notruf über das Amt {trunk}")
            } else {
                text!(
                    "the call goes out through trunk {trunk}",
                    "der Ruf geht über das Amt {trunk} hinaus"
                )
            }
        }
        Step::Voicemail { number, user, .. } => {
            let user = names.user(*user);
            text!(
                "voicemail of {user}, called by {number}",
                "Voicemail von {user}, gerufen unter {number}"
            )
        }
        Step::Refuse { outcome, .. } => {
            let Text { en, de } = sentence::refusal(*outcome);
            text!("the call ends: {en}", "der Ruf endet: {de}")
        }
    }
}

/// Two plans that differ, each as lines: the steps alone where these differ, with reasons where only those do.
pub(super) fn differences(
    before: &RoutePlan,
    now: &RoutePlan,
    names: &dyn Naming,
    zone: Tz,
) -> (Vec<Text>, Vec<Text>) {
    for detail in [Detail::Steps, Detail::Reasons] {
        let both = (outline(before, names, zone, detail), outline(now, names, zone, detail));
        if both.0 != both.1 {
            return both;
        }
    }
    // The words are the same: positions, warnings or the order of steps are not.
    let shape = |plan: &RoutePlan| {
        let (on, steps, warnings) = (plan.decided_on, plan.steps.len(), plan.warnings.len());
        let (schritte, steps) =
            (counted(steps, "Schritt", "Schritte"), counted(steps, "step", "steps"));
        let warnungen = counted(warnings, "Warnung", "Warnungen");
        let warnings = counted(warnings, "warning", "warnings");
        vec![text!(
            "decided on {on}, {steps}, {warnings}, other positions in its reasons",
            "entschieden auf {on}, {schritte}, {warnungen}, andere Positionen in den Gründen"
        )]
    };
    (shape(before), shape(now))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Steps,
    Reasons,
}

fn outline(plan: &RoutePlan, names: &dyn Naming, zone: Tz, detail: Detail) -> Vec<Text> {
    let mut lines = Vec::new();
    for told in tell(plan, names, zone, &BTreeMap::new()) {
        let (step, Text { en, de }) = (told.step, told.does);
        lines.push(text!("{step}. {en}", "{step}. {de}"));
        if detail == Detail::Steps {
            continue;
        }
        for why in told.because {
            let (rule, Text { en, de }) = (why.rule, why.says);
            lines.push(text!("   because {en} ({rule})", "   weil: {de} ({rule})"));
        }
        for branch in told.then {
            let (to, Text { en, de }) = (branch.step, branch.when);
            lines.push(text!("   {en}: step {to}", "   {de}: Schritt {to}"));
        }
    }
    lines
}
