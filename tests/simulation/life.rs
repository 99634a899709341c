//! One life of the server: the real interior of the house on the disk in memory, the real endpoint at the real port. What
//! is not here is the socket, and the threads of the book, whose work is done step by step.

use crate::time::{MachineClock, Wall};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchbook::interior::{Interior, Wishes};
use switchbook_commands::startup;
use switchbook_core::id::BookId;
use switchbook_journal::faults::SimDisk;
use switchbook_journal::{Book, Hands, Options};
use switchbook_sip::transaction::{Flow, Transport};
use switchbook_sip_adapter::endpoint::{Command, Endpoint, Input, Output};
use switchbook_sip_adapter::port::{Done, Port, Reply, Trouble};
use switchbook_sip_adapter::{Config, DeskPort, Metrics, Now};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

pub const SERVER: &str = "192.0.2.1:5060";
pub const REALM: &str = "pbx.test";

/// The least time that a task of the runtime is given to run until all wait.
const STEP: Duration = Duration::from_millis(1);

type Answered = (u64, Result<Done, Trouble>);

pub struct Life {
    pub interior: Interior,
    pub endpoint: Endpoint,
    hands: Hands,
    port: DeskPort,
    tell: mpsc::UnboundedSender<Answered>,
    answers: mpsc::UnboundedReceiver<Answered>,
    wall: Arc<Wall>,
    /// The beginning of the simulation, and this life's place after it.
    epoch: Instant,
    began: (Duration, tokio::time::Instant),
    /// Last, so that everything above is gone when the runtime goes.
    runtime: Runtime,
}

pub struct Ground<'a> {
    pub disk: &'a SimDisk,
    pub erasures: &'a Path,
    pub wall: &'a Arc<Wall>,
    pub epoch: Instant,
    pub now: Duration,
    pub seed: [u8; 32],
}

impl Life {
    /// Starts the server, as the binary does, on what the disk holds.
    pub fn begin(ground: &Ground<'_>) -> Result<Self, String> {
        // One thread for blocking work: what is asked first is done first.
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .max_blocking_threads(1)
            .build()
            .map_err(|error| error.to_string())?;
        let options = Options {
            book: Some(BookId(uuid::Uuid::from_u128(7))),
            segment_bytes: 64 * 1024,
            index: false,
            files: Arc::new(ground.disk.clone()),
            ..Options::default()
        };
        let opened = Book::open_by_hand(Path::new("/book"), options);
        let (opened, mut hands) = opened.map_err(|error| format!("opening the book: {error}"))?;
        let mut wishes = Wishes::new(Path::new("/book"));
        wishes.erasures = ground.erasures.to_path_buf();
        wishes.realm = REALM.into();
        wishes.time_zone = chrono_tz::Europe::Berlin;
        let wall = Arc::clone(ground.wall);
        let began = runtime.block_on(async { (ground.now, tokio::time::Instant::now()) });
        let clock = Arc::new(MachineClock { wall: Arc::clone(&wall), began });
        let interior = runtime.block_on(async {
            let room = tokio::runtime::Handle::current();
            let opening = Interior::open(opened, &wishes, clock, (&room, Arc::new(|| ())));
            tokio::pin!(opening);
            loop {
                tokio::select! {
                    biased;
                    opened = &mut opening => return opened,
                    () = tokio::time::sleep(STEP) => hands.write(),
                }
            }
        });
        let mut interior = interior.map_err(|failure| failure.to_string())?;
        if let Some(forgetting) = interior.forgetting.take() {
            runtime.block_on(forgetting);
        }
        let entered = runtime.enter();
        let port = DeskPort::new(interior.desk.clone());
        drop(entered);
        let (tell, answers) = mpsc::unbounded_channel();
        let server = SERVER.parse().expect("an address");
        let mut config = Config::new(server);
        config.limits.account_back_off.most = Duration::from_secs(10);
        let phones = Arc::new(DeskPort::clone(&port));
        let (local, metrics) = (Arc::new(move |_| server), Arc::new(Metrics::default()));
        let now = Now { instant: ground.epoch + ground.now, moment: wall.at(ground.now) };
        let endpoint = Endpoint::new(config, phones, metrics, ground.seed, local, now);
        interior.calls_are(endpoint.live_calls());
        let epoch = ground.epoch;
        Ok(Self { interior, endpoint, hands, port, tell, answers, wall, epoch, began, runtime })
    }

    /// The time of the simulation.
    pub fn now(&self) -> Duration {
        let _entered = self.runtime.enter();
        self.began.0 + tokio::time::Instant::now().saturating_duration_since(self.began.1)
    }

    fn clock(&self) -> Now {
        let now = self.now();
        Now { instant: self.epoch + now, moment: self.wall.at(now) }
    }

    /// An id as the machine makes them.
    pub fn new_id(&self) -> uuid::Uuid {
        let _entered = self.runtime.enter();
        self.interior.desk.clock().new_id()
    }

    /// Lets tasks run until that time; what the Desk answered meanwhile reaches the phones' part at its end.
    pub fn run_until(&mut self, time: Duration, out: &mut Vec<(Flow, bytes::Bytes)>) {
        let until = self.began.1 + time.saturating_sub(self.began.0);
        self.runtime.block_on(async { tokio::time::sleep_until(until).await });
        self.settle(out);
    }

    /// One input for the phones' part, and everything that follows from it without the disk.
    pub fn handle(&mut self, input: Input, out: &mut Vec<(Flow, bytes::Bytes)>) {
        self.endpoint.handle(self.clock(), input);
        self.settle(out);
    }

    fn settle(&mut self, out: &mut Vec<(Flow, bytes::Bytes)>) {
        loop {
            let asked = self.poll(out);
            if asked {
                self.breathe();
            }
            let mut answered = false;
            while let Ok((ticket, outcome)) = self.answers.try_recv() {
                answered = true;
                self.endpoint.handle(self.clock(), Input::Answer(ticket, outcome));
            }
            if !asked && !answered {
                return;
            }
        }
    }

    /// Hands on what the endpoint has to say; was something for the Desk?
    fn poll(&mut self, out: &mut Vec<(Flow, bytes::Bytes)>) -> bool {
        let _entered = self.runtime.enter();
        let mut asked = false;
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(flow, bytes) => out.push((flow, bytes)),
                Output::Errand(ticket, errand) => {
                    asked = true;
                    let tell = self.tell.clone();
                    let reply = Reply::new(move |outcome| drop(tell.send((ticket, outcome))));
                    self.port.submit(errand, reply);
                }
            }
        }
        asked
    }

    /// Every task runs until all wait for time or disk.
    fn breathe(&self) {
        self.runtime.block_on(async { tokio::time::sleep(STEP).await });
    }

    /// Starts something of an administrator's.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        let task = self.runtime.spawn(task);
        self.breathe();
        task
    }

    /// What a task came to that has ended.
    pub fn outcome<T>(&self, task: tokio::task::JoinHandle<T>) -> Result<T, String> {
        self.runtime.block_on(task).map_err(|error| error.to_string())
    }

    /// Runs something to its end; the disk is as quick as it can be.
    pub fn finish<T>(&mut self, work: impl Future<Output = T>) -> T {
        let Self { runtime, hands, .. } = self;
        runtime.block_on(async {
            tokio::pin!(work);
            loop {
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    () = tokio::time::sleep(STEP) => hands.write(),
                }
            }
        })
    }

    /// Does anybody wait for the disk?
    pub fn wants_disk(&self) -> bool {
        self.hands.is_wanted()
    }

    /// The disk does what was asked of it.
    pub fn write(&mut self, out: &mut Vec<(Flow, bytes::Bytes)>) {
        self.hands.write();
        self.breathe();
        self.settle(out);
    }

    pub fn beat(&mut self) {
        self.hands.beat();
    }

    pub fn wall_clock(&self) -> switchbook_core::position::Moment {
        self.wall.at(self.now())
    }

    /// A part that must not end has ended.
    pub fn broken(&self) -> Option<&'static str> {
        self.interior.vital.iter().find(|(_, task)| task.is_finished()).map(|(name, _)| *name)
    }

    /// Stops as the binary does: hangs up, writes everything, closes the book.
    pub fn stop(mut self, out: &mut Vec<(Flow, bytes::Bytes)>) -> Result<(), String> {
        self.handle(Input::Command(Command::HangUpAll), out);
        let desk = self.interior.desk.clone();
        let stopped = self.finish(async move { startup::stop(&desk).await });
        let Self { runtime, hands, interior, endpoint, port, .. } = self;
        drop((endpoint, port));
        runtime.shutdown_timeout(Duration::from_secs(5));
        drop(interior);
        hands.close();
        stopped.map_err(|error| error.to_string())
    }

    /// Everything in memory is gone, whatever it was doing.
    pub fn end(self) {
        let Self { runtime, .. } = self;
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

pub fn flow(from: std::net::SocketAddr) -> Flow {
    Flow { remote: from, local: SERVER.parse().expect("an address"), transport: Transport::Udp }
}
