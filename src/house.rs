//! The running exchange: which room is opened in which order, and closed again.

use crate::console::{self};
use crate::doors::{Doors, http_limits, sip_config};
use crate::erasure::{Erasures, Missing, beside};
use crate::failure::{Failure, failed};
use crate::keeping;
use crate::port::DeskPort;
use crate::rooms::Rooms;
use crate::seal::Sealer;
use crate::settings::Settings;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use switchbook_commands::desk::{Parts, SystemClock};
use switchbook_commands::settings::StopBefore;
use switchbook_commands::{Calls, schedules, startup};
use switchbook_core::exchange::Exchange;
use switchbook_core::id::DeviceId;
use switchbook_core::position::Position;
use switchbook_core::registration::BindingId;
use switchbook_journal::{Book, OpenReport, Opened, Options, Vault};
use switchbook_projections::fold::{self};
use switchbook_projections::readers::{self, Opener, Readers};
use switchbook_sip_adapter::endpoint::LiveCalls;
use switchbook_sip_adapter::{Server, Switchroom};
use tokio::task::JoinHandle;

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
    /// Take checkpoints outside, and keep the tables: the server goes on without them.
    carriers: Vec<JoinHandle<()>>,
    console: JoinHandle<()>,
    socket: PathBuf,
    /// Desk and phones run here, and as long as this is held.
    room: Switchroom,
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
        let room = Switchroom::open().map_err(failed("the server's threads cannot be started"))?;
        let (desk, writer) = room
            .spawn(startup::start(parts, exchange, founding, version, before))
            .await
            .map_err(failed("starting the exchange broke off"))?
            .map_err(failed("the exchange cannot be started"))?;
        let erased_again = erasures.record_restored(&desk).await?;
        let readers = Readers::start(desk.book(), open)
            .await
            .map_err(failed("the read models cannot be folded"))?;
        let readers = Arc::new(readers);
        let erasing = tokio::spawn(Arc::clone(&erasures).run(desk.clone(), Arc::clone(&readers)));
        let edges = tokio::spawn(schedules::run(desk.clone()));
        let port = DeskPort::new(desk.clone(), leases.clone());
        let server = Server::start_at(doors.sip, sip_config(settings), Arc::new(port), &room)
            .map_err(failed("phones cannot be served"))?;
        let _ = calls.0.set(server.live_calls());
        let sealer = Arc::new(Sealer::new(desk.clone(), store.clone()));
        let (sealing, times) = (Arc::clone(&sealer), settings.seal.times());
        let sealing = tokio::spawn(async move { sealing.run(&times).await });
        let mut carriers = sealer.carry_to(settings.seal.places());
        let keeping = keeping::run(Arc::clone(&readers), store.clone(), keeping::STRIDE);
        carriers.push(tokio::spawn(keeping));
        let rooms = Arc::new(Rooms {
            sealer: Arc::clone(&sealer),
            desk,
            readers,
            erasures,
            leases,
            store,
            metrics: server.metrics(),
            calls: server.hangs_up(),
            sip: server.local_addr(),
            data: data.to_owned(),
            began: Instant::now(),
        });
        let limits = http_limits(settings);
        let admin =
            doors.http.map(|door| switchbook_admin::Server::start_at(door, rooms.clone(), limits));
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
            room,
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
                tokio::time::sleep(Duration::from_millis(500)).await;
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
        let patience = Duration::from_secs(5);
        match tokio::time::timeout(patience, startup::stop(&self.rooms.desk)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "not everything was written before the stop"),
            Err(_) => tracing::warn!("not everything was written before the stop: the book hangs"),
        }
        for task in self.vital.into_iter().map(|(_, task)| task).chain(self.carriers) {
            task.abort();
        }
        self.rooms.keep_snapshots().await;
        drop(self.room);
        Ok(())
    }
}

/// Leases of bindings that are not in the book any more are of no use.
fn known(exchange: &Exchange, device: DeviceId, binding: BindingId) -> bool {
    exchange.registrations.get(&device).is_some_and(|registration| {
        registration.bindings.iter().any(|(bound, _)| bound.binding == binding)
    })
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
