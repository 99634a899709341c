//! Calls for help (behaviour.md part 3 step 0, checklist 42): every way out is tried, and no limit stands before them.

#![allow(clippy::unwrap_used)]

mod common;

use common::phone::{SDP_A, SDP_B};
use common::{Dialogue, Phone, Sim};
use std::net::SocketAddr;
use switchbook_sip::message::{HeaderName, Method, Request};

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"],
    "slots":["desk"],"devices":[{"name":"p1","type":"desk","password":"secret-p1"}]}"#;
const FIRST: &str = r#"{"command":"trunk.add","name":"first","peer":"203.0.113.1:5060","outbound_prefix":"0","base_number":"4930123"}"#;
const SECOND: &str = r#"{"command":"trunk.add","name":"second","peer":"203.0.113.2:5060","outbound_prefix":"9","base_number":"4940123"}"#;

fn trunk(last: u8) -> Phone {
    let mut phone = Phone::new("net", 0);
    phone.at = SocketAddr::from(([203, 0, 113, last], 5060));
    phone
}

fn uri(call: &Dialogue) -> String {
    call.invite.as_ref().map(Request::uri_raw).unwrap().to_owned()
}

fn answer_and_hang_up(sim: &mut Sim, caller: &mut Dialogue, called: &mut Dialogue) {
    called.answer(sim, 200, SDP_B);
    assert_eq!(caller.status(sim), 200);
    caller.ack(sim);
    called.expect_ack(sim);
    caller.bye(sim);
    called.agrees_to(sim, Method::Bye);
}

#[test]
fn a_silent_trunk_is_given_up_after_five_seconds_and_the_next_one_carries_the_call() {
    let mut sim = Sim::new(&[ADA, FIRST, SECOND]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let mut call = phone.call(&mut sim, "112");
    let mut dead = trunk(1).incoming(&mut sim);
    sim.pass_seconds(4);
    assert!(sim.is_silent(trunk(2).at));
    sim.hush(trunk(1).at);
    sim.pass_seconds(1);
    let mut alive = trunk(2).incoming(&mut sim);
    assert_eq!(uri(&alive), "sip:112@203.0.113.2:5060");
    alive.answer(&mut sim, 180, "");
    assert_eq!(call.status(&mut sim), 180);
    // The first one wakes up too late: its answer is taken and ended, so that nobody waits on a dead line.
    sim.hush(trunk(1).at);
    dead.answer(&mut sim, 200, SDP_B);
    dead.expect_ack(&mut sim);
    dead.agrees_to(&mut sim, Method::Bye);
    answer_and_hang_up(&mut sim, &mut call, &mut alive);
    assert_eq!(sim.calls()[1..], ["answered by outside", "ended HungUpByCaller 16 rang []"]);
    sim.expect_idle();
}

#[test]
fn a_trunk_that_refuses_is_followed_by_the_next_whatever_it_says() {
    for status in [302, 401, 403, 404, 480, 486, 503, 603] {
        let mut sim = Sim::new(&[ADA, FIRST, SECOND]);
        let mut phone = Phone::registered(&mut sim, "p1", 1);
        let mut call = phone.call(&mut sim, "0112");
        let mut full = trunk(1).incoming(&mut sim);
        assert_eq!(uri(&full), "sip:112@203.0.113.1:5060");
        full.answer(&mut sim, 183, SDP_B);
        full.answer(&mut sim, status, "");
        full.expect_ack(&mut sim);
        // One dialog cannot carry the sound of two trunks.
        let ringing = call.response(&mut sim);
        assert_eq!((ringing.status(), ringing.body()), (180, &b""[..]), "{status}");
        let mut other = trunk(2).incoming(&mut sim);
        assert_eq!(uri(&other), "sip:112@203.0.113.2:5060");
        answer_and_hang_up(&mut sim, &mut call, &mut other);
        sim.expect_idle();
    }
}

#[test]
fn a_trunk_that_tries_is_left_the_time_it_needs() {
    let mut sim = Sim::new(&[ADA, FIRST, SECOND]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let mut call = phone.call(&mut sim, "112");
    let mut slow = trunk(1).incoming(&mut sim);
    slow.answer(&mut sim, 100, "");
    sim.pass_seconds(20);
    slow.answer(&mut sim, 180, "");
    assert_eq!(call.response(&mut sim).status(), 180);
    sim.pass_seconds(120);
    assert!(sim.is_silent(trunk(2).at));
    answer_and_hang_up(&mut sim, &mut call, &mut slow);
    sim.expect_idle();
}

#[test]
fn when_no_trunk_carries_it_the_caller_hears_what_the_last_one_said() {
    let mut sim = Sim::new(&[ADA, FIRST, SECOND]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let mut call = phone.call(&mut sim, "112");
    for last in [1, 2] {
        let mut full = trunk(last).incoming(&mut sim);
        full.answer(&mut sim, 503, "");
        full.expect_ack(&mut sim);
    }
    let refused = call.response(&mut sim);
    assert_eq!(refused.status(), 503);
    call.ack_failure(&mut sim, &refused);
    sim.expect_idle();
}

#[test]
fn a_caller_who_gives_up_while_the_second_trunk_rings_ends_the_call() {
    let mut sim = Sim::new(&[ADA, FIRST, SECOND]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let mut call = phone.call(&mut sim, "112");
    trunk(1).incoming(&mut sim);
    sim.pass_seconds(5);
    let mut rings = trunk(2).incoming(&mut sim);
    rings.answer(&mut sim, 180, "");
    assert_eq!(call.status(&mut sim), 180);
    call.cancel(&mut sim);
    rings.is_cancelled(&mut sim);
    sim.hush(trunk(1).at);
    assert_eq!(call.status(&mut sim), 200);
    let ended = call.response(&mut sim);
    assert_eq!(ended.status(), 487);
    call.ack_failure(&mut sim, &ended);
    sim.expect_idle();
}

/// Wrong passwords from where the phone is, until right ones have to wait as well.
fn close_the_gate(sim: &mut Sim, name: &str, host: u8) {
    let mut guesser = Phone::new(name, host);
    guesser.at.set_port(5999);
    guesser.password = "guess".into();
    for _ in 0..20 {
        if guesser.register(sim, 600).status() == 503 {
            return;
        }
    }
    panic!("the gate stays open");
}

#[test]
fn a_gate_closed_by_a_guesser_lets_the_phones_call_for_help_pass_from_where_it_lives() {
    let mut sim = Sim::new(&[ADA, FIRST]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    close_the_gate(&mut sim, "p1", 1);
    let mut other = phone.call(&mut sim, "100");
    assert_eq!(other.status(&mut sim), 503);
    phone.call(&mut sim, "112");
    assert_eq!(uri(&trunk(1).incoming(&mut sim)), "sip:112@203.0.113.1:5060");
}

#[test]
fn a_closed_gate_tells_a_guesser_nothing_by_way_of_a_call_for_help() {
    let mut sim = Sim::new(&[ADA, FIRST]);
    Phone::registered(&mut sim, "p1", 1);
    close_the_gate(&mut sim, "p1", 9);
    let mut answers = Vec::new();
    for password in ["secret-p1", "guess"] {
        let mut guesser = Phone::new("p1", 9);
        guesser.password = password.into();
        let mut call = guesser.call(&mut sim, "112");
        let refused = call.response(&mut sim);
        answers.push(refused.status());
        call.ack_failure(&mut sim, &refused);
    }
    assert_eq!(answers, [503, 503], "right and wrong passwords are told apart");
    assert!(sim.is_silent(trunk(1).at));
    // Nor does a wrong password from where the phone lives ring anywhere.
    let mut neighbour = Phone::new("p1", 1);
    neighbour.password = "guess".into();
    let mut call = neighbour.invite(&mut sim, "112", SDP_A);
    assert_eq!(call.status(&mut sim), 401);
    assert!(sim.is_silent(trunk(1).at));
}

/// A border that says 100 and loses the call once kept it for half an hour.
#[test]
fn a_trunk_that_only_says_trying_is_given_up_and_the_next_one_carries_the_call() {
    let mut sim = Sim::new(&[ADA, FIRST, SECOND]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let _call = phone.call(&mut sim, "112");
    let mut first = trunk(1).incoming(&mut sim);
    first.answer(&mut sim, 100, "");
    sim.pass_seconds(20);
    assert!(sim.is_silent(trunk(2).at));
    sim.pass_seconds(6);
    assert_eq!(uri(&trunk(2).incoming(&mut sim)), "sip:112@203.0.113.2:5060");
}

#[test]
fn a_call_for_help_is_never_anonymous_where_the_trunk_has_a_number() {
    let spare = r#"{"command":"device.add","name":"p9","type":"desk","password":"secret-p9"}"#;
    let mut sim = Sim::new(&[spare, FIRST]);
    let _call = Phone::registered(&mut sim, "p9", 9).call(&mut sim, "112");
    let invite = trunk(1).incoming(&mut sim).invite.unwrap();
    let from = invite.from().unwrap().uri_raw.to_owned();
    assert!(from.contains("4930123"), "{from}");
    assert!(!invite.has(HeaderName::Privacy));
}

/// What anybody can see of a call for help through a closed gate, with a right and with a wrong password: the answers to
/// it, and how the gate stands afterwards.
fn seen_behind_a_closed_gate(password: &str, port: u16) -> (Vec<u16>, bool, Option<String>) {
    let mut sim = Sim::new(&[ADA, FIRST]);
    Phone::registered(&mut sim, "p1", 1);
    close_the_gate(&mut sim, "p1", 1);
    let mut guesser = Phone::new("p1", 1);
    guesser.at.set_port(port);
    guesser.password = password.into();
    let mut call = guesser.invite(&mut sim, "112", SDP_A);
    let challenge = call.response(&mut sim);
    guesser.take_challenge(&challenge);
    call.ack_failure(&mut sim, &challenge);
    let mut statuses = vec![challenge.status()];
    // The same answer twice: a count that was used must not tell either.
    let authorization = guesser.authorization("INVITE", "sip:112@pbx.test");
    for seq in [2, 3] {
        let mut again = Dialogue::bare(
            call.at,
            &format!("again{seq}"),
            &call.local,
            &call.remote,
            &call.target,
        );
        again.request_with(&mut sim, "INVITE", seq, &authorization, SDP_A);
        statuses.extend(sim.response(call.at).map(|response| response.status()));
    }
    let rings = !sim.is_silent(trunk(1).at);
    sim.hush(guesser.at);
    guesser.challenge = None;
    let closed = guesser.register(&mut sim, 600);
    statuses.push(closed.status());
    (statuses, rings, closed.str_value(HeaderName::RetryAfter).map(Into::into))
}

#[test]
fn c7_c42_behind_a_closed_gate_nothing_tells_a_right_password_from_a_wrong_one() {
    // From exactly where the phone lives, help is reached.
    let right = seen_behind_a_closed_gate("secret-p1", 5060);
    assert_eq!(right, seen_behind_a_closed_gate("guess", 5060));
    assert!(right.1, "{right:?}");
    // From another port of the same address, it is not: there the guesser may be.
    let right = seen_behind_a_closed_gate("secret-p1", 5999);
    assert_eq!(right, seen_behind_a_closed_gate("guess", 5999));
    assert!(!right.1, "{right:?}");
    assert_eq!(right.0, [401, 503, 503, 503]);
}

#[test]
fn c7_guesses_by_calls_for_help_are_counted() {
    let mut sim = Sim::new(&[ADA, FIRST]);
    Phone::registered(&mut sim, "p1", 1);
    close_the_gate(&mut sim, "p1", 1);
    let wrong = |sim: &Sim| sim.metrics.all().find(|(n, ..)| *n == "wrong_passwords").unwrap().2;
    let before = wrong(&sim);
    let mut guesser = Phone::new("p1", 1);
    guesser.password = "guess".into();
    for n in 1..=3 {
        guesser.call(&mut sim, "112");
        sim.hush(guesser.at);
        assert_eq!(wrong(&sim), before + n);
    }
}

/// Timers run on the monotonic clock: what the wall clock does neither hurries nor delays a call, nor opens a gate.
#[test]
fn c57_a_clock_that_jumps_moves_no_timer() {
    const HOUR: i64 = 3600 * 1_000_000;
    for jump in [-HOUR, 10 * 365 * 24 * HOUR] {
        let mut sim = Sim::new(&[ADA, FIRST, SECOND]);
        let mut phone = Phone::registered(&mut sim, "p1", 1);
        let mut call = phone.call(&mut sim, "112");
        let _dead = trunk(1).incoming(&mut sim);
        sim.pass_seconds(4);
        sim.now.moment.0 += jump;
        sim.settle();
        assert!(sim.is_silent(trunk(2).at), "hurried by {jump}");
        sim.hush(trunk(1).at);
        sim.pass_seconds(1);
        let mut alive = trunk(2).incoming(&mut sim);
        sim.hush(trunk(1).at);
        alive.answer(&mut sim, 200, SDP_B);
        assert_eq!(call.status(&mut sim), 200);
        call.ack(&mut sim);
        alive.expect_ack(&mut sim);
        // The gate of a guesser stays as long as it would, and phones register as ever.
        close_the_gate(&mut sim, "p1", 9);
        sim.now.moment.0 += jump;
        let mut guesser = Phone::new("p1", 9);
        assert_eq!(guesser.register(&mut sim, 600).status(), 503, "the gate opened by {jump}");
        assert_eq!(phone.register(&mut sim, 600).status(), 200);
        sim.hush(trunk(1).at);
        call.bye(&mut sim);
        alive.agrees_to(&mut sim, Method::Bye);
    }
}
