//! What happens within a call and at its end: hold, resume, glare, transfers, crossing BYEs.

#![allow(clippy::unwrap_used)]

mod common;

use common::phone::{HOLD, SDP_A, SDP_B};
use common::{Phone, Sim};
use switchbook_sip::message::Method;

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada Lovelace","numbers":["100","101"],
    "slots":["desk","dect"],"devices":[
        {"name":"p1","type":"desk","password":"secret-p1"},
        {"name":"p3","type":"dect","password":"secret-p3"}]}"#;
const BOB: &str = r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["200"],
    "slots":["desk"],"devices":[{"name":"p2","type":"desk","password":"secret-p2"}]}"#;
const CAT: &str = r#"{"command":"user.add","username":"cat","display_name":"Cat","numbers":["300"],
    "slots":["desk"],"devices":[{"name":"p4","type":"desk","password":"secret-p4"}]}"#;

/// Ada with two phones, Bob and Cat with one each, all registered.
fn office() -> (Sim, Phone, Phone, Phone, Phone) {
    let mut sim = Sim::new(&[ADA, BOB, CAT]);
    let p1 = Phone::registered(&mut sim, "p1", 1);
    let p2 = Phone::registered(&mut sim, "p2", 2);
    let p3 = Phone::registered(&mut sim, "p3", 3);
    let p4 = Phone::registered(&mut sim, "p4", 4);
    (sim, p1, p2, p3, p4)
}

#[test]
fn hold_and_resume_go_through() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    ada.request(&mut sim, "INVITE", "", HOLD);
    let hold = sim.request(bob.at).unwrap();
    assert_eq!(hold.body(), HOLD.as_bytes());
    bob.respond(&mut sim, &hold, 200, SDP_B);
    bob.expect_ack(&mut sim);
    assert_eq!(ada.status(&mut sim), 200);
    ada.ack(&mut sim);
    // And the other side resumes.
    bob.request(&mut sim, "INVITE", "", SDP_B);
    let resume = sim.request(ada.at).unwrap();
    ada.respond(&mut sim, &resume, 200, SDP_A);
    ada.expect_ack(&mut sim);
    let ok = bob.response(&mut sim);
    assert_eq!(ok.body(), SDP_A.as_bytes());
    bob.ack(&mut sim);
    sim.pass_seconds(40);
    assert!(sim.is_silent(ada.at) && sim.is_silent(bob.at));
    bob.bye(&mut sim);
    ada.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn a_refused_hold_leaves_the_call() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    ada.request(&mut sim, "INVITE", "", HOLD);
    let hold = sim.request(bob.at).unwrap();
    bob.respond(&mut sim, &hold, 488, "");
    bob.expect_ack(&mut sim);
    let refused = ada.response(&mut sim);
    assert_eq!(refused.status(), 488);
    ada.ack_failure(&mut sim, &refused);
    sim.pass_seconds(40);
    ada.bye(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn a_hold_under_way_when_the_call_ends_gets_487() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    ada.request(&mut sim, "INVITE", "", HOLD);
    let hold = sim.request(bob.at).unwrap();
    bob.bye(&mut sim);
    let ended = ada.response(&mut sim);
    assert_eq!((ended.status(), ended.cseq().unwrap().method), (487, Method::Invite));
    ada.ack_failure(&mut sim, &ended);
    ada.agrees_to(&mut sim, Method::Bye);
    bob.respond(&mut sim, &hold, 487, "");
    sim.expect_idle();
}

#[test]
fn a_call_is_ended_from_outside_by_its_name() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    let placed = sim.desk.events().into_iter().find_map(|event| match event {
        switchbook_core::event::Event::CallPlaced(placed) => Some(placed.call),
        _ => None,
    });
    let command = switchbook_sip_adapter::endpoint::Command::HangUp(placed.unwrap());
    sim.feed(switchbook_sip_adapter::endpoint::Input::Command(command));
    ada.agrees_to(&mut sim, Method::Bye);
    bob.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn a_call_whose_phones_vanish_ends() {
    let (mut sim, mut p1, p2, ..) = office();
    let (ada, bob) = talking(&mut sim, &mut p1, &p2, "200");
    sim.pass_seconds(239);
    assert!(sim.is_silent(ada.at) && sim.is_silent(bob.at));
    sim.pass_seconds(121 + 33);
    assert_eq!(sim.request(ada.at).unwrap().method(), Method::Options);
    assert_eq!(sim.calls()[2], r#"ended Failed 16 rang ["p2"]"#);
    sim.expect_idle();
}

#[test]
fn a_call_one_end_of_which_does_not_know_it_any_more_ends() {
    for status in [481, 408] {
        let (mut sim, mut p1, p2, ..) = office();
        let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
        // Any other answer comes from somebody who is there.
        for other in [200, 405, 500] {
            while sim.is_silent(ada.at) {
                sim.pass_seconds(1);
            }
            bob.agrees_to(&mut sim, Method::Options);
            let question = sim.request(ada.at).unwrap();
            ada.respond(&mut sim, &question, other, "");
        }
        while sim.is_silent(ada.at) {
            sim.pass_seconds(1);
        }
        bob.agrees_to(&mut sim, Method::Options);
        let question = sim.request(ada.at).unwrap();
        assert_eq!(question.method(), Method::Options);
        ada.respond(&mut sim, &question, status, "");
        bob.agrees_to(&mut sim, Method::Bye);
        assert!(sim.is_silent(ada.at));
        assert_eq!(sim.calls()[2], r#"ended Failed 16 rang ["p2"]"#);
        sim.expect_idle();
    }
}

#[test]
fn two_holds_at_once_get_491() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    ada.request(&mut sim, "INVITE", "", HOLD);
    let hold = sim.request(bob.at).unwrap();
    bob.request(&mut sim, "INVITE", "", HOLD);
    let glare = bob.response(&mut sim);
    assert_eq!(glare.status(), 491);
    bob.ack_failure(&mut sim, &glare);
    bob.respond(&mut sim, &hold, 200, SDP_B);
    bob.expect_ack(&mut sim);
    assert_eq!(ada.status(&mut sim), 200);
    ada.ack(&mut sim);
    ada.bye(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn a_call_without_an_offer_gets_the_called_phones_offer_and_its_answer_in_the_ack() {
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call_with(&mut sim, "200", "");
    let mut bob = p2.incoming(&mut sim);
    assert!(bob.invite.as_ref().unwrap().body().is_empty());
    bob.answer(&mut sim, 200, SDP_B);
    assert!(sim.is_silent(bob.at), "the ACK waits for the caller's");
    let ok = ada.response(&mut sim);
    assert_eq!(ok.body(), SDP_B.as_bytes());
    ada.ack_with(&mut sim, SDP_A);
    assert_eq!(bob.expect_ack(&mut sim).body(), SDP_A.as_bytes());
    ada.bye(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn info_goes_through_and_a_malformed_transfer_leaves_the_call() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    ada.request(&mut sim, "INFO", "", "Signal=5");
    let info = bob.agrees_to(&mut sim, Method::Info);
    assert_eq!(info.body(), b"Signal=5");
    assert_eq!(ada.status(&mut sim), 200);
    ada.request(&mut sim, "REFER", "Refer-To: sip:103@pbx.test@pbx.test\r\n", "");
    assert_eq!(ada.status(&mut sim), 400);
    ada.request(&mut sim, "REFER", "Refer-To: <sip:103@pbx.test>\r\n", "");
    assert_eq!(ada.status(&mut sim), 501);
    ada.request(&mut sim, "OPTIONS", "", "");
    assert_eq!(ada.status(&mut sim), 200);
    sim.pass_seconds(40);
    assert!(sim.is_silent(bob.at));
    ada.bye(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn a_side_that_never_answers_a_bye_is_gone_all_the_same() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, bob) = talking(&mut sim, &mut p1, &p2, "200");
    ada.bye(&mut sim);
    sim.pass_seconds(40);
    assert!(sim.request(bob.at).is_some());
    sim.expect_idle();
}

#[test]
fn byes_that_cross_are_both_answered() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    ada.bye(&mut sim);
    let crossing = sim.request(bob.at).unwrap();
    bob.bye(&mut sim);
    bob.respond(&mut sim, &crossing, 200, "");
    sim.expect_idle();
}

/// From INVITE to ACK.
fn talking(
    sim: &mut Sim,
    from: &mut Phone,
    to: &Phone,
    number: &str,
) -> (common::Dialogue, common::Dialogue) {
    let mut caller = from.call(sim, number);
    let mut called = to.incoming(sim);
    called.answer(sim, 180, "");
    assert_eq!(caller.status(sim), 180);
    called.answer(sim, 200, SDP_B);
    assert_eq!(caller.status(sim), 200);
    called.expect_ack(sim);
    caller.ack(sim);
    (caller, called)
}
