//! Tables against a naive scan of the same events, over random books.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use switchbook_core::call::*;
use switchbook_core::event::Event;
use switchbook_core::forwarding::{ProfileActivated, ProfileDeactivated, Reach};
use switchbook_core::id::{CallId, DeviceId};
use switchbook_core::number::MatrixChanged;
use switchbook_core::position::Moment;
use switchbook_core::registration::*;
use switchbook_core::routing::profile;
use switchbook_core::schedule::ScheduleRemoved;
use switchbook_core::user::DoNotDisturbSet;
use switchbook_projections::call_log::State;
use switchbook_projections::fold::Tables;
use switchbook_projections::registrar::{self, BookOnly, Which};
use switchbook_projections::{numbers, snapshot};

/// One thing that can happen; what does not fit the moment happens to nobody and is skipped.
#[derive(Clone, Debug)]
enum Deed {
    Register(usize, u32),
    Change(usize),
    Unregister(usize),
    Expire(usize),
    Call(usize, bool),
    Answer(usize),
    Divert(usize),
    End(usize),
    Lose(usize),
    Activate(bool),
    Unschedule,
    Tick(bool),
    Disturb(bool),
    Pass(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let phone = 0..3usize;
    let call = 0..6usize;
    prop_oneof![
        (phone.clone(), 60..4000u32).prop_map(|(phone, granted)| Deed::Register(phone, granted)),
        phone.clone().prop_map(Deed::Change),
        phone.clone().prop_map(Deed::Unregister),
        phone.clone().prop_map(Deed::Expire),
        (phone, any::<bool>()).prop_map(|(phone, to)| Deed::Call(phone, to)),
        call.clone().prop_map(Deed::Answer),
        call.clone().prop_map(Deed::Divert),
        call.clone().prop_map(Deed::End),
        call.prop_map(Deed::Lose),
        any::<bool>().prop_map(Deed::Activate),
        Just(Deed::Unschedule),
        any::<bool>().prop_map(Deed::Tick),
        any::<bool>().prop_map(Deed::Disturb),
        (0..7200i64).prop_map(Deed::Pass),
    ]
}

const PHONES: [DeviceId; 3] = [P1, P2, P3];

fn tell(deeds: &[Deed]) -> Story {
    let mut story = Story::of_ada_and_bob();
    let (mut bindings, mut calls) = (10u32, 0x100u128);
    for deed in deeds {
        let last = |story: &Story, phone: usize| {
            let entry = story.exchange.registrations.get(&PHONES[phone])?;
            Some(entry.bindings.last()?.0.binding)
        };
        let open = |story: &Story, nth: usize| story.exchange.open_calls.keys().nth(nth).copied();
        match *deed {
            Deed::Register(phone, granted) => {
                bindings += 1;
                story.register(PHONES[phone], bindings, granted);
            }
            Deed::Change(phone) => {
                let Some(binding) = last(&story, phone) else { continue };
                let binding = story.binding(PHONES[phone], binding.0, 90);
                story.tell(RegistrationChanged { device: PHONES[phone], binding: binding.into() });
            }
            Deed::Unregister(phone) => {
                let Some(binding) = last(&story, phone) else { continue };
                story.tell(RegistrationRemoved { device: PHONES[phone], binding });
            }
            Deed::Expire(phone) => {
                let Some(binding) = last(&story, phone) else { continue };
                let (device, expired_at) = (PHONES[phone], story.now);
                story.tell(RegistrationExpired { device, binding, expired_at });
            }
            Deed::Call(phone, to) => {
                calls += 1;
                story.call(calls, PHONES[phone], if to { "100" } else { "300" });
            }
            Deed::Answer(nth) => {
                let Some(call) = open(&story, nth) else { continue };
                let (device, number) = (Some(P3), Some(number("300")));
                story.tell(CallAnswered { call, device, number, answered_at: story.now });
            }
            Deed::Divert(nth) => {
                let Some(call) = open(&story, nth) else { continue };
                let (from, to, status) = (number("100"), number("300"), Some(CallStatus::Busy));
                story.tell(CallDiverted { call, from, to, status });
            }
            Deed::End(nth) => {
                let Some(call) = open(&story, nth) else { continue };
                let (outcome, ended_at) = (CallOutcome::NoAnswer, story.now);
                let rang = vec![P1, P3];
                story.tell(CallEnded {
                    call,
                    outcome,
                    ended_at,
                    cause: ReleaseCause::ABSENT,
                    rang,
                });
            }
            Deed::Lose(nth) => {
                let Some(call) = open(&story, nth) else { continue };
                story.tell(CallLost { call });
            }
            Deed::Activate(true) => {
                let (number, reach) = (number("100"), Reach::UntilFurtherNotice);
                story.tell(ProfileActivated { number, profile: HOLIDAY, reach });
            }
            Deed::Activate(false) => {
                let (number, reach) = (number("100"), Reach::UnderSchedules);
                story.tell(ProfileDeactivated { number, reach });
            }
            Deed::Unschedule => {
                story.tell(ScheduleRemoved { schedule: LUNCH, number: number("100") });
            }
            Deed::Tick(on) => {
                let (number, slot) = (number("100"), ADA_DECT);
                story.tell(MatrixChanged { user: ADA, number, slot, on });
            }
            Deed::Disturb(on) => {
                story.tell(DoNotDisturbSet { user: ADA, on });
            }
            Deed::Pass(seconds) => story.pass(seconds),
        }
    }
    story
}

/// Device → (binding, end), told from the events alone.
fn naive_bindings(story: &Story) -> BTreeMap<DeviceId, Vec<(BindingId, Moment)>> {
    let mut found: BTreeMap<DeviceId, Vec<(BindingId, Moment)>> = BTreeMap::new();
    for recorded in &story.records {
        match &recorded.event {
            Event::PhoneRegistered(e) => {
                let entry = (e.binding.binding, e.binding.expires_at);
                found.entry(e.device).or_default().push(entry);
            }
            Event::RegistrationChanged(e) => {
                for (binding, end) in found.entry(e.device).or_default() {
                    if *binding == e.binding.binding {
                        *end = e.binding.expires_at;
                    }
                }
            }
            Event::RegistrationRemoved(RegistrationRemoved { device, binding })
            | Event::RegistrationExpired(RegistrationExpired { device, binding, .. }) => {
                found.entry(*device).or_default().retain(|(id, _)| id != binding);
            }
            _ => {}
        }
    }
    found
}

/// Call → where it stands and how many hops, told from its events alone.
fn naive_call(story: &Story, call: CallId) -> (State, usize) {
    let concerns = |event: &Event| match event {
        Event::CallAnswered(e) => e.call == call,
        Event::CallDiverted(e) => e.call == call,
        Event::CallEnded(e) => e.call == call,
        Event::CallLost(e) => e.call == call,
        _ => false,
    };
    let events: Vec<&Event> =
        story.records.iter().map(|r| &r.event).filter(|event| concerns(event)).collect();
    let has = |hit: fn(&Event) -> bool| events.iter().any(|event| hit(event));
    let answered = has(|event| matches!(event, Event::CallAnswered(_)));
    let ended = has(|event| matches!(event, Event::CallEnded(_)));
    let state = match (has(|event| matches!(event, Event::CallLost(_))), ended, answered) {
        (true, ..) => State::Lost,
        (_, true, true) => State::Answered,
        (_, true, false) => State::Unanswered,
        (_, false, true) => State::Talking,
        (_, false, false) => State::Ringing,
    };
    (state, events.iter().filter(|event| matches!(event, Event::CallDiverted(_))).count())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn tables_agree_with_a_naive_scan(deeds in prop::collection::vec(deed(), 0..60)) {
        let story = tell(&deeds);
        let mut tables = Tables::default();
        story.records.iter().for_each(|recorded| tables.apply(recorded));

        let bindings = naive_bindings(&story);
        let live = |_, _| None;
        let view = registrar::view(&story.exchange, &live, story.now, Which::All);
        for row in &view.devices {
            let all = bindings.get(&row.id).cloned().unwrap_or_default();
            let alive: Vec<_> = all.iter().filter(|(_, end)| *end > story.now).copied().collect();
            let shown: Vec<_> = row.bindings.iter().map(|b| (b.binding, b.expires_at.0)).collect();
            prop_assert_eq!(shown, alive);
            let in_book = registrar::bindings(&story.exchange, row.id, &BookOnly, story.now);
            prop_assert_eq!(in_book.count(), all.len());
        }
        let shown: usize = view.devices.iter().map(|d| d.bindings.len()).sum();
        prop_assert_eq!(view.counts.bindings, shown);

        let placed = story.records.iter().filter(|r| matches!(r.event, Event::CallPlaced(_)));
        prop_assert_eq!(tables.calls.calls().count(), placed.count());
        prop_assert_eq!(tables.calls.open().count(), story.exchange.open_calls.len());
        for call in tables.calls.calls() {
            prop_assert_eq!((call.state(), call.hops.len()), naive_call(&story, call.call));
        }
    }

    #[test]
    fn the_profile_shown_is_the_profile_the_routing_decision_uses(
        deeds in prop::collection::vec(deed(), 0..30), later in 0..200_000i64,
    ) {
        let story = tell(&deeds);
        let at = story.now.plus_seconds(later);
        for row in numbers::view(&story.exchange, &BookOnly, at, None).numbers {
            let decided = profile::in_force(&story.exchange, row.number, at);
            prop_assert_eq!(row.in_force.as_ref().map(|told| told.at), decided.because.map(|b| b.1));
            let shown = row.in_force.and_then(|told| told.profile);
            prop_assert_eq!(shown.is_some(), decided.profile.is_some());
        }
    }

    #[test]
    fn a_table_read_back_from_its_snapshot_goes_on_like_the_other(
        deeds in prop::collection::vec(deed(), 0..40), cut in 0..40usize,
    ) {
        let story = tell(&deeds);
        let (mut whole, cut) = (Tables::default(), cut.min(story.records.len()));
        story.records[..cut].iter().for_each(|recorded| whole.apply(recorded));
        let open = story.opener();
        let mut again = Tables {
            exchange: snapshot::decode(&snapshot::encode(&whole.exchange), &open).unwrap(),
            names: snapshot::decode(&snapshot::encode(&whole.names), &open).unwrap(),
            calls: snapshot::decode(&snapshot::encode(&whole.calls), &open).unwrap(),
        };
        prop_assert_eq!(&again, &whole);
        for recorded in &story.records[cut..] {
            whole.apply(recorded);
            again.apply(recorded);
        }
        prop_assert_eq!(again.snapshots(), whole.snapshots());
        prop_assert_eq!(again, whole);
    }
}
