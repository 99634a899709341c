//! Calls between phones, told as stories with real SIP messages and simulated time.

#![allow(clippy::unwrap_used)]

mod common;

use common::phone::{SDP_A, SDP_B};
use common::{Phone, Sim};
use switchbook_sip::message::{HeaderName, Method};

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
fn a_call_is_answered_and_hung_up() {
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    let mut bob = p2.incoming(&mut sim);
    let invite = bob.invite.clone().unwrap();
    assert_eq!(invite.body(), SDP_A.as_bytes(), "the description goes through untouched");
    let from = invite.from().unwrap();
    assert_eq!(from.display().as_deref(), Some("Ada Lovelace"));
    assert_eq!(from.uri_raw, "sip:100@pbx.test");
    assert_eq!(invite.max_forwards(), Ok(Some(69)));
    assert_ne!(invite.call_id().unwrap(), ada.call_id);
    bob.answer(&mut sim, 180, "");
    assert_eq!(ada.status(&mut sim), 180);
    bob.answer(&mut sim, 200, SDP_B);
    let ok = ada.response(&mut sim);
    assert_eq!((ok.status(), ok.body()), (200, SDP_B.as_bytes()));
    bob.expect_ack(&mut sim);
    ada.ack(&mut sim);
    sim.pass_seconds(30);
    ada.bye(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    assert_eq!(
        sim.calls(),
        ["placed Inside(Number(200))", "answered by p2", r#"ended HungUpByCaller 16 rang ["p2"]"#]
    );
    sim.expect_idle();
}

#[test]
fn the_called_side_hangs_up() {
    let (mut sim, mut p1, p2, ..) = office();
    let (mut ada, mut bob) = talking(&mut sim, &mut p1, &p2, "200");
    bob.bye(&mut sim);
    ada.agrees_to(&mut sim, Method::Bye);
    assert_eq!(sim.calls()[2], r#"ended HungUpByCallee 16 rang ["p2"]"#);
    sim.expect_idle();
}

#[test]
fn two_phones_ring_and_the_first_answer_wins() {
    let (mut sim, p1, mut p2, p3, _) = office();
    let mut bob = p2.call(&mut sim, "100");
    let mut desk = p1.incoming(&mut sim);
    let mut dect = p3.incoming(&mut sim);
    desk.answer(&mut sim, 180, "");
    dect.answer(&mut sim, 183, SDP_B);
    // Two phones: the caller hears one ringing tone, and no phone's own sound.
    let ringing = bob.response(&mut sim);
    assert_eq!((ringing.status(), ringing.body().len()), (180, 0));
    assert!(sim.is_silent(bob.at));
    dect.answer(&mut sim, 200, SDP_B);
    assert_eq!(bob.status(&mut sim), 200);
    bob.ack(&mut sim);
    dect.expect_ack(&mut sim);
    let cancel = desk.is_cancelled(&mut sim);
    let reason = cancel.reasons().next();
    assert_eq!(reason, Some(("SIP", Some(200))), "completed elsewhere: not missed");
    bob.bye(&mut sim);
    dect.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn the_caller_gives_up() {
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    let mut bob = p2.incoming(&mut sim);
    bob.answer(&mut sim, 180, "");
    assert_eq!(ada.status(&mut sim), 180);
    ada.cancel(&mut sim);
    let ok = sim.response(ada.at).unwrap();
    assert_eq!(ok.cseq().unwrap().method, Method::Cancel);
    let terminated = sim.response(ada.at).unwrap();
    assert_eq!(terminated.status(), 487);
    ada.ack_failure(&mut sim, &terminated);
    let cancel = bob.is_cancelled(&mut sim);
    assert_eq!(cancel.reasons().count(), 0, "a call given up is a missed call");
    assert_eq!(sim.calls()[1], r#"ended Cancelled 16 rang ["p2"]"#);
    sim.expect_idle();
}

#[test]
fn cancel_after_answer_keeps_the_call() {
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    let mut bob = p2.incoming(&mut sim);
    bob.answer(&mut sim, 200, SDP_B);
    assert_eq!(ada.status(&mut sim), 200);
    ada.cancel(&mut sim);
    assert_eq!(sim.response(ada.at).unwrap().status(), 200);
    ada.ack(&mut sim);
    bob.expect_ack(&mut sim);
    sim.pass_seconds(60);
    assert!(sim.is_silent(bob.at));
    ada.bye(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn an_answer_that_crosses_our_cancel_is_taken_and_ended() {
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    let mut bob = p2.incoming(&mut sim);
    bob.answer(&mut sim, 180, "");
    assert_eq!(ada.status(&mut sim), 180);
    ada.cancel(&mut sim);
    sim.hush(ada.at);
    bob.answer(&mut sim, 200, SDP_B);
    let cancel = sim.request(bob.at).unwrap();
    assert_eq!(cancel.method(), Method::Cancel);
    bob.expect_ack(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    bob.respond(&mut sim, &cancel, 200, "");
    sim.expect_idle();
}

#[test]
fn a_caller_whose_ack_never_comes_is_hung_up_on() {
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    let mut bob = p2.incoming(&mut sim);
    bob.answer(&mut sim, 200, SDP_B);
    bob.expect_ack(&mut sim);
    sim.pass_seconds(10);
    let repeats = std::iter::from_fn(|| sim.response(ada.at)).count();
    assert!(repeats >= 4, "the 2xx is repeated, {repeats} times");
    sim.pass_seconds(23);
    while sim.next(ada.at).is_some_and(|m| matches!(m, switchbook_sip::Message::Response(_))) {}
    bob.agrees_to(&mut sim, Method::Bye);
    ada.seq = 0;
    sim.expect_idle();
}

#[test]
fn an_ack_is_repeated_to_where_the_first_one_went() {
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    let bob = p2.incoming(&mut sim);
    let elsewhere = std::net::SocketAddr::new(bob.at.ip(), 5066);
    let ok =
        common::phone::reply(bob.invite.as_ref().unwrap(), 200, elsewhere, Some(&bob.local), SDP_B);
    sim.send(bob.at, ok.clone());
    assert_eq!(ada.status(&mut sim), 200);
    ada.ack(&mut sim);
    for _ in 0..2 {
        assert_eq!(sim.request(elsewhere).unwrap().method(), Method::Ack);
        assert!(sim.is_silent(bob.at));
        sim.send(bob.at, ok.clone());
    }
}

#[test]
fn a_busy_phone_means_the_busy_rule() {
    let (mut sim, mut p1, p2, _, p4) = office();
    sim.desk.tell(
        r#"{"command":"profile.add","user":"bob","name":"b","rules":[{"when":"busy","to":"300"}]}"#,
    );
    sim.desk.tell(r#"{"command":"forwarding.set","number":"200","profile":"bob/b"}"#);
    let mut ada = p1.call(&mut sim, "200");
    let mut bob = p2.incoming(&mut sim);
    bob.answer(&mut sim, 486, "");
    bob.expect_ack(&mut sim);
    let mut cat = p4.incoming(&mut sim);
    cat.answer(&mut sim, 200, SDP_B);
    assert_eq!(ada.status(&mut sim), 200);
    ada.ack(&mut sim);
    cat.expect_ack(&mut sim);
    ada.bye(&mut sim);
    cat.agrees_to(&mut sim, Method::Bye);
    assert_eq!(sim.calls()[1], "diverted 200→300 Some(Busy)");
    sim.expect_idle();
}

#[test]
fn a_busy_phone_without_a_rule_is_busy() {
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    let mut bob = p2.incoming(&mut sim);
    bob.answer(&mut sim, 486, "");
    bob.expect_ack(&mut sim);
    let busy = ada.response(&mut sim);
    assert_eq!(busy.status(), 486);
    ada.ack_failure(&mut sim, &busy);
    assert_eq!(sim.calls()[1], r#"ended Busy 17 rang []"#);
    sim.expect_idle();
}

#[test]
fn a_rejection_stops_one_device_and_the_last_one_makes_it_busy() {
    let (mut sim, p1, mut p2, p3, _) = office();
    let mut bob = p2.call(&mut sim, "100");
    let (mut desk, mut dect) = (p1.incoming(&mut sim), p3.incoming(&mut sim));
    desk.answer(&mut sim, 180, "");
    dect.answer(&mut sim, 180, "");
    assert_eq!(bob.status(&mut sim), 180);
    desk.answer(&mut sim, 603, "");
    desk.expect_ack(&mut sim);
    sim.pass_seconds(5);
    assert!(sim.is_silent(bob.at), "the other one rings on");
    dect.answer(&mut sim, 603, "");
    dect.expect_ack(&mut sim);
    let busy = bob.response(&mut sim);
    assert_eq!(busy.status(), 486);
    bob.ack_failure(&mut sim, &busy);
    assert_eq!(sim.calls()[1], r#"ended Rejected 21 rang ["p1", "p3"]"#);
    sim.expect_idle();
}

#[test]
fn nobody_answers_and_the_call_goes_on() {
    let (mut sim, mut p1, p2, _, p4) = office();
    sim.desk.tell(r#"{"command":"profile.add","user":"bob","name":"n","rules":[{"when":"no-answer","after":25,"to":"300"}]}"#);
    sim.desk.tell(r#"{"command":"forwarding.set","number":"200","profile":"bob/n"}"#);
    let mut ada = p1.call(&mut sim, "200");
    let mut bob = p2.incoming(&mut sim);
    bob.answer(&mut sim, 180, "");
    assert_eq!(ada.status(&mut sim), 180);
    sim.pass_seconds(24);
    assert!(sim.is_silent(bob.at) && sim.is_silent(p4.at));
    sim.pass_seconds(1);
    bob.is_cancelled(&mut sim);
    let mut cat = p4.incoming(&mut sim);
    assert_eq!(cat.invite.as_ref().unwrap().to().unwrap().uri_raw, "sip:300@pbx.test");
    cat.answer(&mut sim, 180, "");
    assert!(sim.is_silent(ada.at), "it has been ringing all the time");
    cat.answer(&mut sim, 200, SDP_B);
    assert_eq!(ada.status(&mut sim), 200);
    ada.ack(&mut sim);
    cat.expect_ack(&mut sim);
    cat.bye(&mut sim);
    ada.agrees_to(&mut sim, Method::Bye);
    sim.expect_idle();
}

#[test]
fn nobody_answers_and_there_is_no_rule() {
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    let mut bob = p2.incoming(&mut sim);
    bob.answer(&mut sim, 180, "");
    assert_eq!(ada.status(&mut sim), 180);
    sim.pass_seconds(60);
    bob.is_cancelled(&mut sim);
    let end = ada.response(&mut sim);
    assert_eq!((end.status(), end.reasons().next()), (480, Some(("Q.850", Some(19)))));
    ada.ack_failure(&mut sim, &end);
    sim.expect_idle();
}

#[test]
fn a_phone_that_is_gone_is_not_available() {
    let mut sim = Sim::new(&[ADA, BOB]);
    let mut p1 = Phone::registered(&mut sim, "p1", 1);
    let mut ada = p1.call(&mut sim, "200");
    let end = ada.response(&mut sim);
    assert_eq!((end.status(), end.reasons().next()), (480, Some(("Q.850", Some(20)))));
    ada.ack_failure(&mut sim, &end);
    sim.expect_idle();
}

#[test]
fn a_phone_that_does_not_answer_at_all_is_not_available() {
    let (mut sim, mut p1, _p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    sim.pass_seconds(33);
    let end = ada.response(&mut sim);
    assert_eq!((end.status(), end.reasons().next()), (480, Some(("Q.850", Some(20)))));
    ada.ack_failure(&mut sim, &end);
    sim.expect_idle();
}

#[test]
fn an_unknown_number_and_a_foreign_domain_are_not_found() {
    let (mut sim, mut p1, ..) = office();
    for number in ["999", "not-a-number"] {
        let mut ada = p1.call(&mut sim, number);
        let end = ada.response(&mut sim);
        assert_eq!(end.status(), 404);
        ada.ack_failure(&mut sim, &end);
    }
    sim.expect_idle();
}

#[test]
fn a_redirection_is_not_followed_and_a_challenge_not_answered() {
    for status in [302, 401, 407] {
        let (mut sim, mut p1, p2, ..) = office();
        let mut ada = p1.call(&mut sim, "200");
        let mut bob = p2.incoming(&mut sim);
        bob.answer(&mut sim, status, "");
        bob.expect_ack(&mut sim);
        let end = ada.response(&mut sim);
        assert_eq!(end.status(), 480, "{status}");
        ada.ack_failure(&mut sim, &end);
        sim.expect_idle();
    }
}

#[test]
fn a_phone_behind_nat_is_called_where_its_packets_came_from_and_nobody_else_is() {
    let mut sim = Sim::new(&[ADA, BOB]);
    let mut p1 = Phone::registered(&mut sim, "p1", 1);
    let mut p2 = Phone::new("p2", 2);
    p2.at.set_port(40_000);
    let answer = p2.register_with(&mut sim, "Contact: <sip:p2@10.0.0.7:5060>\r\n");
    assert_eq!(answer.status(), 200);
    p1.call(&mut sim, "200");
    let bob = p2.incoming(&mut sim);
    assert_eq!(bob.invite.unwrap().uri_raw(), "sip:p2@10.0.0.7:5060");
    assert!(sim.wiretap.iter().all(|(to, _)| to.ip() != std::net::IpAddr::from([10, 0, 0, 7])));
}

#[test]
fn media_for_everybody_is_not_acceptable() {
    let (mut sim, mut p1, ..) = office();
    let everybody = SDP_A.replace("198.51.100.1", "255.255.255.255");
    let mut ada = p1.call_with(&mut sim, "200", &everybody);
    assert_eq!(ada.status(&mut sim), 488);
}

#[test]
fn a_forged_caller_is_overwritten_and_another_name_refused() {
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    let bob = p2.incoming(&mut sim);
    let invite = bob.invite.as_ref().unwrap();
    let asserted = invite.name_addr(HeaderName::PAssertedIdentity).unwrap();
    assert_eq!(asserted.uri_raw, "sip:100@pbx.test");
    ada.cancel(&mut sim);
    sim.hush(ada.at);
    let mut forged = p1.invite(&mut sim, "200", SDP_A);
    let challenge = forged.response(&mut sim);
    p1.take_challenge(&challenge);
    forged.ack_failure(&mut sim, &challenge);
    forged.local = forged.local.replace("p1", "p2");
    forged.seq += 1;
    let authorization = p1.authorization("INVITE", &forged.target.clone());
    forged.request_with(&mut sim, "INVITE", forged.seq, &authorization, SDP_A);
    assert_eq!(forged.status(&mut sim), 403);
}

#[test]
fn no_hops_left_is_483_and_a_call_that_comes_back_to_us_482() {
    let (mut sim, mut p1, p2, ..) = office();
    let text = "OPTIONS sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK0\r\nMax-Forwards: 0\r\n\
        From: <sip:p1@pbx.test>;tag=1\r\nTo: <sip:pbx.test>\r\nCall-ID: h\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    sim.send(p1.at, text);
    assert_eq!(sim.response(p1.at).unwrap().status(), 483);
    let mut ada = p1.call(&mut sim, "200");
    let bob = p2.incoming(&mut sim);
    let raw = String::from_utf8_lossy(bob.invite.as_ref().unwrap().raw()).into_owned();
    let back = raw
        .replace("z9hG4bK", "z9hG4bKloop")
        .replace("SIP/2.0/UDP 192.0.2.1:5060", "SIP/2.0/UDP 198.51.100.2:5060");
    sim.send(p2.at, back);
    assert_eq!(sim.response(p2.at).unwrap().status(), 482);
    ada.cancel(&mut sim);
    sim.expect_idle();
}

#[test]
fn a_caller_who_may_make_one_call_at_a_time_gets_503_for_the_second() {
    let mut sim = Sim::with(&[ADA, BOB], |config| config.limits.calls_per_device = 1);
    let mut p1 = Phone::registered(&mut sim, "p1", 1);
    let p2 = Phone::registered(&mut sim, "p2", 2);
    let mut first = p1.call(&mut sim, "200");
    p2.incoming(&mut sim);
    let mut second = p1.call(&mut sim, "200");
    assert_eq!(second.status(&mut sim), 503);
    first.cancel(&mut sim);
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

/// As when it registers: what is sent to the caller later must not come back to us, or go to everybody.
#[test]
fn c13_a_caller_whose_contact_is_us_or_everybody_is_refused() {
    for (contact, status) in [
        ("sip:p1@192.0.2.1:5060", 403),
        ("sip:p1@pbx.test", 403),
        ("sip:p1@224.0.1.75", 403),
        ("sip:p1@198.51.100.1:0", 400),
        ("sip:p1@198.51.100.1?Subject=x", 400),
    ] {
        let (mut sim, mut p1, ..) = office();
        let mut call = p1.invite(&mut sim, "200", SDP_A);
        let challenge = call.response(&mut sim);
        p1.take_challenge(&challenge);
        call.ack_failure(&mut sim, &challenge);
        let authorization = p1.authorization("INVITE", &call.target);
        let (at, local, remote, target) = (call.at, &call.local, &call.remote, &call.target);
        sim.send(
            at,
            format!(
                "INVITE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKus\r\nMax-Forwards: 70\r\n\
                 From: {local}\r\nTo: {remote}\r\nCall-ID: {}\r\nCSeq: 2 INVITE\r\nContact: <{contact}>\r\n\
                 {authorization}Content-Length: 0\r\n\r\n",
                call.call_id
            ),
        );
        assert_eq!(sim.response(at).unwrap().status(), status, "{contact}");
        assert_eq!(sim.endpoint.sessions(), 0);
    }
}

/// Nothing can be written: new bindings are refused for a while, refreshes and calls go on, and it mends itself.
#[test]
fn c52_while_nothing_can_be_written_phones_are_told_to_wait_and_calls_go_on() {
    use std::sync::atomic::Ordering::Relaxed;
    let (mut sim, mut p1, p2, ..) = office();
    let mut ada = p1.call(&mut sim, "200");
    let mut bob = p2.incoming(&mut sim);
    bob.answer(&mut sim, 200, SDP_B);
    assert_eq!(ada.status(&mut sim), 200);
    ada.ack(&mut sim);
    bob.expect_ack(&mut sim);
    sim.desk.read_only.store(true, Relaxed);
    let mut new = Phone::new("p1", 7);
    let refused = new.register(&mut sim, 600);
    assert_eq!((refused.status(), refused.str_value(HeaderName::RetryAfter)), (503, Some("30")));
    // A call can be placed and ended; its records are told of later.
    let mut other = p1.call(&mut sim, "300");
    let mut cat = Phone::new("p4", 4).incoming(&mut sim);
    cat.answer(&mut sim, 200, SDP_B);
    assert_eq!(other.status(&mut sim), 200);
    other.ack(&mut sim);
    cat.expect_ack(&mut sim);
    ada.bye(&mut sim);
    bob.agrees_to(&mut sim, Method::Bye);
    sim.desk.read_only.store(false, Relaxed);
    sim.pass_seconds(60);
    assert_eq!(new.register(&mut sim, 600).status(), 200);
    assert!(sim.calls().iter().any(|told| told.starts_with("missed")), "{:?}", sim.calls());
}
