//! `audit diff`: which facts differ between two places in time, object by object, and who changed them.

use crate::as_of::{self, At, StateHash, state_hash};
use crate::error::ReplayError;
use crate::facts::{Facts, Said, english, english_if, facts, value};
use crate::source::{Source, source};
use chrono_tz::Tz;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use switchbook_core::envelope::Subject;
use switchbook_core::exchange::{Exchange, Table};
use switchbook_core::position::Position;
use switchbook_core::user::Language;
use switchbook_journal::EventReader;
use switchbook_projections::fold;
use switchbook_projections::names::Naming;
use switchbook_projections::snapshot::Open;
use switchbook_projections::text;
use switchbook_projections::text::{Text, counted};

/// What differs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Difference {
    /// The earlier place.
    pub from: Position,
    /// The later one.
    pub to: Position,
    /// Hash of the earlier state.
    pub from_hash: StateHash,
    /// Hash of the later state.
    pub to_hash: StateHash,
    /// Events between the two.
    pub events: u64,
    /// Objects with facts that differ.
    pub objects: Vec<ObjectDiff>,
    #[serde(skip)]
    zone: Tz,
}

/// One object.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ObjectDiff {
    /// `user:ada`
    pub object: String,
    /// Came, went, or changed.
    pub change: Change,
    /// Its facts that differ.
    pub fields: Vec<FieldDiff>,
}

/// What became of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Not there before.
    Came,
    /// Not there after.
    Went,
    /// There before and after.
    Changed,
}

/// One fact.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FieldDiff {
    /// Which, English for programs.
    #[serde(serialize_with = "english")]
    pub field: Text,
    /// The value before; none when it was not set.
    #[serde(serialize_with = "english_if")]
    pub before: Option<Text>,
    /// The value after; none when it is not set any more.
    #[serde(serialize_with = "english_if")]
    pub after: Option<Text>,
    /// The event that made it so.
    pub by: Option<Source>,
}

/// What differs between two places in time; the later one may be named first.
///
/// # Errors
/// As [`as_of::position`].
pub async fn diff(
    reader: &dyn EventReader,
    one: At,
    other: At,
    open: Open<'_>,
) -> Result<Difference, ReplayError> {
    let (a, b) = (as_of::position(reader, one).await?, as_of::position(reader, other).await?);
    let (from, to) = (a.min(b), a.max(b));
    let before = fold::exchange_at(reader, from, open).await?;
    let mut after = before.clone();
    let mut touched: BTreeMap<Subject, Position> = BTreeMap::new();
    fold::each(reader, from.next(), to, |recorded| {
        after.evolve(recorded);
        for subject in &recorded.envelope.subjects {
            touched.insert(*subject, recorded.envelope.position);
        }
        ControlFlow::Continue(())
    })
    .await?;
    let names = fold::names_at(reader, to, open).await?;
    let zone = as_of::zone(reader).await?;
    let mut known: BTreeMap<Position, Option<Source>> = BTreeMap::new();
    let mut objects = Vec::new();
    for subject in differing(&before, &after, &touched) {
        let last = touched.get(&subject).copied();
        let (old, new) = (facts(&before, subject, &names), facts(&after, subject, &names));
        if old == new {
            continue;
        }
        let change = match (old.is_empty(), new.is_empty()) {
            (true, _) => Change::Came,
            (_, true) => Change::Went,
            _ => Change::Changed,
        };
        let mut fields = Vec::new();
        for (field, before, after, at) in changed(&old, &new) {
            let by = match at.or(last) {
                None => None,
                Some(at) => match known.get(&at) {
                    Some(by) => by.clone(),
                    None => {
                        let by = source(reader, at, &names, zone).await?;
                        known.insert(at, by.clone());
                        by
                    }
                },
            };
            fields.push(FieldDiff { field, before, after, by });
        }
        if !fields.is_empty() {
            objects.push(ObjectDiff { object: names.subject(subject), change, fields });
        }
    }
    let (from_hash, to_hash) = (state_hash(&before), state_hash(&after));
    let events = to.0.saturating_sub(from.0);
    Ok(Difference { from, to, from_hash, to_hash, events, objects, zone })
}

/// What events named, and what changed without being named: an inbound rule that went with its number.
pub(crate) fn differing(
    before: &Exchange,
    after: &Exchange,
    touched: &BTreeMap<Subject, Position>,
) -> BTreeSet<Subject> {
    let mut found: BTreeSet<Subject> = touched.keys().copied().collect();
    found.insert(Subject::Exchange);
    of_table(&before.users, &after.users, Subject::User, &mut found);
    of_table(&before.numbers, &after.numbers, Subject::Number, &mut found);
    of_table(&before.slots, &after.slots, Subject::Slot, &mut found);
    of_table(&before.devices, &after.devices, Subject::Device, &mut found);
    of_table(&before.groups, &after.groups, Subject::Group, &mut found);
    of_table(&before.profiles, &after.profiles, Subject::Profile, &mut found);
    of_table(&before.schedules, &after.schedules, Subject::Schedule, &mut found);
    of_table(&before.trunks, &after.trunks, Subject::Trunk, &mut found);
    found
}

/// The later state grew out of the earlier one, so what did not change is the same place in memory.
fn of_table<K: Ord + Copy, V>(
    before: &Table<K, V>,
    after: &Table<K, V>,
    subject: impl Fn(K) -> Subject,
    found: &mut BTreeSet<Subject>,
) {
    let same = |key: &K, entry: &Arc<V>, other: &Table<K, V>| {
        other.get(key).is_some_and(|there| Arc::ptr_eq(entry, there))
    };
    found.extend(before.iter().filter(|(k, v)| !same(k, v, after)).map(|(k, _)| subject(*k)));
    found.extend(after.iter().filter(|(k, v)| !same(k, v, before)).map(|(k, _)| subject(*k)));
}

type Changed = (Text, Option<Text>, Option<Text>, Option<Position>);

/// Fields whose values differ; a field set again to the same value is the same.
pub(crate) fn changed(old: &Facts, new: &Facts) -> Vec<Changed> {
    let all: BTreeMap<&String, &Said> = old.iter().chain(new).collect();
    let one = |(field, said): (&String, &Said)| {
        let (before, after) = (old.get(field), new.get(field));
        let value = |said: Option<&Said>| said.map(|said| said.value.clone());
        let at = after.and_then(|said| said.at);
        (said.name.clone(), value(before), value(after), at)
    };
    let fields = all.into_iter().map(one);
    fields.filter(|(_, before, after, _)| before != after).collect()
}

impl Difference {
    /// For people.
    #[must_use]
    pub fn lines(&self, language: Language) -> Vec<String> {
        let (from, to, events) = (self.from, self.to, self.events);
        let german = language == Language::German;
        let ereignisse = counted(events, "Ereignis", "Ereignisse");
        let events = counted(events, "event", "events");
        let head = text!("from {from} to {to}: {events}", "von {from} bis {to}: {ereignisse}");
        let mut lines = vec![head.read(language).to_owned()];
        for object in &self.objects {
            let change = match (object.change, german) {
                (Change::Came, false) => "new",
                (Change::Came, true) => "neu",
                (Change::Went, false) => "gone",
                (Change::Went, true) => "weg",
                (Change::Changed, false) => "changed",
                (Change::Changed, true) => "geändert",
            };
            lines.push(format!("{} ({change})", object.object));
            for field in &object.fields {
                let before = value(field.before.as_ref(), language);
                let after = value(field.after.as_ref(), language);
                let by = field.by.as_ref().map(|by| {
                    let (position, when) = (by.position, by.at.local(self.zone));
                    format!("  [{position} {}, {when}]", by.by.read(language))
                });
                lines.push(format!(
                    "  {}: {before} → {after}{}",
                    field.field.read(language),
                    by.unwrap_or_default()
                ));
            }
        }
        if self.objects.is_empty() {
            lines.push(if german { "kein Unterschied" } else { "no difference" }.into());
        }
        lines
    }
}
