//! The transaction table in simulated time: each timer of RFC 3261 Table 4, matching, absorbing, races.
#![allow(clippy::unwrap_used)] // A test stops at the first surprise.

use bytes::{Bytes, BytesMut};
use std::time::{Duration, Instant};
use switchbook_sip::message::{
    Builder, Framing, HeaderName, Limits, Message, Request, Response, parse_with,
};
use switchbook_sip::transaction::{
    Config, Flow, Key, Occasion, Output, RequestError, RespondError, Transactions, Transport,
};
use switchbook_sip::{IdSource, Method};

struct Sim {
    table: Transactions,
    start: Instant,
    now: Instant,
    flow: Flow,
    buf: BytesMut,
    ids: IdSource,
}

/// What came out, told shortly: `>INVITE`, `>180`, `request`, `response 200`, `timeout` …
type Told = Vec<String>;

impl Sim {
    fn new(transport: Transport) -> Sim {
        Sim::with(Config::default(), transport)
    }

    fn with(config: Config, transport: Transport) -> Sim {
        let start = Instant::now();
        let flow = Flow {
            remote: "192.0.2.9:5070".parse().unwrap(),
            local: "192.0.2.1:5060".parse().unwrap(),
            transport,
        };
        let table = Transactions::new(config, [3; 16]);
        Sim {
            table,
            start,
            now: start,
            flow,
            buf: BytesMut::new(),
            ids: IdSource::new([5; 32]),
        }
    }

    fn drain(&mut self) -> (Told, Vec<Output>) {
        let mut told = Vec::new();
        let mut outputs = Vec::new();
        while let Some(output) = self.table.poll_output() {
            told.push(match &output {
                Output::Transmit {
                    bytes, occasion, ..
                } => {
                    let word = bytes
                        .split(|b| *b == b' ')
                        .nth(usize::from(bytes.starts_with(b"SIP/")))
                        .unwrap();
                    let star = if *occasion == Occasion::Stateless {
                        "*"
                    } else {
                        ""
                    };
                    format!(">{}{star}", String::from_utf8_lossy(word))
                }
                Output::Request { .. } => "request".into(),
                Output::Ack2xx { .. } => "ack2xx".into(),
                Output::Cancel { .. } => "cancel".into(),
                Output::Response { response, .. } => format!("response {}", response.status()),
                Output::TimedOut { .. } => "timeout".into(),
                Output::TransportError { .. } => "transport error".into(),
                Output::Terminated { .. } => "terminated".into(),
                other => format!("{other:?}"),
            });
            outputs.push(output);
        }
        (told, outputs)
    }

    fn told(&mut self) -> Told {
        self.drain().0
    }

    fn receive(&mut self, text: impl Into<Bytes>) -> Told {
        self.table.receive(self.now, self.flow, text.into());
        self.told()
    }

    /// Receives a new request and gives its key.
    fn incoming(&mut self, text: &str) -> (Key, Request) {
        self.table
            .receive(self.now, self.flow, Bytes::copy_from_slice(text.as_bytes()));
        match self.drain().1.pop() {
            Some(Output::Request { key, request, .. }) => (key, request),
            other => panic!("no request: {other:?}"),
        }
    }

    fn answer(&mut self, key: Key, request: &Request, status: u16) -> Result<Told, RespondError> {
        let remote = self.flow.remote;
        let bytes = Builder::reply(&mut self.buf, request, status, "x", Some("tt"), remote)
            .finish()
            .unwrap();
        self.table.respond(self.now, key, bytes)?;
        Ok(self.told())
    }

    /// Lets time run, with each thing that happened at its millisecond.
    fn run(&mut self, duration: Duration) -> Vec<(u128, String)> {
        let end = self.now + duration;
        let mut all = Vec::new();
        while let Some(at) = self.table.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.table.handle_timeout(self.now);
            let ms = (self.now - self.start).as_millis();
            all.extend(self.told().into_iter().map(|t| (ms, t)));
        }
        self.now = end;
        all
    }

    fn send(&mut self, method: Method) -> (Key, Request) {
        let branch = self.ids.branch();
        let bytes = Builder::request(&mut self.buf, method, "sip:b@192.0.2.9:5070")
            .via("UDP", "192.0.2.1:5060", &branch)
            .header(HeaderName::Route, "<sip:p@192.0.2.9;lr>")
            .max_forwards(70)
            .addr(HeaderName::From, None, "sip:a@pbx", Some("ours"))
            .addr(HeaderName::To, None, "sip:b@pbx", None)
            .header(HeaderName::CallId, "call")
            .cseq(7, method)
            .finish()
            .unwrap();
        let key = self
            .table
            .request(self.now, self.flow, bytes.clone())
            .unwrap();
        assert_eq!(self.told(), [format!(">{}", method.as_str())]);
        (key, request(bytes))
    }

    /// The peer answers a request of ours.
    fn reply(&mut self, to: &Request, status: u16) -> (Told, Vec<Output>) {
        let local = self.flow.local;
        let bytes = Builder::reply(&mut self.buf, to, status, "x", Some("theirs"), local)
            .finish()
            .unwrap();
        self.table.receive(self.now, self.flow, bytes);
        self.drain()
    }
}

fn request(bytes: Bytes) -> Request {
    match parse_with(bytes, &Limits::default(), Framing::Datagram) {
        Ok(Message::Request(r)) => r,
        other => panic!("{other:?}"),
    }
}

fn text(method: &str, branch: &str) -> String {
    format!(
        "{method} sip:b@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5070;branch={branch};rport\r\n\
         From: <sip:a@192.0.2.9>;tag=ft\r\nTo: <sip:b@192.0.2.1>\r\nCall-ID: c1\r\nCSeq: 1 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn ack(branch: &str, to_tag: &str) -> String {
    text("ACK", branch).replace(
        "To: <sip:b@192.0.2.1>",
        &format!("To: <sip:b@192.0.2.1>;tag={to_tag}"),
    )
}

const B: &str = "z9hG4bK-1";
const S: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn timers_a_and_b_retransmit_an_invite_and_give_up() {
    let mut sim = Sim::new(Transport::Udp);
    sim.send(Method::Invite);
    let at: Vec<_> = sim.run(S(60));
    let sent: Vec<_> = at
        .iter()
        .filter(|(_, t)| t == ">INVITE")
        .map(|(ms, _)| *ms)
        .collect();
    assert_eq!(sent, [500, 1500, 3500, 7500, 15500, 31500]);
    assert_eq!(
        at[at.len() - 2..],
        [(32000, "timeout".into()), (32000, "terminated".into())]
    );
    assert!(sim.table.is_empty() && sim.table.poll_timeout().is_none());
}

#[test]
fn timers_e_and_f_retransmit_a_request_up_to_t2_and_give_up() {
    let mut sim = Sim::new(Transport::Udp);
    sim.send(Method::Options);
    let at = sim.run(S(60));
    let sent: Vec<_> = at
        .iter()
        .filter(|(_, t)| t == ">OPTIONS")
        .map(|(ms, _)| *ms)
        .collect();
    assert_eq!(
        sent,
        [
            500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
        ]
    );
    assert_eq!(
        at[at.len() - 2..],
        [(32000, "timeout".into()), (32000, "terminated".into())]
    );
}

#[test]
fn a_reliable_transport_retransmits_nothing_but_times_out() {
    let mut sim = Sim::new(Transport::Tcp);
    sim.send(Method::Invite);
    assert_eq!(
        sim.run(S(60)),
        [(32000, "timeout".into()), (32000, "terminated".into())]
    );
}

#[test]
fn a_provisional_response_stops_timer_b_and_slows_timer_e() {
    let mut sim = Sim::new(Transport::Udp);
    let (_, invite) = sim.send(Method::Invite);
    assert_eq!(sim.reply(&invite, 180).0, ["response 180"]);
    assert_eq!(sim.run(S(600)), []);
    let mut sim = Sim::new(Transport::Udp);
    let (_, options) = sim.send(Method::Options);
    sim.reply(&options, 100);
    assert_eq!(
        sim.run(S(9)),
        [(4000, ">OPTIONS".into()), (8000, ">OPTIONS".into())]
    );
}

#[test]
fn timer_d_repeats_the_ack_to_a_failure_and_tells_it_once() {
    let mut sim = Sim::new(Transport::Udp);
    let (_, invite) = sim.send(Method::Invite);
    let (told, outputs) = sim.reply(&invite, 486);
    assert_eq!(told, [">ACK", "response 486"]);
    let Output::Transmit { bytes, .. } = &outputs[0] else {
        panic!()
    };
    let ack = request(bytes.clone());
    assert_eq!(
        ack.top_via().unwrap().branch(),
        invite.top_via().unwrap().branch()
    );
    assert_eq!(
        (ack.to().unwrap().tag(), ack.cseq().unwrap().seq),
        (Some("theirs"), 7)
    );
    assert_eq!(ack.routes().count(), 1);
    assert_eq!(sim.reply(&invite, 486).0, [">ACK"]);
    assert_eq!(sim.reply(&invite, 200).0, Told::new());
    assert_eq!(sim.run(S(60)), [(32000, "terminated".into())]);
}

#[test]
fn timer_m_passes_every_2xx_and_then_ends() {
    let mut sim = Sim::new(Transport::Udp);
    let (_, invite) = sim.send(Method::Invite);
    assert_eq!(sim.reply(&invite, 200).0, ["response 200"]);
    assert_eq!(sim.reply(&invite, 200).0, ["response 200"]);
    assert_eq!(sim.reply(&invite, 486).0, Told::new());
    assert_eq!(sim.run(S(60)), [(32000, "terminated".into())]);
}

#[test]
fn timer_k_absorbs_repeated_answers() {
    let mut sim = Sim::new(Transport::Udp);
    let (_, options) = sim.send(Method::Options);
    assert_eq!(sim.reply(&options, 200).0, ["response 200"]);
    assert_eq!(sim.reply(&options, 200).0, Told::new());
    assert_eq!(sim.run(S(60)), [(5000, "terminated".into())]);
}

#[test]
fn the_100_waits_for_the_first_timeout_and_is_repeated_for_repeated_invites() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    assert_eq!(sim.run(S(0)), [(0, ">100".into())]);
    assert_eq!(sim.receive(text("INVITE", B)), [">100"]);
    assert_eq!(sim.answer(key, &invite, 180).unwrap(), [">180"]);
    assert_eq!(sim.receive(text("INVITE", B)), [">180"]);
    let mut quick = Sim::new(Transport::Udp);
    let (key, invite) = quick.incoming(&text("INVITE", B));
    quick.answer(key, &invite, 180).unwrap();
    assert_eq!(quick.run(S(1)), []);
}

#[test]
fn timers_g_and_h_repeat_a_failure_until_no_ack_is_expected() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    sim.answer(key, &invite, 486).unwrap();
    let at = sim.run(S(60));
    let sent: Vec<_> = at
        .iter()
        .filter(|(_, t)| t == ">486")
        .map(|(ms, _)| *ms)
        .collect();
    assert_eq!(
        sent,
        [
            500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
        ]
    );
    assert_eq!(
        at[at.len() - 2..],
        [(32000, "timeout".into()), (32000, "terminated".into())]
    );
    assert_eq!(sim.answer(key, &invite, 486), Err(RespondError::Gone));
}

#[test]
fn timer_i_absorbs_further_acks() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    sim.answer(key, &invite, 486).unwrap();
    assert_eq!(sim.receive(ack(B, "tt")), Told::new());
    assert_eq!(sim.receive(ack(B, "tt")), Told::new());
    assert_eq!(sim.receive(text("INVITE", B)), Told::new());
    assert_eq!(sim.run(S(60)), [(5000, "terminated".into())]);
}

#[test]
fn timer_j_repeats_the_answer_to_repeated_requests() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, register) = sim.incoming(&text("REGISTER", B));
    assert_eq!(sim.receive(text("REGISTER", B)), Told::new());
    assert_eq!(sim.answer(key, &register, 200).unwrap(), [">200"]);
    assert_eq!(sim.receive(text("REGISTER", B)), [">200"]);
    assert_eq!(
        sim.answer(key, &register, 500),
        Err(RespondError::NotAllowed)
    );
    assert_eq!(sim.run(S(60)), [(32000, "terminated".into())]);
    let mut sim = Sim::new(Transport::Tls);
    let (key, register) = sim.incoming(&text("REGISTER", B));
    assert_eq!(
        sim.answer(key, &register, 200).unwrap(),
        [">200", "terminated"]
    );
}

#[test]
fn timer_l_absorbs_the_invite_after_its_2xx() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    assert_eq!(sim.answer(key, &invite, 200).unwrap(), [">200"]);
    assert_eq!(sim.receive(text("INVITE", B)), Told::new());
    // The TU repeats it; the ACK has a branch of its own and goes to the TU.
    assert_eq!(sim.answer(key, &invite, 200).unwrap(), [">200"]);
    assert_eq!(sim.receive(ack("z9hG4bK-ack", "tt")), ["ack2xx"]);
    assert_eq!(sim.answer(key, &invite, 486), Err(RespondError::NotAllowed));
    assert_eq!(sim.run(S(60)), [(32000, "terminated".into())]);
}

#[test]
fn a_non_invite_gets_no_180_and_no_408_and_is_dropped_when_too_late() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, options) = sim.incoming(&text("OPTIONS", B));
    assert_eq!(
        sim.answer(key, &options, 180),
        Err(RespondError::NotAllowed)
    );
    assert_eq!(sim.answer(key, &options, 408).unwrap(), ["terminated"]);
    sim.incoming(&text("OPTIONS", "z9hG4bK-2").replace("CSeq: 1", "CSeq: 2"));
    assert_eq!(
        sim.run(S(60)),
        [(32000, "timeout".into()), (32000, "terminated".into())]
    );
}

#[test]
fn a_cancel_is_answered_and_told_once() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    sim.run(S(1));
    assert_eq!(sim.receive(text("CANCEL", B)), [">200*", "cancel"]);
    assert_eq!(sim.receive(text("CANCEL", B)), [">200*"]);
    assert_eq!(sim.answer(key, &invite, 487).unwrap(), [">487"]);
    assert_eq!(sim.receive(ack(B, "tt")), Told::new());
}

#[test]
fn cancel_after_answer_keeps_the_call() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    sim.answer(key, &invite, 200).unwrap();
    assert_eq!(sim.receive(text("CANCEL", B)), [">200*"]);
    assert_eq!(sim.receive(text("CANCEL", "z9hG4bK-other")), [">481*"]);
}

#[test]
fn our_cancel_waits_for_a_provisional_response() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.send(Method::Invite);
    sim.table
        .cancel(
            sim.now,
            key,
            Some("SIP;cause=200;text=\"Call completed elsewhere\""),
        )
        .unwrap();
    assert_eq!(sim.told(), Told::new());
    let (told, outputs) = sim.reply(&invite, 180);
    assert_eq!(told, ["response 180", ">CANCEL"]);
    let Output::Transmit { bytes, .. } = &outputs[1] else {
        panic!()
    };
    let cancel = request(bytes.clone());
    assert_eq!(cancel.reasons().next(), Some(("SIP", Some(200))));
    assert_eq!((cancel.cseq().unwrap().seq, cancel.vias().count()), (7, 1));
    assert_eq!(
        cancel.top_via().unwrap().branch(),
        invite.top_via().unwrap().branch()
    );
    // The TU hears nothing of the answer to it, and all ends with the 487.
    assert_eq!(sim.reply(&cancel, 200).0, Told::new());
    assert_eq!(sim.reply(&invite, 487).0, [">ACK", "response 487"]);
    sim.run(S(60));
    assert!(sim.table.is_empty());
}

#[test]
fn a_cancelled_invite_that_is_never_answered_times_out() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.send(Method::Invite);
    sim.reply(&invite, 180);
    sim.table.cancel(sim.now, key, None).unwrap();
    let at = sim.run(S(60));
    let tu: Vec<_> = at.iter().filter(|(_, t)| t != ">CANCEL").cloned().collect();
    assert_eq!(
        tu,
        [(32000, "timeout".into()), (32000, "terminated".into())]
    );
    assert!(sim.table.is_empty());
}

#[test]
fn cancel_and_200_cross() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.send(Method::Invite);
    sim.reply(&invite, 180);
    sim.table.cancel(sim.now, key, None).unwrap();
    sim.told();
    assert_eq!(sim.reply(&invite, 200).0, ["response 200"]);
    assert_eq!(sim.table.cancel(sim.now, key, None), Ok(()));
    let (key, invite) = sim.send(Method::Invite);
    sim.reply(&invite, 200);
    assert_eq!(
        sim.table.cancel(sim.now, key, None),
        Err(RequestError::NothingToCancel)
    );
}

#[test]
fn a_stateless_challenge_keeps_nothing_and_its_ack_is_absorbed() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    let tag = sim.table.stateless_tag(&invite);
    let bytes = Builder::reply(&mut sim.buf, &invite, 407, "x", Some(&tag), sim.flow.remote)
        .finish()
        .unwrap();
    sim.table.respond_stateless(key, bytes).unwrap();
    assert_eq!(sim.told(), [">407*"]);
    assert!(sim.table.is_empty());
    assert_eq!(sim.run(S(60)), []);
    assert_eq!(sim.receive(ack(B, &tag)), Told::new());
    assert_eq!(sim.receive(ack(B, "other")), ["ack2xx"]);
}

#[test]
fn a_full_table_answers_503_and_still_lets_us_hang_up() {
    let mut sim = Sim::with(
        Config {
            most: 2,
            ..Config::default()
        },
        Transport::Udp,
    );
    for n in 0..2 {
        sim.incoming(
            &text("OPTIONS", &format!("z9hG4bK-{n}")).replace("CSeq: 1", &format!("CSeq: {n}")),
        );
    }
    assert_eq!(
        sim.receive(text("OPTIONS", "z9hG4bK-x").replace("CSeq: 1", "CSeq: 9")),
        [">503*"]
    );
    sim.send(Method::Bye);
}

#[test]
fn one_request_by_two_ways_is_a_loop() {
    let mut sim = Sim::new(Transport::Udp);
    sim.incoming(&text("INVITE", B));
    assert_eq!(sim.receive(text("INVITE", "z9hG4bK-2")), [">482*"]);
}

#[test]
fn a_peer_of_rfc_2543_is_matched_without_branch() {
    let mut sim = Sim::new(Transport::Udp);
    let old = |m: &str| {
        text(m, B)
            .replace(";branch=z9hG4bK-1", "")
            .replace(";tag=ft", "")
    };
    let (key, invite) = sim.incoming(&old("INVITE"));
    sim.run(S(0));
    assert_eq!(sim.receive(old("INVITE")), [">100"]);
    assert_eq!(sim.receive(old("CANCEL")), [">200*", "cancel"]);
    sim.answer(key, &invite, 487).unwrap();
    assert_eq!(
        sim.receive(old("ACK").replace("To: <sip:b@192.0.2.1>", "To: <sip:b@192.0.2.1>;tag=tt")),
        Told::new()
    );
    assert_eq!(sim.run(S(5)), [(5000, "terminated".into())]);
}

#[test]
fn stray_and_malformed_messages_do_not_disturb() {
    let mut sim = Sim::new(Transport::Udp);
    let (_, options) = sim.send(Method::Options);
    let reply = |branch: &str, cseq: &str, more: &str| {
        format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch={branch}\r\n{more}From: <sip:a@pbx>;tag=ours\r\n\
             To: <sip:b@pbx>;tag=x\r\nCall-ID: call\r\nCSeq: {cseq}\r\n\r\n"
        )
    };
    let branch = options.top_via().unwrap().branch().unwrap().to_owned();
    assert_eq!(
        sim.receive(reply("z9hG4bKnone", "7 OPTIONS", "")),
        Told::new()
    );
    assert_eq!(sim.receive(reply(&branch, "7 INVITE", "")), Told::new());
    assert_eq!(
        sim.receive(reply(
            &branch,
            "7 OPTIONS",
            "Via: SIP/2.0/UDP 255.255.255.255;branch=z\r\n"
        )),
        Told::new()
    );
    assert_eq!(
        sim.receive(reply(&branch, "99999999999 OPTIONS", "")),
        Told::new()
    );
    assert_eq!(sim.receive("SIP/2.0 4294967301 x\r\n\r\n"), Told::new());
    assert_eq!(sim.receive("\r\n\r\n"), Told::new());
    assert_eq!(
        sim.receive(text("ACK", B).replace("CSeq: 1", "CSeq: x")),
        Told::new()
    );
    assert_eq!(
        sim.receive(text("OPTIONS", B).replace("CSeq: 1", "CSeq: x")),
        [">400*"]
    );
    assert_eq!(
        sim.receive(text("OPTIONS", B).replace("Call-ID", "Bad Line")),
        [">400*"].map(String::from)[..0]
    );
    assert_eq!(
        sim.receive(reply(&branch, "7 OPTIONS", "")),
        ["response 200"]
    );
}

#[test]
fn a_failed_transport_ends_the_transaction() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, _) = sim.send(Method::Invite);
    sim.table.transport_failed(key);
    sim.table.transport_failed(key);
    assert_eq!(sim.told(), ["transport error", "terminated"]);
    assert_eq!(sim.run(S(60)), []);
}

#[test]
fn answers_go_to_the_source_and_by_rport_to_its_port() {
    let mut sim = Sim::new(Transport::Udp);
    sim.flow.remote = "198.51.100.1:41000".parse().unwrap();
    for (rport, to) in [(true, "198.51.100.1:41000"), (false, "198.51.100.1:5070")] {
        let branch = sim.ids.branch();
        let mut t = text("OPTIONS", &branch).replace("Call-ID: c1", &format!("Call-ID: {branch}"));
        if !rport {
            t = t.replace(";rport", "");
        }
        let (key, options) = sim.incoming(&t);
        let remote = sim.flow.remote;
        let bytes = Builder::reply(&mut sim.buf, &options, 200, "OK", None, remote)
            .finish()
            .unwrap();
        sim.table.respond(sim.now, key, bytes).unwrap();
        let Some(Output::Transmit { flow, bytes, .. }) = sim.table.poll_output() else {
            panic!()
        };
        assert_eq!(flow.remote, to.parse().unwrap());
        let Ok(Message::Response(r)) = parse_with(bytes, &Limits::default(), Framing::Datagram)
        else {
            panic!()
        };
        check_via(&r, rport);
    }
}

fn check_via(r: &Response, rport: bool) {
    let via = r.top_via().unwrap();
    assert_eq!(
        via.received().unwrap(),
        "198.51.100.1".parse::<std::net::IpAddr>().unwrap()
    );
    assert_eq!(via.rport(), rport.then_some(41000));
}

#[test]
fn many_transactions_leave_nothing_behind() {
    let mut sim = Sim::new(Transport::Udp);
    let mut most = 0;
    for n in 0..20_000u32 {
        let t = text("REGISTER", &format!("z9hG4bK-{n}"))
            .replace("Call-ID: c1", &format!("Call-ID: c{n}"));
        let (key, register) = sim.incoming(&t);
        sim.answer(key, &register, 200).unwrap();
        sim.run(Duration::from_millis(10));
        most = most.max(sim.table.queued_timers());
    }
    assert!(most <= 3300, "32 s of 100 a second, but {most} timers");
    sim.run(S(40));
    assert!(sim.table.is_empty());
    assert_eq!(sim.table.queued_timers(), 0);
}

/// Random commands and mangled messages: nothing panics, keys end once, and in the end nothing is left.
#[test]
fn chaos_leaves_nothing_behind() {
    for seed in 0..60u8 {
        let mut sim = Sim::new(if seed.is_multiple_of(3) {
            Transport::Tcp
        } else {
            Transport::Udp
        });
        let mut dice = IdSource::new([seed; 32]);
        let (mut servers, mut clients) =
            (Vec::<(Key, Request)>::new(), Vec::<(Key, Request)>::new());
        let mut ended = std::collections::HashSet::new();
        for _ in 0..300 {
            let roll = dice.u64();
            let pick = (roll >> 8) as usize;
            match roll % 8 {
                0..=2 => {
                    let method =
                        ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER"][pick % 6];
                    let mut t = text(method, &format!("z9hG4bK-{}", pick / 8 % 12)).into_bytes();
                    if pick.is_multiple_of(5) {
                        let at = (pick >> 12) % t.len();
                        t[at] = (pick >> 20) as u8;
                    }
                    sim.table.receive(sim.now, sim.flow, t.into());
                }
                3 if !servers.is_empty() => {
                    let (key, request) = servers[pick % servers.len()].clone();
                    let status = [100, 180, 200, 401, 408, 486][(pick >> 10) % 6];
                    let remote = sim.flow.remote;
                    let reply =
                        Builder::reply(&mut sim.buf, &request, status, "x", Some("tt"), remote)
                            .finish();
                    if let Ok(bytes) = reply {
                        let _ = match pick % 3 {
                            0 => sim.table.respond_stateless(key, bytes),
                            _ => sim.table.respond(sim.now, key, bytes),
                        };
                    }
                }
                4 => clients.push(sim.send([Method::Invite, Method::Bye][pick % 2])),
                5 if !clients.is_empty() => {
                    let (_, request) = clients[pick % clients.len()].clone();
                    let status = [100, 180, 200, 401, 487][(pick >> 10) % 5];
                    let local = sim.flow.local;
                    let reply =
                        Builder::reply(&mut sim.buf, &request, status, "x", Some("t"), local)
                            .finish();
                    sim.table.receive(sim.now, sim.flow, reply.unwrap());
                }
                6 if !clients.is_empty() => {
                    let key = clients[pick % clients.len()].0;
                    let _ = sim.table.cancel(sim.now, key, None);
                    if pick.is_multiple_of(7) {
                        sim.table.transport_failed(key);
                    }
                }
                _ => sim.now += Duration::from_millis(pick as u64 % 3000),
            }
            sim.table.handle_timeout(sim.now);
            for output in sim.drain().1 {
                match output {
                    Output::Request { key, request, .. } => servers.push((key, request)),
                    Output::Terminated { key } => assert!(ended.insert(key), "{key:?} ended twice"),
                    _ => {}
                }
            }
        }
        sim.now += S(3700);
        sim.table.handle_timeout(sim.now);
        sim.now += S(40);
        sim.table.handle_timeout(sim.now);
        assert_eq!(
            (sim.table.len(), sim.table.queued_timers()),
            (0, 0),
            "seed {seed}"
        );
    }
}

#[test]
fn a_late_wake_up_sends_once_not_in_a_burst() {
    let mut sim = Sim::new(Transport::Udp);
    sim.send(Method::Invite);
    sim.now += S(10);
    sim.table.handle_timeout(sim.now);
    assert_eq!(sim.told(), [">INVITE"]);
    assert!(sim.table.poll_timeout().is_some_and(|at| at > sim.now));
}

#[test]
fn addresses_mapped_into_ipv6_are_the_same_source() {
    let mut sim = Sim::new(Transport::Udp);
    sim.flow.remote = "[::ffff:192.0.2.9]:5070".parse().unwrap();
    let (_, options) = sim.incoming(&text("OPTIONS", B).replace(";rport", ""));
    let remote = sim.flow.remote;
    let bytes = Builder::reply(&mut sim.buf, &options, 200, "OK", None, remote)
        .finish()
        .unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("received"));
}
