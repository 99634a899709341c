//! The administrator at work: he asks, is answered, and asks again where he was not.

use crate::office::{self, Asked, Outcome, Waiting};
use crate::world::{Event, Held, World};
use std::time::Duration;
use switchbook_commands::RefusalCode;
use switchbook_commands::desk::{Answer, Bulk};
use switchbook_core::event::Event as Recordable;
use switchbook_sip_adapter::endpoint::{Command, Input};

impl World {
    pub fn administrator_acts(&mut self) {
        if self.calm {
            return;
        }
        let after = self.chance.office.millis(500, 6000);
        self.later(after, Event::Office);
        let Some(life) = &self.life else { return };
        if self.waiting.len() >= 3 {
            return;
        }
        let serial = self.serial;
        let office = &mut self.chance.office;
        let kind = office.below(20);
        let (phone, new) = (office.below(self.phones.len() as u64) as usize, office.next() % 1000);
        let idea = office::idea(office, life, serial);
        let users = &life.interior.desk.published().exchange.users;
        let name =
            |user: &switchbook_core::user::User| user.username.value.known().map(str::to_owned);
        let eve = users.values().filter_map(|user| name(user)).find(|name| name.starts_with('u'));
        let (mut words, mut password) = (idea, None);
        let asked = match (kind, eve) {
            (0, _) => {
                words = "seal".into();
                Asked::Seal
            }
            (1, _) => {
                let user = |n: u64| {
                    let json = format!(
                        r#"{{"command":"user.add","username":"u{n}","display_name":"U","numbers":["{}"]}}"#,
                        50_000 + n
                    );
                    office::command(&json)
                };
                words = format!("apply of u{serial} and u{}", serial + 1);
                let commands = vec![user(serial), user(serial + 1)];
                let (id, on_behalf_of) = (self.command_id(), None);
                Asked::Many(Bulk { id, actor: office::CONSOLE, on_behalf_of, commands })
            }
            (2, Some(eve)) => {
                words = format!(
                    r#"{{"command":"person.erase","user":"{eve}","confirm":true,"force":true}}"#
                );
                Asked::Erase(self.order(office::command(&words)).into())
            }
            (3, Some(eve)) => {
                words = format!(
                    r#"{{"command":"user.delete","user":"{eve}","confirm":true,"force":true}}"#
                );
                Asked::One(self.order(office::command(&words)).into())
            }
            (4 | 5, _) => {
                let name = self.phones[phone].name;
                let new = format!("secret-{name}-{new}");
                words = format!(
                    r#"{{"command":"device.password","device":"{name}","password":"{new}"}}"#
                );
                password = Some((phone, new));
                Asked::One(self.order(office::command(&words)).into())
            }
            _ => Asked::One(self.order(office::command(&words)).into()),
        };
        // One new password at a time: the last that is answered is the one in force.
        let queued = |event: &Event| matches!(event, Event::Repeat(.., Some(_)));
        let open = self.waiting.iter().any(|waiting| waiting.password.is_some());
        if password.is_some() && (open || self.queue.values().any(queued)) {
            return;
        }
        self.asks(asked, words, password);
    }

    pub fn asks(&mut self, asked: Asked, words: String, password: Option<(usize, String)>) {
        if self.life.is_none() {
            return self.later(Duration::from_secs(5), Event::Repeat(asked, words, password));
        }
        self.note(&format!("administrator: {words}"));
        let Some(life) = &self.life else { return };
        let task = office::ask(life, asked.clone());
        self.waiting.push(Waiting { asked, words, password, task });
        self.pass_on();
    }

    /// What tasks of the administrator's have put into the Desk's queue reaches the disk.
    pub fn pass_on(&mut self) {
        if let Some(life) = &self.life {
            self.now = self.now.max(life.now());
        }
        self.sent(Vec::new());
    }

    pub fn answered(&mut self) -> Held {
        self.pass_on();
        while let Some(place) = self.waiting.iter().position(|waiting| waiting.task.is_finished()) {
            let Waiting { asked, words, password, task } = self.waiting.remove(place);
            let Some(life) = &self.life else { return Ok(()) };
            let outcome = life.outcome(task)?;
            self.told(asked, words, password, outcome)?;
        }
        Ok(())
    }

    pub fn told(
        &mut self,
        asked: Asked,
        words: String,
        password: Option<(usize, String)>,
        outcome: Outcome,
    ) -> Held {
        let answer = match outcome {
            Outcome::Refused(error) => {
                self.note(&format!("refused: {error}"));
                let again = match error.code() {
                    Some(RefusalCode::CommandIdInvalid | RefusalCode::CommandTooOld) => {
                        Some(self.renewed(asked))
                    }
                    Some(
                        RefusalCode::OutcomeUnknown
                        | RefusalCode::BookReadOnly
                        | RefusalCode::SecretsUnavailable,
                    )
                    | None => Some(asked),
                    Some(_) => None,
                };
                if let Some(asked) = again {
                    self.later(Duration::from_secs(3), Event::Repeat(asked, words, password));
                }
                return Ok(());
            }
            Outcome::Failed(why) => {
                self.note(&format!("failed: {why}"));
                if matches!(asked, Asked::Erase(_)) {
                    self.later(Duration::from_secs(3), Event::Repeat(asked, words, password));
                }
                return Ok(());
            }
            Outcome::Sealed(at) => {
                self.note(&format!("sealed at {at}"));
                return Ok(());
            }
            Outcome::Erased(answer) => {
                self.acknowledged.erased.extend(office::erased(&answer));
                answer
            }
            Outcome::Done(answer) => answer,
        };
        self.same_answer(&asked, &words, &answer)?;
        if !self.calm && self.chance.office.chance(10) {
            // His line broke before he read it: he asks again under the same id.
            self.note(&format!("done, and not heard of: {words}"));
            let after = self.chance.office.millis(1000, 20_000);
            self.later(after, Event::Repeat(asked, words, password));
            return Ok(());
        }
        self.tally.acknowledged += 1;
        self.note(&format!("done: {words}, {:?}", answer.positions()));
        for recorded in answer.records.iter() {
            if let Recordable::HangUpOrdered(ordered) = &recorded.event {
                let position = recorded.envelope.position;
                self.server(Input::Command(Command::HangUp(ordered.call, position)));
            }
        }
        self.acknowledged.records.extend(answer.records.iter().cloned());
        if let Some((phone, password)) = password {
            // Provisioned anew: it starts again with it.
            self.phones[phone].password = password;
            if self.phones[phone].ua.is_some() {
                self.phones[phone].unplug();
                self.plug_in(phone);
            }
        }
        Ok(())
    }

    /// What is asked again is answered as before, also by another life of the server; and of commands of one shape the
    /// book tells as much each time.
    fn same_answer(&mut self, asked: &Asked, words: &str, answer: &Answer) -> Held {
        let positions = answer.positions();
        let Some(id) = asked.id() else { return Ok(()) };
        if let Some(first) = self.answers.insert(id, positions)
            // What changed nothing leaves nothing: after a restart it may change something.
            && first.is_some()
            && first != positions
        {
            return Err(format!("{words}: answered {first:?} and then {positions:?}"));
        }
        let shapes = [r#""devices":["#, "apply of "];
        if let Some(shape) = shapes.iter().position(|shape| words.contains(shape)) {
            let events = answer.records.len();
            let usual = *self.events_of_shape[shape].get_or_insert(events);
            if usual != events {
                return Err(format!("{words}: {events} events, and {usual} of others alike"));
            }
        }
        Ok(())
    }

    /// The same under a new id: the old one is too old for the server's clock, or of a time to come.
    pub fn renewed(&self, asked: Asked) -> Asked {
        let id = self.command_id();
        match asked {
            Asked::One(mut order) => {
                order.id = id;
                Asked::One(order)
            }
            Asked::Erase(mut order) => {
                order.id = id;
                Asked::Erase(order)
            }
            Asked::Many(bulk) => Asked::Many(Bulk { id, ..bulk }),
            Asked::Seal => Asked::Seal,
        }
    }
}
