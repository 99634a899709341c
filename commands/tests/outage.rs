//! The Desk on a disk that fills up, and under a clock that jumps.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use switchbook_commands::desk::{
    Answer, Clock, DeskError, DeskHandle, DeskHealth, LeaseBook, Parts,
};
use switchbook_commands::registration::{Ask, Contact, Register};
use switchbook_commands::settings::StopBefore;
use switchbook_commands::startup::{Founding, recover, start};
use switchbook_commands::{
    Command, LeaseRenewal, LeaseState, LeaseView, NoCalls, Order, RefusalCode, schedules,
};
use switchbook_core::envelope::{Actor, Recorded};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{BookId, CommandId, DeviceId};
use switchbook_core::position::{Moment, Position, Seconds};
use switchbook_core::registration::BindingId;
use switchbook_core::user::Language;
use switchbook_journal::faults::SimDisk;
use switchbook_journal::{Book, EventReader, EventStore, MemoryStore, Opened, Options, Vault};
use uuid::Uuid;

/// A clock that is set by hand; ids are made of what it says, as those of a console on the same machine are.
#[derive(Default)]
struct Hand {
    time: AtomicI64,
    /// It jumps by so many seconds when it was looked at so often.
    jumps: Mutex<Option<(u32, i64)>>,
}

impl Hand {
    fn jump(&self, seconds: i64) {
        self.time.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    fn jump_after(&self, looks: u32, seconds: i64) {
        *self.jumps.lock().unwrap() = Some((looks, seconds));
    }
}

impl Clock for Hand {
    fn now(&self) -> Moment {
        let mut jumps = self.jumps.lock().unwrap();
        match *jumps {
            Some((0, seconds)) => {
                self.jump(seconds);
                *jumps = None;
            }
            Some((looks, seconds)) => *jumps = Some((looks - 1, seconds)),
            None => {}
        }
        Moment(self.time.load(Ordering::SeqCst))
    }

    fn new_id(&self) -> Uuid {
        let now = self.time.fetch_add(1, Ordering::SeqCst);
        let (seconds, nanos) = (now.div_euclid(1_000_000), now.rem_euclid(1_000_000) * 1000);
        let random = Uuid::new_v4();
        let made = uuid::Timestamp::from_unix_time(seconds as u64, nanos as u32, 0, 0);
        let mut bytes = *Uuid::new_v7(made).as_bytes();
        bytes[9..].copy_from_slice(&random.as_bytes()[9..]);
        Uuid::from_bytes(bytes)
    }
}

struct House {
    desk: DeskHandle,
    clock: Arc<Hand>,
}

const CONSOLE: Actor = Actor::Supervisor { uid: 0 };
/// Monday, 2026-11-23, 09:00 UTC; 10:00 in Berlin.
const BEGAN: i64 = 1_795_424_400_000_000;

async fn start_on(
    store: Arc<dyn EventStore>,
    secrets: Arc<Vault>,
    leases: Arc<dyn LeaseBook>,
) -> House {
    let clock = Arc::new(Hand { time: AtomicI64::new(BEGAN), ..Hand::default() });
    let exchange = recover(&*store, Exchange::default()).await.unwrap();
    let (calls, rouse) = (Arc::new(NoCalls), Arc::new(|| ()));
    let parts = Parts { store, secrets, calls, leases, clock: clock.clone(), rouse };
    let founding = Founding {
        book: BookId(Uuid::from_u128(1)),
        realm: "pbx.test".into(),
        time_zone: "Europe/Berlin".parse().unwrap(),
    };
    let (desk, _) = start(parts, exchange, founding, "test", StopBefore::Clean).await.unwrap();
    House { desk, clock }
}

fn open(disk: &SimDisk) -> Opened {
    let options = Options { files: Arc::new(disk.clone()), index: false, ..Options::default() };
    Book::open(Path::new("/book"), options).unwrap()
}

impl House {
    async fn asks(&self, json: &str) -> Result<Answer, DeskError> {
        let command: Command = serde_json::from_str(json).unwrap();
        self.gives(CONSOLE, command).await
    }

    async fn gives(&self, actor: Actor, command: Command) -> Result<Answer, DeskError> {
        self.desk.submit(Order::new(CommandId(self.clock.new_id()), actor, command)).await
    }

    fn device(&self) -> DeviceId {
        self.desk.published().exchange.device_named("p1").unwrap()
    }

    async fn registers(&self, cseq: u32) -> Result<Answer, DeskError> {
        let device = self.device();
        let contact = Contact {
            uri: "sip:p1@192.0.2.7:5060".into(),
            parameters: String::new(),
            instance: None,
            source: "192.0.2.7:5060".into(),
            behind_nat: false,
            expires: Seconds(600),
        };
        let register = Register {
            device,
            ask: Ask::Contacts(vec![contact]),
            call_id: 7,
            cseq,
            user_agent: None,
            bounds: (Seconds(60), Seconds(7200)),
        };
        self.gives(Actor::Phone(device), register.into()).await
    }

    async fn all(&self) -> Vec<Recorded> {
        self.desk.book().read(Position(1), 100_000).await.unwrap()
    }

    fn binding(&self) -> BindingId {
        let published = self.desk.published();
        published.exchange.registrations[&self.device()].bindings[0].0.binding
    }

    /// The Desk waits in the tests' time, the book's thread works in its own.
    async fn until(&self, health: impl Fn(DeskHealth) -> bool) {
        for _ in 0..100_000 {
            if health(self.desk.health()) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            std::thread::yield_now();
        }
        panic!("{:?}", self.desk.health());
    }
}

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"],
    "devices":[{"name":"p1","type":"desk","password":"secret-secret"}]}"#;

fn dnd(on: bool) -> String {
    format!(r#"{{"command":"user.dnd","user":"ada","on":{on}}}"#)
}

/// Attack list 52: writes are refused in words, what needs none goes on, and service returns by itself.
#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_commands_in_words_keeps_phones_refreshing_and_mends_itself() {
    let disk = SimDisk::new(1);
    let Opened { store, vault, leases, .. } = open(&disk);
    let house = start_on(store.clone(), vault, Arc::new(leases.clone())).await;
    house.asks(ADA).await.unwrap();
    house.registers(1).await.unwrap();
    disk.limit(Some(disk.used()));
    // What the file has ahead is used up first.
    let mut on = true;
    let lost = loop {
        assert!(store.tail().0 < 10_000, "the disk has room for ever");
        match house.asks(&dnd(on)).await {
            Ok(_) => on = !on,
            Err(lost) => break lost,
        }
    };
    assert_eq!(lost.code(), Some(RefusalCode::OutcomeUnknown));
    let DeskError::Refused(refusal) = house.asks(&dnd(on)).await.unwrap_err() else { panic!() };
    assert_eq!(refusal.code, RefusalCode::BookReadOnly);
    for language in [Language::English, Language::German] {
        let told = refusal.sentence(language);
        assert!(told.contains("No space left on device"), "{told}");
    }
    assert!(matches!(house.desk.health(), DeskHealth::ReadOnly { .. }));
    // A refresh needs no event: the phone stays registered, in memory at once, on disk when there is room.
    let (device, binding) = (house.device(), house.binding());
    house.clock.jump(60);
    house.registers(2).await.unwrap();
    let refreshed = leases.get(device, binding).unwrap();
    // It is tried again, and found full.
    let tries = disk.refusals();
    while disk.refusals() < tries + 3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        std::thread::yield_now();
    }
    assert!(matches!(house.desk.health(), DeskHealth::ReadOnly { .. }));
    let events = store.tail();
    disk.limit(None);
    house.until(|health| health == DeskHealth::Writable).await;
    assert_eq!(store.tail(), events, "what was refused is not in the book");
    house.asks(&dnd(on)).await.unwrap();
    leases.flush().unwrap();
    let disk = disk.power_cut();
    let again = open(&disk);
    assert!(again.leases.get(device, binding).unwrap().expires_at >= refreshed.expires_at);
    assert_eq!(again.store.tail(), store.tail());
}

async fn in_memory() -> House {
    let store = Arc::new(MemoryStore::default());
    let vault = Arc::clone(store.vault());
    start_on(store, vault, Arc::new(NoLeaseBook)).await
}

/// Nothing refreshes here.
struct NoLeaseBook;

impl LeaseView for NoLeaseBook {
    fn lease(&self, _: DeviceId, _: BindingId) -> Option<LeaseState> {
        None
    }
}

impl LeaseBook for NoLeaseBook {
    fn renew(&self, _: LeaseRenewal) {}

    fn forget(&self, _: DeviceId, _: BindingId) {}
}

const HOUR: i64 = 3600;
const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;

/// Attack list 57. The order of the book is its positions; the raw moment beside it shows that the clock was wrong.
#[tokio::test(start_paused = true)]
async fn whatever_the_clock_does_the_order_stays_and_commands_are_taken() {
    let house = in_memory().await;
    house.asks(ADA).await.unwrap();
    for (on, jump) in [(true, -HOUR), (false, HOUR), (true, TEN_YEARS), (false, -TEN_YEARS)] {
        house.clock.jump(jump);
        house.asks(&dnd(on)).await.unwrap();
    }
    let all = house.all().await;
    let mut latest = Moment(0);
    for (index, recorded) in all.iter().enumerate() {
        let envelope = &recorded.envelope;
        assert_eq!(envelope.position.0, index as u64 + 1);
        latest = latest.max(envelope.moment);
        assert_eq!(envelope.recorded_at, latest, "never earlier than in the record before");
    }
    let moments: Vec<i64> = all.iter().rev().take(4).map(|r| r.envelope.moment.0).collect();
    assert!(moments[0] < moments[1] && moments[1] > moments[2] && moments[2] > moments[3]);
}

fn told(all: &[Recorded]) -> (Vec<Moment>, Vec<u64>) {
    let fired = all.iter().filter_map(|recorded| match &recorded.event {
        Event::ScheduleFired(fired) => Some(fired.due),
        _ => None,
    });
    let missed = all.iter().filter_map(|recorded| match &recorded.event {
        Event::ScheduleEdgesMissed(missed) => Some(missed.edges),
        _ => None,
    });
    (fired.collect(), missed.collect())
}

/// Attack list 57 and X-16: an hour that comes twice tells its edges once; ten years that passed in a moment are told in
/// one event, with how many edges they had.
#[tokio::test(start_paused = true)]
async fn schedules_say_what_they_did_when_the_clock_jumps() {
    let house = in_memory().await;
    house.asks(ADA).await.unwrap();
    house.asks(r#"{"command":"profile.add","user":"ada","name":"V"}"#).await.unwrap();
    let schedule = r#"{"command":"schedule.add","number":"100","profile":"ada/V",
        "pattern":{"weekly":"daily 10:30-11:30"}}"#;
    house.asks(schedule).await.unwrap();
    let bell = tokio::spawn(schedules::run(house.desk.clone()));
    let look = async || {
        // The clock is looked at once a minute, whatever it said before.
        tokio::time::sleep(Duration::from_secs(61)).await;
        told(&house.all().await)
    };
    house.clock.jump(HOUR);
    assert_eq!(look().await.0.len(), 1, "10:30 came");
    house.clock.jump(-HOUR);
    assert_eq!(look().await.0.len(), 1);
    house.clock.jump(HOUR);
    assert_eq!(look().await.0.len(), 1, "10:30 came again and is not told again");
    house.clock.jump(HOUR);
    let (fired, missed) = look().await;
    assert_eq!((fired.len(), missed.len()), (2, 0), "11:30 came");
    assert_eq!(fired[1].0 - fired[0].0, HOUR * 1_000_000);
    house.clock.jump(TEN_YEARS);
    let (fired, missed) = look().await;
    assert_eq!((fired.len(), missed), (2, vec![2 * 3650]));
    bell.abort();
}

/// An edge between a look at what is due and a look at when the next one is: it was neither due nor the next one, and was
/// told when the clock was looked at again a minute later.
#[tokio::test(start_paused = true)]
async fn an_edge_that_comes_while_edges_are_told_is_told_at_once() {
    let house = in_memory().await;
    house.asks(ADA).await.unwrap();
    house.asks(r#"{"command":"profile.add","user":"ada","name":"V"}"#).await.unwrap();
    let schedule = r#"{"command":"schedule.add","number":"100","profile":"ada/V",
        "pattern":{"weekly":"daily 10:30-11:30"}}"#;
    house.asks(schedule).await.unwrap();
    // When the bell begins, and when it looks at what is due.
    house.clock.jump_after(2, HOUR);
    let bell = tokio::spawn(schedules::run(house.desk.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(told(&house.all().await).0.len(), 1);
    bell.abort();
}
