//! Whatever the phones say, in whatever order: every call ends, every leg ends, nothing is left.
#![allow(clippy::unwrap_used)]

mod common;

use common::phone::{HOLD, SDP_A, SDP_B, reply};
use common::{Dialogue, Phone, Sim};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;
use switchbook_sip::message::{Message, Method};

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"],
    "slots":["desk","dect"],"devices":[
        {"name":"p1","type":"desk","password":"secret-p1"},
        {"name":"p3","type":"dect","password":"secret-p3"}]}"#;
const BOB: &str = r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["200"],
    "slots":["desk"],"devices":[{"name":"p2","type":"desk","password":"secret-p2"}]}"#;
const CAT: &str = r#"{"command":"user.add","username":"cat","display_name":"Cat","numbers":["300"],
    "slots":["desk"],"devices":[{"name":"p4","type":"desk","password":"secret-p4"}]}"#;
const PROFILE: &str = r#"{"command":"profile.add","user":"ada","name":"p","rules":[
    {"when":"busy","to":"300"},{"when":"no-answer","after":20,"to":"300"},{"when":"logged-off","to":"300"}]}"#;
const SET: &str = r#"{"command":"forwarding.set","number":"100","profile":"ada/p"}"#;

/// What can happen next.
#[derive(Clone, Debug)]
enum Act {
    /// A phone answers the oldest request it has not answered, with this status.
    Answer(usize, u16),
    /// The same, and answers it again: a lost response.
    Twice(usize, u16),
    /// A phone does not get its oldest message.
    Lose(usize),
    /// The caller cancels.
    Cancel,
    /// The caller acknowledges.
    Ack,
    /// Somebody says something within the call.
    Say(usize, &'static str, &'static str),
    /// Time passes.
    Pass(u64),
    /// An administrator ends every call.
    HangUpAll,
}

fn act() -> impl Strategy<Value = Act> {
    let phone = 0..4_usize;
    let status = prop::sample::select(vec![
        100, 180, 183, 200, 200, 200, 302, 401, 404, 408, 480, 481, 486, 487, 488, 491, 500, 503,
        600, 603,
    ]);
    let said = prop::sample::select(vec![
        ("BYE", ""),
        ("BYE", ""),
        ("INVITE", HOLD),
        ("INVITE", ""),
        ("UPDATE", HOLD),
        ("INFO", "Signal=1"),
        ("MESSAGE", "hello"),
        ("REFER", ""),
        ("OPTIONS", ""),
        ("PRACK", ""),
        ("NOTIFY", ""),
    ]);
    prop_oneof![
        6 => (phone.clone(), status.clone()).prop_map(|(p, s)| Act::Answer(p, s)),
        1 => (phone.clone(), status).prop_map(|(p, s)| Act::Twice(p, s)),
        2 => phone.clone().prop_map(Act::Lose),
        1 => Just(Act::Cancel),
        3 => Just(Act::Ack),
        3 => (phone, said).prop_map(|(p, (m, b))| Act::Say(p, m, b)),
        2 => prop::sample::select(vec![0, 1, 499, 500, 2_000, 10_000, 33_000]).prop_map(Act::Pass),
        1 => Just(Act::HangUpAll),
    ]
}

struct Chaos {
    sim: Sim,
    phones: Vec<SocketAddr>,
    /// What each phone last made of a dialog, as caller or called.
    dialogs: Vec<Option<Dialogue>>,
    names: Vec<Phone>,
}

impl Chaos {
    fn new() -> Self {
        let mut sim = Sim::new(&[ADA, BOB, CAT, PROFILE, SET]);
        let names: Vec<Phone> = [("p1", 1), ("p2", 2), ("p3", 3), ("p4", 4)]
            .map(|(name, host)| Phone::registered(&mut sim, name, host))
            .into();
        let phones = names.iter().map(|phone| phone.at).collect();
        Self { sim, phones, dialogs: (0..4).map(|_| None).collect(), names }
    }

    fn answer(&mut self, phone: usize, status: u16, times: usize) {
        let at = self.phones[phone];
        let Some(message) = self.sim.next(at) else { return };
        let Message::Request(request) = message else {
            self.note_response(phone, &message);
            return;
        };
        if request.method() == Method::Ack {
            return;
        }
        let tag = format!("tag-{phone}");
        let to = String::from_utf8_lossy(request.value(switchbook_sip::HeaderName::To).unwrap());
        let to = format!("{to};tag={tag}");
        let body = if status < 300 && request.method() == Method::Invite { SDP_B } else { "" };
        let text = reply(&request, status, at, Some(&to), body);
        if request.method() == Method::Invite && request.to().unwrap().tag().is_none() {
            let contact = request.contacts().next().unwrap().unwrap();
            let from = request.value(switchbook_sip::HeaderName::From).unwrap();
            self.dialogs[phone] = Some(Dialogue::bare(
                at,
                request.call_id().unwrap(),
                &to,
                &String::from_utf8_lossy(from),
                contact.addr().unwrap().uri_raw,
            ));
        }
        for _ in 0..times {
            self.sim.send(at, text.clone());
        }
    }

    /// The caller learns the dialog from what he is answered.
    fn note_response(&mut self, phone: usize, message: &Message) {
        let Message::Response(response) = message else { return };
        let Some(dialogue) = self.dialogs[phone].as_mut() else { return };
        if response.call_id().unwrap() != dialogue.call_id || response.status() >= 300 {
            return;
        }
        let to = response.value(switchbook_sip::HeaderName::To).unwrap();
        dialogue.remote = String::from_utf8_lossy(to).into_owned();
        if let Some(Ok(contact)) = response.contacts().next() {
            dialogue.target = contact.addr().unwrap().uri_raw.into();
        }
    }

    fn play(&mut self, act: &Act) {
        match act {
            Act::Answer(phone, status) => self.answer(*phone, *status, 1),
            Act::Twice(phone, status) => self.answer(*phone, *status, 2),
            Act::Lose(phone) => drop(self.sim.next(self.phones[*phone])),
            Act::Cancel => {
                if let Some(caller) = &mut self.dialogs[1] {
                    caller.cancel(&mut self.sim);
                }
            }
            Act::Ack => {
                if let Some(caller) = &mut self.dialogs[1] {
                    caller.request_with(&mut self.sim, "ACK", caller.seq, "", "");
                }
            }
            Act::Say(phone, method, body) => {
                if let Some(dialogue) = &mut self.dialogs[*phone] {
                    dialogue.request(&mut self.sim, method, "", body);
                }
            }
            Act::Pass(millis) => self.sim.pass(Duration::from_millis(*millis)),
            Act::HangUpAll => {
                let command = switchbook_sip_adapter::endpoint::Command::HangUpAll;
                self.sim.feed(switchbook_sip_adapter::endpoint::Input::Command(command));
            }
        }
    }

    /// From now on every phone is well behaved, and the caller wants to end it.
    fn wind_down(&mut self) {
        for _ in 0..40 {
            for phone in 0..4 {
                let at = self.phones[phone];
                while let Some(message) = self.sim.next(at) {
                    match message {
                        Message::Request(request) if request.method() != Method::Ack => {
                            let status = if request.method() == Method::Invite { 486 } else { 200 };
                            let text = reply(&request, status, at, None, "");
                            self.sim.send(at, text);
                        }
                        other => self.note_response(phone, &other),
                    }
                }
            }
            if let Some(caller) = &mut self.dialogs[1] {
                caller.cancel(&mut self.sim);
                caller.request(&mut self.sim, "BYE", "", "");
            }
            for phone in [0, 2, 3] {
                if let Some(called) = &mut self.dialogs[phone] {
                    called.request(&mut self.sim, "BYE", "", "");
                }
            }
            self.sim.pass(Duration::from_secs(5));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_call_ends_and_nothing_is_left(acts in prop::collection::vec(act(), 1..60), offer in any::<bool>()) {
        let mut chaos = Chaos::new();
        let sdp = if offer { SDP_A } else { "" };
        let call = chaos.names[1].call_with(&mut chaos.sim, "100", sdp);
        chaos.dialogs[1] = Some(call);
        for act in &acts {
            chaos.play(act);
        }
        chaos.wind_down();
        chaos.sim.pass_seconds(200);
        prop_assert_eq!(chaos.sim.endpoint.sessions(), 0);
        prop_assert!(chaos.sim.endpoint.is_idle());
        let told = chaos.sim.calls();
        let ended = told.iter().filter(|line| line.starts_with("ended")).count();
        let placed = told.iter().filter(|line| line.starts_with("placed")).count();
        prop_assert_eq!(placed, ended, "{:?}", told);
    }

    /// Peers that fall silent at any moment: the call ends by itself as soon as either side notices.
    #[test]
    fn a_call_whose_phones_fall_silent_ends_before_it_is_answered(acts in prop::collection::vec(act(), 0..10)) {
        let mut chaos = Chaos::new();
        let call = chaos.names[1].call_with(&mut chaos.sim, "100", SDP_A);
        chaos.dialogs[1] = Some(call);
        for act in &acts {
            if !matches!(act, Act::Ack) {
                chaos.play(act);
            }
        }
        chaos.sim.pass_seconds(400);
        prop_assert_eq!(chaos.sim.endpoint.sessions(), 0);
        prop_assert!(chaos.sim.endpoint.is_idle());
    }
}
