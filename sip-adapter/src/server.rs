//! The shell around the endpoint: one task with one socket, the clock, and the channels of Desk and administrator.

use crate::config::{Config, OnStop};
use crate::endpoint::{Command, Endpoint, Input, LiveCalls, Output};
use crate::metrics::Metrics;
use crate::moderation::{Moderation, Nap};
use crate::port::{Done, Port, Reply, Trouble};
use crate::round::{Sources, Wish, round};
use crate::socket::{Udp, bind, ways_out};
use crate::switchroom::Switchroom;
use crate::wire::Now;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use switchbook_core::id::CallId;
use switchbook_core::position::{Moment, Position};
use switchbook_sip::transaction::{Flow, Transport};
use tokio::sync::{mpsc, oneshot};

/// How long a stop waits for the answers to its BYEs.
const FAREWELL: Duration = Duration::from_secs(2);

type Answered = (u64, Result<Done, Trouble>);

/// Something an administrator wants of the loop.
#[derive(Debug)]
enum Wanted {
    Command(Command),
    Stop(oneshot::Sender<()>),
}

/// A running SIP server. Dropped, it stops without a word to the phones; [`Server::stop`] says goodbye.
#[derive(Debug)]
pub struct Server {
    local: SocketAddr,
    metrics: Arc<Metrics>,
    live: Arc<LiveCalls>,
    wanted: mpsc::Sender<Wanted>,
}

/// A bound socket that nobody serves yet: whether the address can be had is known before anything is begun. What
/// arrives meanwhile waits.
#[derive(Debug)]
pub struct Door(std::net::UdpSocket);

impl Door {
    /// Binds the socket.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(listen: SocketAddr) -> io::Result<Self> {
        bind(listen).map(Self)
    }
}

impl Server {
    /// Binds the socket and starts the loop.
    ///
    /// # Errors
    /// When the address cannot be bound, or the system gives no randomness.
    pub fn start(config: Config, port: Arc<dyn Port>, room: &Switchroom) -> io::Result<Self> {
        let door = Door::bind(config.listen)?;
        Self::start_at(door, config, port, room)
    }

    /// Starts the loop at a door that was bound before.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn start_at(
        door: Door,
        config: Config,
        port: Arc<dyn Port>,
        room: &Switchroom,
    ) -> io::Result<Self> {
        let Door(socket) = door;
        let local = socket.local_addr()?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let metrics = Arc::new(Metrics::default());
        let (wanted, wants) = mpsc::channel(64);
        let on_stop = config.on_stop;
        let ways = ways_out(local, config.advertised);
        let endpoint =
            Endpoint::new(config, port.clone(), metrics.clone(), seed, ways.clone(), now());
        let live = endpoint.live_calls();
        let nap = room.nap();
        let moderation = Moderation::new(Instant::now());
        room.spawn(async move {
            match Udp::new(socket) {
                Ok(udp) => {
                    let turn = Turn::new(endpoint, udp, ways, on_stop, wants);
                    Loop { turn, port, moderation, nap }.run().await;
                }
                Err(error) => tracing::error!(%error, "the SIP socket cannot be served"),
            }
        });
        Ok(Self { local, metrics, live, wanted })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Who is in a call, for decisions of the Desk (RO-14).
    #[must_use]
    pub fn live_calls(&self) -> Arc<LiveCalls> {
        self.live.clone()
    }

    /// A way to end calls, for whoever is told of orders to do so. It keeps nothing running.
    #[must_use]
    pub fn hangs_up(&self) -> HangsUp {
        HangsUp(self.wanted.downgrade())
    }

    /// Waits until the loop has ended, by a stop or by a fault.
    pub async fn ended(&self) {
        self.wanted.closed().await;
    }

    /// Stops: calls are ended or left as configured, then the socket is closed.
    pub async fn stop(self) {
        let (done, stopped) = oneshot::channel();
        if self.wanted.send(Wanted::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

/// Ends calls of a running server.
#[derive(Clone, Debug)]
pub struct HangsUp(mpsc::WeakSender<Wanted>);

impl HangsUp {
    /// Ends a call, as the event at `ordered` wants; nothing happens if it has ended already.
    pub async fn hang_up(&self, call: CallId, ordered: Position) {
        if let Some(wanted) = self.0.upgrade() {
            let _ = wanted.send(Wanted::Command(Command::HangUp(call, ordered))).await;
        }
    }
}

struct Loop {
    turn: Turn,
    port: Arc<dyn Port>,
    moderation: Moderation,
    nap: Arc<Nap>,
}

/// Who may have something to say, and to whom.
struct Turn {
    endpoint: Endpoint,
    udp: Udp,
    ways: crate::wire::LocalAddress,
    on_stop: OnStop,
    wants: mpsc::Receiver<Wanted>,
    /// Never fuller than the errands that are under way, which the endpoint bounds.
    answers: mpsc::UnboundedReceiver<Answered>,
    tell: mpsc::UnboundedSender<Answered>,
    /// What the loop was woken with.
    wanted: Option<Option<Wanted>>,
    answered: Option<Answered>,
    stopping: Option<(Instant, oneshot::Sender<()>)>,
    now: Now,
}

impl Turn {
    fn new(
        endpoint: Endpoint,
        udp: Udp,
        ways: crate::wire::LocalAddress,
        on_stop: OnStop,
        wants: mpsc::Receiver<Wanted>,
    ) -> Self {
        let (tell, answers) = mpsc::unbounded_channel();
        let (wanted, answered, stopping) = (None, None, None);
        let now = now();
        Self { endpoint, udp, ways, on_stop, wants, answers, tell, wanted, answered, stopping, now }
    }

    /// The next moment at which something is due.
    fn deadline(&self) -> Option<Instant> {
        let stop = self.stopping.as_ref().map(|(at, _)| *at);
        self.endpoint.deadline().into_iter().chain(stop).min()
    }
}

impl Sources for Turn {
    fn wish(&mut self) -> Wish {
        let wanted = match self.wanted.take() {
            Some(wanted) => wanted,
            None => match self.wants.try_recv() {
                Ok(wanted) => Some(wanted),
                Err(mpsc::error::TryRecvError::Empty) => return Wish::None,
                Err(mpsc::error::TryRecvError::Disconnected) => None,
            },
        };
        match wanted {
            Some(Wanted::Command(command)) => {
                self.endpoint.handle(self.now, Input::Command(command));
            }
            Some(Wanted::Stop(done)) if self.on_stop == OnStop::Leave => {
                let _ = done.send(());
                return Wish::End;
            }
            Some(Wanted::Stop(done)) => {
                self.endpoint.handle(self.now, Input::Command(Command::HangUpAll));
                self.stopping.get_or_insert((self.now.instant + FAREWELL, done));
            }
            None => return Wish::End,
        }
        Wish::Done
    }

    fn answer(&mut self) -> bool {
        let answered = self.answered.take().or_else(|| self.answers.try_recv().ok());
        let Some((ticket, outcome)) = answered else { return false };
        self.endpoint.handle(self.now, Input::Answer(ticket, outcome));
        true
    }

    /// What they ask for goes out together, when the loop comes round: whoever is woken by the first finds the rest.
    fn datagram(&mut self) -> bool {
        let Some((remote, bytes)) = self.udp.receive() else { return false };
        let local = (self.ways)(remote.ip());
        let flow = Flow { remote, local, transport: Transport::Udp };
        self.endpoint.handle(self.now, Input::Datagram(flow, bytes));
        true
    }

    fn timers(&mut self) {
        if self.endpoint.deadline().is_some_and(|due| due <= self.now.instant) {
            self.endpoint.handle(self.now, Input::Timer);
        }
    }
}

impl Loop {
    async fn run(mut self) {
        let sleep = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(sleep);
        let mut set_for = None;
        loop {
            self.send_all().await;
            let turn = &mut self.turn;
            if let Some((until, _)) = &turn.stopping
                && (turn.endpoint.sessions() == 0 || *until <= Instant::now())
            {
                break;
            }
            let deadline = turn.deadline();
            if let Some(due) = deadline.filter(|due| set_for != Some(*due)) {
                sleep.as_mut().reset(due.into());
                set_for = Some(due);
            }
            // Whoever wakes it: in the round everybody gets his turn.
            tokio::select! {
                biased;
                wanted = turn.wants.recv() => turn.wanted = Some(wanted),
                Some(answer) = turn.answers.recv() => turn.answered = Some(answer),
                readable = turn.udp.readable() => if readable.is_err() { break },
                () = sleep.as_mut(), if deadline.is_some() => {}
            }
            turn.now = now();
            let done = round(turn);
            if done.ends {
                return;
            }
            let now = turn.now.instant;
            self.nap.set(now, self.moderation.taken(now, done.datagrams));
            if done.gives_way {
                // The Desk shares the thread: it gets what was asked of it, and then its turn.
                self.send_all().await;
                tokio::task::yield_now().await;
            }
        }
        if let Some((_, done)) = self.turn.stopping {
            let _ = done.send(());
        }
    }

    async fn send_all(&mut self) {
        while let Some(output) = self.turn.endpoint.poll_output() {
            match output {
                Output::Transmit(flow, bytes) => self.turn.udp.send(flow.remote, &bytes).await,
                Output::Errand(ticket, errand) => {
                    let tell = self.turn.tell.clone();
                    let reply = Reply::new(move |outcome| drop(tell.send((ticket, outcome))));
                    self.port.submit(errand, reply);
                }
            }
        }
    }
}

/// The clock of the machine.
#[must_use]
fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let moment = Moment(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    Now { instant: Instant::now(), moment }
}
