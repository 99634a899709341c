//! The Desk on a book in memory, and on one whose disk fails.
//!
//! Longer than 500 lines: all stories share one house, one clock and one failing store.
#![allow(missing_docs, clippy::unwrap_used)]

use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use switchbook_commands::desk::{
    Answer, Bulk, Clock, DeskError, DeskHandle, DeskHealth, LeaseBook, Parts, Progress,
};
use switchbook_commands::registration::{Ask, Contact, Register};
use switchbook_commands::settings::StopBefore;
use switchbook_commands::startup::{Founding, recover, start};
use switchbook_commands::{
    Command, LeaseRenewal, LeaseState, LeaseView, NoCalls, Order, RefusalCode,
};
use switchbook_core::envelope::{Actor, Recorded, Subject};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::*;
use switchbook_core::personal::{HasPersonal, KeyId};
use switchbook_core::position::{Moment, Position, Seconds};
use switchbook_core::registration::BindingId;
use switchbook_journal::{
    AppendError, Commit, EventReader, EventStore, Health, MemoryStore, ReadError,
};
use tokio::sync::watch;
use uuid::Uuid;

const CONSOLE: Actor = Actor::Supervisor { uid: 0 };

/// A clock that is set by hand.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::SeqCst))
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[derive(Default)]
struct NoBook(std::sync::Mutex<Vec<LeaseRenewal>>);

impl LeaseView for NoBook {
    fn lease(&self, device: DeviceId, binding: BindingId) -> Option<LeaseState> {
        let leases = self.0.lock().unwrap();
        let found = leases.iter().rev().find(|l| l.device == device && l.binding == binding)?;
        Some(LeaseState { expires_at: found.expires_at, cseq: found.cseq })
    }
}

impl LeaseBook for NoBook {
    fn renew(&self, lease: LeaseRenewal) {
        self.0.lock().unwrap().push(lease);
    }

    fn forget(&self, device: DeviceId, binding: BindingId) {
        self.0.lock().unwrap().retain(|l| l.device != device || l.binding != binding);
    }
}

/// A store whose disk can fail in the middle of an append.
#[derive(Default)]
struct Failing {
    inner: MemoryStore,
    broken: AtomicBool,
    /// What is written while it is broken is in the book all the same.
    lands: AtomicBool,
    /// So often it was asked for a command id.
    asked: AtomicUsize,
}

#[async_trait]
impl EventReader for Failing {
    fn tail(&self) -> Position {
        self.inner.tail()
    }
    fn subscribe(&self) -> watch::Receiver<Position> {
        self.inner.subscribe()
    }
    async fn read(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        self.inner.read(from, limit).await
    }
    async fn history(
        &self,
        subject: Subject,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        self.inner.history(subject, from, limit).await
    }
    async fn outcome(&self, command: CommandId) -> Result<Option<(Position, Position)>, ReadError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.outcome(command).await
    }
    async fn snapshot(
        &self,
        name: &str,
        at_most: Position,
    ) -> Result<Option<(Position, Vec<u8>)>, ReadError> {
        self.inner.snapshot(name, at_most).await
    }
}

#[async_trait]
impl EventStore for Failing {
    fn seal(&self, event: &mut dyn HasPersonal) -> Result<(), AppendError> {
        self.inner.seal(event)
    }
    async fn append(&self, commits: Vec<Commit>) -> Result<Position, AppendError> {
        if self.broken.load(Ordering::SeqCst) {
            if self.lands.load(Ordering::SeqCst) {
                self.inner.append(commits).await?;
            }
            return Err(AppendError::OutcomeUnknown { reason: "test".into() });
        }
        self.inner.append(commits).await
    }
    async fn put_snapshot(
        &self,
        name: &str,
        at: Position,
        bytes: Vec<u8>,
    ) -> Result<(), AppendError> {
        self.inner.put_snapshot(name, at, bytes).await
    }
    async fn only_snapshots(&self, names: &[&str]) -> Result<(), AppendError> {
        self.inner.only_snapshots(names).await
    }
    fn health(&self) -> Health {
        self.inner.health()
    }
    async fn resume(&self) -> Result<Position, AppendError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(AppendError::Stopped { reason: "test".into() });
        }
        self.inner.resume().await
    }
}

struct House {
    desk: DeskHandle,
    store: Arc<Failing>,
    clock: Arc<Hand>,
    leases: Arc<NoBook>,
}

fn parts(store: &Arc<Failing>, clock: &Arc<Hand>, leases: &Arc<NoBook>) -> Parts {
    Parts {
        store: store.clone(),
        secrets: store.inner.vault().clone(),
        calls: Arc::new(NoCalls),
        leases: leases.clone(),
        clock: clock.clone(),
        rouse: Arc::new(|| ()),
    }
}

async fn open(store: Arc<Failing>) -> House {
    let now = switchbook_commands::desk::SystemClock.now();
    let (clock, leases) = (Arc::new(Hand(AtomicI64::new(now.0))), Arc::new(NoBook::default()));
    let founding = Founding {
        book: BookId(Uuid::from_u128(1)),
        realm: "pbx.test".into(),
        time_zone: "Europe/Berlin".parse().unwrap(),
    };
    let parts = parts(&store, &clock, &leases);
    let exchange = recover(&*store, Exchange::default()).await.unwrap();
    let (desk, _) = start(parts, exchange, founding, "test", StopBefore::Clean).await.unwrap();
    House { desk, store, clock, leases }
}

async fn house() -> House {
    open(Arc::default()).await
}

fn order(json: &str) -> Order {
    let command: Command = serde_json::from_str(json).unwrap();
    Order::new(CommandId(Uuid::now_v7()), CONSOLE, command)
}

fn add(name: &str, number: &str) -> String {
    format!(
        r#"{{"command":"user.add","username":"{name}","display_name":"{name}","pin":"4711","numbers":["{number}"],
        "devices":[{{"name":"{name}-phone","type":"desk","password":"secret-secret"}}]}}"#
    )
}

fn code<T: std::fmt::Debug>(result: Result<T, DeskError>) -> RefusalCode {
    result.unwrap_err().code().unwrap()
}

#[tokio::test]
async fn a_command_is_answered_when_readers_see_it() {
    let house = house().await;
    let answer = house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let published = house.desk.published();
    assert!(published.position >= answer.position);
    assert!(published.exchange.user_named("ada").is_some());
    let first = answer.records.first().unwrap();
    assert_eq!(first.event.name(), "UserAdded");
    assert!(
        first
            .envelope
            .subjects
            .contains(&Subject::User(published.exchange.user_named("ada").unwrap()))
    );
    assert_eq!(house.store.tail(), answer.position);
}

#[tokio::test]
async fn secrets_reach_the_vault_and_nothing_else() {
    let house = house().await;
    let answer = house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let text = format!("{:?}", answer.records);
    assert!(!text.contains("4711") && !text.contains("secret-secret"));
    let exchange = &house.desk.published().exchange;
    let device = &exchange.devices[&exchange.device_named("ada-phone").unwrap()];
    let hashes = house.desk.secrets().digest(device.credential.unwrap().value).unwrap();
    let right =
        switchbook_commands::secret::DigestHashes::of("ada-phone", "pbx.test", "secret-secret");
    assert_eq!(hashes, right);
    let short = r#"{"command":"user.pin","user":"ada","pin":"47"}"#;
    assert_eq!(code(house.desk.submit(order(short)).await), RefusalCode::PinTooShort);
    assert_eq!(code(house.desk.dry_run(order(short)).await), RefusalCode::PinTooShort);
}

/// Whoever uses an id again for something else was told that it is done, by the answer to the first.
#[tokio::test]
async fn an_id_is_not_taken_for_another_command_of_the_same_sender() {
    let house = house().await;
    let first = order(&add("ada", "100"));
    let done = house.desk.submit(first.clone()).await.unwrap();
    let pin = |pin: &str| format!(r#"{{"command":"user.pin","user":"ada","pin":"{pin}"}}"#);
    let set = order(&pin("471147"));
    house.desk.submit(set.clone()).await.unwrap();
    for (of, json) in [
        (&first, add("bob", "200")),
        (&first, add("ada", "100").replace("secret-secret", "another-secret")),
        (&set, pin("471148")),
        (&set, r#"{"command":"user.dnd","user":"ada","on":true}"#.into()),
    ] {
        let other = Order { id: of.id, ..order(&json) };
        assert_eq!(code(house.desk.submit(other).await), RefusalCode::CommandIdInvalid, "{json}");
    }
    // At the same time, and for what left no events.
    let (one, two) = (order(&add("cleo", "300")), order(&add("dora", "400")));
    let two = Order { id: one.id, ..two };
    let (one, two) = tokio::join!(house.desk.submit(one), house.desk.submit(two));
    assert!(one.is_ok() != two.is_ok());
    assert_eq!(code(if one.is_ok() { two } else { one }), RefusalCode::CommandIdInvalid);
    let refused = order(r#"{"command":"user.dnd","user":"nobody","on":true}"#);
    assert_eq!(code(house.desk.submit(refused.clone()).await), RefusalCode::UserUnknown);
    let other = Order { id: refused.id, ..order(&add("eve", "500")) };
    assert_eq!(code(house.desk.submit(other).await), RefusalCode::CommandIdInvalid);
    // A list is another command than each of its own, and than another list.
    let list = |id, names: &[&str]| Bulk {
        id,
        actor: CONSOLE,
        on_behalf_of: None,
        commands: names
            .iter()
            .map(|name| serde_json::from_str(&add(&format!("u{name}"), name)).unwrap())
            .collect(),
    };
    let id = CommandId(Uuid::now_v7());
    let progress = Progress::default();
    let applied = house.desk.apply(list(id, &["601", "602"]), &progress).await.unwrap();
    let again = house.desk.apply(list(id, &["601", "602"]), &progress).await.unwrap();
    assert_eq!(again.position, applied.position);
    let shorter = house.desk.apply(list(id, &["601"]), &progress).await;
    assert_eq!(code(shorter), RefusalCode::CommandIdInvalid);
    // The first ones are answered as before.
    assert_eq!(house.desk.submit(first).await.unwrap().position, done.position);
    assert!(house.desk.submit(set).await.is_ok());
}

#[tokio::test]
async fn a_repeated_id_gets_the_first_answer_also_at_the_same_time_and_after_a_restart() {
    let house = house().await;
    let order = order(r#"{"command":"user.add","username":"ada","display_name":"Ada"}"#);
    let (one, two) =
        tokio::join!(house.desk.submit(order.clone()), house.desk.submit(order.clone()));
    assert_eq!(one.as_ref().unwrap().positions(), two.unwrap().positions());
    let again = open(house.store.clone()).await;
    let three = again.desk.submit(order.clone()).await.unwrap();
    assert_eq!(three.positions(), one.unwrap().positions());
    assert_eq!(again.desk.published().exchange.users.len(), 1);
    again.clock.0.fetch_add(25 * 3600 * 1_000_000, Ordering::SeqCst);
    assert_eq!(code(again.desk.submit(order).await), RefusalCode::CommandTooOld);
}

/// A look-up in the book reads a page of every run of its index: commands got dearer with the book's age.
#[tokio::test]
async fn the_book_is_asked_only_for_ids_that_can_stand_where_nobody_remembers() {
    let house = house().await;
    let dnd = |on: bool| order(&format!(r#"{{"command":"user.dnd","user":"ada","on":{on}}}"#));
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let before = house.store.asked.load(Ordering::SeqCst);
    let asked = || house.store.asked.load(Ordering::SeqCst) - before;
    let old = dnd(true);
    let first = house.desk.submit(old.clone()).await.unwrap();
    house.clock.0.fetch_add(20 * 60 * 1_000_000, Ordering::SeqCst);
    let late = dnd(false);
    let last = house.desk.submit(late.clone()).await.unwrap();
    assert_eq!(house.desk.submit(late.clone()).await.unwrap().positions(), last.positions());
    assert_eq!(asked(), 0, "the writer remembers what came since the start");
    let again = open(house.store.clone()).await;
    again.clock.0.store(house.clock.0.load(Ordering::SeqCst), Ordering::SeqCst);
    // Made just now by a clock that is twenty minutes behind: from where the start has not read.
    assert_eq!(again.desk.submit(old).await.unwrap().positions(), first.positions());
    assert_eq!(asked(), 1);
    let other = Order { actor: Actor::Supervisor { uid: 1 }, ..late };
    assert_eq!(code(again.desk.submit(other).await), RefusalCode::CommandIdInvalid);
}

#[tokio::test]
async fn right_after_a_start_the_last_minutes_before_are_known_without_asking() {
    let house = house().await;
    let add = order(r#"{"command":"user.add","username":"ada","display_name":"Ada"}"#);
    let first = house.desk.submit(add.clone()).await.unwrap();
    let again = open(house.store.clone()).await;
    again.desk.submit(order(r#"{"command":"user.dnd","user":"ada","on":true}"#)).await.unwrap();
    assert_eq!(again.desk.submit(add).await.unwrap().positions(), first.positions());
    assert_eq!(house.store.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_unknown_and_stands_in_the_book_is_answered_from_there() {
    let house = house().await;
    house.store.broken.store(true, Ordering::SeqCst);
    house.store.lands.store(true, Ordering::SeqCst);
    let lost = order(&add("ada", "100"));
    assert_eq!(code(house.desk.submit(lost.clone()).await), RefusalCode::OutcomeUnknown);
    house.store.broken.store(false, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert_eq!(house.desk.health(), DeskHealth::Writable);
    let ada = house.desk.published().exchange.user_named("ada").unwrap();
    let answer = house.desk.submit(lost).await.unwrap();
    assert!(answer.records[0].envelope.subjects.contains(&Subject::User(ada)));
    assert_eq!(house.store.tail(), answer.position, "nothing was done twice");
}

#[tokio::test]
async fn an_id_that_somebody_else_used_is_refused() {
    let house = house().await;
    let first = order(r#"{"command":"user.add","username":"ada","display_name":"Ada"}"#);
    let other = Order { actor: Actor::Supervisor { uid: 1 }, ..first.clone() };
    let (one, two) =
        tokio::join!(house.desk.submit(first.clone()), house.desk.submit(other.clone()));
    assert!(one.is_ok());
    assert_eq!(code(two), RefusalCode::CommandIdInvalid, "at the same time");
    assert_eq!(code(house.desk.submit(other.clone()).await), RefusalCode::CommandIdInvalid);
    let ada = house.desk.published().exchange.user_named("ada").unwrap();
    let as_ada = first.clone().on_behalf_of(ada);
    assert_eq!(code(house.desk.submit(as_ada.clone()).await), RefusalCode::CommandIdInvalid);
    assert_eq!(code(straight(&house, other.clone()).await), RefusalCode::CommandIdInvalid);
    let again = open(house.store.clone()).await;
    assert_eq!(code(again.desk.submit(other).await), RefusalCode::CommandIdInvalid, "in the book");
    assert_eq!(code(again.desk.submit(as_ada).await), RefusalCode::CommandIdInvalid);
    // A refusal is its sender's, too.
    let unknown = order(r#"{"command":"user.rename","user":"eve","display_name":"E"}"#);
    assert_eq!(code(house.desk.submit(unknown.clone()).await), RefusalCode::UserUnknown);
    let other = Order { actor: Actor::Supervisor { uid: 1 }, ..unknown.clone() };
    assert_eq!(code(house.desk.submit(other).await), RefusalCode::CommandIdInvalid);
    assert_eq!(code(house.desk.submit(unknown).await), RefusalCode::UserUnknown);
}

/// Past the book, straight into the writer's queue.
async fn straight(house: &House, order: Order) -> Result<Answer, DeskError> {
    let (tell, told) = tokio::sync::oneshot::channel();
    house.desk.enqueue(order, move |answer| drop(tell.send(answer)));
    told.await.unwrap()
}

#[tokio::test]
async fn a_repetition_that_reached_the_writer_late_gets_the_first_answer_from_the_book() {
    let house = house().await;
    let add = order(r#"{"command":"user.add","username":"ada","display_name":"Ada"}"#);
    let first = house.desk.submit(add.clone()).await.unwrap();
    let again = straight(&house, add).await.unwrap();
    assert_eq!((again.positions(), again.position), (first.positions(), first.position));
    assert_eq!(again.records, first.records);
    // What left no events is remembered as it was.
    let off = order(r#"{"command":"user.dnd","user":"ada","on":true}"#);
    house.desk.submit(off).await.unwrap();
    let nothing = order(r#"{"command":"user.dnd","user":"ada","on":true}"#);
    let one = house.desk.submit(nothing.clone()).await.unwrap();
    house.desk.submit(order(r#"{"command":"user.dnd","user":"ada","on":false}"#)).await.unwrap();
    let two = straight(&house, nothing).await.unwrap();
    assert_eq!((one.positions(), two.positions()), (None, None));
    assert_eq!(one.position, two.position);
    assert_eq!(house.store.tail(), house.desk.published().position);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let house = house().await;
    let before = house.store.tail();
    let decision = house.desk.dry_run(order(&add("ada", "100"))).await.unwrap();
    assert_eq!(decision.events.len(), 8);
    assert_eq!(house.store.tail(), before);
}

#[tokio::test]
async fn x21_a_refused_attempt_is_recorded_and_a_malformed_one_is_not() {
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let before = house.store.tail();
    let unknown = r#"{"command":"user.rename","user":"eve","display_name":"E"}"#;
    assert_eq!(code(house.desk.submit(order(unknown)).await), RefusalCode::UserUnknown);
    let taken = r#"{"command":"number.add","user":"ada","number":"100"}"#;
    assert_eq!(code(house.desk.submit(order(taken)).await), RefusalCode::NumberTaken);
    house.desk.wait_for(Position(before.0 + 1)).await.unwrap();
    let records = house.store.read(before.next(), 10).await.unwrap();
    let [Recorded { event: Event::AttemptRefused(attempt), envelope }] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!((attempt.what.as_str(), attempt.code.as_str()), ("number.add", "NUMBER_TAKEN"));
    assert_eq!(envelope.actor, CONSOLE);
}

/// A phone speaks for another, so many times.
async fn claims(house: &House, times: usize) -> DeviceId {
    let published = house.desk.published();
    let mut devices = published.exchange.devices.keys().copied();
    let (device, claimed) = (devices.next().unwrap(), devices.next());
    for _ in 0..times {
        let claim = switchbook_commands::phone::Claim { device, claimed };
        let order = Order::new(CommandId(Uuid::now_v7()), Actor::Phone(device), claim);
        assert_eq!(code(straight(house, order).await), RefusalCode::AddressNotYours);
    }
    device
}

/// What the book tells of refused attempts after a position: how many further ones each stands for.
async fn attempts_after(house: &House, before: Position, by: Actor) -> Vec<u32> {
    let records = house.store.read(before.next(), 20).await.unwrap();
    let told = records.iter().map(|Recorded { event, envelope }| {
        let Event::AttemptRefused(attempt) = event else { panic!("{event:?}") };
        assert_eq!(
            (attempt.what.as_str(), attempt.code.as_str()),
            ("phone.claim", "ADDRESS_NOT_YOURS")
        );
        assert_eq!((attempt.about.len(), envelope.actor), (2, by));
        attempt.suppressed
    });
    told.collect()
}

async fn two_phones() -> (House, Position) {
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    house.desk.submit(order(&add("bob", "200"))).await.unwrap();
    let before = house.store.tail();
    (house, before)
}

#[tokio::test]
async fn c8_a_phone_that_spoke_for_another_stands_in_the_book_about_both_capped_and_counted() {
    let (house, before) = two_phones().await;
    let phone = Actor::Phone(claims(&house, 9).await);
    // Five one by one; at a stop the last one, with the three before it.
    house.desk.settled().await.unwrap();
    assert_eq!(attempts_after(&house, before, phone).await, [0, 0, 0, 0, 0, 3]);
    house.desk.settled().await.unwrap();
    assert_eq!(attempts_after(&house, before, phone).await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn x21_what_was_only_counted_is_told_after_a_quiet_minute() {
    let (house, before) = two_phones().await;
    let phone = Actor::Phone(claims(&house, 8).await);
    let minute = 60_000_000;
    house.clock.0.fetch_add(minute, Ordering::SeqCst);
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    house.desk.wait_for(Position(before.0 + 6)).await.unwrap();
    assert_eq!(attempts_after(&house, before, phone).await, [0, 0, 0, 0, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_disk_leaves_the_outcome_open_and_the_desk_comes_back_by_itself() {
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let before = house.desk.published();
    house.store.broken.store(true, Ordering::SeqCst);
    let lost = order(r#"{"command":"user.add","username":"bob","display_name":"Bob"}"#);
    assert_eq!(code(house.desk.submit(lost.clone()).await), RefusalCode::OutcomeUnknown);
    assert!(matches!(house.desk.health(), DeskHealth::ReadOnly { .. }));
    let other = r#"{"command":"user.dnd","user":"ada","on":true}"#;
    assert_eq!(code(house.desk.submit(order(other)).await), RefusalCode::BookReadOnly);
    assert_eq!(house.desk.published().exchange, before.exchange, "the private state is gone");
    house.store.broken.store(false, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert_eq!(house.desk.health(), DeskHealth::Writable);
    // The sender asks again with the same id, and now it holds.
    house.desk.submit(lost).await.unwrap();
    assert!(house.desk.published().exchange.user_named("bob").is_some());
}

#[tokio::test]
async fn many_at_once_stand_in_the_book_one_after_the_other() {
    let house = house().await;
    let jobs: Vec<_> = (200..300)
        .map(|n| {
            let (desk, json) = (
                house.desk.clone(),
                format!(r#"{{"command":"user.add","username":"u{n}","display_name":"U","numbers":["{n}"]}}"#),
            );
            tokio::spawn(async move { desk.submit(order(&json)).await })
        })
        .collect();
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    let records = house.store.read(Position(1), 10_000).await.unwrap();
    let positions: Vec<u64> = records.iter().map(|r| r.envelope.position.0).collect();
    assert_eq!(positions, (1..=records.len() as u64).collect::<Vec<_>>());
    let folded = recover(&*house.store, Exchange::default()).await.unwrap();
    assert_eq!(folded, house.desk.published().exchange);
}

#[tokio::test]
async fn a_list_is_carried_out_whole_or_not_at_all() {
    let house = house().await;
    let list = |lines: &[String]| Bulk {
        id: CommandId(Uuid::now_v7()),
        actor: CONSOLE,
        on_behalf_of: None,
        commands: lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect(),
    };
    let tick = r#"{"command":"user.caller_id","user":"ada","number":"101"}"#.to_owned();
    let bad = list(&[add("ada", "100"), add("bob", "100")]);
    let before = house.store.tail();
    let error = house.desk.apply(bad, &Progress::default()).await.unwrap_err();
    assert!(matches!(&error, DeskError::RefusedInBulk { index: 1, refusal }
        if refusal.code == RefusalCode::NumberTaken));
    // X-21: the refused line leaves its trace, and nothing else of the list does.
    house.desk.settled().await.unwrap();
    let records = house.store.read(before.next(), 10).await.unwrap();
    let [Recorded { event: Event::AttemptRefused(attempt), .. }] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!((attempt.what.as_str(), attempt.code.as_str()), ("user.add", "NUMBER_TAKEN"));
    let before = house.store.tail();
    let malformed = list(&[r#"{"command":"user.rename","user":"eve","display_name":"E"}"#.into()]);
    let error = house.desk.apply(malformed, &Progress::default()).await.unwrap_err();
    assert_eq!(error.code(), Some(RefusalCode::UserUnknown));
    house.desk.settled().await.unwrap();
    assert_eq!(house.store.tail(), before);
    let progress = Progress::default();
    let good = list(&[add("ada", "100"), add("bob", "101"), tick]);
    let (events, _) = house.desk.dry_apply(good.clone(), &progress).await.unwrap();
    assert_eq!(house.store.tail(), before);
    let answer = house.desk.apply(good.clone(), &progress).await.unwrap();
    assert_eq!((answer.records.len(), progress.decided()), (events.len(), 3));
    let again = house.desk.apply(good, &progress).await.unwrap();
    assert_eq!(again.positions(), answer.positions());
    let cancelled = Progress::default();
    cancelled.cancel();
    let other = list(&[add("cleo", "102")]);
    assert_eq!(code(house.desk.apply(other, &cancelled).await), RefusalCode::Cancelled);
}

#[tokio::test]
async fn way3_a_refresh_is_a_lease_and_a_change_is_an_event() {
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let device = house.desk.published().exchange.device_named("ada-phone").unwrap();
    let register = |cseq, expires, uri: &str| {
        let contact = contact(uri, expires);
        let command = Register {
            device,
            ask: Ask::Contacts(vec![contact]),
            call_id: 7,
            cseq,
            user_agent: None,
            bounds: (Seconds(60), Seconds(3600)),
        };
        Order::new(CommandId(Uuid::now_v7()), Actor::Phone(device), command)
    };
    let first = house.desk.submit(register(1, 600, "sip:a@10.0.0.1")).await.unwrap();
    assert_eq!(first.records[0].event.name(), "PhoneRegistered");
    let before = house.store.tail();
    let refresh = house.desk.submit(register(2, 600, "sip:a@10.0.0.1")).await.unwrap();
    assert!(refresh.records.is_empty() && refresh.leases.len() == 1);
    assert_eq!(house.store.tail(), before);
    assert_eq!(house.leases.0.lock().unwrap().len(), 1);
    let old = house.desk.submit(register(2, 600, "sip:a@10.0.0.1")).await;
    assert_eq!(code(old), RefusalCode::RegistrationOutOfOrder);
    let shorter = house.desk.submit(register(3, 120, "sip:a@10.0.0.1")).await.unwrap();
    assert_eq!(shorter.records[0].event.name(), "RegistrationChanged");
    assert!(house.leases.0.lock().unwrap().is_empty());
    for n in 2..=5 {
        house.desk.submit(register(3, 600, &format!("sip:a@10.0.0.{n}"))).await.unwrap();
    }
    house.clock.0.fetch_add(200 * 1_000_000, Ordering::SeqCst);
    let room = house.desk.submit(register(3, 600, "sip:a@10.0.0.6")).await.unwrap();
    let names: Vec<_> = room.records.iter().map(|r| r.event.name()).collect();
    assert_eq!(names, ["RegistrationExpired", "PhoneRegistered"], "one whose time is over goes");
    let gone = house.desk.submit(register(9, 0, "sip:a@10.0.0.6")).await.unwrap();
    assert_eq!(gone.records[0].event.name(), "RegistrationRemoved");
    let foreign =
        Order { actor: Actor::Phone(DeviceId(Uuid::from_u128(9))), ..register(9, 60, "x") };
    assert_eq!(code(house.desk.submit(foreign).await), RefusalCode::Forbidden);
}

fn contact(uri: &str, expires: u32) -> Contact {
    Contact {
        uri: uri.into(),
        parameters: String::new(),
        instance: None,
        source: "10.0.0.1:5060".into(),
        behind_nat: false,
        expires: Seconds(expires),
    }
}

fn binds(device: DeviceId, cseq: u32, expires: u32) -> Order {
    let contact = contact("sip:a@10.0.0.1", expires);
    let command = Register {
        device,
        ask: Ask::Contacts(vec![contact]),
        call_id: 7,
        cseq,
        user_agent: None,
        bounds: (Seconds(60), Seconds(3600)),
    };
    Order::new(CommandId(Uuid::now_v7()), Actor::Phone(device), command)
}

#[tokio::test(start_paused = true)]
async fn way3_leases_change_only_with_what_is_durable() {
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let device = house.desk.published().exchange.device_named("ada-phone").unwrap();
    house.desk.submit(binds(device, 1, 600)).await.unwrap();
    house.desk.submit(binds(device, 2, 600)).await.unwrap();
    let before = house.leases.0.lock().unwrap().clone();
    assert_eq!(before.len(), 1);
    house.store.broken.store(true, Ordering::SeqCst);
    // One makes the binding shorter, the next refreshes it as it would be then: both are lost together.
    let shorter = binds(device, 3, 120);
    let (one, two) =
        tokio::join!(house.desk.submit(shorter), house.desk.submit(binds(device, 4, 120)));
    assert!(one.is_err() && two.is_err(), "{one:?} {two:?}");
    assert_eq!(*house.leases.0.lock().unwrap(), before, "nothing was written, nothing changed");
    // A refresh of what stands in the book goes on without the disk.
    house.desk.submit(binds(device, 5, 600)).await.unwrap();
    assert_eq!(house.leases.lease(device, before[0].binding).unwrap().cseq, 5);
    house.store.broken.store(false, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    let (one, two) = tokio::join!(
        house.desk.submit(binds(device, 6, 120)),
        house.desk.submit(binds(device, 7, 120))
    );
    assert_eq!(one.unwrap().records[0].event.name(), "RegistrationChanged");
    assert_eq!(two.unwrap().leases.len(), 1);
    assert_eq!(house.leases.lease(device, before[0].binding).unwrap().cseq, 7);
}

#[tokio::test]
async fn ro12_log_in_at_a_phone_with_extension_and_pin() {
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    house
        .desk
        .submit(order(r#"{"command":"device.add","name":"hall","type":"desk"}"#))
        .await
        .unwrap();
    let hall = house.desk.published().exchange.device_named("hall").unwrap();
    let log_in = |extension: &str, pin: &str| {
        let json =
            format!(r#"{{"command":"phone.log_in","extension":"{extension}","pin":"{pin}"}}"#);
        Order::new(
            CommandId(Uuid::now_v7()),
            Actor::Phone(hall),
            serde_json::from_str::<Command>(&json).unwrap(),
        )
    };
    let wrong = house.desk.submit(log_in("100", "0000")).await.unwrap_err();
    let unknown = house.desk.submit(log_in("999", "4711")).await.unwrap_err();
    assert_eq!(wrong, unknown);
    assert_eq!(wrong.code(), Some(RefusalCode::LoginFailed));
    let answer = house.desk.submit(log_in("100", "4711")).await.unwrap();
    let names: Vec<_> = answer.records.iter().map(|r| r.event.name()).collect();
    assert_eq!(names, ["DeviceLoggedOut", "DeviceLoggedIn"]);
    for _ in 0..5 {
        assert_eq!(code(house.desk.submit(log_in("100", "0000")).await), RefusalCode::LoginFailed);
    }
    assert_eq!(code(house.desk.submit(log_in("100", "4711")).await), RefusalCode::LoginLocked);
    house.clock.0.fetch_add(11 * 1_000_000, Ordering::SeqCst);
    house.desk.submit(log_in("100", "4711")).await.unwrap();
}

/// X-16: what is recorded is what was due, once each, in order, and late only what came while the server was down.
#[tokio::test(start_paused = true)]
async fn edges_are_recorded_once_also_after_a_restart() {
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let commands = [
        r#"{"command":"profile.add","user":"ada","name":"V"}"#,
        r#"{"command":"schedule.add","number":"100","profile":"ada/V","pattern":{"weekly":"daily 12:00-13:00"}}"#,
        r#"{"command":"schedule.add","number":"100","profile":"ada/V","pattern":{"weekly":"daily 13:00-14:00"}}"#,
    ];
    for json in commands {
        house.desk.submit(order(json)).await.unwrap();
    }
    let fired = |records: Vec<Recorded>| -> Vec<(Moment, bool)> {
        let told = |recorded: Recorded| match recorded.event {
            Event::ScheduleFired(fired) => Some((fired.due, fired.late)),
            _ => None,
        };
        records.into_iter().filter_map(told).collect()
    };
    let day = 24 * 3600 * 1_000_000;
    let bell = tokio::spawn(switchbook_commands::schedules::run(house.desk.clone()));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    house.clock.0.fetch_add(day, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    let first = fired(house.store.read(Position(1), 10_000).await.unwrap());
    // 12:00, 13:00 twice (one ends, one begins), 14:00.
    assert_eq!(first.len(), 4);
    assert!(first.is_sorted() && first.iter().all(|(_, late)| !late));
    bell.abort();
    let again = open(house.store.clone()).await;
    again.clock.0.store(house.clock.0.load(Ordering::SeqCst) + 2 * day, Ordering::SeqCst);
    let bell = tokio::spawn(switchbook_commands::schedules::run(again.desk.clone()));
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    bell.abort();
    let all = fired(house.store.read(Position(1), 10_000).await.unwrap());
    assert_eq!(all.len(), 12);
    assert!(all.is_sorted_by_key(|(due, _)| *due) && all[4..].iter().all(|(_, late)| *late));
    // Three years away: summed up.
    let last = open(house.store.clone()).await;
    last.clock.0.store(again.clock.0.load(Ordering::SeqCst) + 3 * 365 * day, Ordering::SeqCst);
    let bell = tokio::spawn(switchbook_commands::schedules::run(last.desk.clone()));
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    bell.abort();
    let records = house.store.read(Position(1), 10_000).await.unwrap();
    let missed = records.iter().find_map(|recorded| match &recorded.event {
        Event::ScheduleEdgesMissed(missed) => Some(missed.edges),
        _ => None,
    });
    assert_eq!(missed, Some(4 * 3 * 365));
}

/// The bell sleeps through commands that move no edge, and still hears one that does.
#[tokio::test(start_paused = true)]
async fn f6_a_group_with_a_time_zone_moves_the_edges_that_the_bell_waits_for() {
    let house = house().await;
    // Tomorrow at 07:59:50Z.
    let day = 24 * 3600 * 1_000_000;
    let midnight = (house.clock.now().0 / day + 1) * day;
    house.clock.0.store(midnight + (8 * 3600 - 10) * 1_000_000, Ordering::SeqCst);
    let give = async |json: &str| {
        let command: Command = serde_json::from_str(json).unwrap();
        let seconds = u64::try_from(house.clock.now().0 / 1_000_000).unwrap();
        let made = uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0);
        let order = Order::new(CommandId(Uuid::new_v7(made)), CONSOLE, command);
        house.desk.submit(order).await.unwrap();
    };
    give(r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"]}"#).await;
    give(r#"{"command":"profile.add","user":"ada","name":"V"}"#).await;
    give(
        r#"{"command":"schedule.add","number":"100","profile":"ada/V","pattern":{"weekly":"daily 12:00-13:00"}}"#,
    )
    .await;
    let fired = async || {
        let records = house.store.read(Position(1), 1_000).await.unwrap();
        records.iter().filter(|recorded| recorded.event.name() == "ScheduleFired").count()
    };
    let bell = tokio::spawn(switchbook_commands::schedules::run(house.desk.clone()));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    give(r#"{"command":"number.call_waiting","number":"100","on":false}"#).await;
    // Morning in Berlin, and ten seconds to twelve in Dubai.
    give(r#"{"command":"group.add","name":"far","kind":"user","time_zone":"Asia/Dubai"}"#).await;
    give(r#"{"command":"group.add_member","group":"far","user":"ada"}"#).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(fired().await, 0);
    house.clock.0.fetch_add(10_000_000, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!(fired().await, 1, "the bell would have slept a minute");
    bell.abort();
}

#[tokio::test]
async fn way4_calls_left_open_by_a_crash_are_closed_at_the_next_start() {
    use switchbook_commands::call::{Entry, Record};
    use switchbook_core::call::{CallPlaced, Caller, Dialled, Facts};
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let device = house.desk.published().exchange.device_named("ada-phone").unwrap();
    let call = CallId(Uuid::from_u128(5));
    let placed = CallPlaced {
        call,
        caller: Caller::Device { device, number: None },
        dialled: Dialled::Inside("100".parse().unwrap()),
        origin: switchbook_core::device::Origin::Internal,
        facts: Facts::default(),
        decided_on: Position(1),
        decided_for: Moment(1),
        plan: "{}".into(),
    };
    let command = Record { entries: vec![Entry::Placed(Box::new(placed))] };
    let id = CommandId(Uuid::now_v7());
    house.desk.submit(Order::new(id, Actor::Phone(device), command)).await.unwrap();
    assert!(house.desk.published().exchange.open_calls.contains_key(&call));
    let again = open(house.store.clone()).await;
    assert!(again.desk.published().exchange.open_calls.is_empty());
}

#[tokio::test]
async fn a_stop_waits_until_everything_asked_for_before_is_durable() {
    let house = house().await;
    for n in 300..400 {
        let json = format!(r#"{{"command":"user.add","username":"u{n}","display_name":"U"}}"#);
        house.desk.enqueue(order(&json), |_| ());
    }
    house.desk.settled().await.unwrap();
    let published = house.desk.published();
    assert_eq!(published.exchange.users.len(), 100);
    assert_eq!(house.store.tail(), published.position);
}

#[tokio::test]
async fn the_book_tells_where_a_command_came_from_and_a_binding_does_so_itself() {
    let house = house().await;
    let added = house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    assert!(added.records.iter().all(|one| one.envelope.source.is_none()), "the console has none");
    let device = house.desk.published().exchange.device_named("ada-phone").unwrap();
    let bound = house.desk.submit(binds(device, 1, 600).from("udp 10.0.0.1:5060")).await.unwrap();
    assert!(bound.records[0].envelope.source.is_none());
    let Event::PhoneRegistered(event) = &bound.records[0].event else { panic!("another event") };
    assert_eq!(event.binding.source.known(), Some("10.0.0.1:5060"));
    let foreign =
        Order { actor: Actor::Phone(DeviceId(Uuid::from_u128(9))), ..binds(device, 2, 600) };
    let refused = house.desk.submit(foreign.from("udp 10.0.0.66:5060")).await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
    house.desk.settled().await.unwrap();
    let last = house.store.read(house.store.tail(), 1).await.unwrap();
    assert_eq!(last[0].event.name(), "AttemptRefused");
    let source = last[0].envelope.source.as_ref().unwrap();
    assert_eq!(source.known(), Some("udp 10.0.0.66:5060"));
    assert!(!source.sealed().is_empty());
    assert!(!source.sealed().windows(9).any(|bytes| bytes == b"10.0.0.66"), "sealed on disk");
}

#[tokio::test]
async fn the_last_event_of_a_run_is_its_stop() {
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let configuration = house.desk.published().exchange.configuration;
    switchbook_commands::startup::stop(&house.desk).await.unwrap();
    let last = house.store.read(house.store.tail(), 1).await.unwrap();
    assert_eq!(last[0].event.name(), "ServerStopped");
    assert_eq!(house.desk.published().exchange.configuration, configuration, "no configuration");
}

/// The clear text of an erased key is gone from the Desk at once: from what it has published, from its own state, and from
/// the group that was on its way to the disk.
#[tokio::test(start_paused = true)]
async fn a_destroyed_key_leaves_nothing_readable_in_the_desks_state() {
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let (ada, device) = {
        let exchange = &house.desk.published().exchange;
        (exchange.user_named("ada").unwrap(), exchange.device_named("ada-phone").unwrap())
    };
    let profile = r#"{"command":"profile.add","user":"ada","name":"clinic"}"#;
    house.desk.submit(order(profile)).await.unwrap();
    house.desk.submit(binds(device, 1, 600)).await.unwrap();
    let month = KeyId::of_month(house.clock.now());
    let read = |house: &House| -> Vec<String> {
        let exchange = house.desk.published().exchange.clone();
        let users = exchange.users.values().map(|user| user.username.value.to_string());
        let profiles = exchange.profiles.values().map(|profile| profile.name.value.to_string());
        let bound = exchange.registrations.values().flat_map(|r| r.bindings.clone());
        let bound = bound.map(|(binding, _)| format!("{} {}", binding.contact, binding.source));
        users.chain(profiles).chain(bound).collect()
    };
    assert_eq!(read(&house), ["ada", "clinic", "sip:a@10.0.0.1 10.0.0.1:5060"]);
    // One command is on its way when the keys go, so its state was made with them.
    let (told, came) = tokio::sync::oneshot::channel();
    let rename = r#"{"command":"device.add","name":"hall","type":"desk"}"#;
    house.desk.enqueue(order(rename), move |answer| drop(told.send(answer)));
    house.desk.forget(vec![KeyId::Person(ada), month]).await.unwrap();
    assert_eq!(read(&house), ["[erased]", "[erased]", "[erased] [erased]"]);
    assert!(house.desk.published().exchange.user_named("ada").is_none());
    came.await.unwrap().unwrap();
    assert!(house.desk.published().exchange.device_named("hall").is_some());
    assert_eq!(read(&house), ["[erased]", "[erased]", "[erased] [erased]"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_destroyed_while_the_book_is_stopped_stays_forgotten_when_it_is_written_again() {
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let ada = house.desk.published().exchange.user_named("ada").unwrap();
    house.store.broken.store(true, Ordering::SeqCst);
    assert!(house.desk.submit(order(&add("bob", "200"))).await.is_err());
    house.desk.forget(vec![KeyId::Person(ada)]).await.unwrap();
    house.store.broken.store(false, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    house.desk.submit(order(&add("bob", "200"))).await.unwrap();
    let exchange = house.desk.published().exchange.clone();
    let names: Vec<_> = exchange.users.values().map(|u| u.username.value.to_string()).collect();
    assert!(names.contains(&"[erased]".into()) && names.contains(&"bob".into()), "{names:?}");
}

/// The book was said to be read-only, which sends an administrator to look at a sound disk.
#[tokio::test(start_paused = true)]
async fn what_a_destroyed_key_would_have_to_seal_is_refused_with_a_word_of_its_own() {
    let house = house().await;
    house.desk.submit(order(&add("ada", "100"))).await.unwrap();
    let device = house.desk.published().exchange.device_named("ada-phone").unwrap();
    let month = KeyId::of_month(house.clock.now());
    house.store.inner.vault().destroy(month).unwrap();
    let DeskError::Refused(refusal) = house.desk.submit(binds(device, 1, 600)).await.unwrap_err()
    else {
        panic!("refused")
    };
    assert_eq!(refusal.code, RefusalCode::KeyDestroyed);
    assert!(refusal.to_string().contains("the key of month 20"), "{refusal}");
    assert!(matches!(house.desk.health(), DeskHealth::Writable));
}
