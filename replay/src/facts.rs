//! An object's facts as field, value and the event that set it: what two states are compared by.

use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use switchbook_core::device::FollowMe;
use switchbook_core::envelope::Subject;
use switchbook_core::exchange::Exchange;
use switchbook_core::fact::Fact;
use switchbook_core::forwarding::Reach;
use switchbook_core::position::Position;
use switchbook_core::settings::DigestPolicy;
use switchbook_core::user::Language;
use switchbook_projections::names::Naming;
use switchbook_projections::numbers::busy_word;
use switchbook_projections::text;
use switchbook_projections::text::Text;
use switchbook_projections::{schedules, sentence};

/// By the English name, which is the one that programs read.
pub(crate) type Facts = BTreeMap<String, Said>;

/// A fact: its name, its value and, where the state keeps it, the event that set it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    pub(crate) name: Text,
    pub(crate) value: Text,
    pub(crate) at: Option<Position>,
}

/// For programs: the English text alone.
pub(crate) fn english<S: Serializer>(text: &Text, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&text.en)
}

/// The same of a value that may not be there.
pub(crate) fn english_if<S: Serializer>(text: &Option<Text>, to: S) -> Result<S::Ok, S::Error> {
    text.as_ref().map(|text| &text.en).serialize(to)
}

/// A value for people; a dash for none.
pub(crate) fn value(of: Option<&Text>, language: Language) -> &str {
    of.map_or("–", |text| text.read(language))
}

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

fn same(value: impl ToString) -> Text {
    Text::same(value.to_string())
}

fn switched(on: Fact<bool>) -> Fact<Text> {
    Fact::new(if on.value { text!("true", "an") } else { text!("false", "aus") }, on.at)
}

/// English as it ever was for programs: the name in the code.
fn coded(value: impl std::fmt::Debug, de: &str) -> Text {
    Text { en: format!("{value:?}"), de: de.into() }
}

fn version(secret: u32) -> Text {
    text!("version {secret}", "Version {secret}")
}

struct List {
    facts: Facts,
}

impl List {
    fn set(&mut self, name: Text, value: Text, at: Option<Position>) {
        self.facts.insert(name.en.clone(), Said { name, value, at });
    }

    /// A value that is the same in every language.
    fn fact<T: ToString>(&mut self, name: Text, fact: Option<&Fact<T>>) {
        if let Some(fact) = fact {
            self.set(name, Text::same(fact.value.to_string()), Some(fact.at));
        }
    }

    fn user(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::User(id) = subject else { return None };
        let user = exchange.users.get(&id)?;
        self.fact(text!("log-in name", "Anmeldename"), Some(&user.username));
        self.fact(text!("display name", "Anzeigename"), Some(&user.display_name));
        self.fact(text!("e-mail", "E-Mail"), user.email.as_deref());
        self.fact(text!("mobile", "Mobilnummer"), user.mobile.as_deref());
        self.fact(text!("time zone", "Zeitzone"), user.time_zone.as_ref());
        if let Some(dnd) = user.do_not_disturb.map(switched) {
            self.set(text!("do not disturb", "Ruhe vor dem Telefon"), dnd.value, Some(dnd.at));
        }
        self.fact(text!("shown number", "angezeigte Rufnummer"), user.caller_id.as_ref());
        if let Some(language) = user.language {
            let told = match language.value {
                Language::English => coded(language.value, "Englisch"),
                Language::German => coded(language.value, "Deutsch"),
            };
            self.set(text!("language", "Sprache"), told, Some(language.at));
        }
        let password = text!("password", "Kennwort");
        for (name, secret) in [(password, user.password), (text!("PIN", "PIN"), user.pin)] {
            if let Some(secret) = secret {
                self.set(name, version(secret.value.version), Some(secret.at));
            }
        }
        for entry in &user.follow_me {
            let FollowMe { device, origin, enabled, wait, ring } = entry.value;
            let (device, german) = (names.device(device), sentence::origin(origin).de);
            let name = text!(
                "rings at {device} for {origin} calls",
                "klingelt an {device} bei Rufen: {german}"
            );
            let value = match enabled {
                true => text!("wait {wait}, ring {ring}", "wartet {wait}, klingelt {ring}"),
                false => text!("off", "aus"),
            };
            self.set(name, value, Some(entry.at));
        }
        Some(())
    }

    fn number(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::Number(number) = subject else { return None };
        let state = exchange.numbers.get(&number)?;
        let owner = same(names.user(state.owner.value));
        self.set(text!("owner", "Besitzer"), owner, Some(state.owner.at));
        for tick in &state.slots {
            let slot = names.slot(tick.value);
            let name = text!("tick {slot}", "Haken {slot}");
            self.set(name, text!("set", "gesetzt"), Some(tick.at));
        }
        let waiting = switched(state.call_waiting);
        self.set(text!("call waiting", "Anklopfen"), waiting.value, Some(waiting.at));
        let busy = state.busy_if_any;
        let scope = coded(busy.value, &busy_word(busy.value).de);
        self.set(text!("busy-if-any", "Sammelbesetzt"), scope, Some(busy.at));
        if let Some(choice) = state.manual {
            let profile = choice.value.profile.map(|profile| same(names.profile(profile)));
            let Text { en, de } = profile.unwrap_or_else(|| text!("no profile", "kein Profil"));
            let reach = choice.value.reach;
            let german = match reach {
                Reach::UnderSchedules => "Zeitsteuerungen gehen vor".to_owned(),
                Reach::UntilWindowEnds(until) => format!("gegen Zeitsteuerungen bis {until}"),
                Reach::UntilFurtherNotice => "gegen Zeitsteuerungen bis auf weiteres".to_owned(),
            };
            let value = text!("{en}, {reach:?}", "{de}, {german}");
            self.set(text!("profile set by hand", "Profil von Hand"), value, Some(choice.at));
        }
        Some(())
    }

    fn slot(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::Slot(id) = subject else { return None };
        let slot = exchange.slots.get(&id)?;
        self.set(text!("type", "Typ"), same(slot.device_type), Some(slot.at));
        if let Some(device) = slot.device {
            let name = same(names.device(device.value));
            self.set(text!("logged in at", "angemeldet an"), name, Some(device.at));
        }
        self.fact(
            text!("number for outgoing calls", "Rufnummer für abgehende Rufe"),
            slot.selected.as_ref(),
        );
        Some(())
    }

    fn device(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::Device(id) = subject else { return None };
        let device = exchange.devices.get(&id)?;
        self.set(text!("name", "Name"), same(&device.name), Some(device.at));
        self.set(text!("type", "Typ"), same(device.device_type), Some(device.at));
        if let Some(mac) = &device.mac {
            self.set(text!("mac", "MAC"), same(mac), Some(device.at));
        }
        if let Some(number) = device.service_number {
            self.set(text!("service number", "Servicenummer"), same(number), Some(device.at));
        }
        if let Some(secret) = device.credential {
            let version = version(secret.value.version);
            self.set(text!("password", "Kennwort"), version, Some(secret.at));
        }
        if let Some(slot) = device.login {
            self.set(text!("logged in", "angemeldet"), same(names.slot(slot.value)), Some(slot.at));
        }
        let entry = exchange.registrations.get(&id);
        for (binding, at) in entry.map(|entry| entry.bindings.as_slice()).unwrap_or_default() {
            let number = binding.binding.0;
            let name = text!("binding {number}", "Bindung {number}");
            self.set(name, same(format!("{}, {}", binding.contact, binding.granted)), Some(*at));
        }
        Some(())
    }

    fn group(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::Group(id) = subject else { return None };
        let group = exchange.groups.get(&id)?;
        self.set(text!("name", "Name"), same(&group.name), Some(group.at));
        self.set(text!("kind", "Art"), same(group.kind.word()), Some(group.at));
        self.set(text!("title", "Titel"), same(&group.title), None);
        self.fact(text!("time zone", "Zeitzone"), group.time_zone.as_ref());
        let users = group.users.iter().map(|user| (names.user(user.value), user.at));
        let devices = group.devices.iter().map(|device| (names.device(device.value), device.at));
        for (member, at) in users.chain(devices) {
            let name = text!("member {member}", "Mitglied {member}");
            self.set(name, text!("in", "dabei"), Some(at));
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
                self.set(text!("owner", "Besitzer"), same(names.user(profile.owner)), None);
                self.fact(text!("name", "Name"), Some(&profile.name));
                for rule in &profile.rules.value {
                    let told = sentence::rule(rule);
                    let (en, to) = told.en.split_once(" → ").unwrap_or((&told.en, ""));
                    let (de, nach) = told.de.split_once(" → ").unwrap_or((&told.de, ""));
                    self.set(
                        text!("{en}", "{de}"),
                        text!("{to}", "{nach}"),
                        Some(profile.rules.at),
                    );
                }
                Some(())
            }
            Subject::Schedule(id) => {
                let entry = exchange.schedules.get(&id)?;
                let (profile, at) = (same(names.profile(entry.profile)), Some(entry.at));
                self.set(text!("number", "Rufnummer"), same(entry.number), at);
                self.set(text!("profile", "Profil"), profile, at);
                self.set(text!("when", "wann"), schedules::pattern(&entry.pattern), at);
                self.set(text!("priority", "Vorrang"), same(entry.priority.0), at);
                Some(())
            }
            _ => None,
        }
    }

    fn trunk(&mut self, exchange: &Exchange, subject: Subject) -> Option<()> {
        let Subject::Trunk(id) = subject else { return None };
        let trunk = exchange.trunks.get(&id)?;
        let at = Some(trunk.at);
        self.set(text!("name", "Name"), same(&trunk.name), at);
        self.set(text!("peer", "Gegenstelle"), same(trunk.peer), at);
        self.set(text!("prefix", "Amtsholung"), same(&trunk.outbound_prefix), at);
        let base = trunk.base_number.as_ref().map(same);
        let base = base.unwrap_or_else(|| text!("withheld", "unterdrückt"));
        self.set(text!("base number", "Stammnummer"), base, at);
        for rule in &trunk.inbound {
            let dialled = &rule.value.dialled;
            let name = text!("inbound {dialled}", "ankommend {dialled}");
            self.set(name, same(rule.value.number), Some(rule.at));
        }
        Some(())
    }

    fn call(&mut self, exchange: &Exchange, subject: Subject, names: &dyn Naming) -> Option<()> {
        let Subject::Call(id) = subject else { return None };
        let call = exchange.open_calls.get(&id)?;
        self.set(text!("in progress", "im Gange"), text!("yes", "ja"), Some(call.placed));
        if let Some(answer) = call.answered {
            let device = answer.value.map(|device| same(names.device(device)));
            let by = device.unwrap_or_else(|| text!("outside", "außen"));
            self.set(text!("answered", "angenommen"), by, Some(answer.at));
        }
        Some(())
    }

    fn exchange(&mut self, exchange: &Exchange, names: &dyn Naming) -> Option<()> {
        let settings = exchange.settings.as_ref()?;
        self.fact(text!("realm", "Realm"), Some(&settings.realm));
        self.fact(text!("time zone", "Zeitzone"), Some(&settings.time_zone));
        let digest = settings.digest;
        let offered = match digest.value {
            DigestPolicy::Md5ThenSha256 => coded(digest.value, "MD5, dann SHA-256"),
            DigestPolicy::Sha256Only => coded(digest.value, "nur SHA-256"),
        };
        self.set(text!("digest", "Digest"), offered, Some(digest.at));
        for block in &settings.blocked_targets {
            let target = block.value;
            let name = text!("blocked target {target}", "gesperrtes Ziel {target}");
            self.set(name, text!("blocked", "gesperrt"), Some(block.at));
        }
        for (grant, at) in &exchange.permissions {
            let target = grant.target.map(|target| names.group(target));
            let (group, right) = (names.group(grant.subject), grant.permission);
            let name = match target {
                Some(on) => {
                    text!("{right} on {on} of group {group}", "{right} auf {on} der Gruppe {group}")
                }
                None => text!("{right} of group {group}", "{right} der Gruppe {group}"),
            };
            self.set(name, text!("granted", "erteilt"), Some(*at));
        }
        Some(())
    }
}
