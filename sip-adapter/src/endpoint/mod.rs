//! Everything SIP of the exchange as one machine: datagrams, answers of the Desk, commands and the clock come in,
//! datagrams and errands go out. It owns all state; nothing is shared, nothing locked, nothing awaited.
//!
//! | File | Subject |
//! |---|---|
//! | `dispatch` | which request goes where |
//! | `authenticate` | digest, back-off |
//! | `register` | the registrar |
//! | `contact` | which contacts are no phones |
//! | `invite` | who calls whom: from INVITE to plan |
//! | `options` | OPTIONS |
//! | `pace` | how fast one phone may fill the book |
//! | `places` | where devices are, and what is volatile about them |
//! | `sessions` | calls in progress and their timers |
//! | `record` | what calls tell the book |
//! | `sprays` | sources that try many names |
//! | `sweep` | bindings nobody refreshed |

mod authenticate;
mod contact;
mod dispatch;
mod invite;
pub(crate) mod options;
mod pace;
mod places;
mod record;
mod register;
mod sessions;
mod sprays;
mod sweep;
mod told;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::port::{Done, Errand, Port, Trouble};
use crate::wire::{LocalAddress, Now, Wire};
use authenticate::Gatekeeper;
use bytes::{Bytes, BytesMut};
use pace::{Paces, Wants};
use places::Usage;
use record::{End, Recorder};
use rustc_hash::FxHashMap;
use sessions::Sessions;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use sweep::Sweeper;
use switchbook_core::id::{CallId, DeviceId};
use switchbook_core::position::Position;
use switchbook_core::registration::BindingId;
use switchbook_sip::id::IdSource;
use switchbook_sip::limits::ByteBudget;
use switchbook_sip::message::{Head, Method, Request, SipUri, Uri};
use switchbook_sip::sdp::names_broadcast;
use switchbook_sip::transaction::{
    Config as TableConfig, Flow, Key, Occasion, Output as TableOutput, Transactions,
};

pub use places::LiveCalls;

/// Everything that can happen to the endpoint.
#[derive(Debug)]
pub enum Input {
    /// A datagram came.
    Datagram(Flow, Bytes),
    /// The Desk has answered an errand.
    Answer(u64, Result<Done, Trouble>),
    /// A deadline came.
    Timer,
    /// An administrator wants something.
    Command(Command),
}

/// What an administrator can want.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// End this call, as the event at this position orders.
    HangUp(CallId, Position),
    /// End every call.
    HangUpAll,
}

/// What the endpoint wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Transmit(Flow, Bytes),
    /// Leave this with the Desk; its answer comes back under this number.
    Errand(u64, Errand),
}

/// What an errand was left for.
enum Pending {
    Register {
        key: Key,
        flow: Flow,
        request: Box<Request>,
        device: DeviceId,
        units: u32,
    },
    Code(crate::wire::SessionId),
    Expire(DeviceId, Vec<BindingId>),
    /// What a call did; a copy of it if that was its end.
    Record(Option<Box<End>>),
    LateEnd(Box<End>),
    RecordsMissed,
    /// Nobody waits for it.
    Told,
}

/// The machine.
pub struct Endpoint {
    config: Config,
    port: Arc<dyn Port>,
    wire: Wire,
    gatekeeper: Gatekeeper,
    budget: ByteBudget,
    /// Challenges to calls for help, when the budget of their source is spent.
    help: ByteBudget,
    /// A challenge to a call for help that is on its way out.
    for_help: Option<Bytes>,
    invites: ByteBudget,
    paces: Paces,
    sessions: Sessions,
    usage: Usage,
    recorder: Recorder,
    sweeper: Sweeper,
    pending: FxHashMap<u64, Pending>,
    next_ticket: u64,
    outputs: VecDeque<Output>,
}

impl Endpoint {
    /// An endpoint without calls. `seed` must be secret and random; `local` tells which of our addresses a remote
    /// address sees.
    pub fn new(
        config: Config,
        port: Arc<dyn Port>,
        metrics: Arc<Metrics>,
        mut seed: [u8; 32],
        local: LocalAddress,
        now: Now,
    ) -> Self {
        let mut ids = IdSource::new(seed);
        seed.fill(0);
        let mut secret = [0; 16];
        secret[..8].copy_from_slice(&ids.u64().to_le_bytes());
        secret[8..].copy_from_slice(&ids.u64().to_le_bytes());
        let mut guard_ids = ids.fork();
        let table = TableConfig { timers: config.timers, ..TableConfig::default() };
        let wire = Wire {
            table: Transactions::new(table, secret),
            ids,
            buf: BytesMut::with_capacity(65_536),
            now,
            metrics,
            timers: config.timers,
            direct: VecDeque::new(),
            owners: FxHashMap::default(),
            dialogs: FxHashMap::default(),
            local,
            domain: String::new(),
        };
        let mut endpoint = Self {
            gatekeeper: Gatekeeper::new(&config.limits, &mut guard_ids),
            budget: ByteBudget::new(config.limits.budget),
            help: ByteBudget::new(config.limits.budget),
            for_help: None,
            invites: ByteBudget::new(switchbook_sip::limits::BudgetConfig {
                rate: config.limits.invites_per_second,
                burst: config.limits.invite_burst,
                ..config.limits.budget
            }),
            paces: Paces::new(&config.limits),
            sessions: Sessions::default(),
            usage: Usage::default(),
            recorder: Recorder::default(),
            sweeper: Sweeper::new(now.instant),
            pending: FxHashMap::default(),
            next_ticket: 0,
            outputs: VecDeque::new(),
            config,
            port,
            wire,
        };
        endpoint.watch_all();
        endpoint
    }

    /// One input.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.wire.now = now;
        match input {
            Input::Datagram(flow, bytes) => {
                self.wire.metrics.messages_received.add(1);
                self.wire.table.receive(now.instant, flow, bytes);
            }
            Input::Answer(ticket, outcome) => self.desk_answered(ticket, outcome),
            Input::Timer => {
                self.wire.table.handle_timeout(now.instant);
                self.drain();
                self.session_timers();
                self.sweep();
                self.gap_due();
                self.paces.settle(now.instant);
            }
            Input::Command(Command::HangUp(call, cause)) => self.hang_up(Some(call), Some(cause)),
            Input::Command(Command::HangUpAll) => {
                self.hang_up(None, None);
                self.catch_up(1);
            }
        }
        self.drain();
    }

    /// The next thing to be done; ask until `None` after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            // The 100 to an INVITE goes out when its outputs are drained.
            if self.wire.table.poll_timeout().is_some_and(|due| due <= self.wire.now.instant) {
                self.wire.table.handle_timeout(self.wire.now.instant);
                self.drain();
            }
        }
        self.outputs.pop_front()
    }

    /// When [`Input::Timer`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let timers = [
            self.wire.table.poll_timeout(),
            self.sessions.deadline(),
            self.sweeper.deadline(),
            self.recorder.deadline(),
        ];
        timers.into_iter().flatten().min()
    }

    /// Calls and feature codes in memory, including those that wind down.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Whether nothing at all is remembered of any call: to watch for leaks.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.sessions.len() == 0
            && self.wire.table.is_empty()
            && self.wire.owners.is_empty()
            && self.wire.dialogs.is_empty()
            && self.usage.is_empty()
    }

    /// Who is in a call, for decisions of the Desk (RO-14).
    #[must_use]
    pub fn live_calls(&self) -> Arc<LiveCalls> {
        self.usage.live.clone()
    }

    /// Forwards what the table has to say until it has nothing more to say.
    fn drain(&mut self) {
        loop {
            while let Some((flow, bytes)) = self.wire.direct.pop_front() {
                self.transmit(flow, bytes);
            }
            let Some(output) = self.wire.table.poll_output() else { break };
            match output {
                TableOutput::Transmit { flow, bytes, occasion } => {
                    if occasion == Occasion::Stateless && !self.within_budget(&flow, &bytes) {
                        self.wire.metrics.dropped.add(1);
                        continue;
                    }
                    self.transmit(flow, bytes);
                }
                TableOutput::Request { key, flow, request } => self.dispatch(key, flow, request),
                TableOutput::Ack2xx { request, .. } => self.ack(request),
                TableOutput::Cancel { key, .. } => self.cancel(key),
                TableOutput::Response { key, response, .. } => self.response(key, response),
                TableOutput::TimedOut { key } | TableOutput::TransportError { key } => {
                    self.lost(key);
                }
                TableOutput::Terminated { key } => self.terminated(key),
                _ => {}
            }
        }
        let metrics = &self.wire.metrics;
        metrics.transactions_active.set(self.wire.table.len() as u64);
    }

    /// Whoever has not proven who he is gets so many bytes and no more: 401, OPTIONS, refusals of any kind alike
    /// (checklist 25). A neighbour who has spent them all does not keep a phone from calling for help.
    fn within_budget(&mut self, flow: &Flow, bytes: &Bytes) -> bool {
        let (now, source) = (self.wire.now.instant, flow.remote.ip());
        let helps = self.for_help.take_if(|challenge| *challenge == *bytes).is_some();
        self.budget.take(now, source, bytes.len())
            || (helps && self.help.take(now, source, bytes.len()))
    }

    fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        self.wire.metrics.messages_sent.add(1);
        self.outputs.push_back(Output::Transmit(flow, bytes));
    }

    /// Leaves an errand; `false` if too many wait already.
    fn submit(&mut self, errand: Errand, pending: Pending) -> bool {
        if self.pending.len() >= self.config.limits.errands {
            return false;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.pending.insert(ticket, pending);
        self.outputs.push_back(Output::Errand(ticket, errand));
        true
    }

    fn desk_answered(&mut self, ticket: u64, outcome: Result<Done, Trouble>) {
        match self.pending.remove(&ticket) {
            Some(Pending::Register { key, flow, request, device, units }) => {
                // An unknown outcome may have left events.
                let events = match &outcome {
                    Ok(Done { events }) => u32::try_from(*events).unwrap_or(u32::MAX),
                    Err(Trouble::Unknown) => units,
                    Err(_) => 0,
                };
                self.paces.give_back(device, Wants::Bindings, units.saturating_sub(events));
                self.registered(key, flow, &request, device, outcome);
            }
            Some(Pending::Code(session)) => self.code_decided(session, outcome),
            Some(Pending::Expire(device, bindings)) => self.expired(device, bindings, outcome),
            Some(Pending::Record(end)) => self.recorded(outcome, end),
            Some(Pending::LateEnd(end)) => self.late_end_recorded(outcome, *end),
            Some(Pending::RecordsMissed) => self.missed_recorded(outcome.is_ok()),
            Some(Pending::Told) | None => {}
        }
    }

    /// Does a host mean this server?
    fn is_ours(&self, host: &switchbook_sip::message::Host<'_>, flow: &Flow) -> bool {
        is_ours(&self.config, &self.wire.domain, host, flow)
    }

    /// The user part a request is addressed to, unescaped and without parameters, if its host is ours.
    fn addressed(&self, request: &Request, flow: &Flow) -> Option<String> {
        match request.uri().ok()? {
            Uri::Sip(uri) if self.is_ours(&uri.host, flow) => user_of(&uri),
            Uri::Tel(uri) => Some(uri.digits().collect()),
            _ => None,
        }
    }
}

fn is_ours(
    config: &Config,
    domain: &str,
    host: &switchbook_sip::message::Host<'_>,
    flow: &Flow,
) -> bool {
    match host.ip() {
        Some(ip) => ip == flow.local.ip() || config.advertised == Some(ip),
        None => {
            let switchbook_sip::message::Host::Name(name) = host else { return false };
            name.eq_ignore_ascii_case(domain)
                || config.names.iter().any(|own| own.eq_ignore_ascii_case(name))
        }
    }
}

/// The user part of a URI, unescaped, without its parameters (`+49…;phone-context=…`).
fn user_of(uri: &SipUri<'_>) -> Option<String> {
    let user = switchbook_sip::message::unescape(uri.user?)?;
    let user = std::str::from_utf8(&user).ok()?;
    let user = user.split(';').next().unwrap_or_default();
    (!user.is_empty() && user.len() <= 128 && !user.chars().any(char::is_control))
        .then(|| user.to_owned())
}

/// A body that would send media to everybody (checklist 33), of a message that carries an offer or an answer. Whatever
/// type it claims to be: it is passed on as it came, and one part of several may be a session description.
pub(crate) fn sdp_is_hostile(message: &Head) -> bool {
    let method = message.cseq().map(|cseq| cseq.method);
    matches!(method, Ok(Method::Invite | Method::Ack | Method::Update))
        && names_broadcast(message.body())
}
