//! What happens within a call and at its end: hold, resume, glare, transfers, crossing BYEs.

#![allow(clippy::unwrap_used)]

mod common;

use common::phone::{HOLD, SDP_A, SDP_B};
use common::{Phone, Sim};
use switchbook_core::event::Event;
use switchbook_core::position::Position;
use switchbook_sip::message::{HeaderName, Method};
use switchbook_sip_adapter::endpoint::{Command, Input};

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

/// What the event at position 77 orders: the last call that was placed is hung up.
fn order_hang_up(sim: &mut Sim) {
    let placed = sim.desk.events().into_iter().rev().find_map(|event| match event {
        Event::CallPlaced(placed) => Some(placed.call),
        _ => None,
    });
    sim.feed(Input::Command(Command::HangUp(placed.unwrap(), Position(77))));
}

/// The event that the end names as its cause, and why the connection was released (Q.850).
fn cause_of_the_end(sim: &Sim) -> (Option<Position>, u8) {
    let book = sim.desk.book.lock().unwrap();
    let ended = book.iter().find_map(|recorded| match &recorded.event {
        Event::CallEnded(ended) => Some((recorded.envelope.cause, ended.cause.0)),
        _ => None,
    });
    ended.expect("an end")
}

#[test]
fn a_call_is_ended_from_outside_and_its_end_names_the_order() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    order_hang_up(&mut sim);
    let bye = ada.agrees_to(&mut sim, Method::Bye);
    assert_eq!(bye.reasons().next(), Some(("Q.850", Some(31))));
    bob.agrees_to(&mut sim, Method::Bye);
    assert_eq!(cause_of_the_end(&sim), (Some(Position(77)), 31));
    // Once more: nothing is left to end.
    order_hang_up(&mut sim);
    assert!(sim.is_silent(ada.at) && sim.is_silent(bob.at));
    sim.expect_idle();
}

#[test]
fn a_ringing_call_is_ended_from_outside_and_the_caller_may_try_again() {
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    let mut bob = p2.incoming(&mut sim);
    bob.answer(&mut sim, 180, "");
    assert_eq!(ada.status(&mut sim), 180);
    order_hang_up(&mut sim);
    bob.is_cancelled(&mut sim);
    let ended = ada.response(&mut sim);
    assert_eq!((ended.status(), ended.reasons().next()), (480, Some(("Q.850", Some(31)))));
    ada.ack_failure(&mut sim, &ended);
    assert_eq!(cause_of_the_end(&sim), (Some(Position(77)), 31));
    sim.expect_idle();
}

#[test]
fn a_call_that_ends_by_itself_has_no_cause() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    ada.bye(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    assert_eq!(cause_of_the_end(&sim), (None, 16));
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

#[test]
fn c29_a_flood_of_requests_within_a_call_is_bounded() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    for _ in 0..500 {
        ada.request(&mut sim, "INFO", "", "");
    }
    let transactions =
        |sim: &Sim| sim.metrics.all().find(|(name, ..)| *name == "transactions_active").unwrap().2;
    let mut refused = 0;
    while let Some(response) = sim.response(ada.at) {
        assert_eq!(response.status(), 503);
        refused += 1;
    }
    assert_eq!(refused, 500 - 32);
    let mut passed = 0;
    while let Some(info) = sim.request(bob.at) {
        bob.respond(&mut sim, &info, 200, "");
        passed += 1;
    }
    assert_eq!(passed, 32);
    sim.hush(ada.at);
    assert!(transactions(&sim) < 100);
    // The call goes on after a moment, and ends.
    sim.pass_seconds(1);
    ada.request(&mut sim, "INFO", "", "");
    bob.agrees_to(&mut sim, Method::Info);
    assert_eq!(ada.status(&mut sim), 200);
    ada.bye(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

/// Each request that is answered within its transaction is remembered for 32 seconds, and there is room for 200,000: one
/// phone in one call must not take it all.
#[test]
fn c29_no_request_within_a_call_fills_the_transactions_of_all() {
    let refer = "Refer-To: <sip:1@pbx.test>\r\n";
    for (method, lines, tag) in [
        ("OPTIONS", "", ";tag="),
        ("REFER", refer, ";tag="),
        ("NOTIFY", "", ";tag="),
        ("PUBLISH", "", ";tag="),
        ("INVITE", "", ";tag="),
        ("OPTIONS", "", ";tag=another"),
    ] {
        let (mut sim, mut p1, p2, ..) = office();
        let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
        let own = ada.local.clone();
        ada.local = own.replace(";tag=", tag);
        for _ in 0..1_000 {
            ada.request(&mut sim, method, lines, "");
        }
        let open = sim.metrics.all().find(|(name, ..)| *name == "transactions_active").unwrap().2;
        assert!(open < 200, "{method} {tag} left {open}");
        // She can still end it, and after a while ask again.
        sim.hush(ada.at);
        sim.hush(bob.at);
        ada.local = own;
        if method == "OPTIONS" {
            sim.pass_seconds(1);
            sim.hush(ada.at);
            ada.request(&mut sim, "OPTIONS", "", "");
            assert_eq!(ada.status(&mut sim), 200);
        }
        if method != "INVITE" {
            ada.bye(&mut sim);
            bob.agrees_to(&mut sim, Method::Bye);
            sim.expect_idle();
        }
    }
}

/// A called phone that answers at once keeps no request under way, and yet each is remembered.
#[test]
fn c29_requests_that_are_passed_on_and_answered_are_bounded_too() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    let mut passed = 0;
    for _ in 0..1_000 {
        ada.request(&mut sim, "INFO", "", "");
        if let Some(info) = sim.request(bob.at) {
            bob.respond(&mut sim, &info, 200, "");
            passed += 1;
        }
        sim.hush(ada.at);
    }
    assert_eq!(passed, 64);
    ada.bye(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn c10_a_phones_challenge_within_a_call_is_not_passed_on_to_the_other() {
    for challenge in [401, 407] {
        let (mut sim, mut p1, p2, ..) = office();
        let (mut ada, bob) = talking(&mut sim, &mut p1, &p2, "200");
        ada.request(&mut sim, "INVITE", "", HOLD);
        let hold = sim.request(bob.at).unwrap();
        let asked = common::phone::reply(&hold, challenge, bob.at, None, "").replacen(
            "CSeq:",
            "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\nCSeq:",
            1,
        );
        sim.send(bob.at, asked);
        let told = ada.response(&mut sim);
        assert_eq!(told.status(), 403);
        assert!(!told.has(HeaderName::WwwAuthenticate) && !told.has(HeaderName::ProxyAuthenticate));
        ada.ack_failure(&mut sim, &told);
    }
}

/// Ada and Bob talk; Bob holds, Ada agrees, and Bob has not acknowledged yet.
fn holding(sim: &mut Sim) -> (common::Dialogue, common::Dialogue) {
    let mut p1 = Phone::registered(sim, "p1", 1);
    let p2 = Phone::registered(sim, "p2", 2);
    let mut ada = p1.call(sim, "200");
    let mut bob = p2.incoming(sim);
    bob.answer(sim, 200, SDP_B);
    assert_eq!(ada.status(sim), 200);
    bob.expect_ack(sim);
    ada.ack(sim);
    bob.request(sim, "INVITE", "", HOLD);
    let hold = sim.request(ada.at).unwrap();
    ada.respond(sim, &hold, 200, SDP_A);
    ada.expect_ack(sim);
    (ada, bob)
}

/// The call was once forgotten while Bob still owed his ACK, and Bob was never told.
#[test]
fn a_called_side_that_has_not_acknowledged_its_hold_gets_its_bye_when_it_does() {
    let mut sim = Sim::new(&[ADA, BOB]);
    let (mut ada, mut bob) = holding(&mut sim);
    assert_eq!(bob.response(&mut sim).status(), 200);
    ada.bye(&mut sim);
    assert!(sim.request(bob.at).is_none(), "not before the ACK (RFC 3261 §15)");
    bob.ack(&mut sim);
    assert!(sim.request(bob.at).is_some_and(|bye| bye.method() == Method::Bye));
}

#[test]
fn a_called_side_whose_ok_was_lost_hears_it_again_and_then_the_bye() {
    let mut sim = Sim::new(&[ADA, BOB]);
    let (mut ada, bob) = holding(&mut sim);
    sim.hush(bob.at);
    ada.bye(&mut sim);
    sim.pass_seconds(40);
    assert!(!sim.is_silent(bob.at));
}

/// RFC 3261 §12.2.1.2: 481 says that the dialog is gone, 408 that nobody is there. The call ends, for the asker too.
#[test]
fn a_hold_answered_408_or_481_ends_the_call() {
    for status in [408, 481] {
        let (mut sim, mut p1, p2, ..) = office();
        let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
        ada.request(&mut sim, "INVITE", "", HOLD);
        let hold = sim.request(bob.at).unwrap();
        bob.respond(&mut sim, &hold, status, "");
        bob.expect_ack(&mut sim);
        let refused = ada.response(&mut sim);
        assert_eq!(refused.status(), status);
        ada.ack_failure(&mut sim, &refused);
        let bye = ada.agrees_to(&mut sim, Method::Bye);
        assert_eq!(bye.str_value(HeaderName::Reason), Some("SIP;cause=408;text=\"Peer gone\""));
        match status {
            // Somebody on the way answered for a phone that may still be there.
            408 => drop(bob.agrees_to(&mut sim, Method::Bye)),
            _ => assert!(sim.is_silent(bob.at), "its dialog is gone"),
        }
        assert_eq!(sim.calls()[2], r#"ended Failed 16 rang ["p2"]"#);
        sim.expect_idle();
    }
}
