//! The open rooms of a running exchange, as the console and the watchers see them.

use crate::console::protocol::{Language, Sight};
use crate::console::views;
use crate::erasure::Erasures;
use crate::failure::{Failure, failed};
use crate::keeping;
use crate::route::{self, Asked};
use crate::seal::Sealer;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use switchbook_admin::{Figure, Health, Status};
use switchbook_commands::desk::{Clock, DeskHandle, DeskHealth, SystemClock};
use switchbook_commands::wire::UserRef;
use switchbook_core::envelope::{Actor, Envelope, Recorded, Subject};
use switchbook_core::event::Event;
use switchbook_core::extent::Extent;
use switchbook_core::id::{CommandId, CorrelationId, UserId};
use switchbook_core::position::{Moment, Position};
use switchbook_journal::backup::Manifest;
use switchbook_journal::{BackupError, Book, Leases};
use switchbook_projections::fold::{self, Tables};
use switchbook_projections::readers::Readers;
use switchbook_projections::registrar::{self, BookOnly};
use switchbook_projections::sentence;
use switchbook_projections::table::Table;
use switchbook_projections::text;
use switchbook_projections::text::{Text, When};
use switchbook_replay::explain::would_ring;
use switchbook_replay::{At, ReplayError, as_of};
use switchbook_sip_adapter::Metrics;
use switchbook_sip_adapter::server::HangsUp;

/// What the console needs of the running exchange.
pub struct Rooms {
    /// The single writer.
    pub desk: DeskHandle,
    /// The read models.
    pub readers: Arc<Readers>,
    /// Keys that are to be gone.
    pub erasures: Arc<Erasures>,
    /// Seals the book.
    pub sealer: Arc<Sealer>,
    pub(crate) leases: Leases,
    pub(crate) store: Arc<Book>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) calls: HangsUp,
    pub(crate) sip: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) began: Instant,
}

impl Rooms {
    /// What follows, outside the book, from what was just put into it.
    pub async fn react(&self, records: &[Recorded]) {
        for Recorded { envelope, event } in records {
            if let Event::HangUpOrdered(ordered) = event {
                self.calls.hang_up(ordered.call, envelope.position).await;
            }
        }
    }

    /// Shows a view, now or as of then: its JSON text.
    pub async fn view(&self, sight: &Sight) -> Result<String, Failure> {
        let Sight { view, arguments, as_of, whom, language } = sight;
        let (as_of, whom) = (as_of.as_deref(), *whom);
        if view == "route" {
            let route = self.route(arguments, as_of, *language).await;
            return route.map(|told| told.to_string());
        }
        let now = SystemClock.now();
        if view == "status" {
            return self.status(*language).await.map(|told| told.to_string());
        }
        if let Some(when) = as_of {
            let (position, moment) = self.place(when).await?;
            let (book, open) = (self.readers.book().as_ref(), self.readers.opener());
            let tables = views::tables(view, book, position, open).await;
            let tables = tables.map_err(failed(UNFOLDED))?;
            let at = moment.unwrap_or(tables.exchange.recorded_at);
            let now = self.readers.now();
            let today = Some(&now.exchange);
            let seen = views::Seen { tables: &tables, refreshes: &BookOnly, at, today };
            let shown = views::show(&seen, view, arguments, whom, *language);
            put_away(tables);
            return shown;
        }
        let tables = self.current().await;
        let (refreshes, at) = (&self.leases, now);
        let seen = views::Seen { tables: &tables, refreshes, at, today: None };
        views::show(&seen, view, arguments, whom, *language)
    }

    /// The tables with everything that was acknowledged; when they cannot follow the book, as far as they are.
    async fn current(&self) -> Arc<Tables> {
        let position = self.desk.published().position;
        self.readers.wait_for(position).await.unwrap_or_else(|_| self.readers.now())
    }

    /// Who would ring, and why.
    async fn route(
        &self,
        arguments: &Map<String, Value>,
        as_of: Option<&str>,
        language: Language,
    ) -> Result<Value, Failure> {
        let past = match as_of {
            Some(when) => Some(self.named_at(when).await?),
            None => None,
        };
        let present = self.current().await;
        let tables = past.as_ref().unwrap_or(&present);
        let exchange = &tables.exchange;
        let at = match arguments.get("at").and_then(Value::as_str) {
            Some(text) => self.moment(text).await?,
            None => None,
        };
        let asked = Asked::read(exchange, arguments, at)?;
        let plan = match asked.at {
            Some(at) => route::then(exchange, at, &asked),
            None => route::now(exchange, &self.leases, SystemClock.now(), &asked),
        };
        let zone = switchbook_projections::text::zone(exchange);
        let book = self.readers.book().as_ref();
        let when = When(plan.at).local(zone);
        let told = would_ring(book, plan, &tables.names, zone)
            .await
            .map_err(|error| Failure::new(error.text()))?;
        let broken = |error| Failure::new(format!("the plan cannot be written: {error}"));
        let data = serde_json::to_value(&told).map_err(broken)?;
        let (to, Text { en, de }) = (&asked.to, route::assumption(&asked));
        let title = text!(
            "If {to} were called at {when}, {zone} ({en})",
            "Würde {to} angerufen, {when}, {zone} ({de})"
        );
        let table = Table {
            title: title.read(language.into()).to_owned(),
            notes: told.lines(language.into()),
            ..Table::default()
        };
        Ok(json!({ "data": data, "tables": [table] }))
    }

    /// The exchange as of a position or a moment, and the names of all there was until then: no calls.
    async fn named_at(&self, when: &str) -> Result<Tables, Failure> {
        let (position, _) = self.place(when).await?;
        let (book, open) = (self.readers.book().as_ref(), self.readers.opener());
        let (exchange, names) = tokio::join!(
            fold::exchange_of(Extent::REGISTRATIONS, book, position, open),
            fold::names_at(book, position, open)
        );
        let exchange = exchange.map_err(failed(UNFOLDED))?;
        let names = names.map_err(failed(UNFOLDED))?;
        Ok(Tables { exchange, names, ..Tables::default() })
    }

    /// The position that a place in time names, and the moment if it names one.
    async fn place(&self, when: &str) -> Result<(Position, Option<Moment>), Failure> {
        let told = |error: ReplayError| Failure::new(error.text());
        let (book, at) = (self.readers.book().as_ref(), when.parse::<At>().map_err(told)?);
        let position = as_of::position(book, at).await.map_err(told)?;
        Ok((position, as_of::moment(book, at).await.map_err(told)?))
    }

    /// The moment that a place in time names; of a position, when it was recorded; none for now.
    async fn moment(&self, text: &str) -> Result<Option<Moment>, Failure> {
        let told = |error: ReplayError| Failure::new(error.text());
        let (book, at) = (self.readers.book().as_ref(), text.parse::<At>().map_err(told)?);
        let At::Position(position) = at else {
            return as_of::moment(book, at).await.map_err(told);
        };
        as_of::position(book, at).await.map_err(told)?;
        let records = book.read(position, 1).await.map_err(failed("the book cannot be read"))?;
        Ok(records.first().map(|recorded| recorded.envelope.recorded_at))
    }

    /// The index held against the segments, for an auditor who verifies the book meanwhile.
    pub async fn compare_index(&self) -> Result<Value, Failure> {
        let compared = self.store.compare_index().await;
        let compared = compared.map_err(failed("the index cannot be compared"))?;
        let compared = compared.map(|found| {
            let differs = found.differs;
            let differs = differs.map(|at| json!({ "position": at.position, "what": at.what }));
            json!({ "upto": found.upto, "differs": differs })
        });
        Ok(json!({ "compared": compared }))
    }

    /// An event in one sentence, with the names of now.
    pub fn sentence(&self, event: &Event, language: Language) -> String {
        let tables = self.readers.now();
        let zone = switchbook_projections::text::zone(&tables.exchange);
        sentence::event(event, &tables.names, zone).read(language.into()).to_owned()
    }

    /// Events that would come, one sentence each: what they would make has its name, too.
    pub fn foretold(&self, events: &[Event], language: Language) -> Vec<String> {
        let tables = self.readers.now();
        let zone = switchbook_projections::text::zone(&tables.exchange);
        let mut names = tables.names.clone();
        let mut position = names.position();
        let moment = SystemClock.now();
        let told = events.iter().map(|event| {
            position = position.next();
            let envelope = Envelope {
                position,
                recorded_at: moment,
                moment,
                actor: Actor::System,
                on_behalf_of: None,
                source: None,
                cause: None,
                correlation: CorrelationId(uuid::Uuid::nil()),
                command: CommandId(uuid::Uuid::nil()),
                subjects: Vec::new(),
            };
            names.apply(&Recorded { envelope, event: event.clone() });
            sentence::event(event, &names, zone).read(language.into()).to_owned()
        });
        told.collect()
    }

    /// May a backup be put there?
    pub async fn has_room_for_backup(&self, to: &Path) -> Result<(), BackupError> {
        self.store.has_room_for_backup(to).await
    }

    /// Copies the book as it is now.
    pub async fn back_up(&self, to: &Path) -> Result<Manifest, BackupError> {
        self.store.back_up(to, SystemClock.now()).await
    }

    /// The person of a name, also of one that somebody had.
    pub fn user_id(&self, name: &str) -> Option<UserId> {
        match self.readers.now().names.find(&format!("user:{name}")) {
            Ok(Subject::User(user)) => Some(user),
            _ => None,
        }
    }

    /// Who is meant by a name that somebody had: who was deleted is known by his id alone.
    pub fn person(&self, name: &UserRef) -> UserRef {
        let user_now = self.readers.now().exchange.user_named(name.as_str());
        match user_now.or_else(|| self.user_id(name.as_str())) {
            Some(user) => user.into(),
            None => name.clone(),
        }
    }

    async fn status(&self, language: Language) -> Result<Value, Failure> {
        let health = self.health();
        let mut table = Table::new("", &["", ""]);
        let tables = self.current().await;
        let now = SystemClock.now();
        let counts = registrar::counts(&tables.exchange, &self.leases, now);
        let (folder, position) = (self.data.display(), tables.position());
        let (registered, devices) = (counts.registered, counts.devices);
        let up = health.uptime_seconds;
        let writable = match health.ok {
            true => text!("yes", "ja"),
            false => Text::same(health.book.as_str()),
        };
        for (name, value) in [
            (text!("version", "Version"), Text::same(health.version)),
            (text!("book", "Buch"), text!("{folder} at {position}", "{folder} bei {position}")),
            (text!("writable", "beschreibbar"), writable),
            (
                text!("phones", "Telefone"),
                text!(
                    "{registered} of {devices} registered",
                    "{registered} von {devices} registriert"
                ),
            ),
            (text!("SIP", "SIP"), Text::same(format!("udp:{}", self.sip))),
            (text!("up", "läuft seit"), Text::same(format!("{up} s"))),
        ] {
            table.row([name, value].map(|text| text.read(language.into()).to_owned()));
        }
        table.notes.clone_from(&health.notices);
        let data = json!({
            "health": health, "sip": self.sip, "registered": counts.registered,
            "devices": counts.devices,
        });
        Ok(json!({ "data": data, "tables": [table] }))
    }

    /// Keeps the tables, so that the next start and every look at the past fold less.
    pub(crate) async fn keep_snapshots(&self) {
        keeping::keep(self.readers.now(), &*self.store).await;
    }
}

const UNFOLDED: &str = "the state of then cannot be folded";

/// Tables of thousands of users take a while to be taken apart: whoever asked does not wait for it.
fn put_away(tables: Tables) {
    tokio::task::spawn_blocking(move || drop(tables));
}

impl Status for Rooms {
    fn health(&self) -> Health {
        let (ok, book) = match self.desk.health() {
            _ if self.desk.subscribe().has_changed().is_err() => {
                (false, "no: the writer has ended".to_owned())
            }
            DeskHealth::Writable => (true, "yes".to_owned()),
            DeskHealth::ReadOnly { why } => (false, format!("no: {why}")),
        };
        Health {
            ok,
            book,
            position: self.desk.published().position.0,
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.began.elapsed().as_secs(),
            notices: self.erasures.notice().into_iter().chain(self.sealer.notices()).collect(),
        }
    }

    fn figures(&self) -> Vec<Figure> {
        let tables = self.readers.now();
        let counts = registrar::counts(&tables.exchange, &self.leases, SystemClock.now());
        let gauge =
            |name, help, value: usize| Figure { name, help, value: value as u64, counter: false };
        let mut figures = vec![
            Figure {
                name: "book_position",
                help: "Events in the book",
                value: self.desk.published().position.0,
                counter: true,
            },
            gauge("devices", "Phones known", counts.devices),
            gauge("devices_registered", "Phones with a binding", counts.registered),
            gauge("bindings", "Bindings of all phones", counts.bindings),
            gauge("users", "Users", tables.exchange.users.len()),
        ];
        figures.extend(self.metrics.all().map(|(name, help, value)| Figure {
            name,
            help,
            value,
            counter: !name.ends_with("_active"),
        }));
        figures
    }
}
