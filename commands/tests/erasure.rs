//! What an erasure and a seal decide: who goes, what is recorded, what is refused.
#![allow(missing_docs, clippy::unwrap_used)]

mod world;

use switchbook_commands::erasure::Apply;
use switchbook_commands::seal::Seal;
use switchbook_core::envelope::Actor;
use switchbook_core::erasure::Period;
use switchbook_core::id::SecretId;
use switchbook_core::personal::KeyId;
use switchbook_core::seal::Root;
use switchbook_core::user::SecretRef;
use world::*;

#[test]
fn who_is_still_a_user_is_deleted_with_the_erasure_in_one_command() {
    let mut world = World::with_ada();
    let ada = world.user("ada");
    let told = world.tries(CONSOLE, r#"{"command":"person.erase","user":"ada","confirm":true}"#);
    assert!(told.ends_with("UserDeleted PersonErased"), "{told}");
    let erased: Vec<KeyId> = world.exchange.erasures.keys().map(|(key, _)| key).collect();
    assert_eq!(erased, [KeyId::Person(ada)]);
    assert!(world.exchange.users.get(&ada).is_none() && world.exchange.numbers.is_empty());
}

#[test]
fn who_was_deleted_before_is_erased_by_his_id_and_only_once() {
    let mut world = World::with_ada();
    let ada = world.user("ada");
    world.console(r#"{"command":"user.delete","user":"ada"}"#);
    assert_eq!(world.exchange.erasures.keys().count(), 0);
    let erase = format!(r#"{{"command":"person.erase","user":"{}","confirm":true}}"#, ada.0);
    assert_eq!(world.tries(CONSOLE, &erase), "PersonErased");
    assert_eq!(world.tries(CONSOLE, &erase), "");
    let nobody = r#"{"command":"person.erase","user":"00000000-0000-0000-0000-0000000000ff"}"#;
    assert_eq!(world.tries(CONSOLE, nobody), "USER_UNKNOWN");
}

#[test]
fn nobody_is_erased_before_it_is_confirmed() {
    let mut world = World::with_ada();
    let ada = world.user("ada");
    let erase = |user: &str| format!(r#"{{"command":"person.erase","user":"{user}"}}"#);
    assert_eq!(world.tries(CONSOLE, &erase("ada")), "ERASURE_UNCONFIRMED");
    assert!(world.exchange.users.contains_key(&ada), "she is not deleted either");
    world.console(r#"{"command":"user.delete","user":"ada"}"#);
    assert_eq!(world.tries(CONSOLE, &erase(&ada.0.to_string())), "ERASURE_UNCONFIRMED");
}

#[test]
fn u5_an_erasure_asks_before_forwardings_of_others_lead_nowhere() {
    let mut world = World::with_ada();
    world.console(
        r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["300"]}"#,
    );
    world.console(
        r#"{"command":"profile.add","user":"bob","name":"V","rules":[{"when":"always","to":"100"}]}"#,
    );
    let erase = r#"{"command":"person.erase","user":"ada"}"#;
    assert_eq!(world.tries(CONSOLE, erase), "ERASURE_UNCONFIRMED", "not REFERENCED alone");
    let told = world.obey(CONSOLE, command(erase)).unwrap_err();
    assert!(told.facts["by"].contains('V'), "what leads nowhere then is said with it: {told:?}");
    let confirmed = r#"{"command":"person.erase","user":"ada","confirm":true}"#;
    assert!(world.tries(CONSOLE, confirmed).ends_with("PersonErased"));
}

#[test]
fn a_month_is_erased_when_it_is_over() {
    let mut world = World::founded();
    let erase = |month| format!(r#"{{"command":"period.erase","period":"{month}"}}"#);
    assert_eq!(world.tries(CONSOLE, &erase("2026-11")), "PERIOD_OPEN");
    assert_eq!(world.tries(CONSOLE, &erase("2027-01")), "PERIOD_OPEN");
    assert_eq!(world.tries(CONSOLE, &erase("2026-10")), "PeriodErased");
    assert_eq!(world.tries(CONSOLE, &erase("2026-10")), "");
    let by_itself = |period| Apply::Period(Period(period)).into();
    assert_eq!(world.tries_command(Actor::System, by_itself(202_609)), "PeriodErased");
    assert_eq!(world.tries_command(CONSOLE, by_itself(202_608)), "FORBIDDEN");
}

#[test]
fn retention_is_set_in_whole_months_or_for_ever() {
    let mut world = World::founded();
    let set = |months| format!(r#"{{"command":"settings.retention","months":{months}}}"#);
    assert_eq!(world.tries(CONSOLE, &set("6")), "RetentionSet");
    assert_eq!(world.tries(CONSOLE, &set("6")), "");
    assert_eq!(world.tries(CONSOLE, &set("0")), "VALUE_INVALID");
    assert_eq!(world.tries(CONSOLE, &set("null")), "RetentionSet");
}

#[test]
fn after_an_older_backup_was_restored_the_list_erases_who_is_a_user_there() {
    let mut world = World::with_ada();
    let ada = world.user("ada");
    let told = world.tries_command(Actor::System, Apply::Person(ada).into());
    assert!(told.ends_with("UserDeleted PersonErased"), "{told}");
    assert_eq!(world.tries_command(Actor::System, Apply::Person(ada).into()), "");
}

fn seal(size: u64, key: bool) -> Seal {
    let secret = SecretRef { id: SecretId(uuid::Uuid::from_u128(9)), version: 1 };
    let new_key = key.then(|| (secret, "pbx.test/b+00000000+AQ==".into()));
    Seal { size, root: Root([1; 32]), checkpoint: "…".into(), new_key, replaces: None }
}

#[test]
fn the_first_seal_makes_the_key_and_seals_only_go_forward() {
    let mut world = World::with_ada();
    let end = world.exchange.position.0;
    let mut tries = |seal: Seal| world.tries_command(CONSOLE, seal.into());
    assert_eq!(tries(seal(end, false)), "SEAL_OVERTAKEN", "no key yet");
    assert_eq!(tries(seal(end + 1, true)), "SEAL_OVERTAKEN", "behind the end of the book");
    assert_eq!(tries(seal(end, true)), "SealingKeyMade BookSealed");
    assert_eq!(tries(seal(end, false)), "SEAL_OVERTAKEN", "sealed already");
    assert_eq!(tries(seal(end + 2, true)), "SEAL_OVERTAKEN", "there is a key");
    assert_eq!(tries(seal(end + 2, false)), "BookSealed");
    let seals = &world.exchange.seals;
    assert_eq!(seals.last.unwrap().value.size, end + 2);
    assert_eq!(seals.key.as_ref().unwrap().value.verifier, "pbx.test/b+00000000+AQ==");
}

#[test]
fn a_key_hands_over_only_if_it_is_the_one_in_force() {
    let mut world = World::with_ada();
    let end = world.exchange.position.0;
    world.tries_command(CONSOLE, seal(end, true).into());
    let made = world.exchange.seals.key.as_ref().unwrap().at;
    let new = Some((
        SecretRef { id: SecretId(uuid::Uuid::from_u128(10)), version: 1 },
        "pbx.test/b+00000001+AQ==".into(),
    ));
    let hands_over = |size, replaces| Seal { new_key: new.clone(), replaces, ..seal(size, false) };
    let before = made.0.checked_sub(1).map(switchbook_core::position::Position);
    assert_eq!(world.tries_command(CONSOLE, hands_over(end + 2, before).into()), "SEAL_OVERTAKEN");
    assert_eq!(world.tries_command(CONSOLE, hands_over(end + 2, None).into()), "SEAL_OVERTAKEN");
    let handed = world.obey(CONSOLE, hands_over(end + 2, Some(made)).into()).unwrap();
    let switchbook_core::event::Event::BookSealed(sealed) = &handed.events[1] else { panic!() };
    assert_eq!(sealed.key, made, "it names the key that hands over");
    let now = world.exchange.seals.key.as_ref().unwrap();
    assert_eq!(now.value.verifier, "pbx.test/b+00000001+AQ==");
    let next = world.exchange.position.0;
    assert_eq!(world.tries_command(CONSOLE, hands_over(next, Some(made)).into()), "SEAL_OVERTAKEN");
}
