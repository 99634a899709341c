//! The network and the clock.

use super::desk::MemoryDesk;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use switchbook_core::event::Event;
use switchbook_core::position::Moment;
use switchbook_sip::message::{Message, ParseErrorKind, Request, Response, parse_datagram};
use switchbook_sip::transaction::{Flow, Transport};
use switchbook_sip_adapter::endpoint::{Endpoint, Input, Output};
use switchbook_sip_adapter::port::{Errand, Port, Reply};
use switchbook_sip_adapter::{Config, Metrics, Now};

pub const SERVER: &str = "192.0.2.1:5060";
/// Monday, 2026-11-23, 10:00 in Berlin.
pub const MONDAY_TEN: i64 = 1_795_424_400_000_000;

pub struct Sim {
    pub endpoint: Endpoint,
    pub desk: Arc<MemoryDesk>,
    pub metrics: Arc<Metrics>,
    pub now: Now,
    inbox: HashMap<SocketAddr, VecDeque<Message>>,
    /// The Desk does not answer while this is set.
    pub desk_sleeps: bool,
    waiting: VecDeque<(u64, Errand)>,
    /// Everything that went to somebody, for looking at.
    pub wiretap: Vec<(SocketAddr, Bytes)>,
}

impl Sim {
    pub fn new(commands: &[&str]) -> Sim {
        Sim::with(commands, |_| {})
    }

    pub fn with(commands: &[&str], change: impl FnOnce(&mut Config)) -> Sim {
        let now = Now { instant: Instant::now(), moment: Moment(MONDAY_TEN) };
        let desk = MemoryDesk::new(now.moment);
        for command in commands {
            desk.tell(command);
        }
        let mut config = Config::new(SERVER.parse().unwrap());
        change(&mut config);
        let metrics = Arc::new(Metrics::default());
        let local = Arc::new(|_| SERVER.parse().unwrap());
        let endpoint = Endpoint::new(config, desk.clone(), metrics.clone(), [7; 32], local, now);
        let _ = desk.live.set(endpoint.live_calls());
        Sim {
            endpoint,
            desk,
            metrics,
            now,
            inbox: HashMap::new(),
            desk_sleeps: false,
            waiting: VecDeque::new(),
            wiretap: Vec::new(),
        }
    }

    pub fn send(&mut self, from: SocketAddr, datagram: impl Into<Bytes>) {
        let local = SERVER.parse().unwrap();
        let flow = Flow { remote: from, local, transport: Transport::Udp };
        self.feed(Input::Datagram(flow, datagram.into()));
    }

    pub fn feed(&mut self, input: Input) {
        *self.desk.now.lock().unwrap() = self.now.moment;
        self.endpoint.handle(self.now, input);
        self.settle();
    }

    /// Lets everything happen that is due, and wakes the Desk.
    pub fn settle(&mut self) {
        loop {
            while let Some(output) = self.endpoint.poll_output() {
                match output {
                    Output::Transmit(flow, bytes) => {
                        let message = parse_datagram(bytes.clone());
                        self.wiretap.push((flow.remote, bytes));
                        let message = match message {
                            Ok(message) => message,
                            // An answer repeats every Via of its request, also when that is why it was refused.
                            Err(error) if error.kind == ParseErrorKind::TooManyVias => continue,
                            Err(error) => {
                                let text = &self.wiretap.last().unwrap().1;
                                panic!("we send only what we can read: {error:?}\n{text:?}")
                            }
                        };
                        self.inbox.entry(flow.remote).or_default().push_back(message);
                    }
                    Output::Errand(ticket, errand) => self.waiting.push_back((ticket, errand)),
                }
            }
            if self.desk_sleeps {
                return;
            }
            let Some((ticket, errand)) = self.waiting.pop_front() else { return };
            let slot = Arc::new(Mutex::new(None));
            let told = slot.clone();
            self.desk.submit(errand, Reply::new(move |o| *told.lock().unwrap() = Some(o)));
            let outcome = slot.lock().unwrap().take().expect("the Desk in memory answers at once");
            self.endpoint.handle(self.now, Input::Answer(ticket, outcome));
        }
    }

    /// Time passes; every timer goes off at its time.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now.instant + time;
        loop {
            let due = self.endpoint.deadline().filter(|due| *due <= end);
            let next = due.unwrap_or(end).max(self.now.instant);
            let step = next - self.now.instant;
            self.now.instant = next;
            self.now.moment.0 += i64::try_from(step.as_micros()).unwrap();
            if due.is_none() {
                return;
            }
            self.feed(Input::Timer);
        }
    }

    pub fn pass_seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// The next message for an address.
    pub fn next(&mut self, at: SocketAddr) -> Option<Message> {
        self.inbox.get_mut(&at)?.pop_front()
    }

    /// The next response for an address; 100 is passed over.
    pub fn response(&mut self, at: SocketAddr) -> Option<Response> {
        loop {
            match self.next(at)? {
                Message::Response(response) if response.status() == 100 => {}
                Message::Response(response) => return Some(response),
                Message::Request(request) => {
                    panic!("{at} got {} instead of a response", request.method_token())
                }
            }
        }
    }

    /// The next request for an address.
    pub fn request(&mut self, at: SocketAddr) -> Option<Request> {
        loop {
            match self.next(at)? {
                Message::Response(response) if response.status() == 100 => {}
                Message::Request(request) => return Some(request),
                Message::Response(response) => {
                    panic!("{at} got {} instead of a request", response.status())
                }
            }
        }
    }

    /// Whatever waits for an address is thrown away.
    pub fn hush(&mut self, at: SocketAddr) {
        self.inbox.remove(&at);
    }

    pub fn is_silent(&self, at: SocketAddr) -> bool {
        self.inbox.get(&at).is_none_or(VecDeque::is_empty)
    }

    /// What the book says of calls, in words.
    pub fn calls(&self) -> Vec<String> {
        let tell = |event: Event| {
            Some(match event {
                Event::CallPlaced(placed) => format!("placed {:?}", placed.dialled),
                Event::CallAnswered(answered) => {
                    let name = answered.device.map(|device| self.name(device));
                    format!("answered by {}", name.unwrap_or("outside".into()))
                }
                Event::CallDiverted(d) => format!("diverted {}→{} {:?}", d.from, d.to, d.status),
                Event::CallEnded(ended) => {
                    let rang: Vec<String> = ended.rang.iter().map(|d| self.name(*d)).collect();
                    format!("ended {:?} {} rang {rang:?}", ended.outcome, ended.cause)
                }
                Event::CallRecordsMissed(missed) => format!("missed {}", missed.records),
                _ => return None,
            })
        };
        self.desk.events().into_iter().filter_map(tell).collect()
    }

    fn name(&self, device: switchbook_core::id::DeviceId) -> String {
        self.desk.state().devices[&device].name.clone()
    }

    /// Everybody has hung up, and nothing of it is left.
    pub fn expect_idle(&mut self) {
        self.pass_seconds(200);
        assert_eq!(self.endpoint.sessions(), 0, "a session leaked");
        assert!(self.endpoint.is_idle(), "something of a call leaked");
    }
}
