//! `audit why`: which event set a field of an object, by whom, on whose behalf, when. Every fact in the state knows.

use crate::as_of::{self, At};
use crate::error::ReplayError;
use crate::facts::{Said, english, facts};
use crate::source::{Source, source};
use chrono_tz::Tz;
use serde::Serialize;
use switchbook_core::position::Position;
use switchbook_core::user::Language;
use switchbook_journal::EventReader;
use switchbook_projections::fold;
use switchbook_projections::names::Naming;
use switchbook_projections::snapshot::Open;
use switchbook_projections::text;
use switchbook_projections::text::Text;

/// Fields of an object with where they come from.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Origins {
    /// `number:100`
    pub object: String,
    /// As of this place in the book.
    pub position: Position,
    /// The field that was asked for, or all of them.
    pub fields: Vec<Origin>,
    #[serde(skip)]
    zone: Tz,
}

/// One field.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Origin {
    /// Its name, English for programs.
    #[serde(serialize_with = "english")]
    pub field: Text,
    /// Its value, English for programs.
    #[serde(serialize_with = "english")]
    pub value: Text,
    /// The event that set it; none for what follows from the object's being there.
    pub source: Option<Source>,
}

/// Which name of a field is compared, and how.
type Rank = (fn(&Text) -> &str, fn(&str, &str) -> bool);

/// Where a field comes from, as of a place in time; all fields without a name. A name, English or German, may be shortened.
///
/// # Errors
/// [`ReplayError::NotThere`]; [`ReplayError::NoSuchField`] with the names there are; as [`as_of::position`].
pub async fn why(
    reader: &dyn EventReader,
    object: &str,
    field: Option<&str>,
    at: At,
    open: Open<'_>,
) -> Result<Origins, ReplayError> {
    let position = as_of::position(reader, at).await?;
    let exchange = fold::exchange_at(reader, position, open).await?;
    let names = fold::names_at(reader, position, open).await?;
    let subject = names.find(object)?;
    let zone = as_of::zone(reader).await?;
    let all = facts(&exchange, subject, &names);
    if all.is_empty() {
        return Err(ReplayError::NotThere(object.into()));
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], " ");
    let wanted = field.map(plain);
    // A program that shortens an English name gets what it got before there were German ones.
    let ways: [fn(&Text) -> &str; 2] = [|name| &name.en, |name| &name.de];
    let exact: fn(&str, &str) -> bool = |name, wanted| name == wanted;
    let begins: fn(&str, &str) -> bool = |name, wanted| name.starts_with(wanted);
    let ranks = [(ways[0], exact), (ways[1], exact), (ways[0], begins), (ways[1], begins)];
    let is = |name: &Text, (way, fits): Rank| {
        wanted.as_ref().is_some_and(|wanted| fits(&plain(way(name)), wanted))
    };
    let rank = ranks.into_iter().find(|rank| all.values().any(|said| is(&said.name, *rank)));
    let mut fields = Vec::new();
    for Said { name, value, at } in all.values() {
        let taken = wanted.is_none() || rank.is_some_and(|rank| is(name, rank));
        if taken {
            let source = match at {
                Some(at) => source(reader, *at, &names, zone).await?,
                None => None,
            };
            fields.push(Origin { field: name.clone(), value: value.clone(), source });
        }
    }
    if fields.is_empty() {
        let list = |language| {
            let names = all.values().map(|said| said.name.read(language));
            names.collect::<Vec<_>>().join(", ")
        };
        let there = Text { en: list(Language::English), de: list(Language::German) };
        let field = field.unwrap_or("").to_owned();
        return Err(ReplayError::NoSuchField { object: object.into(), field, there });
    }
    Ok(Origins { object: names.subject(subject), position, fields, zone })
}

impl Origins {
    /// For people.
    #[must_use]
    pub fn lines(&self, language: Language) -> Vec<String> {
        let (object, position) = (&self.object, self.position);
        let head = text!("{object} as of {position}", "{object} nach dem Stand von {position}");
        let mut lines = vec![head.read(language).to_owned()];
        for Origin { field, value, source } in &self.fields {
            lines.push(format!("  {}: {}", field.read(language), value.read(language)));
            let told = source.iter().flat_map(|source| source.lines(self.zone, language));
            lines.extend(told.map(|line| format!("    ← {line}")));
        }
        lines
    }
}
