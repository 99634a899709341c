//! Registration as phones see it (RFC 3261 §10, RFC 7616, checklist 1–15).

#![allow(clippy::unwrap_used)]

mod common;

use common::phone::SDP_A;
use common::{Phone, REALM, Sim};
use std::sync::atomic::Ordering::Relaxed;
use switchbook_core::event::Event;
use switchbook_sip::message::HeaderName;

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"],
    "slots":["desk"],"devices":[{"name":"p1","type":"desk","password":"secret-p1"}]}"#;
const BOB: &str = r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["200"],
    "slots":["desk"],"devices":[{"name":"p2","type":"desk","password":"secret-p2"}]}"#;

fn registrations(sim: &Sim) -> Vec<&'static str> {
    let told = |event: &Event| {
        Some(match event {
            Event::PhoneRegistered(_) => "registered",
            Event::RegistrationChanged(_) => "changed",
            Event::RegistrationRemoved(_) => "removed",
            Event::RegistrationExpired(_) => "expired",
            _ => return None,
        })
    };
    sim.desk.events().iter().filter_map(told).collect()
}

#[test]
fn a_phone_is_challenged_and_then_registered() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    let lines = format!("Contact: {}\r\nExpires: 600\r\n", phone.contact());
    let first = phone.register_once(&mut sim, "p1", &lines);
    assert_eq!(first.status(), 401);
    let offered: Vec<&[u8]> = first.values(HeaderName::WwwAuthenticate).collect();
    assert_eq!(offered.len(), 2);
    assert!(String::from_utf8_lossy(offered[0]).contains("algorithm=MD5"));
    phone.take_challenge(&first);
    let second = phone.register_once(&mut sim, "p1", &lines);
    assert_eq!(second.status(), 200);
    let contact = second.contacts().next().unwrap().unwrap();
    assert_eq!(contact.addr().unwrap().uri_raw, "sip:p1@198.51.100.1:5060");
    assert_eq!(contact.expires(), Some(600));
    assert_eq!(registrations(&sim), ["registered"]);
}

#[test]
fn a_refresh_is_a_lease_and_no_event() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    sim.pass_seconds(100);
    let again = phone.register(&mut sim, 3600);
    assert_eq!(again.contacts().next().unwrap().unwrap().expires(), Some(3600));
    assert_eq!(registrations(&sim), ["registered"]);
    sim.pass_seconds(3599);
    assert_eq!(registrations(&sim), ["registered"]);
    sim.pass_seconds(3);
    assert_eq!(registrations(&sim), ["registered", "expired"]);
}

#[test]
fn a_wrong_password_is_challenged_again_and_after_some_tries_made_to_wait() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    phone.password = "guess".into();
    // Each time with the old challenge, and with the new one.
    for _ in 0..3 {
        assert_eq!(phone.register(&mut sim, 600).status(), 401);
    }
    let made_to_wait = phone.register(&mut sim, 600);
    assert_eq!(made_to_wait.status(), 503);
    assert!(made_to_wait.has(HeaderName::RetryAfter));
    // The real phone elsewhere is not locked out.
    Phone::registered(&mut sim, "p1", 9);
    assert_eq!(registrations(&sim), ["registered"]);
}

#[test]
fn forged_answers_from_a_phones_address_do_not_lock_it_out() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    // The forger gets a nonce at his own address, and can only write from the phone's.
    let mut forger = Phone::new("p1", 66);
    forger.password = "guess".into();
    let challenge = forger.register_once(&mut sim, "p1", "");
    forger.take_challenge(&challenge);
    forger.at = phone.at;
    for _ in 0..200 {
        assert_eq!(forger.register_once(&mut sim, "p1", "").status(), 401);
    }
    forger.challenge.as_mut().unwrap().nonce = "made-up".into();
    for _ in 0..200 {
        assert_eq!(forger.register_once(&mut sim, "p1", "").status(), 401);
    }
    assert_eq!(phone.register(&mut sim, 600).status(), 200);
}

#[test]
fn a_replayed_answer_is_stale_and_changes_nothing() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    phone.count -= 1;
    let lines = "Contact: *\r\nExpires: 0\r\n";
    let replayed = phone.register_once(&mut sim, "p1", lines);
    assert_eq!(replayed.status(), 401);
    let offer = replayed.value(HeaderName::WwwAuthenticate).unwrap();
    assert!(String::from_utf8_lossy(offer).contains("stale=true"));
    assert_eq!(registrations(&sim), ["registered"]);
}

#[test]
fn unknown_and_known_names_are_answered_alike() {
    let mut sim = Sim::new(&[ADA]);
    let shape = |sim: &mut Sim, name: &str, host: u8| {
        let mut phone = Phone::new(name, host);
        phone.password = "guess".into();
        let mut seen = Vec::new();
        for _ in 0..8 {
            let answer = phone.register(sim, 600);
            let names: Vec<_> = answer.lines().map(|(name, ..)| name).collect();
            seen.push((answer.status(), answer.reason_phrase().to_vec(), names));
        }
        seen
    };
    assert_eq!(shape(&mut sim, "p1", 1), shape(&mut sim, "nobody", 2));
}

#[test]
fn an_expiry_below_the_bound_is_refused_with_the_bound() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    let answer = phone.register(&mut sim, 10);
    assert_eq!(answer.status(), 423);
    assert_eq!(answer.str_value(HeaderName::MinExpires), Some("60"));
    let answer = phone.register(&mut sim, 1_000_000);
    assert_eq!(answer.contacts().next().unwrap().unwrap().expires(), Some(7200));
}

#[test]
fn star_takes_everything_back_and_only_with_expires_0() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    assert_eq!(phone.register_with(&mut sim, "Contact: *\r\n").status(), 400);
    let answer = phone.register_with(&mut sim, "Contact: *\r\nExpires: 0\r\n");
    assert_eq!((answer.status(), answer.contacts().count()), (200, 0));
    assert_eq!(registrations(&sim), ["registered", "removed"]);
}

#[test]
fn nobody_registers_as_somebody_else() {
    let mut sim = Sim::new(&[ADA, BOB]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let lines = format!("Contact: {}\r\n", phone.contact());
    let challenged = phone.register_once(&mut sim, "p2", &lines);
    let answer = match challenged.status() {
        401 => {
            phone.take_challenge(&challenged);
            phone.register_once(&mut sim, "p2", &lines)
        }
        _ => challenged,
    };
    assert_eq!(answer.status(), 403);
}

#[test]
fn several_contacts_are_listed_and_a_sixth_phone_is_refused() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    for port in 1..=5 {
        let lines = format!("Contact: <sip:p1@198.51.100.1:{}>\r\n", 6000 + port);
        let answer = phone.register_with(&mut sim, &lines);
        assert_eq!((answer.status(), answer.contacts().count()), (200, port));
    }
    let another =
        Phone::new("p1", 2).register_with(&mut sim, "Contact: <sip:p1@198.51.100.2:6006>\r\n");
    assert_eq!(another.status(), 403);
    let again = phone.register_with(&mut sim, "Contact: <sip:p1@198.51.100.1:6006>\r\n");
    assert_eq!((again.status(), again.contacts().count()), (200, 5), "its oldest one goes");
}

#[test]
fn what_a_phone_tells_of_its_contact_is_told_back_to_it() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    let told = "Contact: <sip:p1@198.51.100.1:6001;line=7>;methods=\"INVITE, BYE\";q=0.5;expires=600\
        ;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-0004f2000001>\";reg-id=1;audio\r\n";
    let answer = phone.register_with(&mut sim, told);
    assert_eq!(answer.status(), 200);
    let contact = answer.contacts().next().unwrap().unwrap();
    assert_eq!(contact.addr().unwrap().uri_raw, "sip:p1@198.51.100.1:6001;line=7");
    assert_eq!((contact.expires(), contact.q(), contact.reg_id()), (Some(600), 500, Some(1)));
    assert_eq!(contact.instance(), Some("<urn:uuid:00000000-0000-1000-8000-0004f2000001>"));
    assert_eq!(contact.addr().unwrap().params.text("methods"), Some("INVITE, BYE"));
    assert!(contact.addr().unwrap().params.get("audio").is_some());
    let moved = told.replace("6001", "6009");
    let answer = phone.register_with(&mut sim, &moved);
    assert_eq!(answer.contacts().count(), 1, "the same handset at another port");
}

/// The answer to a REGISTER with this contact from 198.51.100.1.
fn with_contact(sim: &mut Sim, contact: &str) -> (u16, String) {
    let mut phone = Phone::new("p1", 1);
    let answer = phone.register_with(sim, &format!("Contact: <{contact}>\r\n"));
    (answer.status(), String::from_utf8_lossy(answer.reason_phrase()).into_owned())
}

#[test]
fn c13_a_contact_that_is_us_is_refused_by_whatever_name() {
    let mut sim = Sim::with(&[ADA], |config| {
        config.names = vec!["sip.example.com".into()];
        config.advertised = Some("203.0.113.7".parse().unwrap());
    });
    for host in [
        "192.0.2.1:5060",
        "192.0.2.1",
        "[::ffff:192.0.2.1]",
        "203.0.113.7",
        REALM,
        "PBX.test:5060",
        "sip.example.com",
    ] {
        let refused = with_contact(&mut sim, &format!("sip:p1@{host}"));
        assert_eq!(refused, (403, "Contact Points At This Server".into()), "{host}");
    }
    // Another program on the same machine may be a phone.
    for host in ["192.0.2.1:5070", "pbx.test:5070"] {
        assert_eq!(with_contact(&mut sim, &format!("sip:p1@{host}")).0, 200, "{host}");
    }
}

#[test]
fn c13_a_packet_that_claims_to_come_from_us_binds_nothing() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    phone.at = "192.0.2.1:5060".parse().unwrap();
    let answer = phone.register_with(&mut sim, "Contact: <sip:p1@198.51.100.1>\r\n");
    assert_eq!(answer.status(), 403);
    assert!(registrations(&sim).is_empty());
}

#[test]
fn c13_a_contact_that_is_everybody_or_nobody_is_refused() {
    let mut sim = Sim::new(&[ADA]);
    for host in [
        "224.0.1.75",
        "239.255.255.250:1900",
        "255.255.255.255",
        "0.0.0.0",
        "[ff02::1]",
        "[::]:5062",
        "[::ffff:224.0.0.1]",
    ] {
        let refused = with_contact(&mut sim, &format!("sip:p1@{host}"));
        assert_eq!(refused, (403, "Contact Is No Single Address".into()), "{host}");
    }
    assert!(registrations(&sim).is_empty());
}

#[test]
fn c13_a_contact_that_would_carry_headers_or_has_no_port_is_refused() {
    let mut sim = Sim::new(&[ADA]);
    for (contact, phrase) in [
        ("sip:p1@198.51.100.1?Subject=x", "Contact With Headers"),
        ("sip:p1@198.51.100.1:5060;transport=udp?Route=%3Csip:evil%3E", "Contact With Headers"),
        ("sip:p1@198.51.100.1:0", "Contact With Port 0"),
    ] {
        assert_eq!(with_contact(&mut sim, contact), (400, phrase.into()), "{contact}");
    }
    // One bad contact among good ones binds none of them.
    let mut phone = Phone::new("p1", 1);
    let lines = "Contact: <sip:p1@198.51.100.1:5062>, <sip:p1@198.51.100.1:0>\r\n";
    assert_eq!(phone.register_with(&mut sim, lines).status(), 400);
    assert!(registrations(&sim).is_empty());
}

#[test]
fn c13_what_is_sent_to_a_phone_goes_to_where_it_registered_from_and_to_no_third_party() {
    let mut sim = Sim::new(&[ADA, BOB]);
    for contact in [
        "sip:p1@203.0.113.99",
        "sip:p1@198.51.100.1;maddr=203.0.113.99",
        "sip:p1@victim.example.com",
    ] {
        assert_eq!(with_contact(&mut sim, contact).0, 200, "{contact}");
    }
    let mut caller = Phone::registered(&mut sim, "p2", 2);
    sim.wiretap.clear();
    caller.call(&mut sim, "100");
    let ours = ["198.51.100.1:5060", "198.51.100.2:5060"];
    for (to, bytes) in &sim.wiretap {
        let text = String::from_utf8_lossy(bytes);
        assert!(ours.contains(&to.to_string().as_str()), "{to}: {text}");
    }
}

#[test]
fn a_book_that_cannot_be_written_refuses_new_bindings_with_a_time_to_try_again() {
    let mut sim = Sim::new(&[ADA]);
    sim.desk.read_only.store(true, Relaxed);
    let answer = Phone::new("p1", 1).register(&mut sim, 600);
    assert_eq!(answer.status(), 503);
    assert!(answer.has(HeaderName::RetryAfter));
}

#[test]
fn sha_256_only_means_that_md5_is_not_taken() {
    let mut sim = Sim::new(&[ADA, r#"{"command":"settings.digest","policy":"sha256-only"}"#]);
    let mut phone = Phone::new("p1", 1);
    let lines = format!("Contact: {}\r\n", phone.contact());
    let challenged = phone.register_once(&mut sim, "p1", &lines);
    assert_eq!(challenged.values(HeaderName::WwwAuthenticate).count(), 1);
    phone.take_challenge(&challenged);
    let mut weak = phone.challenge.clone().unwrap();
    weak.algorithm = switchbook_sip::digest::Algorithm::Md5;
    let strong = phone.challenge.replace(weak);
    assert_eq!(phone.register_once(&mut sim, "p1", &lines).status(), 401);
    phone.challenge = strong;
    assert_eq!(phone.register_once(&mut sim, "p1", &lines).status(), 200);
}

#[test]
fn other_requests_are_challenged_too() {
    let mut sim = Sim::new(&[ADA]);
    let phone = Phone::new("p1", 1);
    for method in ["MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH"] {
        let text = format!(
            "{method} sip:100@{REALM} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{method}\r\nFrom: <sip:p1@{REALM}>;tag=1\r\n\
             To: <sip:100@{REALM}>\r\nCall-ID: {method}\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n",
            phone.at
        );
        sim.send(phone.at, text);
        assert_eq!(sim.response(phone.at).unwrap().status(), 401, "{method}");
    }
}

#[test]
fn a_source_that_never_authenticates_gets_no_more_than_its_budget() {
    let mut sim = Sim::with(&[ADA], |config| config.limits.budget.burst = 2_000);
    let phone = Phone::new("p1", 1);
    for n in 0..100 {
        let text = format!(
            "REGISTER sip:{REALM} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{n}\r\nFrom: <sip:p1@{REALM}>;tag=1\r\n\
             To: <sip:p1@{REALM}>\r\nCall-ID: {n}\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n",
            phone.at
        );
        sim.send(phone.at, text);
    }
    let sent: usize = sim.wiretap.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(sent <= 2_000, "{sent} bytes");
}

#[test]
fn one_contact_taken_back_twice_in_one_register_is_taken_back_once() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let contact = phone.contact();
    let lines = format!("Contact: {contact};expires=0\r\nContact: {contact};expires=0\r\n");
    let answer = phone.register_with(&mut sim, &lines);
    assert_eq!((answer.status(), answer.contacts().count()), (200, 0));
}

/// RFC 7616 §3.4.6: what was proven for elsewhere is no wrong password, and is refused alike whatever the password.
#[test]
fn c5_a_password_proven_for_elsewhere_is_a_bad_request_and_no_wrong_password() {
    let mut sim = Sim::new(&[ADA]);
    let metric =
        |sim: &Sim, wanted: &str| sim.metrics.all().find(|(name, ..)| *name == wanted).unwrap().2;
    let mut statuses = Vec::new();
    for password in ["secret-p1", "guess"] {
        for uri in ["sip:evil.example.com", "http://pbx.test", "pbx.test"] {
            let mut phone = Phone::new("p1", 1);
            phone.password = password.into();
            let challenge = phone.register_once(&mut sim, "p1", "");
            phone.take_challenge(&challenge);
            let authorization = phone.authorization("REGISTER", uri);
            phone.challenge = None;
            let refused = phone.register_once(&mut sim, "p1", &authorization);
            statuses.push((
                refused.status(),
                String::from_utf8_lossy(refused.reason_phrase()).into_owned(),
            ));
        }
    }
    assert_eq!(statuses, vec![(400, "Digest URI Mismatch".to_owned()); 6]);
    assert_eq!((metric(&sim, "wrong_passwords"), metric(&sim, "digest_uris")), (0, 6));
    assert!(registrations(&sim).is_empty());
}

#[test]
fn c5_a_call_cannot_be_turned_to_another_number_with_the_answer_for_the_first() {
    let mut sim = Sim::new(&[ADA, BOB]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let mut call = phone.invite(&mut sim, "200", SDP_A);
    let challenge = call.response(&mut sim);
    phone.take_challenge(&challenge);
    call.ack_failure(&mut sim, &challenge);
    let authorization = phone.authorization("INVITE", "sip:200@pbx.test");
    let mut turned = call;
    turned.target = "sip:0900123@pbx.test".into();
    turned.request_with(&mut sim, "INVITE", 2, &authorization, SDP_A);
    let refused = turned.response(&mut sim);
    assert_eq!((refused.status(), refused.reason_phrase()), (400, &b"Digest URI Mismatch"[..]));
}

/// Somebody who overheard a right answer must not open the gate for his guesses with it.
#[test]
fn c7_a_replayed_answer_forgives_no_wrong_passwords() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::registered(&mut sim, "p1", 1);
    let mut guesser = Phone::new("p1", 1);
    guesser.at.set_port(5999);
    guesser.password = "guess".into();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        for _ in 0..2 {
            statuses.push(guesser.register(&mut sim, 600).status());
        }
        phone.count -= 1;
        statuses.push(phone.register_once(&mut sim, "p1", "").status());
    }
    assert!(statuses.contains(&503), "{statuses:?}");
}

const HOUR: i64 = 3600 * 1_000_000;

fn expires(response: &switchbook_sip::message::Response) -> Vec<Option<u32>> {
    response.contacts().map(|contact| contact.unwrap().expires()).collect()
}

/// Found by the simulation (seed 225): a phone was told to come back in an hour, since the later of two ends counted.
#[test]
fn after_the_clock_was_set_back_a_refresh_is_told_what_it_was_granted_and_sets_the_end_right() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    phone.register(&mut sim, 600);
    sim.now.moment.0 -= HOUR;
    sim.pass_seconds(300);
    assert_eq!(expires(&phone.register(&mut sim, 600)), [Some(600)]);
    assert_eq!(registrations(&sim), ["registered", "changed"]);
    // From here on refreshes are leases again.
    sim.pass_seconds(300);
    assert_eq!(expires(&phone.register(&mut sim, 600)), [Some(600)]);
    assert_eq!(registrations(&sim), ["registered", "changed"]);
}

#[test]
fn a_binding_of_a_clock_that_was_years_ahead_ends_when_nobody_refreshes_it() {
    let mut sim = Sim::new(&[ADA]);
    sim.now.moment.0 += 10 * 365 * 24 * HOUR;
    let mut phone = Phone::new("p1", 1);
    phone.register(&mut sim, 600);
    sim.now.moment.0 -= 10 * 365 * 24 * HOUR;
    sim.pass_seconds(602);
    assert_eq!(registrations(&sim), ["registered"], "it may have been refreshed before the jump");
    sim.pass_seconds(602);
    assert_eq!(registrations(&sim), ["registered", "expired"]);
}

#[test]
fn a_phone_that_refreshes_stays_registered_however_often_the_clock_is_set_back() {
    let mut sim = Sim::new(&[ADA]);
    let mut phone = Phone::new("p1", 1);
    phone.register(&mut sim, 600);
    for hours in [-1, -1, -24, -87_600] {
        sim.now.moment.0 += hours * HOUR;
        for _ in 0..5 {
            assert_eq!(expires(&phone.register(&mut sim, 600)), [Some(600)]);
            sim.pass_seconds(300);
        }
    }
    let told = registrations(&sim);
    assert!(told.iter().all(|told| *told != "expired"), "{told:?}");
}
