//! Forwarding loops, found when saving (F-8): along always-rules of every profile that is or could come in force.

use crate::refusal::{Refusal, RefusalCode};
use std::collections::BTreeSet;
use switchbook_core::device::Origin;
use switchbook_core::envelope::Subject;
use switchbook_core::exchange::Exchange;
use switchbook_core::forwarding::{Condition, Target};
use switchbook_core::id::ProfileId;
use switchbook_core::number::Number;
use switchbook_core::position::Moment;
use switchbook_core::schedule::Pattern;
use switchbook_core::schedule::window;

/// The profiles a number may use from `now` on: the one set by hand, and those of its schedules that are not over.
fn may_use(exchange: &Exchange, number: Number, now: Moment) -> BTreeSet<ProfileId> {
    let Some(state) = exchange.numbers.get(&number) else { return BTreeSet::new() };
    let zone = window::zone_of(exchange, number);
    let lives = |pattern: &Pattern| {
        matches!(pattern, Pattern::Weekly { .. })
            || window::in_force(pattern, zone, now).is_some()
            || window::next_edge(pattern, zone, now).is_some()
    };
    let scheduled = state
        .schedules
        .iter()
        .filter_map(|id| exchange.schedules.get(id))
        .filter(|schedule| lives(&schedule.pattern))
        .map(|schedule| schedule.profile);
    let manual = state.manual.and_then(|choice| choice.value.profile);
    scheduled.chain(manual).collect()
}

/// The numbers of its owner that may use a profile from `now` on.
pub(crate) fn numbers_using(exchange: &Exchange, profile: ProfileId, now: Moment) -> Vec<Number> {
    let owner = exchange.profiles.get(&profile).map(|profile| profile.owner);
    let Some(owner) = owner.and_then(|owner| exchange.users.get(&owner)) else {
        return Vec::new();
    };
    let uses = |number: &&Number| may_use(exchange, **number, now).contains(&profile);
    owner.numbers.iter().filter(uses).copied().collect()
}

/// Refuses `FORWARD_LOOP` when a call to `start` could come back to it, or a rule of it leads to itself.
pub(crate) fn check(exchange: &Exchange, start: Number, now: Moment) -> Result<(), Refusal> {
    let itself = may_use(exchange, start, now).iter().any(|profile| {
        let rules = exchange.profiles.get(profile).map(|profile| &profile.rules.value);
        rules.is_some_and(|rules| rules.iter().any(|rule| rule.target == Target::Number(start)))
    });
    if itself {
        return Err(refusal(&[start, start]));
    }
    // The origin stays the same on every hop (part 3): a loop is one within a column.
    for origin in [Origin::Internal, Origin::External] {
        let mut path = vec![start];
        if find(exchange, start, origin, now, &mut path, &mut BTreeSet::new()) {
            path.push(start);
            return Err(refusal(&path));
        }
    }
    Ok(())
}

/// Looks for a way from the end of `path` back to `start`; the way stands in `path` when there is one.
fn find(
    exchange: &Exchange,
    start: Number,
    origin: Origin,
    now: Moment,
    path: &mut Vec<Number>,
    seen: &mut BTreeSet<Number>,
) -> bool {
    let mut open: Vec<(Number, Vec<Number>)> = vec![(start, path.clone())];
    while let Some((here, way)) = open.pop() {
        for next in always(exchange, here, origin, now) {
            if next == start {
                *path = way;
                return true;
            }
            if seen.insert(next) {
                let mut further = way.clone();
                further.push(next);
                open.push((next, further));
            }
        }
    }
    false
}

/// Where a number may send every call of an origin.
fn always(exchange: &Exchange, number: Number, origin: Origin, now: Moment) -> Vec<Number> {
    may_use(exchange, number, now)
        .iter()
        .filter_map(|profile| exchange.profiles.get(profile))
        .filter_map(|profile| profile.rule(Condition::Always.kind(), origin))
        .filter_map(|rule| match rule.target {
            Target::Number(to) => Some(to),
            Target::Voicemail => None,
        })
        .collect()
}

fn refusal(path: &[Number]) -> Refusal {
    let named: Vec<&str> = path.iter().map(Number::as_str).collect();
    let refusal = Refusal::new(RefusalCode::ForwardLoop).with("path", named.join(" → "));
    let partners: BTreeSet<Number> = path.iter().copied().collect();
    partners.into_iter().fold(refusal, |refusal, number| refusal.about(Subject::Number(number)))
}
