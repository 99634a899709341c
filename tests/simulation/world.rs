//! The world around the server: a network that loses, doubles and delays, phones with their users, an administrator, a
//! disk that is slow, full or cut, and a wall clock that jumps. One thread, one seed, virtual time.

use crate::handset::{CallSince, Handset, Stage};
use crate::life::{Ground, Life, flow};
use crate::office::{self, Acknowledged, Asked, Outcome, Waiting};
use crate::random::{Random, mix};
use crate::time::Wall;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchbook_commands::desk::Bulk;
use switchbook_commands::{Order, RefusalCode};
use switchbook_core::event::Event as Recordable;
use switchbook_core::id::CommandId;
use switchbook_journal::faults::{Cut, SimDisk};
use switchbook_sip::transaction::Flow;
use switchbook_sip_adapter::endpoint::{Command, Input};
use switchbook_sip_adapter::phone::{OnCall, Wish};

/// Something that was promised does not hold, in words.
pub type Held<T = ()> = Result<T, String>;

/// Lines of the trace that are kept for whoever reads of a failure.
const KEPT: usize = 120;

pub enum Event {
    Packet {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Bytes,
    },
    Disk,
    Beat,
    Phones,
    Office,
    Weather,
    Fault,
    /// The disk has room again.
    Room,
    /// The machine goes down, this way.
    Down(Down),
    /// The machine is started.
    Up,
    PlugIn(usize),
    Repeat(Asked, String, Option<(usize, String)>),
    Look,
}

/// How a life of the server ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Down {
    Killed,
    PowerCut(Cut),
    Stopped,
}

#[derive(Clone, Copy, Default, Debug)]
struct Weather {
    loss: u64,
    twice: u64,
    slow: u64,
}

/// The streams of chance.
struct Chance {
    network: Random,
    phones: Random,
    office: Random,
    faults: Random,
}

/// What happened, for the summary.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    pub crashes: u32,
    pub stops: u32,
    pub jumps: u32,
    pub full: u32,
    pub calls: u64,
    pub answered: u64,
    pub lost: u64,
    pub events: u64,
    pub packets: u64,
    pub acknowledged: u64,
    pub told: u64,
}

pub struct World {
    pub now: Duration,
    pub epoch: Instant,
    pub life: Option<Life>,
    pub lives: u32,
    pub phones: Vec<Handset>,
    pub acknowledged: Acknowledged,
    pub waiting: Vec<Waiting>,
    pub wall: Arc<Wall>,
    pub tally: Tally,
    /// When the last life of the server ended, and since when its disk had not been well by then.
    pub went_down: Duration,
    pub disk_ill: Option<Duration>,
    /// The disk will do so many things more, and then nothing.
    pub dying: bool,
    /// Nothing bad happens any more.
    pub calm: bool,
    disk: SimDisk,
    folder: tempfile::TempDir,
    queue: BTreeMap<(Duration, u64), Event>,
    serial: u64,
    disk_works: bool,
    weather: Weather,
    chance: Chance,
    pub trace: VecDeque<String>,
    pub trace_hash: u64,
    loud: bool,
    seed: u64,
}

impl World {
    pub fn new(seed: u64, loud: bool) -> Self {
        let stream = |n| Random::new(seed, n);
        let phones = [("p1", 1), ("p2", 2), ("p3", 3), ("p4", 4), ("p5", 5), ("p6", 6), ("q1", 7)];
        Self {
            now: Duration::ZERO,
            epoch: Instant::now(),
            life: None,
            lives: 0,
            phones: phones.map(|(name, host)| Handset::new(name, host)).into(),
            acknowledged: Acknowledged::default(),
            waiting: Vec::new(),
            wall: Arc::default(),
            tally: Tally::default(),
            went_down: Duration::ZERO,
            disk_ill: None,
            dying: false,
            calm: false,
            disk: SimDisk::new(mix(seed)),
            folder: tempfile::tempdir().expect("a folder"),
            queue: BTreeMap::new(),
            serial: 0,
            disk_works: false,
            weather: Weather::default(),
            chance: Chance {
                network: stream(1),
                phones: stream(2),
                office: stream(3),
                faults: stream(4),
            },
            trace: VecDeque::new(),
            trace_hash: 0,
            loud,
            seed,
        }
    }

    pub fn note(&mut self, text: &str) {
        let line = format!("{:>9.3} {text}", self.now.as_secs_f64());
        for byte in line.bytes() {
            self.trace_hash = (self.trace_hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.loud {
            println!("{line}");
        }
        if self.trace.len() == KEPT {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    fn instant(&self) -> Instant {
        self.epoch + self.now
    }

    fn later(&mut self, after: Duration, event: Event) {
        self.serial += 1;
        self.queue.insert((self.now + after, self.serial), event);
    }

    // ---- the whole story

    pub fn run(&mut self) -> Held {
        self.founding()?;
        let busy = Duration::from_secs(150 + self.chance.faults.below(150));
        for event in [Event::Beat, Event::Weather, Event::Fault, Event::Look] {
            self.later(Duration::from_millis(500), event);
        }
        for phone in 0..self.phones.len() {
            self.plug_in(phone);
        }
        for event in [Event::Phones, Event::Office] {
            self.later(Duration::from_secs(2), event);
        }
        self.run_until(self.now + busy)?;
        self.calm_down()?;
        let quiet = self.now;
        self.run_until(quiet + Duration::from_secs(700))?;
        for phone in 0..self.phones.len() {
            if self.phones[phone].ua.is_none() {
                self.plug_in(phone);
            }
        }
        self.run_until(quiet + Duration::from_secs(850))?;
        for phone in 0..self.phones.len() {
            self.hang_up(phone);
        }
        self.run_until(quiet + Duration::from_secs(1500))?;
        self.check_end()?;
        self.go_down(Down::Stopped)?;
        self.start()?;
        self.check_end()?;
        // Refreshes keep their transactions for half a minute: without them nothing at all is left.
        self.phones.iter_mut().for_each(Handset::unplug);
        self.run_until(self.now + Duration::from_secs(40))?;
        self.check_idle()
    }

    fn founding(&mut self) -> Held {
        self.start()?;
        for json in office::FOUNDING {
            let order = self.order(office::command(json));
            let life = self.life.as_mut().ok_or("no server")?;
            let desk = life.interior.desk.clone();
            let answer = life.finish(async move { desk.submit(order).await });
            let answer = answer.map_err(|error| format!("{json}: {error}"))?;
            self.acknowledged.records.extend(answer.records.iter().cloned());
        }
        self.now = self.life.as_ref().map_or(self.now, Life::now);
        Ok(())
    }

    fn order(&self, command: switchbook_commands::Command) -> Order {
        Order::new(self.command_id(), office::CONSOLE, command)
    }

    fn command_id(&self) -> CommandId {
        let id = self.life.as_ref().map(|life| life.new_id());
        CommandId(id.unwrap_or_default())
    }

    /// From now on nothing bad happens.
    fn calm_down(&mut self) -> Held {
        self.calm = true;
        self.weather = Weather::default();
        self.disk.limit(None);
        self.queue.retain(|_, event| !matches!(event, Event::Down(_) | Event::Room | Event::Up));
        let wrong = self.wall.wrong_by();
        if wrong != 0 {
            self.jump(-wrong);
        }
        self.note("calm");
        if self.dying {
            self.go_down(Down::PowerCut(Cut::Some))?;
        }
        self.disk_ill = None;
        self.start()?;
        for phone in (0..self.phones.len()).step_by(2) {
            self.hang_up(phone);
        }
        Ok(())
    }

    // ---- time

    fn run_until(&mut self, end: Duration) -> Held {
        loop {
            let queued = self.queue.keys().next().map(|(at, _)| *at);
            let instant = |due: Instant| due.saturating_duration_since(self.epoch);
            let server = self.life.as_ref().and_then(|life| life.endpoint.deadline()).map(instant);
            let phones = self.phones.iter().filter_map(|phone| {
                let deadline = phone.ua.as_ref().and_then(|ua| ua.deadline()).map(instant);
                deadline.into_iter().chain(phone.ask_again).min()
            });
            let next = phones.chain(queued).chain(server).min();
            let Some(next) = next.filter(|next| *next < end) else {
                return self.pass(end);
            };
            self.pass(next.max(self.now))?;
            self.due()?;
        }
    }

    /// Lets the server's tasks run until then.
    fn pass(&mut self, to: Duration) -> Held {
        self.now = self.now.max(to);
        if let Some(life) = &mut self.life {
            let mut out = Vec::new();
            life.run_until(self.now, &mut out);
            self.sent(out);
        }
        self.answered()
    }

    /// Everything whose time has come.
    fn due(&mut self) -> Held {
        let now = self.instant();
        if let Some(life) = &mut self.life
            && life.endpoint.deadline().is_some_and(|due| due <= now)
        {
            self.server(Input::Timer);
        }
        for phone in 0..self.phones.len() {
            let handset = &mut self.phones[phone];
            if let Some(ua) =
                handset.ua.as_mut().filter(|ua| ua.deadline().is_some_and(|due| due <= now))
            {
                ua.timer(now);
                self.heard(phone);
            }
            let handset = &mut self.phones[phone];
            if handset.ask_again.is_some_and(|due| due <= self.now) {
                handset.ask(now);
                self.heard(phone);
            }
        }
        while let Some((key, event)) = self.queue.pop_first() {
            if key.0 > self.now {
                self.queue.insert(key, event);
                break;
            }
            self.happens(event)?;
        }
        self.answered()
    }

    fn happens(&mut self, event: Event) -> Held {
        match event {
            Event::Packet { from, to, bytes } => self.arrives(from, to, bytes),
            Event::Disk => {
                self.disk_works = false;
                if let Some(life) = &mut self.life {
                    let mut out = Vec::new();
                    life.write(&mut out);
                    self.sent(out);
                }
            }
            Event::Beat => {
                if let Some(life) = &mut self.life {
                    life.beat();
                }
                self.later(Duration::from_millis(500), Event::Beat);
            }
            Event::Phones => self.somebody_acts(),
            Event::Office => self.administrator_acts(),
            Event::Weather => {
                if !self.calm {
                    let network = &mut self.chance.network;
                    let loss = network.pick(&[0, 0, 5, 15, 30]);
                    let (twice, slow) = (network.pick(&[0, 5, 20]), network.pick(&[0, 5, 25]));
                    self.weather = Weather { loss, twice, slow };
                    self.later(Duration::from_secs(40), Event::Weather);
                }
            }
            Event::Fault => self.fault(),
            Event::Room => {
                self.disk.limit(None);
                self.disk_ill = None;
                self.note("disk: room again");
            }
            Event::Down(how) => self.go_down(how)?,
            Event::Up => self.start()?,
            Event::PlugIn(phone) => {
                if self.phones[phone].ua.is_none() && !self.calm {
                    self.plug_in(phone);
                }
            }
            Event::Repeat(asked, words, password) => self.asks(asked, words, password),
            Event::Look => {
                self.check_now()?;
                self.patience();
                self.later(Duration::from_secs(1), Event::Look);
            }
        }
        Ok(())
    }

    // ---- the network

    fn sent(&mut self, out: Vec<(Flow, Bytes)>) {
        for (flow, bytes) in out {
            self.send(flow.local, flow.remote, bytes);
        }
        if !self.disk_works && self.life.as_ref().is_some_and(Life::wants_disk) {
            self.disk_works = true;
            let faults = &mut self.chance.faults;
            let slow = !self.calm && faults.chance(4);
            let takes = if slow { faults.millis(200, 2500) } else { faults.millis(1, 15) };
            self.later(takes, Event::Disk);
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        self.tally.packets += 1;
        let Weather { loss, twice, slow } = self.weather;
        let network = &mut self.chance.network;
        let copies = 1 + u64::from(network.chance(twice));
        for _ in 0..copies {
            let network = &mut self.chance.network;
            let (lost, slow) = (network.chance(loss), network.chance(slow));
            let delay = if slow { network.millis(100, 1500) } else { network.millis(1, 25) };
            if lost {
                self.note(&format!("lost: {}", line(from, to, &bytes)));
            } else {
                self.later(delay, Event::Packet { from, to, bytes: bytes.clone() });
            }
        }
    }

    fn arrives(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        self.note(&line(from, to, &bytes));
        if to == flow(to).local {
            if self.life.is_some() {
                let ringing = bytes.starts_with(b"SIP/2.0 18");
                let at = self.phones.iter_mut().find(|phone| phone.at == from && ringing);
                if let Some(call) = at.and_then(|phone| phone.call.as_mut()) {
                    call.known = true;
                }
                self.server(Input::Datagram(flow(from), bytes));
            }
            return;
        }
        let now = self.instant();
        if let Some(phone) = self.phones.iter().position(|phone| phone.at == to)
            && let Some(ua) = &mut self.phones[phone].ua
        {
            ua.receive(now, from, bytes);
            self.heard(phone);
        }
    }

    fn server(&mut self, input: Input) {
        let Some(life) = &mut self.life else { return };
        let mut out = Vec::new();
        life.handle(input, &mut out);
        self.now = self.now.max(life.now());
        self.sent(out);
    }

    // ---- phones and their users

    /// Takes in what a phone has to send and to tell.
    fn heard(&mut self, phone: usize) {
        loop {
            let handset = &mut self.phones[phone];
            let Some(ua) = &mut handset.ua else { return };
            let mut out = Vec::new();
            while let Some(sent) = ua.poll_transmit() {
                out.push(sent);
            }
            let events = ua.take_events();
            let quiet = out.is_empty() && events.is_empty();
            let (at, now, jumps) = (handset.at, self.now, self.tally.jumps);
            out.iter().for_each(|(_, bytes)| handset.sends(now, jumps, bytes));
            for (to, bytes) in out {
                self.send(at, to, bytes);
            }
            for event in events {
                let name = self.phones[phone].name;
                self.note(&format!("{name}: {event:?}"));
                let (now, lives) = (self.now, self.lives);
                let handset = &mut self.phones[phone];
                if handset.heard(now, lives, &event) {
                    self.hang_up(phone);
                }
            }
            self.tally.told += u64::from(!quiet);
            if quiet {
                return;
            }
        }
    }

    fn plug_in(&mut self, phone: usize) {
        let chance = &mut self.chance.phones;
        let seed = chance.bytes();
        let wants = chance.pick(&[60, 120, 300, 600]);
        let again = chance.chance(40);
        let handset = &mut self.phones[phone];
        if again && self.lives > 1 {
            handset.at.set_port(handset.at.port() + 1);
        }
        handset.wants = wants;
        handset.plug_in(seed);
        let now = self.epoch + self.now;
        handset.ask(now);
        let words = format!("{} is plugged in at {}", handset.name, handset.at);
        self.note(&words);
        self.heard(phone);
    }

    fn wishes(&mut self, phone: usize, wish: Wish) {
        let now = self.instant();
        let handset = &mut self.phones[phone];
        let words = format!("{}: {wish:?}", handset.name);
        handset.wish(now, wish);
        self.note(&words);
        self.heard(phone);
    }

    fn hang_up(&mut self, phone: usize) {
        if let Some(call) = &mut self.phones[phone].call {
            call.given_up = true;
            self.wishes(phone, Wish::HangUp);
        }
        // A caller's wait for an answer to his CANCEL is over by the transaction's timer.
        if self.phones[phone].ua.as_ref().is_some_and(|ua| !ua.has_call()) {
            self.phones[phone].call = None;
        }
    }

    fn somebody_acts(&mut self) {
        if self.calm {
            return;
        }
        let chance = &mut self.chance.phones;
        let phone = chance.below(self.phones.len() as u64) as usize;
        let (act, after) = (chance.below(100), chance.millis(100, 1500));
        let handset = &self.phones[phone];
        let (plugged, free) = (handset.ua.is_some(), handset.call.is_none());
        match act {
            _ if !plugged => {
                if act < 20 {
                    self.plug_in(phone);
                }
            }
            0..38 if free => {
                let numbers = ["100", "101", "200", "300", "400", "999", "100", "200", "300"];
                let codes = [
                    "*44*101*4711",
                    "*44*100*4711",
                    "*44*100*1",
                    "*44",
                    "*78",
                    "*79",
                    "*72*1",
                    "*73",
                ];
                let chance = &mut self.chance.phones;
                let number = match chance.chance(85) {
                    true => chance.pick(&numbers),
                    false => chance.pick(&codes),
                };
                let (since, life) = (self.now, self.lives);
                self.phones[phone].call = Some(CallSince {
                    stage: Stage::Calls,
                    since,
                    life,
                    known: false,
                    given_up: false,
                });
                self.wishes(phone, Wish::Call(number.into()));
            }
            0..38 => self.hang_up(phone),
            38..60 => {
                let chance = &mut self.chance.phones;
                let ring = Duration::from_millis(chance.below(12_000));
                let on_call = match chance.below(10) {
                    0..7 => OnCall::Answer(ring),
                    7 => OnCall::Ring,
                    _ => OnCall::Refuse(chance.pick(&[486, 603, 480, 500])),
                };
                self.phones[phone].on_call = on_call;
                self.wishes(phone, Wish::OnCall(on_call));
            }
            60..66 if !free => self.wishes(phone, Wish::Hold(act % 2 == 0)),
            66..76 => {
                let wants = self.chance.phones.pick(&[60, 60, 120, 300, 600]);
                self.asks_for(phone, wants);
            }
            76..82 => self.asks_for(phone, 0),
            82..88 if free => {
                let handset = &mut self.phones[phone];
                let port = handset.at.port() + 1;
                handset.at.set_port(port);
                let at = handset.at;
                handset.told = None;
                if let Some(ua) = &mut handset.ua {
                    ua.move_to(at);
                }
                let wants = handset.wants.max(60);
                self.asks_for(phone, wants);
            }
            88..94 => {
                self.phones[phone].unplug();
                let words = format!("{} vanishes", self.phones[phone].name);
                self.note(&words);
                let back = self.chance.phones.millis(1000, 60_000);
                self.later(back, Event::PlugIn(phone));
            }
            _ => {}
        }
        self.later(after, Event::Phones);
    }

    fn asks_for(&mut self, phone: usize, wants: u32) {
        let now = self.instant();
        let handset = &mut self.phones[phone];
        handset.wants = wants;
        let words = format!("{} wants {wants} s", handset.name);
        if handset.asking {
            return;
        }
        handset.ask(now);
        self.note(&words);
        self.heard(phone);
    }

    /// Users whose call has lost its server give it up some time; and nobody waits for an answer for ever.
    fn patience(&mut self) {
        for phone in 0..self.phones.len() {
            let handset = &self.phones[phone];
            let has_call = handset.ua.as_ref().is_some_and(|ua| ua.has_call());
            if !has_call {
                self.phones[phone].call = None;
                continue;
            }
            let Some(call) = handset.call else { continue };
            let orphan = call.life != self.lives || self.life.is_none();
            let long = if orphan { 60 } else { 180 };
            let waits = orphan || call.stage == Stage::Rings;
            if waits && !call.given_up && self.now > call.since + Duration::from_secs(long) {
                self.hang_up(phone);
            }
        }
    }

    // ---- the administrator

    fn administrator_acts(&mut self) {
        if self.calm {
            return;
        }
        let after = self.chance.office.millis(500, 6000);
        self.later(after, Event::Office);
        let Some(life) = &self.life else { return };
        if self.waiting.len() >= 3 {
            return;
        }
        let serial = self.serial;
        let office = &mut self.chance.office;
        let kind = office.below(20);
        let (phone, new) = (office.below(self.phones.len() as u64) as usize, office.next() % 1000);
        let idea = office::idea(office, life, serial);
        let users = &life.interior.desk.published().exchange.users;
        let name =
            |user: &switchbook_core::user::User| user.username.value.known().map(str::to_owned);
        let eve = users.values().filter_map(|user| name(user)).find(|name| name.starts_with('u'));
        let (mut words, mut password) = (idea, None);
        let asked = match (kind, eve) {
            (0, _) => {
                words = "seal".into();
                Asked::Seal
            }
            (1, _) => {
                let user = |n: u64| {
                    let json = format!(
                        r#"{{"command":"user.add","username":"u{n}","display_name":"U","numbers":["{}"]}}"#,
                        50_000 + n
                    );
                    office::command(&json)
                };
                words = format!("apply of u{serial} and u{}", serial + 1);
                let commands = vec![user(serial), user(serial + 1)];
                let (id, on_behalf_of) = (self.command_id(), None);
                Asked::Many(Bulk { id, actor: office::CONSOLE, on_behalf_of, commands })
            }
            (2, Some(eve)) => {
                words = format!(
                    r#"{{"command":"person.erase","user":"{eve}","confirm":true,"force":true}}"#
                );
                Asked::Erase(self.order(office::command(&words)).into())
            }
            (3, Some(eve)) => {
                words = format!(
                    r#"{{"command":"user.delete","user":"{eve}","confirm":true,"force":true}}"#
                );
                Asked::One(self.order(office::command(&words)).into())
            }
            (4 | 5, _) => {
                let name = self.phones[phone].name;
                let new = format!("secret-{name}-{new}");
                words = format!(
                    r#"{{"command":"device.password","device":"{name}","password":"{new}"}}"#
                );
                password = Some((phone, new));
                Asked::One(self.order(office::command(&words)).into())
            }
            _ => Asked::One(self.order(office::command(&words)).into()),
        };
        if password.is_some() && self.waiting.iter().any(|waiting| waiting.password.is_some()) {
            return;
        }
        self.asks(asked, words, password);
    }

    fn asks(&mut self, asked: Asked, words: String, password: Option<(usize, String)>) {
        if self.life.is_none() {
            return self.later(Duration::from_secs(5), Event::Repeat(asked, words, password));
        }
        self.note(&format!("administrator: {words}"));
        let Some(life) = &self.life else { return };
        let task = office::ask(life, asked.clone());
        self.waiting.push(Waiting { asked, words, password, task });
        self.pass_on();
    }

    /// What tasks of the administrator's have put into the Desk's queue reaches the disk.
    fn pass_on(&mut self) {
        if let Some(life) = &self.life {
            self.now = self.now.max(life.now());
        }
        self.sent(Vec::new());
    }

    fn answered(&mut self) -> Held {
        self.pass_on();
        while let Some(place) = self.waiting.iter().position(|waiting| waiting.task.is_finished()) {
            let Waiting { asked, words, password, task } = self.waiting.remove(place);
            let Some(life) = &self.life else { return Ok(()) };
            let outcome = life.outcome(task)?;
            self.told(asked, words, password, outcome)?;
        }
        Ok(())
    }

    fn told(
        &mut self,
        asked: Asked,
        words: String,
        password: Option<(usize, String)>,
        outcome: Outcome,
    ) -> Held {
        let answer = match outcome {
            Outcome::Refused(error) => {
                self.note(&format!("refused: {error}"));
                let again = match error.code() {
                    Some(RefusalCode::CommandIdInvalid | RefusalCode::CommandTooOld) => {
                        Some(self.renewed(asked))
                    }
                    Some(
                        RefusalCode::OutcomeUnknown
                        | RefusalCode::BookReadOnly
                        | RefusalCode::SecretsUnavailable,
                    )
                    | None => Some(asked),
                    Some(_) => None,
                };
                if let Some(asked) = again {
                    self.later(Duration::from_secs(3), Event::Repeat(asked, words, password));
                }
                return Ok(());
            }
            Outcome::Failed(why) => {
                self.note(&format!("failed: {why}"));
                if matches!(asked, Asked::Erase(_)) {
                    self.later(Duration::from_secs(3), Event::Repeat(asked, words, password));
                }
                return Ok(());
            }
            Outcome::Sealed(at) => {
                self.note(&format!("sealed at {at}"));
                return Ok(());
            }
            Outcome::Erased(answer) => {
                self.acknowledged.erased.extend(office::erased(&answer));
                answer
            }
            Outcome::Done(answer) => answer,
        };
        self.tally.acknowledged += 1;
        self.note(&format!("done: {words}, {:?}", answer.positions()));
        for recorded in answer.records.iter() {
            if let Recordable::HangUpOrdered(ordered) = &recorded.event {
                let position = recorded.envelope.position;
                self.server(Input::Command(Command::HangUp(ordered.call, position)));
            }
        }
        self.acknowledged.records.extend(answer.records.iter().cloned());
        if let Some((phone, password)) = password {
            // Provisioned anew: it starts again with it.
            self.phones[phone].password = password;
            if self.phones[phone].ua.is_some() {
                self.phones[phone].unplug();
                self.plug_in(phone);
            }
        }
        Ok(())
    }

    /// The same under a new id: the old one is too old for the server's clock, or of a time to come.
    fn renewed(&self, asked: Asked) -> Asked {
        let id = self.command_id();
        match asked {
            Asked::One(mut order) => {
                order.id = id;
                Asked::One(order)
            }
            Asked::Erase(mut order) => {
                order.id = id;
                Asked::Erase(order)
            }
            Asked::Many(bulk) => Asked::Many(Bulk { id, ..bulk }),
            Asked::Seal => Asked::Seal,
        }
    }

    // ---- what goes wrong

    fn fault(&mut self) {
        if self.calm {
            return;
        }
        let after = self.chance.faults.millis(5000, 60_000);
        self.later(after, Event::Fault);
        if self.life.is_none() {
            return;
        }
        let faults = &mut self.chance.faults;
        let cut = faults.pick(&[Cut::Some, Cut::Some, Cut::Nothing, Cut::Everything]);
        let (kind, operations) = (faults.below(20), faults.below(40));
        let (soon, long) = (faults.millis(1, 3000), faults.millis(1000, 15_000));
        let jump = faults.pick(&[3600, -3600, 300, -300, 7, -7, 86_400, 315_360_000]);
        match kind {
            0..4 => self.later(Duration::ZERO, Event::Down(Down::PowerCut(cut))),
            4..7 => self.later(Duration::ZERO, Event::Down(Down::Killed)),
            7..10 => {
                self.note(&format!(
                    "the machine will die after {operations} operations of the disk"
                ));
                self.disk.die_after(operations);
                (self.disk_ill, self.dying) = (Some(self.now), true);
                self.later(soon, Event::Down(Down::PowerCut(cut)));
            }
            10..12 => self.later(Duration::ZERO, Event::Down(Down::Stopped)),
            12..14 => {
                self.note("disk: full");
                self.tally.full += 1;
                self.disk.limit(Some(self.disk.used()));
                self.disk_ill = Some(self.now);
                self.later(long, Event::Room);
            }
            14..17 if self.seed % 3 == 0 => {
                let wrong = self.wall.wrong_by();
                self.jump(if wrong == 0 { jump } else { -wrong });
            }
            _ => {}
        }
    }

    fn jump(&mut self, seconds: i64) {
        self.note(&format!("the wall clock jumps by {seconds} s"));
        self.tally.jumps += 1;
        self.wall.jump(seconds);
    }

    fn go_down(&mut self, how: Down) -> Held {
        let Some(life) = self.life.take() else { return Ok(()) };
        self.note(&format!("the server goes down: {how:?}"));
        let (mut out, mut clean) = (Vec::new(), false);
        // A machine that is dying does not stop in order.
        if how == Down::Stopped && !self.dying {
            match life.stop(&mut out) {
                Ok(()) => clean = true,
                Err(why) => {
                    self.note(&format!("not everything was written before the stop: {why}"))
                }
            }
            self.tally.stops += 1;
        } else {
            life.end();
            self.tally.crashes += 1;
        }
        self.sent(out);
        let died = std::mem::take(&mut self.dying);
        self.disk = match how {
            Down::PowerCut(cut) => self.disk.cut(cut),
            Down::Killed | Down::Stopped if died => self.disk.cut(Cut::Some),
            Down::Killed | Down::Stopped => self.disk.process_death(),
        };
        self.disk.limit(None);
        self.went_down = self.disk_ill.take().unwrap_or(self.now);
        if clean {
            self.went_down = Duration::MAX;
        }
        self.disk_works = false;
        self.queue.retain(|_, event| !matches!(event, Event::Disk | Event::Room | Event::Down(_)));
        // Nobody was answered; everybody asks again.
        for Waiting { asked, words, password, task } in std::mem::take(&mut self.waiting) {
            task.abort();
            let after = self.chance.office.millis(3000, 20_000);
            self.later(after, Event::Repeat(asked, words, password));
        }
        if !self.calm {
            let after = self.chance.faults.millis(100, 15_000);
            self.later(after, Event::Up);
        }
        Ok(())
    }

    pub fn start(&mut self) -> Held {
        if self.life.is_some() {
            return Ok(());
        }
        let seed = self.chance.faults.bytes();
        if !self.calm && self.lives > 0 && self.chance.faults.chance(15) {
            let operations = self.chance.faults.below(60);
            self.disk.die_after(operations);
            (self.disk_ill, self.dying) = (Some(self.now), true);
            self.note(&format!("a start that will die after {operations} operations of the disk"));
            let after = self.chance.faults.millis(1, 3000);
            self.later(after, Event::Down(Down::PowerCut(Cut::Some)));
        }
        let erasures = self.folder.path().join("erasures");
        let ground = Ground {
            disk: &self.disk,
            erasures: &erasures,
            wall: &self.wall,
            epoch: self.epoch,
            now: self.now,
            seed,
        };
        match Life::begin(&ground) {
            Ok(life) => {
                self.now = self.now.max(life.now());
                self.life = Some(life);
                self.lives += 1;
                self.note("the server is up");
                // On a dying disk the next start shows it.
                if self.dying { Ok(()) } else { self.check_recovered() }
            }
            Err(why) if self.dying => {
                self.note(&format!("the start died: {why}"));
                self.queue.retain(|_, event| !matches!(event, Event::Down(_)));
                self.disk = self.disk.cut(Cut::Some);
                (self.disk_ill, self.dying) = (None, false);
                self.later(Duration::from_secs(1), Event::Up);
                Ok(())
            }
            Err(why) => Err(format!("the server does not start: {why}")),
        }
    }
}

/// A message in a line: who, to whom, what.
fn line(from: SocketAddr, to: SocketAddr, bytes: &Bytes) -> String {
    let text = String::from_utf8_lossy(bytes);
    let value = |name: &str| {
        let mut lines = text.lines().take_while(|line| !line.is_empty());
        lines.find_map(|line| line.strip_prefix(name)).unwrap_or("").trim().to_owned()
    };
    let first = text.lines().next().unwrap_or("");
    let first = first.strip_suffix(" SIP/2.0").unwrap_or(first);
    format!("{from} → {to}: {first} ({})", value("CSeq:"))
}
