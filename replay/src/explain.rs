//! `audit explain`: why did this call go there? The recorded inputs are routed again on the book as it was; the plan
//! is told step by step, each reason with the event that made it so (habits 7 and 8).

mod plan;
mod print;
mod what_if;

pub use plan::{Branch, Told, Why};

use crate::as_of;
use crate::error::ReplayError;
use crate::source::{Source, source};
use chrono_tz::Tz;
use serde::Serialize;
use std::collections::BTreeMap;
use switchbook_core::call::{CallPlaced, Caller, Dialled};
use switchbook_core::envelope::{Recorded, Subject};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::feature_code::FeatureCode;
use switchbook_core::id::CallId;
use switchbook_core::position::Position;
use switchbook_core::routing::plan::RoutePlan;
use switchbook_core::routing::{From, Routed, RoutingInput, Volatile, route};
use switchbook_core::user::Language;
use switchbook_journal::EventReader;
use switchbook_projections::audit_trail::{self, Entry};
use switchbook_projections::fold;
use switchbook_projections::names::{NameBook, Naming};
use switchbook_projections::sentence;
use switchbook_projections::snapshot::Open;
use switchbook_projections::text;
use switchbook_projections::text::{Text, When};
use what_if::WhatIf;

/// Is the plan in the call record used?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StoredPlan {
    /// It is compared with the one computed from the book.
    #[default]
    Compared,
    /// It is withheld: everything comes from the book alone.
    Withheld,
}

/// How to explain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// What to do with the stored plan.
    pub stored_plan: StoredPlan,
    /// Events to leave out: what would have happened without them?
    pub without: Vec<Position>,
}

/// What comparing the plans showed.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The book gives the plan that was recorded.
    SamePlan,
    /// The stored plan was withheld: this is what the book alone gives.
    FromTheBook,
    /// The plan is another one.
    AnotherPlan {
        /// The plan on record (or of the whole book), in words.
        before: Vec<Text>,
        /// The plan now, in words.
        now: Vec<Text>,
    },
    /// The plan could not be computed; what is told is the stored one.
    NotComputed {
        /// Why.
        why: Text,
    },
    /// A feature code was dialled: nobody was called, and there is no route.
    FeatureCode,
    /// The stored plan cannot be read; what is told is from the book.
    StoredUnreadable {
        /// What is wrong with it.
        why: String,
    },
}

/// The answer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Explanation {
    /// Which call.
    pub call: CallId,
    /// The event that placed it.
    pub placed: Position,
    /// T.
    pub at: When,
    /// The position the decision was made on.
    pub decided_on: Position,
    /// Who called.
    pub caller: Text,
    /// What was dialled.
    pub dialled: String,
    /// Events left out of the fold.
    pub left_out: Vec<Source>,
    /// What had to be taken from the book, since the decision of then did not ask for it.
    pub assumed: Vec<Text>,
    /// What comparing showed.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The plan that is told below.
    pub plan: Option<RoutePlan>,
    /// The plan in words; the first is where it begins.
    pub steps: Vec<Told>,
    /// What then happened, as the book has it.
    pub happened: Vec<Entry>,
    #[serde(skip)]
    zone: Tz,
}

/// The call that an event placed.
///
/// # Errors
/// [`ReplayError::NotACall`] when the event there places no call; else the reader's.
pub async fn call_at(reader: &dyn EventReader, position: Position) -> Result<CallId, ReplayError> {
    let records = reader.read(position, 1).await?;
    match records.first().filter(|one| one.envelope.position == position).map(|one| &one.event) {
        Some(Event::CallPlaced(placed)) => Ok(placed.call),
        Some(other) => Err(ReplayError::NotACall { position, found: other.name() }),
        None => Err(ReplayError::NotYet { position, tail: reader.tail() }),
    }
}

/// Explains a call.
///
/// # Errors
/// [`ReplayError::NoSuchCall`]; [`ReplayError::NotYet`] for an event to leave out that is not there; else the
/// reader's.
pub async fn explain(
    reader: &dyn EventReader,
    call: CallId,
    options: &Options,
    open: Open<'_>,
) -> Result<Explanation, ReplayError> {
    let tail = reader.tail();
    if let Some(&position) = options.without.iter().find(|position| **position > tail) {
        return Err(ReplayError::NotYet { position, tail });
    }
    let records = history(reader, call).await?;
    let found = records.iter().find_map(|recorded| match &recorded.event {
        Event::CallPlaced(placed) => Some((recorded, placed)),
        _ => None,
    });
    let (recorded, placed) = found.ok_or(ReplayError::NoSuchCall(call))?;
    let names = fold::names_at(reader, recorded.envelope.position, open).await?;
    let zone = as_of::zone(reader).await?;
    let book = as_of::state_without(reader, placed.decided_on, &[], open).await?;
    let stored = match options.stored_plan {
        StoredPlan::Compared => Some(serde_json::from_str::<RoutePlan>(&placed.plan)),
        StoredPlan::Withheld => None,
    };
    let from_book = compute(&book, placed);
    let mut assumed = Vec::new();
    let (verdict, plan) = if is_feature_code(placed) {
        (Verdict::FeatureCode, None)
    } else if options.without.is_empty() {
        compare(stored, from_book, &names, zone)
    } else {
        let exchange =
            as_of::state_without(reader, placed.decided_on, &options.without, open).await?;
        let what_if = WhatIf { facts: &placed.facts, exchange: &exchange };
        let without = decide(&exchange, placed, &what_if).map(|routed| {
            assumed = what_if::assumed(&placed.facts, &routed.facts, &names);
            routed.plan
        });
        // Against what is on record; where that is withheld or unreadable, against the whole book's plan.
        let before = stored.and_then(Result::ok).map_or(from_book, Ok);
        compare_without(before, without, &names, zone)
    };
    let mut left_out = Vec::new();
    for position in &options.without {
        left_out.extend(source(reader, *position, &names, zone).await?);
    }
    let steps = match &plan {
        Some(plan) => {
            let sources = sources(reader, plan, &names, zone).await?;
            plan::tell(plan, &names, zone, &sources)
        }
        None => Vec::new(),
    };
    let then = records.iter().filter(|one| one.envelope.position > recorded.envelope.position);
    Ok(Explanation {
        call,
        placed: recorded.envelope.position,
        at: When(placed.decided_for),
        decided_on: placed.decided_on,
        caller: sentence::caller(&placed.caller, &names),
        dialled: sentence::dialled(&placed.dialled),
        left_out,
        assumed,
        verdict,
        plan,
        steps,
        happened: then.map(|one| audit_trail::entry(one, &names, zone)).collect(),
        zone,
    })
}

/// A plan that was asked for rather than made for a call: "who would ring if …".
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WouldRing {
    /// The plan.
    pub plan: RoutePlan,
    /// The plan in words; the first step is where it begins.
    pub steps: Vec<Told>,
    #[serde(skip)]
    zone: Tz,
}

impl WouldRing {
    /// For people.
    #[must_use]
    pub fn lines(&self, language: Language) -> Vec<String> {
        print::step_lines(&self.steps, Some(&self.plan), self.zone, language)
    }
}

/// Tells a plan with the events behind its reasons.
///
/// # Errors
/// The reader's.
pub async fn would_ring(
    reader: &dyn EventReader,
    plan: RoutePlan,
    names: &NameBook,
    zone: Tz,
) -> Result<WouldRing, ReplayError> {
    let sources = sources(reader, &plan, names, zone).await?;
    let steps = plan::tell(&plan, names, zone, &sources);
    Ok(WouldRing { plan, steps, zone })
}

async fn history(reader: &dyn EventReader, call: CallId) -> Result<Vec<Recorded>, ReplayError> {
    let mut all: Vec<Recorded> = Vec::new();
    loop {
        let from = all.last().map_or(Position(1), |last| last.envelope.position.next());
        let more = reader.history(Subject::Call(call), from, fold::BATCH).await?;
        if more.is_empty() {
            return Ok(all);
        }
        all.extend(more);
    }
}

/// The recorded inputs, routed on the book. What was erased cannot be routed.
fn compute(exchange: &Exchange, placed: &CallPlaced) -> Result<RoutePlan, Text> {
    decide(exchange, placed, &placed.facts).map(|routed| routed.plan)
}

fn decide(
    exchange: &Exchange,
    placed: &CallPlaced,
    volatile: &dyn Volatile,
) -> Result<Routed, Text> {
    let from = match placed.caller {
        Caller::Device { device, .. } => From::Device(device),
        Caller::Trunk { trunk, .. } => From::Trunk(trunk),
    };
    let dialled = match &placed.dialled {
        Dialled::Inside(number) => number.to_string(),
        Dialled::Outside(number) => known(number.known())?,
        Dialled::Other(text) => known(text.known().map(ToOwned::to_owned))?,
    };
    let (dialled, at) = (dialled.as_str(), placed.decided_for);
    let mut routed = route(RoutingInput { exchange, volatile, from, dialled, at });
    // An event left out at the very end must not make the plans differ by the position alone.
    routed.plan.decided_on = placed.decided_on;
    Ok(routed)
}

/// Feature codes are never routed: they stand in the book masked, with a plan without steps. An erased one is told by
/// its plan alone; a call to anything else whose plan is empty is not one.
fn is_feature_code(placed: &CallPlaced) -> bool {
    let (Caller::Device { .. }, Dialled::Other(dialled)) = (&placed.caller, &placed.dialled) else {
        return false;
    };
    let plan = serde_json::from_str::<RoutePlan>(&placed.plan);
    let no_plan = placed.plan.is_empty() || plan.is_ok_and(|plan| plan.steps.is_empty());
    no_plan && dialled.known().is_none_or(|dialled| FeatureCode::parse(dialled).is_some())
}

fn known(dialled: Option<String>) -> Result<String, Text> {
    dialled.ok_or_else(|| {
        text!(
            "the dialled number was erased, or personal fields are closed here: the plan cannot be computed again",
            "die gewählte Rufnummer wurde gelöscht, oder personenbezogene Felder sind hier verschlossen: der Plan lässt sich nicht neu berechnen"
        )
    })
}

type Stored = Option<Result<RoutePlan, serde_json::Error>>;

fn compare(
    stored: Stored,
    from_book: Result<RoutePlan, Text>,
    names: &NameBook,
    zone: Tz,
) -> (Verdict, Option<RoutePlan>) {
    match (stored, from_book) {
        (None, Ok(plan)) => (Verdict::FromTheBook, Some(plan)),
        (None | Some(Err(_)), Err(why)) => (Verdict::NotComputed { why }, None),
        (Some(Ok(stored)), Err(why)) => (Verdict::NotComputed { why }, Some(stored)),
        (Some(Err(error)), Ok(plan)) => {
            (Verdict::StoredUnreadable { why: error.to_string() }, Some(plan))
        }
        (Some(Ok(stored)), Ok(plan)) if stored == plan => (Verdict::SamePlan, Some(plan)),
        (Some(Ok(stored)), Ok(plan)) => {
            let (before, now) = plan::differences(&stored, &plan, names, zone);
            (Verdict::AnotherPlan { before, now }, Some(plan))
        }
    }
}

fn compare_without(
    before: Result<RoutePlan, Text>,
    without: Result<RoutePlan, Text>,
    names: &NameBook,
    zone: Tz,
) -> (Verdict, Option<RoutePlan>) {
    match (before, without) {
        (Ok(before), Ok(plan)) if before == plan => (Verdict::SamePlan, Some(plan)),
        (Ok(before), Ok(plan)) => {
            let (before, now) = plan::differences(&before, &plan, names, zone);
            (Verdict::AnotherPlan { before, now }, Some(plan))
        }
        (_, Err(why)) => (Verdict::NotComputed { why }, None),
        (Err(_), Ok(plan)) => (Verdict::FromTheBook, Some(plan)),
    }
}

/// The event behind each reason of a plan.
async fn sources(
    reader: &dyn EventReader,
    plan: &RoutePlan,
    names: &dyn Naming,
    zone: Tz,
) -> Result<BTreeMap<Position, Source>, ReplayError> {
    let mut found = BTreeMap::new();
    let reasons = plan.steps.iter().flat_map(switchbook_core::routing::plan::Step::because);
    for position in reasons.filter_map(|reason| reason.at) {
        if found.contains_key(&position) {
            continue;
        }
        if let Some(source) = source(reader, position, names, zone).await? {
            found.insert(position, source);
        }
    }
    Ok(found)
}
