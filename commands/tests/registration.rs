//! Which binding a REGISTER is about, and which one makes room (RFC 3261 §10.3, RFC 5626 §6, X-15).

#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use switchbook_commands::registration::{Ask, Contact, Register};
use switchbook_commands::{Command, RefusalCode};
use switchbook_core::personal::KeyId;
use switchbook_core::position::Seconds;
use world::*;

/// One phone at the exchange, seen by what it registers.
struct Phone {
    world: World,
    cseq: u32,
}

struct Said<'a> {
    uri: &'a str,
    host: &'a str,
    call_id: u64,
    instance: Option<&'a str>,
    make: &'a str,
}

const ONE: Said<'static> =
    Said { uri: "sip:a@10.0.0.1:5060", host: "10.0.0.1", call_id: 1, instance: None, make: "desk" };

impl Phone {
    fn new() -> Self {
        let mut world = World::founded();
        world.console(r#"{"command":"device.add","name":"p1","type":"desk"}"#);
        Self { world, cseq: 0 }
    }

    fn register(&mut self, said: &[Said<'_>]) -> Command {
        self.cseq += 1;
        let device = self.world.device("p1");
        let contact = |said: &Said<'_>| Contact {
            uri: said.uri.into(),
            parameters: String::new(),
            instance: said.instance.map(Into::into),
            source: format!("{}:5060", said.host),
            behind_nat: false,
            expires: Seconds(600),
        };
        Register {
            device,
            ask: Ask::Contacts(said.iter().map(contact).collect()),
            call_id: said[0].call_id,
            cseq: self.cseq,
            user_agent: Some(said[0].make.into()),
            bounds: (Seconds(60), Seconds(3600)),
        }
        .into()
    }

    /// Registers, and tells what came of it: events by name, or the refusal.
    fn says(&mut self, said: &[Said<'_>]) -> Vec<&'static str> {
        let command = self.register(said);
        let phone = self.world.phone("p1");
        match self.world.obey(phone, command) {
            Ok(decision) => decision.events.iter().map(|event| event.name()).collect(),
            Err(refusal) => vec![refusal.code.as_str()],
        }
    }

    fn contacts(&self) -> Vec<String> {
        let device = self.world.device("p1");
        let registration = &self.world.exchange.registrations[&device];
        registration.bindings.iter().map(|(b, _)| b.contact.to_string()).collect()
    }
}

#[test]
fn a_handset_that_moves_to_another_address_keeps_its_binding() {
    let mut phone = Phone::new();
    let instance = Some("<urn:uuid:1>");
    assert_eq!(phone.says(&[Said { instance, ..ONE }]), ["PhoneRegistered"]);
    let moved = Said { instance, uri: "sip:a@10.0.0.7:1111", host: "10.0.0.7", call_id: 2, ..ONE };
    assert_eq!(phone.says(&[moved]), ["RegistrationChanged"]);
    assert_eq!(phone.contacts(), ["sip:a@10.0.0.7:1111"]);
    let other = Said { instance: Some("<urn:uuid:2>"), uri: "sip:a@10.0.0.8", call_id: 3, ..ONE };
    assert_eq!(phone.says(&[other]), ["PhoneRegistered"]);
    assert_eq!(phone.contacts().len(), 2);
}

#[test]
fn two_contacts_in_one_register_are_two_though_of_one_handset() {
    let mut phone = Phone::new();
    let instance = Some("<urn:uuid:1>");
    let udp = Said { instance, ..ONE };
    let tcp = Said { instance, uri: "sip:a@10.0.0.1:5060;transport=tcp", ..ONE };
    assert_eq!(phone.says(&[udp, tcp]), ["PhoneRegistered", "PhoneRegistered"]);
}

#[test]
fn flows_of_one_handset_are_kept_apart() {
    let mut phone = Phone::new();
    let first = Said { instance: Some("<urn:uuid:1>;reg-id=1"), ..ONE };
    let second =
        Said { instance: Some("<urn:uuid:1>;reg-id=2"), uri: "sip:a@10.0.0.1:5062", ..ONE };
    assert_eq!(phone.says(&[first]), ["PhoneRegistered"]);
    assert_eq!(phone.says(&[second]), ["PhoneRegistered"]);
}

#[test]
fn x15_a_phone_that_comes_back_at_another_port_is_never_locked_out() {
    let mut phone = Phone::new();
    for boot in 0..5 {
        let uri = format!("sip:a@10.0.0.1:{}", 5060 + boot);
        let said = Said { uri: &uri, call_id: boot, ..ONE };
        assert_eq!(phone.says(&[said]), ["PhoneRegistered"]);
    }
    for boot in 5..20 {
        let uri = format!("sip:a@10.0.0.1:{}", 5060 + boot);
        let said = Said { uri: &uri, call_id: boot, ..ONE };
        assert_eq!(phone.says(&[said]), ["RegistrationRemoved", "PhoneRegistered"]);
        assert_eq!(phone.contacts().len(), 5);
    }
    assert_eq!(phone.contacts()[4], "sip:a@10.0.0.1:5079");
    assert_eq!(phone.contacts()[0], "sip:a@10.0.0.1:5075", "the oldest went first");
}

#[test]
fn x15_a_sixth_phone_is_refused_and_takes_nobodys_place() {
    let mut phone = Phone::new();
    for n in 1..=5 {
        let (uri, host) = (format!("sip:a@10.0.0.{n}"), format!("10.0.0.{n}"));
        let said = Said { uri: &uri, host: &host, call_id: n, ..ONE };
        assert_eq!(phone.says(&[said]), ["PhoneRegistered"]);
    }
    let limit = [RefusalCode::ContactLimit.as_str()];
    let elsewhere = Said { uri: "sip:a@10.0.0.6", host: "10.0.0.6", call_id: 6, ..ONE };
    assert_eq!(phone.says(&[elsewhere]), limit);
    let another_make = Said { uri: "sip:b@10.0.0.1", call_id: 7, make: "soft", ..ONE };
    assert_eq!(phone.says(&[another_make]), limit, "beside another phone behind the same NAT");
    let two = [Said { uri: "sip:x", call_id: 1, ..ONE }, Said { uri: "sip:y", call_id: 1, ..ONE }];
    assert_eq!(phone.says(&two), limit, "two new ones at once are two on purpose");
    assert_eq!(phone.contacts().len(), 5);
    let same_call_id = Said { uri: "sip:a@10.0.0.9", host: "10.0.0.9", call_id: 3, ..ONE };
    assert_eq!(phone.says(&[same_call_id]), ["RegistrationRemoved", "PhoneRegistered"]);
    assert!(!phone.contacts().contains(&"sip:a@10.0.0.3".to_owned()));
}

#[test]
fn x15_the_first_refresh_of_a_month_seals_the_binding_anew_and_the_next_do_not() {
    let mut phone = Phone::new();
    assert_eq!(phone.says(&[ONE]), ["PhoneRegistered"]);
    assert_eq!(phone.says(&[ONE]), [] as [&str; 0], "a refresh in the same month is a lease");
    phone.world.now = at("2026-12-01T00:00:01Z");
    assert_eq!(phone.says(&[ONE]), ["RegistrationChanged"]);
    let sealed_in = |phone: &Phone| {
        let (binding, _) =
            &phone.world.exchange.registrations[&phone.world.device("p1")].bindings[0];
        [binding.contact.key(), binding.source.key()]
    };
    assert_eq!(sealed_in(&phone), [KeyId::Period(202_612); 2]);
    assert_eq!(phone.says(&[ONE]), [] as [&str; 0]);
    // A clock set back a little makes no event, and when its end is out of reach not one of another month: the key of a
    // later month is no nearer to its end.
    phone.world.now = at("2026-11-30T23:59:59Z");
    assert_eq!(phone.says(&[ONE]), [] as [&str; 0]);
    phone.world.now = at("2026-11-30T21:00:00Z");
    assert_eq!(phone.says(&[ONE]), ["RegistrationChanged"]);
    assert_eq!(sealed_in(&phone), [KeyId::Period(202_612); 2]);
}

#[test]
fn x15_an_erased_month_takes_no_living_phones_address_away() {
    let mut phone = Phone::new();
    phone.world.now = at("2026-11-30T23:59:00Z");
    phone.says(&[ONE]);
    phone.world.now = at("2026-12-01T00:01:00Z");
    let erase = r#"{"command":"period.erase","period":"2026-11"}"#;
    assert_eq!(phone.world.tries(CONSOLE, erase), "PeriodErased RegistrationChanged");
    phone.world.exchange.forget(KeyId::Period(202_611));
    assert_eq!(phone.contacts(), ["sip:a@10.0.0.1:5060"]);
    assert_eq!(phone.says(&[ONE]), [] as [&str; 0], "still its own, and only refreshed");
}

#[test]
fn a_binding_whose_time_is_over_is_not_sealed_again() {
    let mut phone = Phone::new();
    phone.says(&[ONE]);
    phone.world.now = at("2026-12-01T09:00:00Z");
    let erase = r#"{"command":"period.erase","period":"2026-11"}"#;
    assert_eq!(phone.world.tries(CONSOLE, erase), "PeriodErased");
}

#[test]
fn x15_a_phone_whose_address_was_erased_is_known_by_its_call_id() {
    let mut phone = Phone::new();
    phone.says(&[ONE]);
    // As a book of before has it: the month is gone and nothing was sealed again.
    phone.world.exchange.forget(KeyId::Period(202_611));
    assert_eq!(phone.contacts(), ["[erased]"]);
    assert_eq!(phone.says(&[ONE]), ["RegistrationChanged"]);
    assert_eq!(phone.contacts(), ["sip:a@10.0.0.1:5060"]);
}

/// A clock that was years ahead left its month behind, and no erasure by time would ever have reached the address.
#[test]
fn a_month_of_a_clock_that_was_years_ahead_does_not_stick_to_a_living_binding() {
    let mut phone = Phone::new();
    phone.world.now = at("2036-11-24T09:00:00Z");
    assert_eq!(phone.says(&[ONE]), ["PhoneRegistered"]);
    phone.world.now = at("2026-11-24T09:00:00Z");
    assert_eq!(phone.says(&[ONE]), ["RegistrationChanged"]);
    let registration = &phone.world.exchange.registrations[&phone.world.device("p1")];
    assert_eq!(registration.bindings[0].0.contact.key(), KeyId::Period(202_611));
    assert_eq!(phone.says(&[ONE]), [] as [&str; 0]);
}

/// The running month had been erased while the clock was ahead: nobody could register or call until it was over.
#[test]
fn what_is_recorded_in_a_month_that_was_erased_is_sealed_under_the_next() {
    let mut phone = Phone::new();
    phone.says(&[ONE]);
    phone.world.now = at("2027-01-10T09:00:00Z");
    for month in ["2026-11", "2026-12"] {
        let erase = format!(r#"{{"command":"period.erase","period":"{month}"}}"#);
        assert_eq!(phone.world.tries(CONSOLE, &erase), "PeriodErased");
    }
    phone.world.exchange.forget(KeyId::Period(202_611));
    phone.world.now = at("2026-11-24T09:00:00Z");
    let events = phone.says(&[ONE]);
    assert_eq!(events, ["RegistrationChanged"]);
    let registration = &phone.world.exchange.registrations[&phone.world.device("p1")];
    assert_eq!(registration.bindings[0].0.contact.key(), KeyId::Period(202_701));
    assert_eq!(phone.says(&[ONE]), [] as [&str; 0]);
}

/// Five ends that nobody lives to see, and the phone that came back was refused for as long as they were granted.
#[test]
fn x15_bindings_out_of_reach_since_the_clock_was_set_back_make_room() {
    let mut phone = Phone::new();
    let said = |n: u64| (format!("sip:a@10.0.0.{n}"), format!("10.0.0.{n}"));
    phone.world.now = at("2027-11-24T09:00:00Z");
    for n in 1..=5 {
        let (uri, host) = said(n);
        let said = Said { uri: &uri, host: &host, call_id: n, ..ONE };
        assert_eq!(phone.says(&[said]), ["PhoneRegistered"]);
    }
    phone.world.now = at("2026-11-24T09:00:00Z");
    for n in [2, 6, 7] {
        let (uri, host) = said(n);
        let said = Said { uri: &uri, host: &host, call_id: n, ..ONE };
        let expected: &[&str] = match n {
            2 => &["RegistrationChanged"],
            _ => &["RegistrationExpired", "PhoneRegistered"],
        };
        assert_eq!(phone.says(&[said]), expected, "{n}");
    }
    let left = [2, 4, 5, 6, 7].map(|n| said(n).0);
    assert_eq!(
        phone.contacts(),
        left,
        "no more than needed, the oldest first, and none that lives"
    );
    for n in [4, 5] {
        let (uri, host) = said(n);
        phone.says(&[Said { uri: &uri, host: &host, call_id: n, ..ONE }]);
    }
    let (uri, host) = said(8);
    let limit = [RefusalCode::ContactLimit.as_str()];
    let said = Said { uri: &uri, host: &host, call_id: 8, ..ONE };
    assert_eq!(phone.says(&[said]), limit, "they all live");
}
