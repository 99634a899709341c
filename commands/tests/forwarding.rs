//! behaviour.md 2.5: profiles, choices by hand, schedules, loops. T17 and the F rules.
#![allow(missing_docs, clippy::unwrap_used)]

mod world;

use expect_test::expect;
use proptest::prelude::*;
use switchbook_core::forwarding::Reach;
use switchbook_core::routing;
use switchbook_core::user::Language;
use world::*;

/// Ada has 100 with profile V (always→400), Bob 400 with profile B (always→100); nothing is set.
fn two() -> World {
    let mut world = World::with_ada();
    world.console(
        r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["400"],"slots":["desk"]}"#,
    );
    world.console(
        r#"{"command":"profile.add","user":"ada","name":"V","rules":[{"when":"always","to":"400"}]}"#,
    );
    world.console(
        r#"{"command":"profile.add","user":"bob","name":"B","rules":[{"when":"always","to":"100"}]}"#,
    );
    world
}

const SET_V: &str = r#"{"command":"forwarding.set","number":"100","profile":"ada/V"}"#;
const SET_B: &str = r#"{"command":"forwarding.set","number":"400","profile":"bob/B"}"#;

#[test]
fn t17_f8_the_second_half_of_a_loop_is_refused_and_names_its_partners() {
    let mut world = two();
    assert_eq!(world.tries(world.as_user("ada"), SET_V), "ProfileActivated");
    let order = world.order(world.as_user("bob"), command(SET_B));
    let refusal = world.decide(&order).unwrap_err();
    expect!["FORWARD_LOOP: Calls would go round in a circle: 400 → 100 → 400. Change one of these forwardings first."]
        .assert_eq(&refusal.to_string());
    assert!(refusal.sentence(Language::German).contains("400 → 100 → 400"));
    assert_eq!(world.tries(world.as_user("bob"), SET_B), "FORWARD_LOOP");
}

#[test]
fn f8_a_loop_is_seen_when_a_profile_in_use_is_changed_and_when_a_schedule_could_close_it() {
    let mut world = two();
    world.console(SET_V);
    world.console(
        r#"{"command":"profile.rules","profile":"bob/B","rules":[{"when":"always","to":"300"}]}"#,
    );
    world.console(SET_B);
    let back =
        r#"{"command":"profile.rules","profile":"bob/B","rules":[{"when":"always","to":"100"}]}"#;
    assert_eq!(world.tries(world.as_user("bob"), back), "FORWARD_LOOP");
    world.console(r#"{"command":"forwarding.clear","number":"400"}"#);
    assert_eq!(world.tries(world.as_user("bob"), back), "ProfileRulesSet");
    let scheduled = |pattern: &str| {
        format!(
            r#"{{"command":"schedule.add","number":"400","profile":"bob/B","pattern":{pattern}}}"#
        )
    };
    let weekly = scheduled(r#"{"weekly":"mon-fri 12:00-13:00"}"#);
    assert_eq!(world.tries(world.as_user("bob"), &weekly), "FORWARD_LOOP");
    let over = scheduled(r#"{"dated":"2020-01-01 00:00 - 2020-01-02 00:00"}"#);
    assert_eq!(
        world.tries(world.as_user("bob"), &over),
        "ScheduleAdded",
        "a past window closes none"
    );
}

#[test]
fn f8_loops_are_loops_of_one_column_and_a_number_never_leads_to_itself() {
    let mut world = two();
    let only = |profile: &str, from: &str, to: &str| {
        format!(
            r#"{{"command":"profile.rules","profile":"{profile}","rules":[{{"when":"always","from":"{from}","to":"{to}"}}]}}"#
        )
    };
    world.console(&only("ada/V", "internal", "400"));
    world.console(&only("bob/B", "external", "100"));
    world.console(SET_V);
    assert_eq!(world.tries(world.as_user("bob"), SET_B), "ProfileActivated");
    let itself =
        r#"{"command":"profile.rules","profile":"ada/V","rules":[{"when":"busy","to":"100"}]}"#;
    assert_eq!(world.tries(world.as_user("ada"), itself), "FORWARD_LOOP");
}

#[test]
fn f8_blocked_and_outside_targets() {
    let mut world = two();
    world.console(r#"{"command":"settings.block_target","prefix":"49"}"#);
    world.console(
        r#"{"command":"trunk.add","name":"telco","peer":"192.0.2.1:5060","outbound_prefix":"0"}"#,
    );
    let to = |target: &str| {
        format!(
            r#"{{"command":"profile.rules","profile":"ada/V","rules":[{{"when":"busy","to":"{target}"}}]}}"#
        )
    };
    assert_eq!(world.tries(world.as_user("ada"), &to("4999")), "TARGET_BLOCKED");
    assert_eq!(world.tries(world.as_user("ada"), &to("112")), "TARGET_BLOCKED");
    assert_eq!(world.tries(world.as_user("ada"), &to("089123")), "ProfileRulesSet");
    world.console(r#"{"command":"permission.withdraw","group":"users","permission":"outbound"}"#);
    assert_eq!(world.tries(world.as_user("ada"), &to("089124")), "TARGET_NOT_PERMITTED");
    let decision = world.console(&to("777"));
    assert_eq!(decision.warnings[0].code.as_str(), "TARGET_UNKNOWN");
}

#[test]
fn f2_a_profile_is_used_on_its_owners_numbers_only() {
    let mut world = two();
    let foreign = r#"{"command":"forwarding.set","number":"100","profile":"bob/B"}"#;
    assert_eq!(world.tries(CONSOLE, foreign), "WRONG_OWNER");
    let other = r#"{"command":"forwarding.set","number":"200","profile":"ada/V"}"#;
    assert_eq!(world.tries(world.as_user("ada"), SET_V), "ProfileActivated");
    assert_eq!(world.tries(world.as_user("ada"), other), "ProfileActivated");
}

#[test]
fn f5_a_choice_inside_a_window_reaches_as_far_as_it_says() {
    let mut world = two();
    world.console(r#"{"command":"profile.add","user":"ada","name":"W"}"#);
    world.console(
        r#"{"command":"schedule.add","number":"100","profile":"ada/W","pattern":{"weekly":"mon-fri 12:00-13:00"}}"#,
    );
    world.now = at("2026-11-23T11:30:00Z");
    let set = |until: &str| {
        format!(
            r#"{{"command":"forwarding.set","number":"100","profile":"ada/V","until":"{until}"}}"#
        )
    };
    let reach = |world: &World| world.exchange.numbers[&number("100")].manual.unwrap().value.reach;
    let end = Reach::UntilWindowEnds(at("2026-11-23T12:00:00Z"));
    let plain = r#"{"command":"forwarding.set","number":"100","profile":"ada/V"}"#;
    let decision = world.console(plain);
    assert!(decision.warnings.is_empty());
    assert_eq!(reach(&world), end, "a choice inside a window overrides it");
    let in_force = |world: &World| {
        let now = routing::profile::in_force(&world.exchange, number("100"), world.now);
        now.profile.map(|(_, profile)| profile.name.value.known().unwrap().to_owned())
    };
    assert_eq!(in_force(&world).as_deref(), Some("V"));
    world.console(r#"{"command":"forwarding.clear","number":"100"}"#);
    assert_eq!((reach(&world), in_force(&world)), (end, None));
    let decision = world.console(&set("under-schedules"));
    assert_eq!(in_force(&world).as_deref(), Some("W"));
    assert_eq!(decision.warnings[0].code.as_str(), "SCHEDULE_IN_FORCE");
    assert_eq!(reach(&world), Reach::UnderSchedules);
    world.console(&set("window-end"));
    assert_eq!(reach(&world), end);
    world.console(&set("further-notice"));
    assert_eq!(reach(&world), Reach::UntilFurtherNotice);
    world.now = at("2026-11-23T15:00:00Z");
    world.console(&set("window-end"));
    assert_eq!(reach(&world), Reach::UnderSchedules, "no window is open");
    world.console(&set("further-notice"));
    world.console(plain);
    assert_eq!(reach(&world), Reach::UnderSchedules, "no window is open");
}

#[test]
fn f5_windows_of_one_number_overlap_only_with_different_priorities() {
    let mut world = two();
    let add = |times: &str, priority: u8| {
        format!(
            r#"{{"command":"schedule.add","number":"100","profile":"ada/V","pattern":{{"weekly":"{times}"}},"priority":{priority}}}"#
        )
    };
    assert_eq!(world.tries(CONSOLE, &add("mon-fri 12:00-13:00", 0)), "ScheduleAdded");
    assert_eq!(world.tries(CONSOLE, &add("fri 12:30-14:00", 0)), "SCHEDULE_OVERLAP");
    assert_eq!(world.tries(CONSOLE, &add("fri 12:30-14:00", 1)), "ScheduleAdded");
    assert_eq!(world.tries(CONSOLE, &add("mon-thu 13:00-14:00", 0)), "ScheduleAdded", "half-open");
}

#[test]
fn f7_a_profile_in_use_is_deleted_only_when_that_is_confirmed() {
    let mut world = two();
    world.console(SET_V);
    world.console(
        r#"{"command":"schedule.add","number":"200","profile":"ada/V","pattern":{"weekly":"sat 00:00-24:00"}}"#,
    );
    let delete = r#"{"command":"profile.delete","profile":"ada/V"}"#;
    assert_eq!(world.tries(world.as_user("ada"), delete), "PROFILE_IN_USE");
    let confirmed = r#"{"command":"profile.delete","profile":"ada/V","confirm":true}"#;
    assert_eq!(
        world.tries(world.as_user("ada"), confirmed),
        "ProfileDeactivated ScheduleRemoved ProfileDeleted"
    );
}

#[test]
fn a_cell_of_the_table_holds_one_rule() {
    let mut world = two();
    let twice = r#"{"command":"profile.rules","profile":"ada/V","rules":[
        {"when":"no-answer","after":20,"from":"internal","to":"300"},{"when":"no-answer","after":30,"to":"300"}]}"#;
    assert_eq!(world.tries(CONSOLE, twice), "RULE_TWICE");
}

proptest! {
    /// F-8 against a naive walk: a change is refused exactly when it would let calls go round.
    #[test]
    fn a_change_is_refused_exactly_when_it_closes_a_circle(
        steps in proptest::collection::vec((0..5usize, 0..6usize, any::<bool>()), 1..30),
    ) {
        let number = |n: usize| format!("{}", 100 + n);
        let mut world = World::founded();
        for n in 0..5 {
            world.console(&format!(
                r#"{{"command":"user.add","username":"u{n}","display_name":"U","numbers":["{}"]}}"#, number(n)
            ));
            world.console(&format!(r#"{{"command":"profile.add","user":"u{n}","name":"P"}}"#));
        }
        // What each profile sends to, and whether it is set.
        let (mut to, mut set) = ([None; 5], [false; 5]);
        for (n, target, switch) in steps {
            let (mut next_to, mut next_set) = (to, set);
            let json = if switch {
                next_set[n] = !set[n];
                let verb = if next_set[n] { "set" } else { "clear" };
                let profile =
                    if next_set[n] { format!(r#","profile":"u{n}/P""#) } else { String::new() };
                format!(r#"{{"command":"forwarding.{verb}","number":"{}"{profile}}}"#, number(n))
            } else {
                next_to[n] = (target < 5).then_some(target);
                let rules = next_to[n].map_or(String::new(), |target| {
                    format!(r#"{{"when":"always","to":"{}"}}"#, number(target))
                });
                format!(r#"{{"command":"profile.rules","profile":"u{n}/P","rules":[{rules}]}}"#)
            };
            let circle = (0..5).any(|start| {
                let step = |at: usize| next_to[at].filter(|_| next_set[at]);
                let walk = std::iter::successors(step(start), |at| step(*at));
                walk.take(6).any(|at| at == start)
            });
            let said = world.tries(CONSOLE, &json);
            prop_assert_eq!(said == "FORWARD_LOOP", circle, "{} with {:?} {:?}", json, to, set);
            if !circle {
                (to, set) = (next_to, next_set);
            }
        }
    }
}
