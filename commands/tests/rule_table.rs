//! `decide` against a plain second statement of the rules of log-in and matrix (behaviour.md 2.2, 2.3).
#![allow(missing_docs, clippy::unwrap_used)]

mod world;

use proptest::prelude::*;
use std::collections::BTreeMap;
use switchbook_core::id::UserId;
use world::*;

const USERS: [&str; 2] = ["ada", "bob"];
const PHONES: [&str; 3] = ["q1", "q2", "q3"];

/// The world as a table: who is where, which numbers each slot has, who may roam, who is in a call.
#[derive(Clone, Debug, PartialEq, Default)]
struct Plain {
    /// Phone → user (each user has one slot).
    at: BTreeMap<usize, usize>,
    /// Ticks of each user's slot.
    ticks: [[bool; 2]; 2],
    roams: bool,
    in_call: [bool; 3],
}

#[derive(Clone, Debug)]
enum Step {
    PhoneLogIn { user: usize, phone: usize },
    PhoneLogOut { phone: usize },
    AdminLogOut { phone: usize, force: bool },
    Tick { user: usize, number: usize },
    Untick { user: usize, number: usize, admin: bool },
    Swap { user: usize, off: usize },
    Roaming { on: bool },
    Call { phone: usize, on: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let (user, phone, number) = (0..2usize, 0..3usize, 0..2usize);
    prop_oneof![
        3 => (user.clone(), phone.clone()).prop_map(|(user, phone)| Step::PhoneLogIn { user, phone }),
        2 => phone.clone().prop_map(|phone| Step::PhoneLogOut { phone }),
        1 => (phone.clone(), any::<bool>()).prop_map(|(phone, force)| Step::AdminLogOut { phone, force }),
        2 => (user.clone(), number.clone()).prop_map(|(user, number)| Step::Tick { user, number }),
        3 => (user.clone(), number.clone(), any::<bool>())
            .prop_map(|(user, number, admin)| Step::Untick { user, number, admin }),
        1 => (user, number).prop_map(|(user, off)| Step::Swap { user, off }),
        1 => any::<bool>().prop_map(|on| Step::Roaming { on }),
        1 => (phone, any::<bool>()).prop_map(|(phone, on)| Step::Call { phone, on }),
    ]
}

impl Plain {
    fn phone_of(&self, user: usize) -> Option<usize> {
        self.at.iter().find(|(_, who)| **who == user).map(|(phone, _)| *phone)
    }

    /// What the rules say: the code of a refusal, or the table afterwards.
    fn says(&self, step: &Step) -> Result<Plain, &'static str> {
        let mut after = self.clone();
        match *step {
            Step::PhoneLogIn { user, phone } => {
                if self.at.get(&phone) == Some(&user) {
                    return Ok(after);
                }
                let (holder, old) = (self.at.get(&phone), self.phone_of(user));
                if holder.is_some() && !self.roams {
                    return Err("DEVICE_HELD"); // RO-11
                }
                if old.is_some() && !self.roams {
                    return Err("SLOT_OCCUPIED"); // RO-2
                }
                let busy = |phone: usize| self.in_call[phone];
                if holder.is_some() && busy(phone) || old.is_some_and(busy) {
                    return Err("IN_CALL"); // RO-14
                }
                after.at.retain(|_, who| *who != user);
                after.at.insert(phone, user);
            }
            Step::PhoneLogOut { phone } => {
                if !self.at.contains_key(&phone) {
                    return Err("NOBODY_LOGGED_IN");
                }
                if !self.roams {
                    return Err("ROAMING_DENIED"); // RO-3
                }
                if self.in_call[phone] {
                    return Err("IN_CALL");
                }
                after.at.remove(&phone);
            }
            Step::AdminLogOut { phone, force } => {
                if !self.at.contains_key(&phone) {
                    return Err("NOBODY_LOGGED_IN");
                }
                if self.in_call[phone] && !force {
                    return Err("IN_CALL");
                }
                after.at.remove(&phone); // RO-6
            }
            Step::Tick { user, number } => after.ticks[user][number] = true,
            Step::Untick { user, number, admin } => {
                let last = self.ticks[user][number] && !self.ticks[user][1 - number];
                if last {
                    if !admin && !self.roams {
                        return Err("LAST_NUMBER_ON_SLOT"); // N-5, N-7, RO-4
                    }
                    if let Some(phone) = self.phone_of(user) {
                        if self.in_call[phone] {
                            return Err("IN_CALL");
                        }
                        after.at.remove(&phone);
                    }
                }
                after.ticks[user][number] = false;
            }
            Step::Swap { user, off } => {
                if !self.ticks[user][off] {
                    return Err("NUMBER_NOT_ON_SLOT");
                }
                after.ticks[user][off] = false; // N-6
                after.ticks[user][1 - off] = true;
            }
            Step::Roaming { on } => after.roams = on, // RO-8: nobody moves
            Step::Call { phone, on } => after.in_call[phone] = on,
        }
        Ok(after)
    }
}

fn numbers(user: usize) -> [&'static str; 2] {
    [["100", "200"], ["300", "400"]][user]
}

fn world() -> World {
    let mut world = World::founded();
    for (user, name) in USERS.iter().enumerate() {
        let [one, two] = numbers(user);
        world.console(&format!(
            r#"{{"command":"user.add","username":"{name}","display_name":"U","numbers":["{one}","{two}"],
            "slots":["desk"],"tick":"none"}}"#
        ));
    }
    for phone in PHONES {
        world.console(&format!(r#"{{"command":"device.add","name":"{phone}","type":"desk"}}"#));
    }
    world
}

/// The table as the exchange has it.
fn seen(world: &World, plain: &Plain) -> Plain {
    let users: Vec<UserId> = USERS.iter().map(|name| world.user(name)).collect();
    let mut seen = Plain { roams: plain.roams, in_call: plain.in_call, ..Plain::default() };
    for (phone, name) in PHONES.iter().enumerate() {
        if let Some(slot) = world.exchange.devices[&world.device(name)].login {
            let owner = world.exchange.slots[&slot.value].user;
            seen.at.insert(phone, users.iter().position(|user| *user == owner).unwrap());
        }
    }
    for (user, name) in USERS.iter().enumerate() {
        let on = world.numbers_on(&format!("{name}/desk"));
        seen.ticks[user] = numbers(user).map(|number| on.contains(number));
    }
    seen
}

fn obey(world: &mut World, step: &Step) -> String {
    match *step {
        Step::PhoneLogIn { user, phone } => {
            let command = logs_in(world.user(USERS[user]), numbers(user)[0]);
            world.tries_command(world.phone(PHONES[phone]), command)
        }
        Step::PhoneLogOut { phone } => {
            world.tries(world.phone(PHONES[phone]), r#"{"command":"phone.log_out"}"#)
        }
        Step::AdminLogOut { phone, force } => {
            let json = format!(
                r#"{{"command":"device.log_out","device":"{}","force":{force}}}"#,
                PHONES[phone]
            );
            world.tries(CONSOLE, &json)
        }
        Step::Tick { user, number } | Step::Untick { user, number, .. } => {
            let verb = if matches!(step, Step::Tick { .. }) { "tick" } else { "untick" };
            let json = format!(
                r#"{{"command":"number.{verb}","number":"{}","slot":"{}/desk"}}"#,
                numbers(user)[number],
                USERS[user]
            );
            let admin = matches!(step, Step::Untick { admin: true, .. });
            let actor = if admin { CONSOLE } else { world.as_user(USERS[user]) };
            world.tries(actor, &json)
        }
        Step::Swap { user, off } => {
            let json = format!(
                r#"{{"command":"number.swap","slot":"{}/desk","off":"{}","on":"{}"}}"#,
                USERS[user],
                numbers(user)[off],
                numbers(user)[1 - off]
            );
            world.tries(world.as_user(USERS[user]), &json)
        }
        Step::Roaming { on } => {
            let verb = if on { "grant" } else { "withdraw" };
            let json = format!(
                r#"{{"command":"permission.{verb}","group":"users","permission":"roaming","on":"hosts"}}"#
            );
            world.tries(CONSOLE, &json);
            String::new()
        }
        Step::Call { phone, on } => {
            let device = world.device(PHONES[phone]);
            if on {
                world.calls.0.insert(device)
            } else {
                world.calls.0.remove(&device)
            };
            String::new()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn decisions_are_what_the_rule_table_says(steps in proptest::collection::vec(step(), 1..40)) {
        let (mut world, mut plain) = (world(), Plain { roams: true, ..Plain::default() });
        for step in &steps {
            let said = obey(&mut world, step);
            match plain.says(step) {
                Err(code) => prop_assert_eq!(&said, code, "{:?} in {:?}", step, plain),
                Ok(after) => {
                    let refused = said.bytes().any(|b| b == b'_');
                    prop_assert!(!refused, "{:?} in {:?} was refused: {}", step, plain, said);
                    plain = after;
                }
            }
            prop_assert_eq!(&seen(&world, &plain), &plain, "after {:?}", step);
        }
    }
}
