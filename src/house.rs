//! The running exchange: which room is opened in which order, and closed again.

use crate::console::protocol::Language;
use crate::console::{self, views};
use crate::erasure::{Erasures, Missing, beside};
use crate::failure::{Failure, failed};
use crate::port::DeskPort;
use crate::route::{self, Asked};
use crate::seal::Sealer;
use crate::settings::{Http, Settings};
use serde_json::{Map, Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use switchbook_admin::{Figure, Health, Status};
use switchbook_commands::desk::{Clock, DeskHandle, DeskHealth, Parts, SystemClock};
use switchbook_commands::settings::StopBefore;
use switchbook_commands::wire::UserRef;
use switchbook_commands::{Calls, schedules, startup};
use switchbook_core::envelope::Subject;
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{DeviceId, UserId};
use switchbook_core::position::{Moment, Position};
use switchbook_core::registration::BindingId;
use switchbook_journal::{Book, EventStore, Leases, OpenReport, Opened, Options, Vault};
use switchbook_projections::fold::{self, Tables};
use switchbook_projections::readers::{self, Opener, Readers};
use switchbook_projections::registrar::{self, BookOnly};
use switchbook_projections::sentence;
use switchbook_projections::table::Table;
use switchbook_replay::explain::would_ring;
use switchbook_replay::{At, ReplayError, as_of};
use switchbook_sip_adapter::endpoint::LiveCalls;
use switchbook_sip_adapter::{Config, Door, Metrics, Server};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

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
    leases: Leases,
    store: Arc<Book>,
    metrics: Arc<Metrics>,
    sip: SocketAddr,
    data: PathBuf,
    began: Instant,
}

/// The running exchange.
pub struct House {
    /// What the console sees.
    pub rooms: Arc<Rooms>,
    /// Where phones reach it.
    pub sip: SocketAddr,
    /// Where watchers reach it.
    pub http: Option<SocketAddr>,
    /// What was found on disk.
    pub report: OpenReport,
    /// Erasures that the list knew and the book did not.
    pub erased_again: usize,
    server: Server,
    admin: Option<switchbook_admin::Server>,
    /// What must not end while the server runs, with its name.
    vital: Vec<(&'static str, JoinHandle<()>)>,
    /// Take checkpoints outside.
    carriers: Vec<JoinHandle<()>>,
    console: JoinHandle<()>,
    socket: PathBuf,
}

impl House {
    /// Opens the book, takes the state up, and lets phones, watchers and administrators in, in this order.
    pub async fn open(data: &Path, settings: &Settings) -> Result<Self, Failure> {
        let book = tokio::task::spawn_blocking({
            let data = data.to_owned();
            let options =
                Options { accept_lost_vault: settings.accept_lost_vault, ..Options::default() };
            move || Book::open(&data, options)
        });
        let opened = book.await.map_err(failed("opening the book broke off"))?;
        let Opened { store, vault, leases, report } =
            opened.map_err(|error| Failure::new(format!("the book cannot be opened: {error}")))?;
        // A first start that cannot serve founds nothing: its realm would be the book's for ever.
        let doors = Doors::bind(data, settings).await?;
        // A book without a record has erased nobody.
        let missing = match report.tail == Position::START {
            true => Missing::Begin,
            false if settings.accept_lost_erasures => Missing::Accept,
            false => Missing::Ask,
        };
        let list = settings.erasures.clone().unwrap_or_else(|| beside(data));
        let erasures = Arc::new(Erasures::open(&list, report.book, missing, vault.clone())?);
        let founding = startup::Founding {
            book: report.book,
            realm: settings.realm.clone().unwrap_or_else(|| "switchbook".into()),
            time_zone: settings.time_zone.unwrap_or_else(machine_zone),
        };
        let calls = Arc::new(LateCalls::default());
        let parts = Parts {
            store: store.clone(),
            secrets: vault.clone(),
            calls: calls.clone(),
            leases: Arc::new(leases.clone()),
            clock: Arc::new(SystemClock),
        };
        let before = if report.clean { StopBefore::Clean } else { StopBefore::Unclean };
        let version = env!("CARGO_PKG_VERSION");
        let open = opener(&vault);
        let exchange = fold::exchange_at(store.as_ref(), report.tail, readers::borrow(&open))
            .await
            .map_err(failed("the book cannot be read"))?;
        leases.retain(|device, binding| known(&exchange, device, binding));
        // With a lost watermark the end of the book is not certain, and an entry may belong to what is missing.
        if !report.watermark_lost {
            startup::forget_unnamed(&parts, &exchange).await;
        }
        let (desk, writer) = startup::start(parts, exchange, founding, version, before)
            .await
            .map_err(failed("the exchange cannot be started"))?;
        let erased_again = erasures.record_restored(&desk).await?;
        let readers = Readers::start(desk.book(), open)
            .await
            .map_err(failed("the read models cannot be folded"))?;
        let readers = Arc::new(readers);
        let erasing = tokio::spawn(Arc::clone(&erasures).run(desk.clone(), Arc::clone(&readers)));
        let edges = tokio::spawn(schedules::run(desk.clone()));
        let port = DeskPort::new(desk.clone(), leases.clone());
        let server = Server::start_at(doors.sip, sip_config(settings), Arc::new(port))
            .map_err(failed("phones cannot be served"))?;
        let _ = calls.0.set(server.live_calls());
        let sealer = Arc::new(Sealer::new(desk.clone(), store.clone()));
        let (sealing, times) = (Arc::clone(&sealer), settings.seal.times());
        let sealing = tokio::spawn(async move { sealing.run(&times).await });
        let carriers = sealer.carry_to(settings.seal.places());
        let rooms = Arc::new(Rooms {
            sealer: Arc::clone(&sealer),
            desk,
            readers,
            erasures,
            leases,
            store,
            metrics: server.metrics(),
            sip: server.local_addr(),
            data: data.to_owned(),
            began: Instant::now(),
        });
        let admin = doors.http.map(|door| switchbook_admin::Server::start_at(door, rooms.clone()));
        let console = console::server::listen(doors.console, rooms.clone());
        Ok(Self {
            sip: server.local_addr(),
            http: admin.as_ref().map(switchbook_admin::Server::local_addr),
            rooms,
            report,
            server,
            admin,
            erased_again,
            vital: vec![
                ("the writer", writer),
                ("the schedules", edges),
                ("the erasures", erasing),
                ("the seals", sealing),
            ],
            carriers,
            console,
            socket: console::socket_of(data),
        })
    }

    /// Waits for a part to end that must not: a fault of ours. Half a server is worse than none, so whoever runs it
    /// ends with it, and is started again by the system.
    pub async fn broken(&mut self) -> Failure {
        let any = async {
            loop {
                let ended = self.vital.iter().find(|(_, task)| task.is_finished());
                if let Some((name, _)) = ended {
                    return *name;
                }
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
        };
        let name = tokio::select! {
            name = any => name,
            () = self.server.ended() => "the phones' part",
        };
        Failure::new(format!(
            "{name} ended by a fault: stopping, so that all of it can be started again"
        ))
        .advice("What was acknowledged is in the book. Please report this with the log.")
    }

    /// Lets nobody in any more, ends the calls, keeps the tables as snapshots, and closes the book.
    pub async fn stop(self) -> Result<(), Failure> {
        let _ = std::fs::remove_file(&self.socket);
        self.server.stop().await;
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        self.console.abort();
        // The ends of the calls that were just hung up are on their way into the book.
        let patience = std::time::Duration::from_secs(5);
        match tokio::time::timeout(patience, startup::stop(&self.rooms.desk)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "not everything was written before the stop"),
            Err(_) => tracing::warn!("not everything was written before the stop: the book hangs"),
        }
        for task in self.vital.into_iter().map(|(_, task)| task).chain(self.carriers) {
            task.abort();
        }
        self.rooms.keep_snapshots().await;
        Ok(())
    }
}

/// Where phones, watchers and the console come in: bound before the exchange is founded or started.
struct Doors {
    sip: Door,
    http: Option<switchbook_admin::Door>,
    console: UnixListener,
}

impl Doors {
    async fn bind(data: &Path, settings: &Settings) -> Result<Self, Failure> {
        let listen = sip_config(settings).listen;
        let sip = Door::bind(listen).map_err(|error| {
            failed(&format!("phones cannot be served at udp:{listen}"))(error)
                .advice("Is another program using this port? Choose another with --sip.")
        })?;
        let http = match settings.http.unwrap_or(Http::Address(default_http())) {
            Http::None => None,
            Http::Address(address) => {
                let bound = switchbook_admin::Door::bind(address).await;
                Some(bound.map_err(|error| Failure::new(error.to_string()))?)
            }
        };
        Ok(Self { sip, http, console: console::server::bind(&console::socket_of(data))? })
    }
}

/// Leases of bindings that are not in the book any more are of no use.
fn known(exchange: &Exchange, device: DeviceId, binding: BindingId) -> bool {
    exchange.registrations.get(&device).is_some_and(|registration| {
        registration.bindings.iter().any(|(bound, _)| bound.binding == binding)
    })
}

fn default_http() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 8060).into()
}

fn sip_config(settings: &Settings) -> Config {
    let default = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5060));
    let mut config = Config::new(settings.sip.unwrap_or(default));
    config.registration.min = settings.registration.min;
    config.registration.default = settings.registration.default;
    config.registration.max = settings.registration.max;
    config.limits.calls = settings.limits.calls;
    config.names.clone_from(&settings.names);
    config.advertised = settings.advertised;
    config
}

/// The zone of the machine, as `/etc/localtime` points to it; UTC when that says nothing.
fn machine_zone() -> chrono_tz::Tz {
    let link = std::fs::read_link("/etc/localtime").unwrap_or_default();
    let name = link.to_string_lossy().split_once("zoneinfo/").map(|(_, name)| name.to_owned());
    name.and_then(|name| name.parse().ok()).unwrap_or(chrono_tz::Tz::UTC)
}

fn opener(vault: &Arc<Vault>) -> Opener {
    let vault = Arc::clone(vault);
    Arc::new(move |key, sealed| vault.open_sealed(key, sealed))
}

/// Calls in progress as decisions see them. The Desk is there before the phones are: until then, none.
#[derive(Default)]
struct LateCalls(OnceLock<Arc<LiveCalls>>);

impl Calls for LateCalls {
    fn in_call(&self, device: DeviceId) -> bool {
        self.0.get().is_some_and(|live| live.in_call(device))
    }
}

impl Rooms {
    /// Shows a view, now or as of then.
    pub async fn view(
        &self,
        view: &str,
        arguments: &Map<String, Value>,
        as_of: Option<&str>,
        language: Language,
    ) -> Result<Value, Failure> {
        if view == "route" {
            return self.route(arguments, as_of, language).await;
        }
        let now = SystemClock.now();
        if view == "status" {
            return self.status();
        }
        if let Some(when) = as_of {
            let (tables, at) = self.tables_at(when).await?;
            let seen = views::Seen { tables: &tables, refreshes: &BookOnly, at };
            return views::show(&seen, view, arguments);
        }
        let tables = self.readers.now();
        let seen = views::Seen { tables: &tables, refreshes: &self.leases, at: now };
        views::show(&seen, view, arguments)
    }

    /// Who would ring, and why.
    async fn route(
        &self,
        arguments: &Map<String, Value>,
        as_of: Option<&str>,
        language: Language,
    ) -> Result<Value, Failure> {
        let past = match as_of {
            Some(when) => Some(self.tables_at(when).await?.0),
            None => None,
        };
        let present = self.readers.now();
        let tables = past.as_ref().unwrap_or(&present);
        let exchange = &tables.exchange;
        let asked = Asked::read(exchange, arguments)?;
        let plan = match asked.at {
            Some(at) => route::then(exchange, at, &asked),
            None => route::now(exchange, &self.leases, SystemClock.now(), &asked),
        };
        let zone = switchbook_projections::text::zone(exchange);
        let book = self.readers.book().as_ref();
        let told = would_ring(book, plan, &tables.names, zone)
            .await
            .map_err(|error| Failure::new(error.to_string()))?;
        let broken = |error| Failure::new(format!("the plan cannot be written: {error}"));
        let data = serde_json::to_value(&told).map_err(broken)?;
        let table = Table {
            title: format!("If {} were called ({})", asked.to, route::assumption(&asked)),
            notes: told.lines(language.into()),
            ..Table::default()
        };
        Ok(json!({ "data": data, "tables": [table] }))
    }

    /// All tables as of a position or a moment, and the moment they stand for.
    async fn tables_at(&self, when: &str) -> Result<(Tables, Moment), Failure> {
        let told = |error: ReplayError| Failure::new(error.to_string());
        let (book, at) = (self.readers.book().as_ref(), when.parse::<At>().map_err(told)?);
        let position = as_of::position(book, at).await.map_err(told)?;
        let moment = as_of::moment(book, at).await.map_err(told)?;
        let open = readers::borrow(self.readers.opener());
        let tables = fold::tables_at(book, position, open)
            .await
            .map_err(failed("the state of then cannot be folded"))?;
        let moment = moment.unwrap_or(tables.exchange.recorded_at);
        Ok((tables, moment))
    }

    /// The index held against the segments, and its snapshots, for an auditor who verifies the book meanwhile.
    pub async fn compare_index(&self) -> Result<Value, Failure> {
        let store = Arc::clone(&self.store);
        let work = move || (store.compare_index(), store.snapshots());
        let done = tokio::task::spawn_blocking(work).await;
        let (compared, snapshots) = done.map_err(failed("the comparison broke off"))?;
        let compared = compared.map_err(failed("the index cannot be compared"))?;
        let compared = compared.map(|found| {
            let differs = found.differs;
            let differs = differs.map(|at| json!({ "position": at.position, "what": at.what }));
            json!({ "upto": found.upto, "differs": differs })
        });
        let snapshots = snapshots.into_iter().map(|(name, at, bytes)| {
            json!({ "name": name, "at": at, "bytes": switchbook_replay::evidence::base64(&bytes) })
        });
        Ok(json!({ "compared": compared, "snapshots": snapshots.collect::<Vec<_>>() }))
    }

    /// An event in one sentence, with the names of now.
    pub fn sentence(&self, event: &Event, language: Language) -> String {
        let tables = self.readers.now();
        let zone = switchbook_projections::text::zone(&tables.exchange);
        sentence::event(event, &tables.names, zone).read(language.into()).to_owned()
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

    fn status(&self) -> Result<Value, Failure> {
        let health = self.health();
        let mut table = Table::new("", &["", ""]);
        let tables = self.readers.now();
        let now = SystemClock.now();
        let counts = registrar::counts(&tables.exchange, &self.leases, now);
        for (name, value) in [
            ("version", health.version.to_owned()),
            ("book", format!("{} at {}", self.data.display(), tables.position())),
            ("writable", health.book.clone()),
            ("phones", format!("{} of {} registered", counts.registered, counts.devices)),
            ("SIP", format!("udp:{}", self.sip)),
            ("up", format!("{} s", health.uptime_seconds)),
        ] {
            table.row([name.to_owned(), value]);
        }
        table.notes.clone_from(&health.notices);
        let data = json!({
            "health": health, "sip": self.sip, "registered": counts.registered,
            "devices": counts.devices,
        });
        Ok(json!({ "data": data, "tables": [table] }))
    }

    /// Keeps the tables, so that the next start and every look at the past fold less.
    async fn keep_snapshots(&self) {
        let tables = self.readers.now();
        for (name, bytes) in tables.snapshots() {
            let kept = self.store.put_snapshot(name, tables.position(), bytes).await;
            if let Err(error) = kept {
                tracing::warn!(%error, name, "a snapshot was not kept; the next start folds more");
            }
        }
    }
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
