//! The table as a whole: limits, stray messages, transports, addresses.

use super::sim::*;

#[test]
fn a_full_table_answers_503_and_still_lets_us_hang_up() {
    let mut sim = Sim::with(Config { most: 2, ..Config::default() }, Transport::Udp);
    for n in 0..2 {
        sim.incoming(
            &text("OPTIONS", &format!("z9hG4bK-{n}")).replace("CSeq: 1", &format!("CSeq: {n}")),
        );
    }
    assert_eq!(sim.receive(text("OPTIONS", "z9hG4bK-x").replace("CSeq: 1", "CSeq: 9")), [">503*"]);
    sim.send(Method::Bye);
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
    assert_eq!(sim.receive(reply("z9hG4bKnone", "7 OPTIONS", "")), Told::new());
    assert_eq!(sim.receive(reply(&branch, "7 INVITE", "")), Told::new());
    assert_eq!(
        sim.receive(reply(&branch, "7 OPTIONS", "Via: SIP/2.0/UDP 255.255.255.255;branch=z\r\n")),
        Told::new()
    );
    assert_eq!(sim.receive(reply(&branch, "99999999999 OPTIONS", "")), Told::new());
    assert_eq!(sim.receive("SIP/2.0 4294967301 x\r\n\r\n"), Told::new());
    assert_eq!(sim.receive("\r\n\r\n"), Told::new());
    assert_eq!(sim.receive(text("ACK", B).replace("CSeq: 1", "CSeq: x")), Told::new());
    assert_eq!(sim.receive(text("OPTIONS", B).replace("CSeq: 1", "CSeq: x")), [">400*"]);
    assert_eq!(
        sim.receive(text("OPTIONS", B).replace("Call-ID", "Bad Line")),
        [">400*"].map(String::from)[..0]
    );
    assert_eq!(sim.receive(reply(&branch, "7 OPTIONS", "")), ["response 200"]);
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
        let bytes =
            Builder::reply(&mut sim.buf, &options, 200, "OK", None, remote).finish().unwrap();
        sim.table.respond(sim.now, key, bytes).unwrap();
        let Some(Output::Transmit { flow, bytes, .. }) = sim.table.poll_output() else { panic!() };
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
    assert_eq!(via.received().unwrap(), "198.51.100.1".parse::<std::net::IpAddr>().unwrap());
    assert_eq!(via.rport(), rport.then_some(41000));
}

#[test]
fn addresses_mapped_into_ipv6_are_the_same_source() {
    let mut sim = Sim::new(Transport::Udp);
    sim.flow.remote = "[::ffff:192.0.2.9]:5070".parse().unwrap();
    let (_, options) = sim.incoming(&text("OPTIONS", B).replace(";rport", ""));
    let remote = sim.flow.remote;
    let bytes = Builder::reply(&mut sim.buf, &options, 200, "OK", None, remote).finish().unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("received"));
}
