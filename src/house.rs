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
        let interior =
            Interior::open(opened, &wishes, Arc::new(SystemClock), (room.handle(), room.rouse()));
        let interior = interior.await?;
        let port = DeskPort::new(interior.desk.clone());
        let server = Server::start_at(doors.sip, sip_config(settings), Arc::new(port), &room)
            .map_err(failed("phones cannot be served"))?;
        interior.calls_are(server.live_calls());
        let Interior { desk, readers, erasures, sealer, leases, store, .. } = interior;
        let Interior { report, kept, erased_again, vital, forgetting, .. } = interior;
        let mut carriers = sealer.carry_to(settings.seal.places());
        let keeping = keeping::run(Arc::clone(&readers), store.clone(), kept, keeping::STRIDE);
        carriers.push(tokio::spawn(keeping));
        carriers.extend(forgetting.map(tokio::spawn));
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

    /// Lets nobody in any more, ends the calls, keeps the tables as snapshots, and closes the book. A part that does not
    /// stop in time is left as it is, so that a stop always comes to an end.
    ///
    /// # Errors
    /// Which parts did not stop.
    pub async fn stop(self) -> Result<(), Failure> {
        let _ = std::fs::remove_file(&self.socket);
        let mut left = Vec::new();
        left.extend(within(PATIENCE, "the phones' part", self.server.stop()).await);
        if let Some(admin) = self.admin {
            left.extend(within(PATIENCE, "the HTTP face", admin.stop()).await);
        }
        self.console.abort();
        // What is recorded as erased is gone before the end, too; what is stuck is tried again at the next start.
        if self.rooms.erasures.notice().is_none() {
            let recorded = self.rooms.desk.published().position;
            let erasing = async {
                let _ = self.rooms.erasures.carried_out(recorded).await;
            };
            left.extend(within(PATIENCE, "an erasure", erasing).await);
        }
        // The ends of the calls that were just hung up are on their way into the book.
        let writing = async {
            if let Err(error) = startup::stop(&self.rooms.desk).await {
                tracing::warn!(%error, "not everything was written before the stop");
            }
        };
        left.extend(within(PATIENCE, "the writer", writing).await);
        for task in self.vital.into_iter().map(|(_, task)| task).chain(self.carriers) {
            task.abort();
        }
        let keeping = self.rooms.keep_snapshots();
        left.extend(within(KEEPING_PATIENCE, "keeping the tables", keeping).await);
        drop(self.room);
        if left.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("{} did not stop in time", left.join(", ")))
            .advice("What was acknowledged is in the book. Please report this with the log."))
    }
}

/// A part has so long to stop: the phones' part waits two seconds for the answers to its BYEs.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long may it take to keep the tables; without them the next start folds more.
const KEEPING_PATIENCE: Duration = Duration::from_secs(30);

/// Gives the name of the part if it has not stopped in time.
async fn within(
    patience: Duration,
    part: &'static str,
    stops: impl Future<Output = ()>,
) -> Option<&'static str> {
    let done = tokio::time::timeout(patience, stops).await;
    done.err().map(|_| {
        tracing::error!(part, "it does not stop and is left as it is");
        part
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Http;

    async fn open(folder: &Path) -> House {
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = Settings { sip: Some(here), http: Some(Http::None), ..Settings::default() };
        House::open(&folder.join("data"), &settings).await.unwrap()
    }

    /// The phones' thread hangs in something that should not have been there: the stop waited for it for ever. Time is
    /// driven from the stop on.
    #[tokio::test]
    async fn a_stop_ends_although_a_part_hangs_and_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let house = open(folder.path()).await;
        let (go_on, hangs) = std::sync::mpsc::channel::<()>();
        let (tell, hung) = tokio::sync::oneshot::channel();
        house.room.spawn(async move {
            let _ = tell.send(());
            let _ = hangs.recv();
        });
        hung.await.unwrap();
        tokio::time::pause();
        let told = house.stop().await.unwrap_err().to_string();
        assert!(told.contains("the phones' part, the writer did not stop"), "{told}");
        drop(go_on);
    }

    #[tokio::test]
    async fn a_stop_in_which_everything_ends_is_quiet() {
        let folder = tempfile::tempdir().unwrap();
        let house = open(folder.path()).await;
        house.stop().await.unwrap();
    }
}
