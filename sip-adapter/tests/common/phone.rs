//! A phone in a story: it says what it is told to, in real SIP.

use super::desk::REALM;
use super::sim::{SERVER, Sim};
use std::net::SocketAddr;
use switchbook_sip::digest::{Answer, Challenge, Ha1};
use switchbook_sip::message::{HeaderName, Method, Request, Response};

pub struct Phone {
    pub name: String,
    pub at: SocketAddr,
    pub password: String,
    pub challenge: Option<Challenge>,
    pub count: u32,
    seq: u32,
    serial: u32,
}

pub const SDP_A: &str = "v=0\r\no=a 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\na=x-odd:  kept as it is\r\n";
pub const SDP_B: &str = "v=0\r\no=b 1 1 IN IP4 198.51.100.2\r\ns=-\r\nc=IN IP4 198.51.100.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0 101\r\n";
pub const HOLD: &str = "v=0\r\no=a 1 2 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n";

impl Phone {
    /// A phone named `name` at 198.51.100.`host`:5060 with the password `secret-NAME`.
    pub fn new(name: &str, host: u8) -> Phone {
        Phone {
            name: name.into(),
            at: SocketAddr::from(([198, 51, 100, host], 5060)),
            password: format!("secret-{name}"),
            challenge: None,
            count: 0,
            seq: 0,
            serial: 0,
        }
    }

    /// One that is registered.
    pub fn registered(sim: &mut Sim, name: &str, host: u8) -> Phone {
        let mut phone = Phone::new(name, host);
        let answer = phone.register(sim, 3600);
        assert_eq!(answer.status(), 200, "{name} could not register");
        phone
    }

    /// The answer to the last challenge.
    pub fn authorization(&mut self, method: &str, uri: &str) -> String {
        let Some(challenge) = &self.challenge else { return String::new() };
        self.count += 1;
        let ha1 = Ha1::compute(challenge.algorithm, &self.name, &challenge.realm, &self.password);
        let answer = Answer {
            username: &self.name,
            ha1: &ha1,
            method,
            uri,
            cnonce: "0a4f113b",
            count: self.count,
        };
        format!("Authorization: {}\r\n", answer.header(challenge).unwrap())
    }

    /// Takes the challenge of a 401: the one it likes best.
    pub fn take_challenge(&mut self, response: &Response) {
        let values = response.values(HeaderName::WwwAuthenticate);
        self.challenge = Some(Challenge::choose(values).unwrap());
        self.count = 0;
    }

    pub fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.name, self.at)
    }

    /// One REGISTER with these lines, as it is.
    pub fn register_once(&mut self, sim: &mut Sim, aor: &str, lines: &str) -> Response {
        self.seq += 1;
        let uri = format!("sip:{REALM}");
        let authorization = self.authorization("REGISTER", &uri);
        let (name, at, seq) = (&self.name, self.at, self.seq);
        let text = format!(
            "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};rport;branch=z9hG4bK{name}r{seq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{aor}@{REALM}>;tag=r\r\nTo: <sip:{aor}@{REALM}>\r\n\
             Call-ID: reg-{name}@{at}\r\nCSeq: {seq} REGISTER\r\n{lines}{authorization}Content-Length: 0\r\n\r\n"
        );
        sim.send(self.at, text);
        sim.response(self.at).expect("an answer to REGISTER")
    }

    /// Registers, answering a challenge once.
    pub fn register_with(&mut self, sim: &mut Sim, lines: &str) -> Response {
        let aor = self.name.clone();
        let response = self.register_once(sim, &aor, lines);
        if response.status() != 401 {
            return response;
        }
        self.take_challenge(&response);
        self.register_once(sim, &aor, lines)
    }

    pub fn register(&mut self, sim: &mut Sim, expires: u32) -> Response {
        let lines = format!("Contact: {}\r\nExpires: {expires}\r\n", self.contact());
        self.register_with(sim, &lines)
    }

    /// Sends an INVITE, answers the challenge, and leaves the rest to the story.
    pub fn call(&mut self, sim: &mut Sim, number: &str) -> Dialogue {
        self.call_with(sim, number, SDP_A)
    }

    pub fn call_with(&mut self, sim: &mut Sim, number: &str, sdp: &str) -> Dialogue {
        let mut call = self.invite(sim, number, sdp);
        let response = sim.response(self.at).expect("a challenge");
        assert_eq!(response.status(), 401);
        self.take_challenge(&response);
        call.ack_failure(sim, &response);
        call.seq += 1;
        call.send_invite(sim, self, sdp);
        call
    }

    /// Sends an INVITE without knowing a challenge, as it is.
    pub fn invite(&mut self, sim: &mut Sim, number: &str, sdp: &str) -> Dialogue {
        self.serial += 1;
        self.challenge = None;
        let call = Dialogue {
            at: self.at,
            call_id: format!("call-{}-{}", self.name, self.serial),
            local: format!("<sip:{}@{REALM}>;tag=a{}", self.name, self.serial),
            remote: format!("<sip:{number}@{REALM}>"),
            target: format!("sip:{number}@{REALM}"),
            seq: 1,
            invite_branch: String::new(),
            invite: None,
            branches: 0,
        };
        let mut call = call;
        call.send_invite(sim, self, sdp);
        call
    }

    /// The INVITE that has come in.
    pub fn incoming(&self, sim: &mut Sim) -> Dialogue {
        self.try_incoming(sim).unwrap_or_else(|| panic!("{} does not ring", self.name))
    }

    pub fn try_incoming(&self, sim: &mut Sim) -> Option<Dialogue> {
        let request = sim.request(self.at)?;
        assert_eq!(request.method(), Method::Invite);
        let text = |name| String::from_utf8_lossy(request.value(name).unwrap()).into_owned();
        let contact = request.contacts().next().unwrap().unwrap();
        Some(Dialogue {
            at: self.at,
            call_id: request.call_id().unwrap().into(),
            local: format!("{};tag=b{}", text(HeaderName::To), self.name),
            remote: text(HeaderName::From),
            target: contact.addr().unwrap().uri_raw.into(),
            seq: 0,
            invite_branch: String::new(),
            invite: Some(request),
            branches: 0,
        })
    }
}

/// One end of a call, as caller or called.
pub struct Dialogue {
    pub at: SocketAddr,
    pub call_id: String,
    pub local: String,
    pub remote: String,
    pub target: String,
    pub seq: u32,
    invite_branch: String,
    /// The INVITE that came in, for answering.
    pub invite: Option<Request>,
    branches: u32,
}

impl Dialogue {
    /// A dialog as its called end knows it.
    pub fn bare(at: SocketAddr, call_id: &str, local: &str, remote: &str, target: &str) -> Self {
        Self {
            at,
            call_id: call_id.into(),
            local: local.into(),
            remote: remote.into(),
            target: target.into(),
            seq: 0,
            invite_branch: String::new(),
            invite: None,
            branches: 0,
        }
    }

    fn send_invite(&mut self, sim: &mut Sim, phone: &mut Phone, sdp: &str) {
        let authorization = phone.authorization("INVITE", &self.target);
        self.request_with(sim, "INVITE", self.seq, &authorization, sdp);
    }

    /// A request of this end; returns its branch.
    pub fn request_with(
        &mut self,
        sim: &mut Sim,
        method: &str,
        seq: u32,
        lines: &str,
        body: &str,
    ) -> String {
        self.branches += 1;
        let branch = format!("z9hG4bK{}n{}", self.call_id, self.branches);
        if method == "INVITE" {
            self.invite_branch.clone_from(&branch);
        }
        self.request_in(sim, method, seq, &branch, lines, body);
        branch
    }

    fn request_in(
        &mut self,
        sim: &mut Sim,
        method: &str,
        seq: u32,
        branch: &str,
        lines: &str,
        body: &str,
    ) {
        let Self { at, call_id, local, remote, target, .. } = self;
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {at};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: {local}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\nCSeq: {seq} {method}\r\n\
             Contact: <sip:me@{at}>\r\n{lines}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        sim.send(self.at, text);
    }

    pub fn request(&mut self, sim: &mut Sim, method: &str, lines: &str, body: &str) -> u32 {
        self.seq += 1;
        self.request_with(sim, method, self.seq, lines, body);
        self.seq
    }

    /// The next response; a 2xx or a provisional one with tag makes the dialog.
    pub fn response(&mut self, sim: &mut Sim) -> Response {
        let response = sim.response(self.at).expect("a response");
        if let (Some(contact), true) = (response.contacts().next(), response.status() < 300) {
            self.target = contact.unwrap().addr().unwrap().uri_raw.into();
            self.remote =
                String::from_utf8_lossy(response.value(HeaderName::To).unwrap()).into_owned();
        }
        response
    }

    pub fn status(&mut self, sim: &mut Sim) -> u16 {
        self.response(sim).status()
    }

    pub fn expect(&mut self, sim: &mut Sim, statuses: &[u16]) -> Response {
        let mut last = None;
        for status in statuses {
            let response = self.response(sim);
            assert_eq!(response.status(), *status);
            last = Some(response);
        }
        last.expect("a status")
    }

    pub fn ack(&mut self, sim: &mut Sim) {
        self.ack_with(sim, "");
    }

    pub fn ack_with(&mut self, sim: &mut Sim, body: &str) {
        self.request_with(sim, "ACK", self.seq, "", body);
    }

    /// The ACK to a failed INVITE: in its transaction.
    pub fn ack_failure(&mut self, sim: &mut Sim, response: &Response) {
        let keep = (self.remote.clone(), self.invite_branch.clone());
        self.remote = String::from_utf8_lossy(response.value(HeaderName::To).unwrap()).into_owned();
        self.request_in(sim, "ACK", self.seq, &keep.1, "", "");
        self.remote = keep.0;
    }

    pub fn cancel(&mut self, sim: &mut Sim) {
        let branch = self.invite_branch.clone();
        let (remote, target) = (self.remote.clone(), self.target.clone());
        let number = remote.split(';').next().unwrap().to_owned();
        self.target = number.trim_matches(['<', '>']).to_owned();
        self.remote = number;
        self.request_in(sim, "CANCEL", self.seq, &branch, "", "");
        (self.remote, self.target) = (remote, target);
    }

    pub fn bye(&mut self, sim: &mut Sim) {
        self.request(sim, "BYE", "", "");
        assert_eq!(sim.response(self.at).expect("an answer to BYE").status(), 200);
    }

    /// A response to the INVITE that came in.
    pub fn answer(&mut self, sim: &mut Sim, status: u16, body: &str) {
        let invite = self.invite.clone().expect("an INVITE");
        self.respond(sim, &invite, status, body);
    }

    /// A response to any request that came in.
    pub fn respond(&mut self, sim: &mut Sim, request: &Request, status: u16, body: &str) {
        let text = reply(request, status, self.at, Some(&self.local), body);
        sim.send(self.at, text);
    }

    /// The next request, answered 200.
    pub fn agrees_to(&mut self, sim: &mut Sim, method: Method) -> Request {
        let request = sim.request(self.at).unwrap_or_else(|| panic!("no {method:?} came"));
        assert_eq!(request.method(), method);
        self.respond(sim, &request, 200, "");
        request
    }

    pub fn expect_ack(&self, sim: &mut Sim) -> Request {
        let request = sim.request(self.at).expect("an ACK");
        assert_eq!(request.method(), Method::Ack);
        request
    }

    /// A CANCEL comes; it is answered, and so is the INVITE, by 487.
    pub fn is_cancelled(&mut self, sim: &mut Sim) -> Request {
        let cancel = self.agrees_to(sim, Method::Cancel);
        self.answer(sim, 487, "");
        self.expect_ack(sim);
        cancel
    }
}

/// A response as a phone writes it.
pub fn reply(
    request: &Request,
    status: u16,
    at: SocketAddr,
    to: Option<&str>,
    body: &str,
) -> String {
    let text = |name| String::from_utf8_lossy(request.value(name).unwrap()).into_owned();
    let to = match to {
        Some(to) if request.to().unwrap().tag().is_none() => to.to_owned(),
        _ => text(HeaderName::To),
    };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status} Whatever\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:me@{at}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        text(HeaderName::Via),
        text(HeaderName::From),
        text(HeaderName::CallId),
        text(HeaderName::CSeq),
        body.len()
    )
}

/// Where the server is.
pub fn server() -> SocketAddr {
    SERVER.parse().unwrap()
}
