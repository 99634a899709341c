//! What of the house has no door to the outside: the Desk on its book, the tables that follow it, and what reacts to it.
//! Nothing here knows a socket, a thread of its own or the time: whoever opens it brings them.

use crate::erasure::{Erasures, Missing, beside};
use crate::failure::{Failure, failed};
use crate::keeping;
use crate::seal::{Sealer, Times};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use switchbook_commands::desk::{Clock, DeskHandle, Parts, Rouse};
use switchbook_commands::settings::StopBefore;
use switchbook_commands::{Calls, schedules, startup};
use switchbook_core::exchange::Exchange;
use switchbook_core::id::DeviceId;
use switchbook_core::position::Position;
use switchbook_core::registration::BindingId;
use switchbook_journal::{Book, EventStore, Leases, OpenReport, Opened, Vault};
use switchbook_projections::readers::{Opener, Readers};
use switchbook_sip_adapter::endpoint::LiveCalls;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// What an interior is to be.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// The list of erasures.
    pub erasures: PathBuf,
    /// Start although that list is lost.
    pub accept_lost_erasures: bool,
    /// The realm of a book that is founded now.
    pub realm: String,
    /// Its time zone.
    pub time_zone: chrono_tz::Tz,
    /// When the book is sealed.
    pub seals: Times,
}

impl Wishes {
    /// The defaults for a book in this folder.
    pub fn new(data: &Path) -> Self {
        Self {
            erasures: beside(data),
            accept_lost_erasures: false,
            realm: "switchbook".into(),
            time_zone: chrono_tz::Tz::UTC,
            seals: Times::default(),
        }
    }
}

/// The interior of a running house.
pub struct Interior {
    /// The single writer.
    pub desk: DeskHandle,
    /// The read models.
    pub readers: Arc<Readers>,
    /// Keys that are to be gone.
    pub erasures: Arc<Erasures>,
    /// Seals the book.
    pub sealer: Arc<Sealer>,
    /// Refreshes of registrations.
    pub leases: Leases,
    /// The book.
    pub store: Arc<Book>,
    /// Up to where the tables are kept as snapshots.
    pub kept: Position,
    /// What was found on disk.
    pub report: OpenReport,
    /// Erasures that the list knew and the book did not.
    pub erased_again: usize,
    /// What must not end while the house stands, with its name.
    pub vital: Vec<(&'static str, JoinHandle<()>)>,
    /// Forgets secrets that nothing names: beside the Desk, since the book may be long.
    pub forgetting: Option<Forgetting>,
    calls: Arc<LateCalls>,
}

/// Something that is still to be done.
pub type Forgetting = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Interior {
    /// Takes the state up from an opened book and starts whatever follows it. The Desk runs in `room`, the rest where
    /// this is called.
    pub async fn open(
        opened: Opened,
        wishes: &Wishes,
        clock: Arc<dyn Clock>,
        (room, rouse): (&Handle, Rouse),
    ) -> Result<Self, Failure> {
        let Opened { store, vault, leases, report } = opened;
        // A book without a record has erased nobody.
        let missing = match report.tail == Position::START {
            true => Missing::Begin,
            false if wishes.accept_lost_erasures => Missing::Accept,
            false => Missing::Ask,
        };
        let points = store.restore_points();
        let erasures =
            Erasures::open(&wishes.erasures, report.book, missing, vault.clone(), points)?;
        let erasures = Arc::new(erasures);
        let calls = Arc::new(LateCalls::default());
        let parts = Parts {
            store: store.clone(),
            secrets: vault.clone(),
            calls: calls.clone(),
            leases: Arc::new(leases.clone()),
            clock,
            rouse,
        };
        let open = opener(&vault);
        let book: Arc<dyn EventStore> = store.clone();
        let (mut tables, kept) = keeping::take_up(&book, &open, keeping::STRIDE)
            .await
            .map_err(failed("the book cannot be read"))?;
        tables.exchange.index();
        // The Desk and the read models begin with the same tables, and share them until they change.
        let exchange = tables.exchange.clone();
        leases.retain(|device, binding| known(&exchange, device, binding));
        // With a lost watermark the end of the book is not certain, and an entry may belong to what is missing.
        let forgetting: Option<Forgetting> = match report.watermark_lost {
            true => None,
            false => Some(Box::pin(startup::forget_unnamed(&parts, &exchange))),
        };
        let before = if report.clean { StopBefore::Clean } else { StopBefore::Unclean };
        let founding = startup::Founding {
            book: report.book,
            realm: wishes.realm.clone(),
            time_zone: wishes.time_zone,
        };
        let (desk, writer) = room
            .spawn(startup::start(parts, exchange, founding, env!("CARGO_PKG_VERSION"), before))
            .await
            .map_err(failed("starting the exchange broke off"))?
            .map_err(failed("the exchange cannot be started"))?;
        let erased_again = erasures.record_restored(&desk).await?;
        let readers = Arc::new(Readers::follow(desk.book(), open, tables));
        // What the start itself recorded is in the first view.
        readers
            .wait_for(desk.published().position)
            .await
            .map_err(failed("the read models cannot be folded"))?;
        let erasing = tokio::spawn(Arc::clone(&erasures).run(desk.clone(), Arc::clone(&readers)));
        let edges = tokio::spawn(schedules::run(desk.clone()));
        let sealer = Arc::new(Sealer::open(desk.clone(), store.clone()).await?);
        let (sealing, times) = (Arc::clone(&sealer), wishes.seals.clone());
        let sealing = tokio::spawn(async move { sealing.run(&times).await });
        let vital = vec![
            ("the writer", writer),
            ("the schedules", edges),
            ("the erasures", erasing),
            ("the seals", sealing),
        ];
        Ok(Self {
            desk,
            readers,
            erasures,
            sealer,
            leases,
            store,
            kept,
            report,
            erased_again,
            vital,
            forgetting,
            calls,
        })
    }

    /// Calls in progress are these from now on: the Desk is there before the phones are.
    pub fn calls_are(&self, live: Arc<LiveCalls>) {
        let _ = self.calls.0.set(live);
    }
}

/// Leases of bindings that are not in the book any more are of no use.
fn known(exchange: &Exchange, device: DeviceId, binding: BindingId) -> bool {
    exchange.registrations.get(&device).is_some_and(|registration| {
        registration.bindings.iter().any(|(bound, _)| bound.binding == binding)
    })
}

fn opener(vault: &Arc<Vault>) -> Opener {
    Arc::clone(vault) as _
}

/// Calls in progress as decisions see them. Until the phones are let in, none.
#[derive(Default)]
struct LateCalls(OnceLock<Arc<LiveCalls>>);

impl Calls for LateCalls {
    fn in_call(&self, device: DeviceId) -> bool {
        self.0.get().is_some_and(|live| live.in_call(device))
    }
}
