//! What strangers get: so many bytes a source and no more (checklist 25), and a trace of what they try (checklist 7, 8).

#![allow(clippy::unwrap_used)]

mod common;

use common::phone::SDP_A;
use common::{Phone, REALM, Sim};
use std::net::SocketAddr;
use switchbook_core::envelope::Subject;

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"],"pin":"4711",
    "slots":["desk"],"devices":[{"name":"p1","type":"desk","password":"secret-p1"}]}"#;
const BOB: &str = r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["200"],
    "slots":["desk"],"devices":[{"name":"p2","type":"desk","password":"secret-p2"}]}"#;
const TRUNK: &str = r#"{"command":"trunk.add","name":"net","peer":"203.0.113.9:5060","outbound_prefix":"0","base_number":"4930123"}"#;

fn request(method: &str, n: usize, lines: &str, at: SocketAddr) -> String {
    format!(
        "{method} sip:100@{REALM} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{method}{n}\r\n\
         From: <sip:p1@{REALM}>;tag=1\r\nTo: <sip:100@{REALM}>\r\nCall-ID: {method}{n}\r\nCSeq: 1 {method}\r\n\
         Max-Forwards: 70\r\nContact: <sip:p1@{at}>\r\n{lines}Content-Length: 0\r\n\r\n"
    )
}

/// Everything a stranger can be answered to.
fn provocations(n: usize, at: SocketAddr) -> Vec<String> {
    let tagged = |method: &str| {
        request(method, n, "", at).replace("To: <sip:100@pbx.test>", "To: <sip:100@pbx.test>;tag=x")
    };
    let broken = |method: &str| request(method, n, "", at).replace("CSeq: 1", "CSeq: one");
    vec![
        request("OPTIONS", n, "", at),
        request("OPTIONS", 0, "", at),
        request("REGISTER", n, "", at),
        request("INVITE", n, "", at),
        request("MESSAGE", n, "", at),
        request("SUBSCRIBE", n, "", at),
        request("PUBLISH", n, "", at),
        request("REFER", n, "", at),
        request("NOTIFY", n, "", at),
        request("PRACK", n, "", at),
        request("FETCH", n, "", at),
        request("CANCEL", n, "", at),
        request("INVITE", n + 100_000, "Require: gold\r\n", at),
        request("REGISTER", n + 100_000, "Authorization: Digest nonsense\r\n", at),
        request("OPTIONS", n + 100_000, "", at).replace("Max-Forwards: 70", "Max-Forwards: 0"),
        tagged("BYE"),
        tagged("INFO"),
        tagged("OPTIONS"),
        broken("INVITE"),
        broken("OPTIONS"),
        format!("{}{}", request("OPTIONS", n + 200_000, "", at), "x".repeat(10)),
    ]
}

#[test]
fn c25_all_answers_to_a_stranger_share_one_budget_of_bytes() {
    let mut sim = Sim::with(&[ADA], |config| {
        config.limits.budget.burst = 20_000;
        config.limits.budget.rate = 100;
    });
    let stranger = SocketAddr::from(([198, 51, 100, 66], 5060));
    let mut sent = 0;
    for n in 1..=50 {
        for text in provocations(n, stranger) {
            sent += text.len();
            sim.send(stranger, text);
        }
    }
    let answers = |sim: &Sim| {
        let got = sim.wiretap.iter().filter(|(to, _)| to.ip() == stranger.ip());
        got.map(|(_, bytes)| bytes.len()).sum::<usize>()
    };
    assert!(sent > 250_000, "{sent}");
    assert!((19_000..=20_000).contains(&answers(&sim)), "{} bytes", answers(&sim));
    // What flows back is 100 bytes a second, whatever he asks, and however often.
    for n in 1_000..1_100 {
        sim.pass_seconds(1);
        for text in provocations(n, stranger) {
            sim.send(stranger, text);
        }
    }
    assert!(answers(&sim) <= 30_000, "{} bytes", answers(&sim));
    // Nothing is left of any of it, and nobody else is concerned.
    assert!(sim.endpoint.is_idle());
    Phone::registered(&mut sim, "p1", 1);
}

#[test]
fn c25_the_answer_to_each_provocation_is_counted() {
    let at = SocketAddr::from(([198, 51, 100, 66], 5060));
    for text in provocations(1, at) {
        let mut sim = Sim::with(&[ADA], |config| config.limits.budget.burst = 10);
        sim.send(at, text.clone());
        assert!(sim.wiretap.is_empty(), "answered beyond the budget: {text}");
    }
}

#[test]
fn a_stranger_is_not_told_who_we_are() {
    let mut sim = Sim::new(&[ADA]);
    let at = SocketAddr::from(([198, 51, 100, 66], 5060));
    for n in 0..3 {
        for text in provocations(n, at) {
            sim.send(at, text);
        }
    }
    assert!(sim.wiretap.len() > 30);
    for (_, bytes) in &sim.wiretap {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("Switchbook") && !text.contains("Server:"), "{text}");
    }
    let registered = Phone::new("p1", 1).register(&mut sim, 600);
    assert_eq!(registered.str_value(switchbook_sip::HeaderName::Server), Some("Switchbook"));
}

#[test]
fn c42_a_neighbour_who_spent_the_budget_does_not_keep_a_phone_from_calling_for_help() {
    let mut sim = Sim::with(&[ADA, TRUNK], |config| {
        config.limits.budget.burst = 5_000;
        config.limits.budget.rate = 1;
    });
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let neighbour = SocketAddr::from(([198, 51, 100, 1], 6666));
    for n in 0..100 {
        sim.send(neighbour, request("OPTIONS", n, "", neighbour));
    }
    // Another call is not even challenged; from elsewhere, nor is one for help.
    phone.invite(&mut sim, "100", SDP_A);
    assert!(sim.is_silent(phone.at));
    let mut stranger = Phone::new("p1", 77);
    for n in 0..100 {
        sim.send(stranger.at, request("OPTIONS", n, "", stranger.at));
    }
    sim.hush(stranger.at);
    stranger.invite(&mut sim, "112", SDP_A);
    assert!(sim.is_silent(stranger.at));
    phone.call(&mut sim, "112");
    assert!(!sim.is_silent(SocketAddr::from(([203, 0, 113, 9], 5060))));
}

/// What the Desk refused: command, code, and the phones it was about.
fn refusals(sim: &Sim) -> Vec<(&'static str, &'static str, Vec<String>)> {
    let exchange = sim.desk.state();
    let name = |subject: &Subject| match subject {
        Subject::Device(device) => exchange.devices[device].name.clone(),
        other => format!("{other:?}"),
    };
    let refusals = sim.desk.refusals.lock().unwrap();
    let told = refusals.iter().map(|(command, refusal)| {
        (*command, refusal.code.as_str(), refusal.about.iter().map(name).collect())
    });
    told.collect()
}

fn metric(sim: &Sim, wanted: &str) -> u64 {
    sim.metrics.all().find(|(name, ..)| *name == wanted).unwrap().2
}

/// Registers under another's name with one's own password.
fn register_as(sim: &mut Sim, phone: &mut Phone, aor: &str, lines: &str) -> u16 {
    let challenged = phone.register_once(sim, aor, lines);
    if challenged.status() != 401 {
        return challenged.status();
    }
    phone.take_challenge(&challenged);
    phone.register_once(sim, aor, lines).status()
}

#[test]
fn c8_c11_c14_who_speaks_for_another_is_refused_and_leaves_a_trace_about_both() {
    let mut sim = Sim::new(&[ADA, BOB]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    Phone::registered(&mut sim, "p2", 2);
    let before = sim.desk.events().len();
    let contact = format!("Contact: {}\r\n", phone.contact());
    assert_eq!(register_as(&mut sim, &mut phone, "p2", &contact), 403);
    assert_eq!(register_as(&mut sim, &mut phone, "p2", "Contact: *\r\nExpires: 0\r\n"), 403);
    assert_eq!(register_as(&mut sim, &mut phone, "nobody", ""), 403);
    // A call with another's From.
    let mut call = phone.invite(&mut sim, "200", SDP_A);
    let challenged = call.response(&mut sim);
    phone.take_challenge(&challenged);
    call.ack_failure(&mut sim, &challenged);
    call.local = call.local.replace("sip:p1@", "sip:p2@");
    let authorization = phone.authorization("INVITE", &call.target);
    call.request_with(&mut sim, "INVITE", 2, &authorization, "");
    assert_eq!(call.status(&mut sim), 403);
    let both = || vec!["p1".to_owned(), "p2".to_owned()];
    assert_eq!(
        refusals(&sim),
        [
            ("phone.claim", "ADDRESS_NOT_YOURS", both()),
            ("phone.claim", "ADDRESS_NOT_YOURS", both()),
            ("phone.claim", "ADDRESS_NOT_YOURS", vec!["p1".to_owned()]),
            ("phone.claim", "ADDRESS_NOT_YOURS", both()),
        ]
    );
    assert_eq!(metric(&sim, "claims"), 4);
    assert_eq!(sim.desk.events().len(), before, "nothing but the trace");
}

#[test]
fn c7_many_names_from_one_source_are_noticed_whether_answered_or_only_asked() {
    let mut sim = Sim::new(&[ADA]);
    for n in 0..100 {
        let mut guess = Phone::new(&format!("u{n}"), 66);
        guess.register(&mut sim, 600);
    }
    assert_eq!(metric(&sim, "sprays"), 1);
    for n in 0..1_000 {
        let mut scan = Phone::new(&format!("{n}"), 67);
        scan.register_once(&mut sim, &format!("{n}"), "");
    }
    assert_eq!(metric(&sim, "sprays"), 2);
}

#[test]
fn c7_an_office_behind_one_address_is_no_spray() {
    let add = |n| {
        format!(
            r#"{{"command":"user.add","username":"u{n}","display_name":"U","numbers":["5{n:03}"],"slots":["desk"],
            "devices":[{{"name":"d{n}","type":"desk","password":"secret-d{n}"}}]}}"#
        )
    };
    let all: Vec<String> = (0..200).map(add).collect();
    let mut sim = Sim::new(&all.iter().map(String::as_str).collect::<Vec<_>>());
    for n in 0..200 {
        Phone::registered(&mut sim, &format!("d{n}"), 1);
    }
    assert_eq!(metric(&sim, "sprays"), 0);
}
