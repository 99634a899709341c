//! Views by name: what the command line can ask a running server to show, now or as of then.

use super::protocol::{For, Language};
use crate::failure::Failure;
use serde::Serialize;
use serde_json::{Map, Value};
use switchbook_core::exchange::Exchange;
use switchbook_core::extent::Extent;
use switchbook_core::id::UserId;
use switchbook_core::position::{Moment, Position};
use switchbook_journal::{EventReader, ReadError};
use switchbook_projections::call_log::{self, Filter, Which};
use switchbook_projections::fold::{self, Tables};
use switchbook_projections::registrar::Refreshes;
use switchbook_projections::snapshot::Open;
use switchbook_projections::table::Table;
use switchbook_projections::text;
use switchbook_projections::{directory, numbers, registrar, schedules};

/// What a view is made from.
pub struct Seen<'a, L: Refreshes> {
    /// The tables at one position.
    pub tables: &'a Tables,
    /// Refreshes since; none for the past.
    pub refreshes: &'a L,
    /// The moment it is shown for.
    pub at: Moment,
    /// The exchange of now, for a look at the past: it knows names already.
    pub today: Option<&'a Exchange>,
}

/// A view for programs, for people, or for both, as JSON. Written straight into a text: a list of ten thousand rows is made once
/// and not three times.
fn both(
    whom: For,
    data: &impl Serialize,
    tables: impl FnOnce() -> Vec<Table>,
) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Shown<'a, D> {
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a D>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tables: Option<Vec<Table>>,
    }
    let data = Some(data).filter(|_| whom != For::People);
    let tables = (whom != For::Programs).then(tables);
    let broken = |error| Failure::new(format!("the view cannot be written: {error}"));
    serde_json::to_string(&Shown { data, tables }).map_err(broken)
}

/// The tables as of `position`, as far as this view looks at them: names of what is gone and calls for the list of calls alone,
/// registrations for few.
pub async fn tables(
    view: &str,
    book: &dyn EventReader,
    position: Position,
    open: Open<'_>,
) -> Result<Tables, ReadError> {
    let extent = match view {
        "call.list" => return fold::calls_at(book, position, open).await,
        "registration.list" | "number.list" | "device.list" => Extent::REGISTRATIONS,
        _ => Extent::CONFIGURATION,
    };
    let exchange = fold::exchange_of(extent, book, position, open).await?;
    Ok(Tables { exchange, ..Tables::default() })
}

/// Shows a view: its JSON text.
pub fn show<L: Refreshes>(
    seen: &Seen<'_, L>,
    view: &str,
    arguments: &Map<String, Value>,
    whom: For,
    language: Language,
) -> Result<String, Failure> {
    let language = switchbook_core::user::Language::from(language);
    let exchange = &seen.tables.exchange;
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    let one_user = || text("user").map(|name| seen.user(name)).transpose();
    match view {
        "user.list" => {
            let view = directory::users(exchange);
            both(whom, &view, || vec![view.table(language)])
        }
        "user.show" => {
            let view =
                directory::user(exchange, needed_user(seen, arguments)?).ok_or_else(|| {
                    Failure::new(text!(
                        "there is no such user",
                        "einen solchen Benutzer gibt es nicht"
                    ))
                })?;
            both(whom, &view, || vec![view.table(language), view.matrix.table(language)])
        }
        "matrix.show" => {
            let view =
                directory::matrix(exchange, needed_user(seen, arguments)?).ok_or_else(|| {
                    Failure::new(text!(
                        "there is no such user",
                        "einen solchen Benutzer gibt es nicht"
                    ))
                })?;
            both(whom, &view, || vec![view.table(language)])
        }
        "number.list" => {
            let view = numbers::view(exchange, seen.refreshes, seen.at, one_user()?);
            both(whom, &view, || vec![view.table(language)])
        }
        "device.list" => {
            let view = directory::devices(exchange);
            both(whom, &view, || vec![view.table(language)])
        }
        "group.list" => {
            let view = directory::groups(exchange);
            both(whom, &view, || vec![view.table(language)])
        }
        "permission.list" => {
            let view = directory::permissions(exchange);
            both(whom, &view, || vec![view.table(language)])
        }
        "profile.list" => {
            let view = directory::profiles(exchange, one_user()?);
            both(whom, &view, || vec![view.table(language)])
        }
        "forwarding.list" => {
            let view = directory::forwardings(exchange, seen.at);
            both(whom, &view, || vec![view.table(language)])
        }
        "schedule.list" => {
            let view = schedules::view(exchange, seen.at, schedules::Which::All);
            both(whom, &view, || vec![view.table(language)])
        }
        "trunk.list" => {
            let view = directory::trunks(exchange);
            both(whom, &view, || vec![view.table(language)])
        }
        "settings.show" => {
            let view = directory::settings(exchange).ok_or_else(|| {
                Failure::new(text!(
                    "the book had not been founded then",
                    "das Buch war damals noch nicht gegründet"
                ))
            })?;
            both(whom, &view, || vec![view.table(language)])
        }
        "registration.list" => {
            let which = registrar::Which::Registered;
            let view = registrar::view(exchange, seen.refreshes, seen.at, which);
            both(whom, &view, || vec![view.table(language)])
        }
        "call.list" => calls(seen, arguments, whom, language),
        other => {
            Err(Failure::new(text!("there is no view `{other}`", "es gibt keine Sicht `{other}`")))
        }
    }
}

fn calls<L: Refreshes>(
    seen: &Seen<'_, L>,
    arguments: &Map<String, Value>,
    whom: For,
    language: switchbook_core::user::Language,
) -> Result<String, Failure> {
    let exchange = &seen.tables.exchange;
    let filter = match arguments.get("number").and_then(Value::as_str) {
        None => Filter::default(),
        Some(text) => {
            let number = text.parse().map_err(|error| Failure::new(format!("{text}: {error}")))?;
            Filter { number: Some(number), ..Filter::default() }
        }
    };
    let open = arguments.get("open").and_then(Value::as_bool).unwrap_or_default();
    let which = if open { Which::Open } else { Which::All };
    let filter = Filter { which, ..filter };
    let limit = arguments.get("limit").and_then(Value::as_u64).unwrap_or(50);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let zone = switchbook_projections::text::zone(exchange);
    let view = call_log::view(&seen.tables.calls, &seen.tables.names, zone, filter, limit);
    both(whom, &view, || vec![view.table(language)])
}

fn needed_user<L: Refreshes>(
    seen: &Seen<'_, L>,
    arguments: &Map<String, Value>,
) -> Result<UserId, Failure> {
    let name = arguments.get("user").and_then(Value::as_str);
    seen.user(name.ok_or_else(|| Failure::new("which user?"))?)
}

impl<L: Refreshes> Seen<'_, L> {
    /// A user by log-in name or id. Who has the name today had it most likely then: one name is opened, and not all.
    fn user(&self, name: &str) -> Result<UserId, Failure> {
        let exchange = &self.tables.exchange;
        let today = self.today.and_then(|today| today.user_named(name));
        let then = today.filter(|id| {
            let user = exchange.users.get(id);
            user.is_some_and(|user| user.username.value.known() == Some(name))
        });
        then.map_or_else(|| user(exchange, name), Ok)
    }
}

/// A user by log-in name or id.
pub fn user(exchange: &Exchange, name: &str) -> Result<UserId, Failure> {
    let by_id = || name.parse().ok().filter(|id| exchange.users.contains_key(id));
    exchange.user_named(name).or_else(by_id).ok_or_else(|| {
        Failure::new(text!(
            "USER_UNKNOWN: there is no user `{name}`",
            "USER_UNKNOWN: es gibt keinen Benutzer `{name}`"
        ))
        .advice(text!("`switchbook user list` shows all.", "`switchbook user list` zeigt alle."))
    })
}
