//! `person export`: everything the book says about one person, for that person: what is so now, what happened to him,
//! what he did, and his calls.

use crate::as_of;
use crate::error::ReplayError;
use crate::facts::facts;
use serde::Serialize;
use std::collections::BTreeMap;
use switchbook_core::envelope::Subject;
use switchbook_core::id::UserId;
use switchbook_core::position::Position;
use switchbook_core::user::Language;
use switchbook_journal::EventReader;
use switchbook_projections::audit_trail::{self, By, Entry, Query};
use switchbook_projections::call_log::{self, CallRow, Filter};
use switchbook_projections::fold;
use switchbook_projections::names::{Naming, NotFound};
use switchbook_projections::snapshot::Open;
use switchbook_projections::text;
use switchbook_projections::text::{Text, counted};

/// Everything about one person.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Portrait {
    /// His id.
    pub person: UserId,
    /// The name he had last.
    pub name: String,
    /// As of this place in the book.
    pub position: Position,
    /// What is so now, by object (`user:ada`, `number:100`) and field; nothing when he is no user any more.
    pub now: BTreeMap<String, BTreeMap<String, String>>,
    /// The same for people: object, field, value.
    #[serde(skip)]
    told: Vec<(String, Vec<(Text, Text)>)>,
    /// Events that concern him.
    pub history: Vec<Entry>,
    /// Events of commands that he gave, or that were given with his rights, and that concern others.
    pub deeds: Vec<Entry>,
    /// Calls that he made, answered, or that rang at his phones.
    pub calls: Vec<CallRow>,
}

/// The person of a name (also a former one) or id.
///
/// # Errors
/// [`ReplayError::NotFound`]; the reader's.
pub async fn find(
    reader: &dyn EventReader,
    name: &str,
    open: Open<'_>,
) -> Result<UserId, ReplayError> {
    let names = fold::names_at(reader, reader.tail(), open).await?;
    match names.find(&format!("user:{name}"))? {
        Subject::User(user) if names.user_name(user).is_some() => Ok(user),
        _ => Err(NotFound::Name("user", name.into()).into()),
    }
}

/// Collects it.
///
/// # Errors
/// The reader's.
pub async fn export(
    reader: &dyn EventReader,
    user: UserId,
    open: Open<'_>,
) -> Result<Portrait, ReplayError> {
    let tables = fold::tables_at(reader, reader.tail(), open).await?;
    let (exchange, names) = (&tables.exchange, &tables.names);
    let zone = as_of::zone(reader).await?;
    let (mut now, mut told) = (BTreeMap::new(), Vec::new());
    for subject in his(exchange, user) {
        let (object, all) = (names.subject(subject), facts(exchange, subject, names));
        let fields = all.iter().map(|(field, said)| (field.clone(), said.value.en.clone()));
        now.insert(object.clone(), fields.collect());
        told.push((object, all.into_values().map(|said| (said.name, said.value)).collect()));
    }
    told.sort_by(|(a, _), (b, _)| a.cmp(b));
    let about = Query { subject: Some(Subject::User(user)), ..Query::default() };
    let history = all(reader, names, zone, about).await?;
    let by = By::parse(&format!("user:{user}"), names)?;
    let deeds = all(reader, names, zone, Query { actor: Some(by), ..Query::default() }).await?;
    let known: Vec<Position> = history.iter().map(|entry| entry.position).collect();
    let deeds = deeds.into_iter().filter(|entry| !known.contains(&entry.position)).collect();
    let filter = Filter { user: Some(user), ..Filter::default() };
    let calls = call_log::view(&tables.calls, names, zone, filter, usize::MAX).calls;
    let (name, position) = (names.user(user), tables.position());
    Ok(Portrait { person: user, name, position, now, told, history, deeds, calls })
}

/// What is his now.
fn his(exchange: &switchbook_core::exchange::Exchange, id: UserId) -> Vec<Subject> {
    let Some(user) = exchange.users.get(&id) else { return Vec::new() };
    let mut his = vec![Subject::User(id)];
    his.extend(user.numbers.iter().copied().map(Subject::Number));
    his.extend(user.slots.iter().copied().map(Subject::Slot));
    his.extend(user.profiles.iter().copied().map(Subject::Profile));
    let devices = user.slots.iter().filter_map(|slot| exchange.slots.get(slot)?.device);
    his.extend(devices.map(|device| Subject::Device(device.value)));
    let schedules = exchange.schedules.iter();
    let schedules = schedules.filter(|(_, entry)| user.numbers.contains(&entry.number));
    his.extend(schedules.map(|(id, _)| Subject::Schedule(*id)));
    his
}

/// Every page.
async fn all(
    reader: &dyn EventReader,
    names: &switchbook_projections::names::NameBook,
    zone: chrono_tz::Tz,
    mut query: Query,
) -> Result<Vec<Entry>, ReplayError> {
    query.limit = 1_000;
    let mut entries = Vec::new();
    loop {
        let page = audit_trail::page(reader, names, zone, &query).await?;
        entries.extend(page.entries);
        match page.next {
            Some(next) => query.after = next,
            None => return Ok(entries),
        }
    }
}

impl Portrait {
    /// For people: how much there is of what; the data itself is in the JSON.
    #[must_use]
    pub fn lines(&self, language: Language) -> Vec<String> {
        let (name, position) = (&self.name, self.position);
        let mut lines = vec![text!(
            "everything about {name} as of {position}",
            "alles über {name} nach dem Stand von {position}"
        )];
        for (object, fields) in &self.told {
            lines.push(Text::same(object));
            for (field, value) in fields {
                lines.push(Text {
                    en: format!("  {}: {}", field.en, value.en),
                    de: format!("  {}: {}", field.de, value.de),
                });
            }
        }
        let (history, deeds, calls) = (self.history.len(), self.deeds.len(), self.calls.len());
        let concern = counted(history, "event concerns", "events concern");
        let betreffen = counted(history, "Ereignis betrifft", "Ereignisse betreffen");
        let made = counted(deeds, "more was made by it", "more were made by it");
        let stammen = counted(deeds, "weiteres stammt von ihr", "weitere stammen von ihr");
        let there = if calls == 1 { "is 1 call".into() } else { format!("are {calls} calls") };
        let anrufe = counted(calls, "Anruf", "Anrufe");
        lines.push(text!(
            "{concern} this person, {made}, and there {there}; --json has all of it",
            "{betreffen} diese Person, {stammen}, und es gibt {anrufe}; --json enthält alles"
        ));
        lines.into_iter().map(|line| line.read(language).to_owned()).collect()
    }
}
