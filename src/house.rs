//! The running exchange: which room is opened in which order, and closed again.

use crate::console::{self};
use crate::doors::{Doors, http_limits, sip_config};
use crate::failure::{Failure, failed};
use crate::interior::{Interior, Wishes};
use crate::keeping;
use crate::rooms::Rooms;
use crate::settings::Settings;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchbook_commands::desk::SystemClock;
use switchbook_commands::startup;
use switchbook_journal::backup::prune_restore_points;
use switchbook_journal::{Book, OpenReport, Options};
use switchbook_sip_adapter::{DeskPort, Server, Switchroom};
use tokio::task::JoinHandle;

/// So many restore points are kept when nothing else is set.
pub const RESTORE_POINTS: usize = 2;

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
    /// Restore points that were removed, being older than those that are kept.
    pub pruned: Vec<PathBuf>,
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
        let opened =
            opened.map_err(|error| Failure::new(format!("the book cannot be opened: {error}")))?;
        // A first start that cannot serve founds nothing: its realm would be the book's for ever.
        let doors = Doors::bind(data, settings).await?;
        let wishes = wishes(data, settings);
        let room = Switchroom::open().map_err(failed("the server's threads cannot be started"))?;
        let interior = Interior::open(opened, &wishes, Arc::new(SystemClock), room.handle());
        let interior = interior.await?;
        let port = DeskPort::new(interior.desk.clone());
        let server = Server::start_at(doors.sip, sip_config(settings), Arc::new(port), &room)
            .map_err(failed("phones cannot be served"))?;
        interior.calls_are(server.live_calls());
        let Interior { desk, readers, erasures, sealer, leases, store, .. } = interior;
        let Interior { report, kept, erased_again, vital, .. } = interior;
        let mut carriers = sealer.carry_to(settings.seal.places());
        let keeping = keeping::run(Arc::clone(&readers), store.clone(), kept, keeping::STRIDE);
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
        // Only now: an upgrade that does not run leaves every way back.
        let keep = settings.restore_points.unwrap_or(RESTORE_POINTS);
        let pruned = prune_restore_points(data, keep).unwrap_or_else(|error| {
            tracing::warn!(%error, "old restore points stay; they take room and harm nobody");
            Vec::new()
        });
        let console = console::server::listen(doors.console, rooms.clone());
        Ok(Self {
            sip: server.local_addr(),
            http: admin.as_ref().map(switchbook_admin::Server::local_addr),
            rooms,
            report,
            server,
            admin,
            erased_again,
            pruned,
            vital,
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

fn wishes(data: &Path, settings: &Settings) -> Wishes {
    let mut wishes = Wishes::new(data);
    if let Some(list) = &settings.erasures {
        wishes.erasures.clone_from(list);
    }
    if let Some(realm) = &settings.realm {
        wishes.realm.clone_from(realm);
    }
    wishes.accept_lost_erasures = settings.accept_lost_erasures;
    wishes.time_zone = settings.time_zone.unwrap_or_else(machine_zone);
    wishes.seals = settings.seal.times();
    wishes
}

/// The zone of the machine, as `/etc/localtime` points to it; UTC when that says nothing.
fn machine_zone() -> chrono_tz::Tz {
    let link = std::fs::read_link("/etc/localtime").unwrap_or_default();
    let name = link.to_string_lossy().split_once("zoneinfo/").map(|(_, name)| name.to_owned());
    name.and_then(|name| name.parse().ok()).unwrap_or(chrono_tz::Tz::UTC)
}
