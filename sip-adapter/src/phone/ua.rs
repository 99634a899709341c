//! The SIP side of a built-in phone: one registration, one call at a time.

mod talking;

use super::{PhoneConfig, PhoneEvent, Wish};
use crate::wire::{host_of, reparse};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use switchbook_sip::dialog::{Dialog, Retransmission, Retransmit2xx, Stage};
use switchbook_sip::digest::{Answer, Challenge, Ha1};
use switchbook_sip::id::IdSource;
use switchbook_sip::message::{Builder, HeaderName, Method, Request, Response};
use switchbook_sip::sdp::{Connection, Direction, Sdp};
use switchbook_sip::transaction::{Config, Flow, Key, Output, Transactions, Transport};

/// A phone's SIP side as a machine: wishes, datagrams and the clock in, datagrams and [`PhoneEvent`]s out.
pub struct Ua {
    config: PhoneConfig,
    flow: Flow,
    media_port: u16,
    table: Transactions,
    ids: IdSource,
    buf: BytesMut,
    direct: VecDeque<(SocketAddr, Bytes)>,
    registration: Registration,
    call: Option<Call>,
    pub(super) events: Vec<PhoneEvent>,
}

struct Registration {
    call_id: String,
    tag: String,
    seq: u32,
    seconds: u32,
    key: Option<Key>,
    again: Option<Instant>,
    tried: bool,
}

struct Call {
    /// The INVITE that made it, ours or theirs.
    invite: Option<Request>,
    key: Key,
    /// Of ours: before the answer.
    number: String,
    call_id: String,
    tag: String,
    seq: u32,
    tried: bool,
    dialog: Option<Dialog>,
    sound: Option<SocketAddr>,
    /// Our hold, theirs.
    holds: bool,
    held: bool,
    version: u32,
    answer_at: Option<Instant>,
    unacknowledged: Option<Retransmit2xx>,
    change: Option<Key>,
    ack: Option<Bytes>,
}

impl Ua {
    /// A phone at this address that does nothing by itself. `seed` must be random where others may guess.
    #[must_use]
    pub fn new(config: PhoneConfig, local: SocketAddr, media_port: u16, seed: [u8; 32]) -> Self {
        let mut ids = IdSource::new(seed);
        let mut secret = [0; 16];
        secret[..8].copy_from_slice(&ids.u64().to_le_bytes());
        let flow = Flow { remote: config.server, local, transport: Transport::Udp };
        let registration = Registration {
            call_id: ids.call_id(),
            tag: ids.tag(),
            seq: 0,
            seconds: 0,
            key: None,
            again: None,
            tried: false,
        };
        Self {
            config,
            flow,
            media_port,
            table: Transactions::new(Config::default(), secret),
            ids,
            buf: BytesMut::new(),
            direct: VecDeque::new(),
            registration,
            call: None,
            events: Vec::new(),
        }
    }

    /// It is told to do something.
    pub fn wish(&mut self, now: Instant, wish: Wish) {
        match wish {
            Wish::Register(seconds) => {
                self.registration.seconds = seconds;
                self.registration.tried = false;
                self.register(now, None);
            }
            Wish::Call(number) => self.invite(now, number),
            Wish::HangUp => self.hang_up(now),
            Wish::Hold(on) => self.hold(now, on),
            Wish::OnCall(what) => self.config.on_call = what,
        }
        self.drain(now);
    }

    /// A datagram came.
    pub fn receive(&mut self, now: Instant, from: SocketAddr, bytes: Bytes) {
        self.table.receive(now, Flow { remote: from, ..self.flow }, bytes);
        self.drain(now);
    }

    /// The deadline came.
    pub fn timer(&mut self, now: Instant) {
        self.table.handle_timeout(now);
        if self.registration.again.is_some_and(|due| due <= now) {
            self.registration.again = None;
            self.registration.tried = false;
            self.register(now, None);
        }
        if let Some(call) = &mut self.call {
            if call.answer_at.is_some_and(|due| due <= now) {
                call.answer_at = None;
                self.answer(now);
            } else if let Some(repeat) = &mut call.unacknowledged {
                match repeat.handle_timeout(now) {
                    Retransmission::Send(bytes) => {
                        let _ = self.table.respond(now, call.key, bytes);
                    }
                    Retransmission::GiveUp => self.hang_up(now),
                    Retransmission::Nothing => {}
                }
            }
        }
        self.drain(now);
    }

    /// When [`timer`](Self::timer) is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let call = self.call.as_ref();
        let waits = call.and_then(|call| call.answer_at);
        let repeat = call.and_then(|call| call.unacknowledged.as_ref()?.poll_timeout());
        [self.table.poll_timeout(), self.registration.again, waits, repeat]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next datagram it sends; ask until `None` after each input.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Bytes)> {
        self.direct.pop_front()
    }

    /// What it has to tell since the last time.
    pub fn take_events(&mut self) -> Vec<PhoneEvent> {
        std::mem::take(&mut self.events)
    }

    /// It is at another port or address from now on; what it registered before stays where it is.
    pub const fn move_to(&mut self, local: SocketAddr) {
        self.flow.local = local;
    }

    /// Has it a call, in whatever state?
    #[must_use]
    pub const fn has_call(&self) -> bool {
        self.call.is_some()
    }

    /// Is nothing of any call or request left?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.call.is_none() && self.table.is_empty()
    }

    /// Where its tone goes at present.
    #[must_use]
    pub fn sends_sound_to(&self) -> Option<SocketAddr> {
        let call = self.call.as_ref().filter(|call| !call.held)?;
        call.dialog.as_ref().filter(|dialog| dialog.stage() == Stage::Confirmed)?;
        call.sound
    }

    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.table.poll_output() {
            match output {
                Output::Transmit { flow, bytes, .. } => self.direct.push_back((flow.remote, bytes)),
                Output::Request { key, flow, request } => self.requested(now, key, flow, request),
                Output::Ack2xx { .. } => {
                    if let Some(call) = &mut self.call {
                        call.unacknowledged = None;
                    }
                }
                Output::Cancel { key, .. } => self.cancelled(now, key),
                Output::Response { key, response, .. } => self.responded(now, key, &response),
                Output::TimedOut { key } => self.lost(now, key),
                _ => {}
            }
        }
    }

    fn uri(&self, user: &str) -> String {
        let domain = &self.config.domain;
        if user.is_empty() {
            return format!("sip:{domain}");
        }
        format!("sip:{}@{domain}", switchbook_sip::message::escape_user(user))
    }

    fn contact(&self) -> String {
        format!("sip:{}@{}", self.config.name, self.flow.local)
    }

    /// The answer to a challenge, once per attempt.
    fn credentials(&mut self, challenged: &Response, method: &str, uri: &str) -> Option<String> {
        let values = challenged
            .values(HeaderName::WwwAuthenticate)
            .chain(challenged.values(HeaderName::ProxyAuthenticate));
        let challenge = Challenge::choose(values).ok()?;
        let (name, password) = (&self.config.name, &self.config.password);
        let ha1 = Ha1::compute(challenge.algorithm, name, &challenge.realm, password);
        let cnonce = self.ids.tag();
        let answer = Answer { username: name, ha1: &ha1, method, uri, cnonce: &cnonce, count: 1 };
        answer.header(&challenge).ok()
    }

    fn register(&mut self, now: Instant, challenged: Option<&Response>) {
        let (uri, own) = (self.uri(""), self.uri(&self.config.name));
        let credentials = challenged.and_then(|c| self.credentials(c, "REGISTER", &uri));
        let (branch, contact) = (self.ids.branch(), self.contact());
        self.registration.seq += 1;
        let mut b = Builder::request(&mut self.buf, Method::Register, &uri);
        b.via("UDP", &self.flow.local.to_string(), &branch);
        b.max_forwards(70);
        b.addr(HeaderName::From, None, &own, Some(&self.registration.tag));
        b.addr(HeaderName::To, None, &own, None);
        b.header(HeaderName::CallId, &self.registration.call_id);
        b.cseq(self.registration.seq, Method::Register);
        b.addr(HeaderName::Contact, None, &contact, None);
        b.header_fmt(HeaderName::Expires, format_args!("{}", self.registration.seconds));
        if let Some(credentials) = credentials {
            b.header(name_for(challenged), credentials);
        }
        if let Ok(bytes) = b.finish() {
            self.registration.key = self.table.request(now, self.flow, bytes).ok();
        }
    }

    fn invite(&mut self, now: Instant, number: String) {
        if self.call.is_some() {
            return self.events.push(PhoneEvent::Refused(486, "Busy Here".into()));
        }
        let (call_id, tag) = (self.ids.call_id(), self.ids.tag());
        self.send_invite(now, number, call_id, tag, 1, None);
    }

    fn send_invite(
        &mut self,
        now: Instant,
        number: String,
        call_id: String,
        tag: String,
        seq: u32,
        challenged: Option<&Response>,
    ) {
        let (uri, own) = (self.uri(&number), self.uri(&self.config.name));
        let credentials = challenged.and_then(|c| self.credentials(c, "INVITE", &uri));
        let (branch, contact, sdp) =
            (self.ids.branch(), self.contact(), self.description(1, Direction::SendRecv));
        let mut b = Builder::request(&mut self.buf, Method::Invite, &uri);
        b.via("UDP", &self.flow.local.to_string(), &branch);
        b.max_forwards(70);
        b.addr(HeaderName::From, None, &own, Some(&tag));
        b.addr(HeaderName::To, None, &uri, None);
        b.header(HeaderName::CallId, &call_id);
        b.cseq(seq, Method::Invite);
        b.addr(HeaderName::Contact, None, &contact, None);
        if let Some(credentials) = credentials {
            b.header(name_for(challenged), credentials);
        }
        let Ok(bytes) = b.body("application/sdp", sdp.as_bytes()) else {
            return self.events.push(PhoneEvent::Refused(484, "Address Incomplete".into()));
        };
        let Ok(key) = self.table.request(now, self.flow, bytes.clone()) else { return };
        let mut call = Call::new(key, reparse(bytes), call_id, tag);
        (call.number, call.seq, call.tried) = (number, seq, challenged.is_some());
        self.call = Some(call);
    }

    fn description(&self, version: u32, direction: Direction) -> String {
        let ip = self.flow.local.ip();
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let (name, port) = (&self.config.name, self.media_port);
        let direction = match direction {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        };
        format!(
            "v=0\r\no={name} 1 {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
        )
    }

    fn responded(&mut self, now: Instant, key: Key, response: &Response) {
        let status = response.status();
        if self.registration.key == Some(key) && status >= 200 {
            return self.registered(now, status, response);
        }
        let Some(call) = &mut self.call else { return };
        if call.change == Some(key) {
            if status >= 200 {
                self.changed(now, status, response);
            }
            return;
        }
        if call.key != key {
            return;
        }
        match status {
            100 => {}
            101..200 => self.events.push(PhoneEvent::Rings),
            200..300 => self.answered(response),
            401 | 407 if !call.tried => {
                let Some(call) = self.call.take() else { return };
                let (number, seq) = (call.number, call.seq + 1);
                self.send_invite(now, number, call.call_id, call.tag, seq, Some(response));
            }
            _ => {
                self.call = None;
                let phrase = String::from_utf8_lossy(response.reason_phrase()).into_owned();
                self.events.push(PhoneEvent::Refused(status, phrase));
            }
        }
    }

    fn registered(&mut self, now: Instant, status: u16, response: &Response) {
        match status {
            401 | 407 if !self.registration.tried => {
                self.registration.tried = true;
                self.register(now, Some(response));
            }
            200..300 => {
                let own = self.contact();
                let mine = |c: &switchbook_sip::message::Contact<'_>| {
                    c.addr().is_some_and(|addr| addr.uri_raw == own)
                };
                let contacts = response.contacts().flatten();
                let granted = contacts.filter(mine).find_map(|contact| contact.expires());
                let granted = granted.unwrap_or(0);
                let half = Duration::from_secs(u64::from(granted) / 2);
                self.registration.again = (granted > 0).then(|| now + half);
                self.events.push(PhoneEvent::Registered(granted));
            }
            _ => self.events.push(PhoneEvent::NotRegistered(status)),
        }
    }

    /// Our INVITE was answered; a repeated answer gets its ACK again.
    fn answered(&mut self, response: &Response) {
        let Some(call) = &mut self.call else { return };
        if let Some(ack) = &call.ack {
            return self.direct.push_back((self.flow.remote, ack.clone()));
        }
        let Some(invite) = &call.invite else { return };
        let Ok(dialog) = Dialog::uac(invite, response) else { return };
        call.sound = sound_of(response.body());
        let branch = self.ids.branch();
        let sent_by = self.flow.local.to_string();
        call.ack = dialog.ack(&mut self.buf, "UDP", &sent_by, &branch).finish().ok();
        self.direct.extend(call.ack.clone().map(|ack| (self.flow.remote, ack)));
        call.dialog = Some(dialog);
        self.events.push(PhoneEvent::Talks);
    }

    fn lost(&mut self, now: Instant, key: Key) {
        if self.registration.key == Some(key) {
            self.registration.again = Some(now + Duration::from_secs(5));
            return self.events.push(PhoneEvent::NotRegistered(408));
        }
        if self.call.as_ref().is_some_and(|call| call.key == key && call.dialog.is_none()) {
            self.call = None;
            self.events.push(PhoneEvent::Refused(408, "Request Timeout".into()));
        }
    }
}

impl Call {
    fn new(key: Key, invite: Option<Request>, call_id: String, tag: String) -> Self {
        Self {
            invite,
            key,
            number: String::new(),
            call_id,
            tag,
            seq: 1,
            tried: false,
            dialog: None,
            sound: None,
            holds: false,
            held: false,
            version: 1,
            answer_at: None,
            unacknowledged: None,
            change: None,
            ack: None,
        }
    }
}

/// Where a description wants sound to go; nowhere if it takes none.
fn sound_of(body: &[u8]) -> Option<SocketAddr> {
    let sdp = Sdp::parse(body).ok()?;
    let audio = sdp.audio()?;
    if matches!(audio.direction, Direction::SendOnly | Direction::Inactive) {
        return None;
    }
    let Some(Connection::Ip(ip)) = audio.connection else { return None };
    format!("{}:{}", host_of(ip), audio.port).parse().ok()
}

fn name_for(challenged: Option<&Response>) -> HeaderName {
    match challenged {
        Some(response) if response.status() == 407 => HeaderName::ProxyAuthorization,
        _ => HeaderName::Authorization,
    }
}
