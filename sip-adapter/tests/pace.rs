//! How fast one phone may fill the book: a password is no right to the disk.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Phone, Sim};
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use switchbook_sip::message::HeaderName;

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"],"pin":"4711",
    "slots":["desk"],"devices":[{"name":"p1","type":"desk","password":"secret-p1"}]}"#;
const BOB: &str = r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["200"],
    "slots":["desk"],"devices":[{"name":"p2","type":"desk","password":"secret-p2"}]}"#;
const TRUNK: &str = r#"{"command":"trunk.add","name":"net","peer":"203.0.113.9:5060","outbound_prefix":"0","base_number":"4930123"}"#;

fn metric(sim: &Sim, wanted: &str) -> u64 {
    sim.metrics.all().find(|(name, ..)| *name == wanted).unwrap().2
}

/// Registers and takes it back, in turns, so many times; the last status.
fn flap(sim: &mut Sim, phone: &mut Phone, times: usize) -> u16 {
    let mut last = 0;
    for n in 0..times {
        last = phone.register(sim, if n.is_multiple_of(2) { 600 } else { 0 }).status();
    }
    last
}

#[test]
fn a_phone_that_registers_and_unregisters_without_end_is_made_to_wait() {
    let mut sim = Sim::new(&[ADA, BOB]);
    let mut phone = Phone::new("p1", 1);
    assert_eq!(flap(&mut sim, &mut phone, 30), 200);
    let before = sim.desk.events().len();
    let refused = phone.register(&mut sim, 600);
    assert_eq!((refused.status(), refused.str_value(HeaderName::RetryAfter)), (503, Some("11")));
    assert_eq!(flap(&mut sim, &mut phone, 500), 503);
    assert_eq!(sim.desk.events().len(), before);
    assert_eq!(metric(&sim, "over_pace"), 501);
    // It may again as time goes by, and others were never concerned.
    Phone::registered(&mut sim, "p2", 2);
    sim.pass_seconds(20);
    for _ in 0..20 {
        assert_eq!(phone.register(&mut sim, 600).status(), 200, "one event, then refreshes");
    }
    assert_eq!(phone.register(&mut sim, 0).status(), 200);
    assert_eq!(phone.register(&mut sim, 600).status(), 503);
}

#[test]
fn refreshes_cost_nothing_however_many_come() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    for _ in 0..200 {
        assert_eq!(phone.register(&mut sim, 3600).status(), 200);
        sim.pass_seconds(1);
    }
    assert_eq!(metric(&sim, "over_pace"), 0);
}

#[test]
fn a_register_that_the_book_refused_costs_nothing() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    sim.desk.read_only.store(true, Relaxed);
    flap(&mut sim, &mut phone, 60);
    sim.desk.read_only.store(false, Relaxed);
    assert_eq!(flap(&mut sim, &mut phone, 30), 200);
}

#[test]
fn five_contacts_in_one_register_count_as_five() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    let contacts = |base: u16| -> String {
        (0..5).map(|n| format!("Contact: <sip:p1@198.51.100.1:{}>\r\n", base + n)).collect()
    };
    for _ in 0..3 {
        assert_eq!(phone.register_with(&mut sim, &contacts(6000)).status(), 200);
        let all = "Contact: *\r\nExpires: 0\r\n";
        assert_eq!(phone.register_with(&mut sim, all).status(), 200);
    }
    assert_eq!(phone.register_with(&mut sim, &contacts(6000)).status(), 503);
}

#[test]
fn many_registers_under_way_at_once_do_not_get_past_the_bound() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    phone.register(&mut sim, 600);
    sim.desk_sleeps = true;
    let mut refused = 0;
    for n in 0..100 {
        let at = SocketAddr::from(([198, 51, 100, 1], 5060));
        let authorization = phone.authorization("REGISTER", "sip:pbx.test");
        let text = format!(
            "REGISTER sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {at};rport;branch=z9hG4bKx{n}\r\nMax-Forwards: 70\r\n\
             From: <sip:p1@pbx.test>;tag=r\r\nTo: <sip:p1@pbx.test>\r\nCall-ID: other{n}\r\nCSeq: 1 REGISTER\r\n\
             Contact: <sip:p1@198.51.100.1:5060>\r\nExpires: {}\r\n{authorization}Content-Length: 0\r\n\r\n",
            600 + n
        );
        sim.send(at, text);
        refused += usize::from(sim.response(at).is_some_and(|response| response.status() == 503));
    }
    assert_eq!(refused, 71);
}

#[test]
fn calls_and_codes_of_one_phone_are_bounded_and_help_is_not() {
    let mut sim = Sim::new(&[ADA, BOB, TRUNK]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let mut call = |sim: &mut Sim, number: &str| {
        let mut call = phone.call(sim, number);
        let response = call.response(sim);
        call.ack_failure(sim, &response);
        let wait = response.str_value(HeaderName::RetryAfter).map(str::to_owned);
        (response.status(), wait)
    };
    for n in 0..60 {
        let (number, status) = if n % 2 == 0 { ("999", 404) } else { ("*44*100*1", 403) };
        assert_eq!(call(&mut sim, number).0, status);
    }
    let before = sim.desk.events().len();
    assert_eq!(call(&mut sim, "999"), (503, Some("1".into())));
    assert_eq!(call(&mut sim, "*78"), (503, Some("1".into())));
    assert_eq!(sim.desk.events().len(), before);
    sim.pass_seconds(1);
    assert_eq!(call(&mut sim, "999").0, 404);
    assert_eq!(call(&mut sim, "999").0, 404);
    assert_eq!(call(&mut sim, "999").0, 503);
    assert_eq!(metric(&sim, "over_pace"), 3);
    phone.call(&mut sim, "112");
    assert!(!sim.is_silent(SocketAddr::from(([203, 0, 113, 9], 5060))));
}

#[test]
fn a_phone_that_registers_without_pause_keeps_no_transactions_from_others() {
    let mut sim = Sim::new(&[ADA, BOB]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    for _ in 0..5_000 {
        phone.register(&mut sim, 3600);
    }
    assert!(metric(&sim, "transactions_active") <= 120);
    Phone::registered(&mut sim, "p2", 2);
    sim.pass_seconds(1);
    assert_eq!(phone.register(&mut sim, 3600).status(), 200);
}

#[test]
fn c42_calls_for_help_have_a_bound_that_only_a_machine_can_reach() {
    let mut sim = Sim::new(&[ADA, TRUNK]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let network = SocketAddr::from(([203, 0, 113, 9], 5060));
    let mut rang = 0;
    for _ in 0..150 {
        phone.call(&mut sim, "112");
        sim.hush(phone.at);
        rang += usize::from(!sim.is_silent(network));
        sim.hush(network);
    }
    assert_eq!(rang, 100);
    sim.pass_seconds(1);
    sim.hush(network);
    phone.call(&mut sim, "112");
    assert!(!sim.is_silent(network));
}

/// A right answer that is told to wait takes no place in the table of used counts: a flood with one password cannot push
/// out what the others' phones have used.
#[test]
fn c29_who_is_over_his_pace_uses_up_no_count() {
    let mut sim = Sim::with(&[ADA], |config| config.limits.registers.burst = 3);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    for _ in 0..2 {
        assert_eq!(phone.register(&mut sim, 3600).status(), 200);
    }
    assert_eq!(phone.register(&mut sim, 3600).status(), 503);
    phone.count -= 1;
    sim.pass_seconds(5);
    let lines = format!("Contact: {}\r\nExpires: 3600\r\n", phone.contact());
    let same_count = phone.register_once(&mut sim, "p1", &lines);
    assert_eq!(same_count.status(), 200, "the refused one had taken the count");
}

#[test]
fn c9_requests_that_are_not_served_have_a_pace_too() {
    let mut sim = Sim::with(&[ADA], |config| config.limits.registers.burst = 5);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let mut last = 0;
    for n in 0..6 {
        let at = phone.at;
        let authorization = phone.authorization("MESSAGE", "sip:100@pbx.test");
        sim.send(
            at,
            format!(
                "MESSAGE sip:100@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKm{n}\r\nMax-Forwards: 70\r\n\
                 From: <sip:p1@pbx.test>;tag=m\r\nTo: <sip:100@pbx.test>\r\nCall-ID: m{n}\r\nCSeq: 1 MESSAGE\r\n\
                 {authorization}Content-Length: 0\r\n\r\n"
            ),
        );
        last = sim.response(at).unwrap().status();
    }
    assert_eq!(last, 503);
}

/// A trunk is known by its address alone, which can be forged: what it sends in is bounded, what it carries out is not.
#[test]
fn c38_calls_from_a_trunks_address_have_a_pace_and_calls_out_do_not_wait_for_it() {
    let mut sim = Sim::with(&[ADA, BOB, TRUNK], |config| {
        config.limits.calls_from_trunk.burst = 10;
        config.limits.calls_from_trunk.every = std::time::Duration::from_secs(1);
    });
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let mut net = Phone::new("net", 0);
    net.at = SocketAddr::from(([203, 0, 113, 9], 5060));
    let mut statuses = Vec::new();
    for _ in 0..15 {
        let mut call = net.invite(&mut sim, "999", common::phone::SDP_A);
        let refused = call.response(&mut sim);
        statuses.push(refused.status());
        if refused.status() == 503 {
            assert_eq!(refused.str_value(HeaderName::RetryAfter), Some("2"));
        }
        call.ack_failure(&mut sim, &refused);
    }
    assert_eq!(statuses[..10], [404; 10]);
    assert_eq!(statuses[10..], [503; 5]);
    assert_eq!(metric(&sim, "trunk_over_pace"), 5);
    let placed = sim.calls().iter().filter(|told| told.starts_with("placed")).count();
    assert_eq!(placed, 10, "what is refused for its pace leaves nothing in the book");
    // Out through the same trunk, and in again as time goes by.
    phone.call(&mut sim, "112");
    assert!(net.try_incoming(&mut sim).is_some());
    sim.pass_seconds(1);
    sim.hush(net.at);
    assert_eq!(net.invite(&mut sim, "999", common::phone::SDP_A).status(&mut sim), 404);
}
