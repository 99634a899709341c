//! Attacks on the whole endpoint (checklist 16 to 29, 38): it answers others, keeps nothing, and sends nothing that cannot
//! be read. The parser's own answers to each message stand in the `sip` room.

#![allow(clippy::unwrap_used)]

mod common;

use common::phone::{SDP_A, SDP_B};
use common::{Phone, REALM, Sim};
use std::net::SocketAddr;
use std::path::Path;

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"],"pin":"4711",
    "slots":["desk"],"devices":[{"name":"p1","type":"desk","password":"secret-p1"}]}"#;
const BOB: &str = r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["200"],
    "slots":["desk"],"devices":[{"name":"p2","type":"desk","password":"secret-p2"}]}"#;
const EVIL: &str = r#"{"command":"user.add","username":"eve","display_name":"Eve\"\r\nX-Evil: 1","numbers":["300"]}"#;
const TRUNK: &str = r#"{"command":"trunk.add","name":"net","peer":"203.0.113.9:5060","outbound_prefix":"0","base_number":"4930123"}"#;
const DID: &str =
    r#"{"command":"trunk.assign","trunk":"net","dialled":"+4930123100","number":"100"}"#;

fn network() -> SocketAddr {
    "203.0.113.9:5060".parse().unwrap()
}

fn stranger() -> SocketAddr {
    "198.51.100.66:5060".parse().unwrap()
}

/// The messages of RFC 4475 and RFC 5118.
fn torture() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sip/tests/torture");
    let mut all = Vec::new();
    for rfc in ["rfc4475", "rfc5118"] {
        let mut files: Vec<_> = std::fs::read_dir(folder.join(rfc)).unwrap().flatten().collect();
        files.sort_by_key(std::fs::DirEntry::path);
        all.extend(files.iter().map(|file| std::fs::read(file.path()).unwrap()));
    }
    assert!(all.len() > 50, "the messages are gone");
    all
}

/// What fuzzers of protocols do to a field: overflow it, empty it, repeat it, break its encoding.
fn mutations(message: &[u8], seed: &mut u64) -> Vec<Vec<u8>> {
    let mut next = |below: usize| {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 33).unwrap() % below.max(1)
    };
    let fillers: [&[u8]; 8] =
        [b"\0", b"\r\n", b"\xff\xfe", b"%n%s%x", b"-1", b"4294967296", b"<><><>\"", b";=,@:"];
    let mut all = Vec::new();
    for filler in fillers {
        for times in [1, 40, 4_000] {
            let (from, length) = (next(message.len()), next(12));
            let to = (from + length).min(message.len());
            let middle = filler.repeat(times);
            all.push([&message[..from], &middle, &message[to..]].concat());
        }
    }
    for _ in 0..20 {
        all.push(message[..next(message.len())].to_vec());
        let (from, to) = (next(message.len()), next(message.len()));
        let (from, to) = (from.min(to), from.max(to));
        all.push([&message[..to], &message[from..]].concat());
        let mut flipped = message.to_vec();
        flipped[from] ^= 1 << next(8);
        all.push(flipped);
    }
    all
}

fn options(n: usize, at: SocketAddr) -> String {
    format!(
        "OPTIONS sip:{REALM} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKo{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:x@{REALM}>;tag=1\r\nTo: <sip:{REALM}>\r\nCall-ID: o{n}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn c16_c17_c18_thousands_of_hostile_messages_leave_nothing_behind_and_others_are_answered() {
    let (mut seed, mut sent) = (20_261_124, 0);
    for (n, message) in torture().into_iter().enumerate() {
        let mut sim = Sim::new(&[ADA, BOB, TRUNK, DID]);
        let mut all = mutations(&message, &mut seed);
        all.push(message);
        for hostile in all {
            // From a stranger, and from where no password is asked for.
            for from in [stranger(), network()] {
                sim.send(from, hostile.clone());
                sent += 1;
            }
        }
        let other = SocketAddr::from(([198, 51, 100, 7], 5060));
        sim.send(other, options(n, other));
        assert_eq!(sim.response(other).unwrap().status(), 200, "message {n}");
        Phone::registered(&mut sim, "p1", 1);
        sim.hush(network());
        sim.expect_idle();
    }
    assert!(sent > 4_527, "{sent}");
}

#[test]
fn c19_a_length_that_lies_is_refused_or_cut_and_nothing_hangs() {
    let mut sim = Sim::new(&[ADA]);
    let at = stranger();
    for length in ["99999", "-1", "18446744073709551616", "x"] {
        let lie = options(1, at).replace("Content-Length: 0", &format!("Content-Length: {length}"));
        sim.send(at, lie);
        assert_eq!(sim.response(at).unwrap().status(), 400, "{length}");
    }
    let longer = options(2, at) + "what follows is not ours";
    sim.send(at, longer);
    assert_eq!(sim.response(at).unwrap().status(), 200);
    assert!(sim.endpoint.is_idle());
}

#[test]
fn c20_messages_beyond_measure_are_refused() {
    let mut sim = Sim::new(&[ADA]);
    let at = stranger();
    let with = |line: String, times: usize| {
        options(3, at).replacen("Content-Length", &(line.repeat(times) + "Content-Length"), 1)
    };
    for (what, message) in [
        ("a header of 60 KiB", with(format!("X: {}\r\n", "x".repeat(60_000)), 1)),
        ("5,000 headers", with("X: y\r\n".into(), 5_000)),
        ("1,000 Vias", with("Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKv\r\n".into(), 1_000)),
    ] {
        sim.send(at, message);
        // An answer that would throw the bulk back is not given.
        let status = sim.response(at).map(|response| response.status());
        assert!(matches!(status, None | Some(400 | 413 | 513)), "{what}: {status:?}");
    }
    sim.send(at, options(4, at));
    assert_eq!(sim.response(at).unwrap().status(), 200);
    assert!(sim.endpoint.is_idle());
}

#[test]
fn c21_c39_what_a_phone_claims_about_itself_in_headers_goes_nowhere() {
    let mut sim = Sim::new(&[ADA, BOB]);
    let mut ada = Phone::registered(&mut sim, "p1", 1);
    let bob = Phone::registered(&mut sim, "p2", 2);
    let mut call = ada.invite(&mut sim, "200", SDP_A);
    let challenged = call.response(&mut sim);
    ada.take_challenge(&challenged);
    call.ack_failure(&mut sim, &challenged);
    let authorization = ada.authorization("INVITE", &call.target);
    let lies = format!(
        "{authorization}P-Asserted-Identity: <sip:110@{REALM}>\r\nRemote-Party-ID: <sip:110@{REALM}>\r\n\
         P-Preferred-Identity: <sip:110@{REALM}>\r\nX-Internal-Right : admin\r\nDiversion: <sip:110@{REALM}>\r\n\
         History-Info: <sip:110@{REALM}>\r\nRoute: <sip:evil@203.0.113.99;lr>\r\n"
    );
    call.request_with(&mut sim, "INVITE", 2, &lies, SDP_A);
    let invite = bob.incoming(&mut sim).invite.unwrap();
    let text = invite.lines().map(|(name, ..)| format!("{name:?} ")).collect::<String>();
    for name in ["Remote", "Preferred", "Internal", "Diversion", "History", "Route", "Evil"] {
        assert!(!text.contains(name), "{name} came through: {text}");
    }
    assert_eq!(
        invite.name_addr(switchbook_sip::HeaderName::PAssertedIdentity).unwrap().uri_raw,
        format!("sip:100@{REALM}")
    );
}

#[test]
fn c22_line_ends_in_a_name_or_a_number_reach_no_message_of_ours() {
    let mut sim = Sim::new(&[ADA]);
    let evil = serde_json::from_str(EVIL).unwrap();
    let by = switchbook_core::envelope::Actor::Supervisor { uid: 0 };
    assert_eq!(sim.desk.carry_out(by, evil).unwrap_err().code.as_str(), "VALUE_INVALID");
    let mut ada = Phone::registered(&mut sim, "p1", 1);
    ada.call(&mut sim, "100%0D%0AX-Evil:%201");
    sim.hush(ada.at);
    ada.call(&mut sim, "100%00");
    assert!(sim.wiretap.len() > 4);
    for (to, bytes) in &sim.wiretap {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("\nX-Evil") && !text.contains('\0'), "to {to}: {text}");
    }
}

#[test]
fn c29_a_flood_of_invites_from_one_source_leaves_others_alone() {
    let mut sim = Sim::new(&[ADA, BOB]);
    let mut ada = Phone::registered(&mut sim, "p1", 1);
    // A second of a thousand calls nobody proved a name for, and of a hundred by somebody who did.
    let mut guest = Phone::new("p1", 66);
    for n in 0..1_000 {
        guest.invite(&mut sim, &format!("{n}"), SDP_A);
        if n % 10 == 0 {
            sim.hush(ada.at);
            ada.call(&mut sim, "999");
        }
        sim.pass(std::time::Duration::from_millis(1));
    }
    assert!(sim.endpoint.sessions() <= 62, "{} sessions", sim.endpoint.sessions());
    let bob = Phone::registered(&mut sim, "p2", 2);
    assert!(sim.is_silent(bob.at));
    sim.hush(guest.at);
    sim.hush(ada.at);
    sim.expect_idle();
}

#[test]
fn c38_a_call_from_the_network_reaches_the_inside_and_never_the_network_again() {
    let mut sim = Sim::new(&[ADA, BOB, TRUNK, DID]);
    let phones = [Phone::registered(&mut sim, "p1", 1), Phone::registered(&mut sim, "p2", 2)];
    let mut caller = Phone::new("4917012345", 9);
    caller.at = network();
    for dialled in
        ["0301234567", "00491701234567", "112", "0112", "200", "*44*100*4711", "+4930123"]
    {
        let mut call = caller.invite(&mut sim, dialled, SDP_A);
        let refused = call.response(&mut sim);
        assert_eq!(refused.status(), 404, "{dialled}");
        call.ack_failure(&mut sim, &refused);
    }
    assert!(phones.iter().all(|phone| sim.is_silent(phone.at)) && sim.is_silent(network()));
    // A transfer asked for from outside is none, within a call and without.
    let mut call = caller.invite(&mut sim, "+4930123100", SDP_A);
    let mut rings = phones[0].incoming(&mut sim);
    rings.answer(&mut sim, 200, SDP_B);
    assert_eq!(call.status(&mut sim), 200);
    call.ack(&mut sim);
    rings.expect_ack(&mut sim);
    call.request(&mut sim, "REFER", "Refer-To: <sip:0301234567@pbx.test>\r\n", "");
    assert_eq!(call.status(&mut sim), 501);
    assert!(sim.is_silent(rings.at));
}
