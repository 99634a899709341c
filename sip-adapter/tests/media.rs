//! Where media may not be sent (checklist 33): an offer or an answer that names everybody never reaches a phone, whoever
//! makes it and however it is written.

#![allow(clippy::unwrap_used)]

mod common;

use common::phone::{HOLD, SDP_A, SDP_B};
use common::{Dialogue, Phone, Sim};
use switchbook_sip::message::Method;

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"],
    "slots":["desk"],"devices":[{"name":"p1","type":"desk","password":"secret-p1"}]}"#;
const BOB: &str = r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["200"],
    "slots":["desk"],"devices":[{"name":"p2","type":"desk","password":"secret-p2"}]}"#;

fn everybody() -> String {
    SDP_B.replace("c=IN IP4 198.51.100.2", "c=IN IP4 255.255.255.255")
}

fn ringing(offer: &str) -> (Sim, Dialogue, Dialogue) {
    let mut sim = Sim::new(&[ADA, BOB]);
    let mut p1 = Phone::registered(&mut sim, "p1", 1);
    let p2 = Phone::registered(&mut sim, "p2", 2);
    let ada = p1.call_with(&mut sim, "200", offer);
    let bob = p2.incoming(&mut sim);
    (sim, ada, bob)
}

fn talking() -> (Sim, Dialogue, Dialogue) {
    let (mut sim, mut ada, mut bob) = ringing(SDP_A);
    bob.answer(&mut sim, 200, SDP_B);
    assert_eq!(ada.status(&mut sim), 200);
    bob.expect_ack(&mut sim);
    ada.ack(&mut sim);
    (sim, ada, bob)
}

#[test]
fn c33_an_offer_to_everybody_is_refused_however_it_is_written() {
    let bad = everybody();
    for offer in [
        bad.clone(),
        format!("{bad}junk\r\n"),
        bad.replace("v=0", "v=0 "),
        bad.replace("o=b 1 1 IN IP4 198.51.100.2", "o=b"),
        bad.replace("IN IP4 255.255.255.255", "IN IP6 ::ffff:255.255.255.255"),
        format!("{bad}c=IN IP4 198.51.100.2\r\n"),
        format!("{SDP_B}a=rtcp:5001 IN IP4 224.0.0.1\r\n"),
    ] {
        let mut sim = Sim::new(&[ADA, BOB]);
        let mut p1 = Phone::registered(&mut sim, "p1", 1);
        let p2 = Phone::registered(&mut sim, "p2", 2);
        let mut ada = p1.call_with(&mut sim, "200", &offer);
        assert_eq!(ada.status(&mut sim), 488, "{offer}");
        assert!(sim.is_silent(p2.at), "{offer}");
    }
}

#[test]
fn c33_an_early_answer_to_everybody_is_told_as_ringing_alone() {
    let (mut sim, mut ada, mut bob) = ringing(SDP_A);
    bob.answer(&mut sim, 183, &everybody());
    let rings = ada.response(&mut sim);
    assert_eq!((rings.status(), rings.body()), (180, &b""[..]));
}

#[test]
fn c33_an_answer_to_everybody_is_ended_and_the_caller_refused() {
    let (mut sim, mut ada, mut bob) = ringing(SDP_A);
    bob.answer(&mut sim, 200, &everybody());
    let refused = ada.response(&mut sim);
    assert!(refused.status() >= 400 && refused.body().is_empty(), "{}", refused.status());
    ada.ack_failure(&mut sim, &refused);
    bob.expect_ack(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn c33_an_answer_to_everybody_in_a_late_ack_ends_the_call() {
    let (mut sim, mut ada, mut bob) = ringing("");
    bob.answer(&mut sim, 200, SDP_B);
    assert_eq!(ada.status(&mut sim), 200);
    ada.ack_with(&mut sim, &everybody());
    assert_eq!(bob.expect_ack(&mut sim).body(), b"");
    bob.agrees_to(&mut sim, Method::Bye);
    ada.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn c33_an_answer_to_everybody_within_a_call_ends_it() {
    let (mut sim, mut ada, mut bob) = talking();
    ada.request(&mut sim, "INVITE", "", HOLD);
    let hold = sim.request(bob.at).unwrap();
    bob.respond(&mut sim, &hold, 200, &everybody());
    let refused = ada.response(&mut sim);
    assert_eq!((refused.status(), refused.body()), (488, &b""[..]));
    ada.ack_failure(&mut sim, &refused);
    bob.expect_ack(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    ada.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn c33_a_text_within_a_call_may_say_what_it_likes() {
    let (mut sim, mut ada, bob) = talking();
    ada.request(&mut sim, "INFO", "", "c=IN IP4 255.255.255.255");
    assert_eq!(sim.request(bob.at).unwrap().method(), Method::Info);
}
