//! What strangers get: so many bytes a source and no more (checklist 25), and a trace of what they try (checklist 7, 8).

#![allow(clippy::unwrap_used)]

mod common;

use common::phone::SDP_A;
use common::{Phone, REALM, Sim};
use std::net::SocketAddr;

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"],"pin":"4711",
    "slots":["desk"],"devices":[{"name":"p1","type":"desk","password":"secret-p1"}]}"#;
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
