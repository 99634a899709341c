//! The shell around the endpoint: one task with one socket, the clock, and the channels of Desk and administrator.

use crate::config::{Config, OnStop};
use crate::endpoint::{Command, Endpoint, Input, LiveCalls, Output};
use crate::metrics::Metrics;
use crate::moderation::{Moderation, Nap};
use crate::port::{Done, Port, Reply, Trouble};
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

/// Datagrams taken per wakeup before answers, commands and timers get their turn.
const BATCH: usize = 128;
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
                    Loop { endpoint, udp, port, ways, on_stop, moderation, nap }.run(wants).await;
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
    endpoint: Endpoint,
    udp: Udp,
    port: Arc<dyn Port>,
    ways: crate::wire::LocalAddress,
    on_stop: OnStop,
    moderation: Moderation,
    nap: Arc<Nap>,
}

/// What woke the loop.
enum Woken {
    Datagrams,
    Answer(Answered),
    Wanted(Option<Wanted>),
    Timer,
}

impl Loop {
    async fn run(mut self, mut wants: mpsc::Receiver<Wanted>) {
        // Never fuller than the errands that are under way, which the endpoint bounds.
        let (tell, mut answers) = mpsc::unbounded_channel();
        let mut stopping: Option<(Instant, oneshot::Sender<()>)> = None;
        let sleep = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(sleep);
        let mut set_for = None;
        loop {
            self.send_all(&tell).await;
            if let Some((until, _)) = &stopping
                && (self.endpoint.sessions() == 0 || *until <= Instant::now())
            {
                break;
            }
            let deadline = self.endpoint.deadline();
            let deadline = deadline.into_iter().chain(stopping.as_ref().map(|(at, _)| *at)).min();
            if let Some(due) = deadline.filter(|due| set_for != Some(*due)) {
                sleep.as_mut().reset(due.into());
                set_for = Some(due);
            }
            let woken = tokio::select! {
                biased;
                // Few and bounded, so no flood keeps an administrator from stopping.
                wanted = wants.recv() => Woken::Wanted(wanted),
                Some(answer) = answers.recv() => Woken::Answer(answer),
                readable = self.udp.readable() => {
                    if readable.is_err() { break }
                    Woken::Datagrams
                }
                () = sleep.as_mut(), if deadline.is_some() => Woken::Timer,
            };
            let now = now();
            let mut taken = 0;
            match woken {
                Woken::Datagrams => taken = self.take_datagrams(now),
                Woken::Answer((ticket, outcome)) => {
                    self.endpoint.handle(now, Input::Answer(ticket, outcome));
                    for _ in 0..BATCH {
                        let Ok((ticket, outcome)) = answers.try_recv() else { break };
                        self.endpoint.handle(now, Input::Answer(ticket, outcome));
                    }
                    // A stream of answers must not keep the socket waiting.
                    taken = self.take_datagrams(now);
                }
                Woken::Wanted(Some(Wanted::Command(command))) => {
                    self.endpoint.handle(now, Input::Command(command));
                }
                Woken::Wanted(Some(Wanted::Stop(done))) => {
                    if self.on_stop == OnStop::Leave {
                        let _ = done.send(());
                        return;
                    }
                    self.endpoint.handle(now, Input::Command(Command::HangUpAll));
                    stopping.get_or_insert((now.instant + FAREWELL, done));
                }
                Woken::Wanted(None) => break,
                Woken::Timer => {}
            }
            if self.endpoint.deadline().is_some_and(|due| due <= now.instant) {
                self.endpoint.handle(now, Input::Timer);
            }
            if taken == BATCH {
                // The socket may never run empty, and the Desk shares the thread: it gets its turn.
                self.send_all(&tell).await;
                tokio::task::yield_now().await;
            }
        }
        if let Some((_, done)) = stopping {
            let _ = done.send(());
        }
    }

    /// What they ask for goes out together, when the loop comes round: whoever is woken by the first finds the rest.
    fn take_datagrams(&mut self, now: Now) -> usize {
        let mut taken = 0;
        while taken < BATCH {
            let Some((remote, bytes)) = self.udp.receive() else { break };
            taken += 1;
            let local = (self.ways)(remote.ip());
            let flow = Flow { remote, local, transport: Transport::Udp };
            self.endpoint.handle(now, Input::Datagram(flow, bytes));
        }
        self.nap.set(now.instant, self.moderation.taken(now.instant, taken));
        taken
    }

    async fn send_all(&mut self, tell: &mpsc::UnboundedSender<Answered>) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(flow, bytes) => self.udp.send(flow.remote, &bytes).await,
                Output::Errand(ticket, errand) => {
                    let tell = tell.clone();
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
