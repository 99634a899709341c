//! The world around the server: a network that loses, doubles and delays, phones with their users, an administrator, a
//! disk that is slow, full or cut, and a wall clock that jumps. One thread, one seed, virtual time.

use crate::handset::Handset;
use crate::life::Life;
use crate::network::Weather;
use crate::office::{self, Acknowledged, Asked, Waiting};
use crate::random::{Random, mix};
use crate::time::Wall;
use crate::trouble::Down;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchbook_commands::Order;
use switchbook_core::id::CommandId;
use switchbook_core::position::Position;
use switchbook_journal::faults::{Cut, SimDisk};
use switchbook_sip_adapter::endpoint::Input;

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

/// The streams of chance.
pub struct Chance {
    pub network: Random,
    pub phones: Random,
    pub office: Random,
    pub faults: Random,
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
    /// Where the events of a command stand, as its sender was first answered.
    pub answers: BTreeMap<CommandId, Option<(Position, Position)>>,
    pub events_of_shape: [Option<usize>; 2],
    pub wall: Arc<Wall>,
    pub tally: Tally,
    /// When the last life of the server ended, and since when its disk had not been well by then.
    pub went_down: Duration,
    pub disk_ill: Option<Duration>,
    /// The disk will do so many things more, and then nothing.
    pub dying: bool,
    /// Since when the server has known of no call.
    pub empty_since: Option<Duration>,
    /// Nothing bad happens any more.
    pub calm: bool,
    pub disk: SimDisk,
    pub folder: tempfile::TempDir,
    pub queue: BTreeMap<(Duration, u64), Event>,
    pub serial: u64,
    pub disk_works: bool,
    pub weather: Weather,
    pub chance: Chance,
    pub trace: VecDeque<String>,
    pub trace_hash: u64,
    pub loud: bool,
    pub seed: u64,
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
            answers: BTreeMap::new(),
            events_of_shape: [None; 2],
            wall: Arc::default(),
            tally: Tally::default(),
            went_down: Duration::ZERO,
            disk_ill: None,
            dying: false,
            empty_since: None,
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

    pub fn instant(&self) -> Instant {
        self.epoch + self.now
    }

    pub fn later(&mut self, after: Duration, event: Event) {
        self.serial += 1;
        self.queue.insert((self.now + after, self.serial), event);
    }

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
        // Bindings end meanwhile: the disk may be at work at any one moment (seed 1370), and is not for seconds on end.
        for _ in 0..5 {
            if self.check_idle().is_ok() {
                break;
            }
            self.run_until(self.now + Duration::from_millis(700))?;
        }
        self.check_idle()
    }

    pub fn founding(&mut self) -> Held {
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

    pub fn order(&self, command: switchbook_commands::Command) -> Order {
        Order::new(self.command_id(), office::CONSOLE, command)
    }

    pub fn command_id(&self) -> CommandId {
        let id = self.life.as_ref().map(|life| life.new_id());
        CommandId(id.unwrap_or_default())
    }

    /// From now on nothing bad happens.
    pub fn calm_down(&mut self) -> Held {
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

    pub fn run_until(&mut self, end: Duration) -> Held {
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
    pub fn pass(&mut self, to: Duration) -> Held {
        self.now = self.now.max(to);
        if let Some(life) = &mut self.life {
            let mut out = Vec::new();
            life.run_until(self.now, &mut out);
            self.sent(out);
        }
        self.answered()
    }

    /// Everything whose time has come.
    pub fn due(&mut self) -> Held {
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

    pub fn happens(&mut self, event: Event) -> Held {
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
}
