//! An object's facts as field, value and the event that set it: what two states are compared by.

use std::collections::BTreeMap;
use switchbook_core::device::FollowMe;
use switchbook_core::envelope::Subject;
use switchbook_core::exchange::Exchange;
use switchbook_core::fact::Fact;
use switchbook_core::position::Position;
use switchbook_projections::names::Naming;
use switchbook_projections::{schedules, sentence};

/// Field → value and, where the state keeps it, the event that set it.
pub(crate) type Facts = BTreeMap<String, (String, Option<Position>)>;

/// The facts of one object in a state; empty when it is not there.
pub(crate) fn facts(exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Facts {
    let mut list = List { facts: Facts::new() };
    let there = match subject {
        Subject::User(_) => list.user(exchange, subject, names),
        Subject::Number(_) => list.number(exchange, subject, names),
        Subject::Slot(_) => list.slot(exchange, subject, names),
        Subject::Device(_) => list.device(exchange, subject, names),
        Subject::Group(_) => list.group(exchange, subject, names),
        Subject::Profile(_) | Subject::Schedule(_) => list.forwarding(exchange, subject, names),
        Subject::Trunk(_) => list.trunk(exchange, subject),
        Subject::Call(_) => list.call(exchange, subject, names),
        Subject::Exchange => list.exchange(exchange, names),
    };
    if there.is_none() { Facts::new() } else { list.facts }
}

struct List {
    facts: Facts,
}

impl List {
    fn set(&mut self, field: impl Into<String>, value: impl ToString, at: Option<Position>) {
        self.facts.insert(field.into(), (value.to_string(), at));
    }

    fn fact<T: ToString>(&mut self, field: &str, fact: Option<&Fact<T>>) {
        if let Some(fact) = fact {
            self.set(field, fact.value.to_string(), Some(fact.at));
        }
    }

    fn user(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::User(id) = subject else { return None };
        let user = exchange.users.get(&id)?;
        self.fact("log-in name", Some(&user.username));
        self.fact("display name", Some(&user.display_name));
        self.fact("e-mail", user.email.as_deref());
        self.fact("mobile", user.mobile.as_deref());
        self.fact("time zone", user.time_zone.as_ref());
        self.fact("do not disturb", user.do_not_disturb.as_ref());
        self.fact("shown number", user.caller_id.as_ref());
        if let Some(language) = user.language {
            self.set("language", format!("{:?}", language.value), Some(language.at));
        }
        for (field, secret) in [("password", user.password), ("PIN", user.pin)] {
            if let Some(secret) = secret {
                self.set(field, format!("version {}", secret.value.version), Some(secret.at));
            }
        }
        for entry in &user.follow_me {
            let FollowMe { device, origin, enabled, wait, ring } = entry.value;
            let field = format!("rings at {} for {origin} calls", names.device(device));
            let value = if enabled { format!("wait {wait}, ring {ring}") } else { "off".into() };
            self.set(field, value, Some(entry.at));
        }
        Some(())
    }

    fn number(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::Number(number) = subject else { return None };
        let state = exchange.numbers.get(&number)?;
        self.set("owner", names.user(state.owner.value), Some(state.owner.at));
        for tick in &state.slots {
            self.set(format!("tick {}", names.slot(tick.value)), "set", Some(tick.at));
        }
        self.fact("call waiting", Some(&state.call_waiting));
        let busy = state.busy_if_any;
        self.set("busy-if-any", format!("{:?}", busy.value), Some(busy.at));
        if let Some(choice) = state.manual {
            let profile = choice.value.profile.map(|profile| names.profile(profile));
            let profile = profile.unwrap_or_else(|| "no profile".into());
            let value = format!("{profile}, {:?}", choice.value.reach);
            self.set("profile set by hand", value, Some(choice.at));
        }
        Some(())
    }

    fn slot(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::Slot(id) = subject else { return None };
        let slot = exchange.slots.get(&id)?;
        self.set("type", slot.device_type, Some(slot.at));
        if let Some(device) = slot.device {
            self.set("logged in at", names.device(device.value), Some(device.at));
        }
        self.fact("number for outgoing calls", slot.selected.as_ref());
        Some(())
    }

    fn device(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::Device(id) = subject else { return None };
        let device = exchange.devices.get(&id)?;
        self.set("name", &device.name, Some(device.at));
        self.set("type", device.device_type, Some(device.at));
        if let Some(mac) = &device.mac {
            self.set("mac", mac, Some(device.at));
        }
        if let Some(number) = device.service_number {
            self.set("service number", number, Some(device.at));
        }
        if let Some(secret) = device.credential {
            self.set("password", format!("version {}", secret.value.version), Some(secret.at));
        }
        if let Some(slot) = device.login {
            self.set("logged in", names.slot(slot.value), Some(slot.at));
        }
        let entry = exchange.registrations.get(&id);
        for (binding, at) in entry.map(|entry| entry.bindings.as_slice()).unwrap_or_default() {
            let field = format!("binding {}", binding.binding.0);
            self.set(field, format!("{}, {}", binding.contact, binding.granted), Some(*at));
        }
        Some(())
    }

    fn group(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::Group(id) = subject else { return None };
        let group = exchange.groups.get(&id)?;
        self.set("name", &group.name, Some(group.at));
        self.set("kind", group.kind.word(), Some(group.at));
        self.set("title", &group.title, None);
        self.fact("time zone", group.time_zone.as_ref());
        for user in &group.users {
            self.set(format!("member {}", names.user(user.value)), "in", Some(user.at));
        }
        for device in &group.devices {
            self.set(format!("member {}", names.device(device.value)), "in", Some(device.at));
        }
        Some(())
    }

    fn forwarding(
        &mut self,
        exchange: &Exchange,
        subject: Subject,
        names: &dyn Naming,
    ) -> Option<()> {
        match subject {
            Subject::Profile(id) => {
                let profile = exchange.profiles.get(&id)?;
                self.set("owner", names.user(profile.owner), None);
                self.fact("name", Some(&profile.name));
                for rule in &profile.rules.value {
                    let told = sentence::rule(rule).en;
                    let (cell, target) = told.split_once(" → ").unwrap_or((&told, ""));
                    self.set(cell, target, Some(profile.rules.at));
                }
                Some(())
            }
            Subject::Schedule(id) => {
                let entry = exchange.schedules.get(&id)?;
                self.set("number", entry.number, Some(entry.at));
                self.set("profile", names.profile(entry.profile), Some(entry.at));
                self.set("when", schedules::pattern(&entry.pattern), Some(entry.at));
                self.set("priority", entry.priority.0, Some(entry.at));
                Some(())
            }
            _ => None,
        }
    }

    fn trunk(&mut self, exchange: &Exchange, subject: Subject) -> Option<()> {
        let Subject::Trunk(id) = subject else { return None };
        let trunk = exchange.trunks.get(&id)?;
        self.set("name", &trunk.name, Some(trunk.at));
        self.set("peer", trunk.peer, Some(trunk.at));
        self.set("prefix", &trunk.outbound_prefix, Some(trunk.at));
        let base = trunk.base_number.clone().unwrap_or_else(|| "withheld".into());
        self.set("base number", base, Some(trunk.at));
        for rule in &trunk.inbound {
            let field = format!("inbound {}", rule.value.dialled);
            self.set(field, rule.value.number, Some(rule.at));
        }
        Some(())
    }

    fn call(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::Call(id) = subject else { return None };
        let call = exchange.open_calls.get(&id)?;
        self.set("in progress", "yes", Some(call.placed));
        if let Some(answer) = call.answered {
            let device = answer.value.map(|device| names.device(device));
            self.set("answered", device.unwrap_or_else(|| "outside".into()), Some(answer.at));
        }
        Some(())
    }

    fn exchange(&mut self, exchange: &Exchange, names: &dyn Naming) -> Option<()> {
        let settings = exchange.settings.as_ref()?;
        self.fact("realm", Some(&settings.realm));
        self.fact("time zone", Some(&settings.time_zone));
        let digest = settings.digest;
        self.set("digest", format!("{:?}", digest.value), Some(digest.at));
        for block in &settings.blocked_targets {
            self.set(format!("blocked target {}", block.value), "blocked", Some(block.at));
        }
        for (grant, at) in &exchange.permissions {
            let target = grant.target.map(|target| format!(" on {}", names.group(target)));
            let (group, right) = (names.group(grant.subject), grant.permission);
            let field = format!("{right}{} of group {group}", target.unwrap_or_default());
            self.set(field, "granted", Some(*at));
        }
        Some(())
    }
}
