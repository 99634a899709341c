//! What must hold, looked at every second, at every start and at the end.

use crate::handset::{Stage, Told};
use crate::life::Life;
use crate::world::{Held, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use switchbook_core::call::OpenCall;
use switchbook_core::envelope::Recorded;
use switchbook_core::event::Event;
use switchbook_core::id::CallId;
use switchbook_core::personal::KeyId;
use switchbook_core::position::{Moment, Position};
use switchbook_projections::fold::Tables;
use switchbook_projections::registrar;

/// The longest that one phone may ring for one call: its ring time of 60 s, a CANCEL that needs all its repetitions.
const RINGS: Duration = Duration::from_secs(60 + 32 + 8);
/// The longest that a caller may be left without an answer: every hop of the longest way rings out.
const CALLS: Duration = Duration::from_secs(6 * 100);
/// So long a phone may have a call that its server has ended: whatever it was told needed all its repetitions.
const FORGOTTEN: Duration = Duration::from_secs(40);
/// A refresh is on disk after so long, at a beat of half a second.
const LEASE: Duration = Duration::from_millis(1100);

impl World {
    fn server_runs(&self) -> Held<&Life> {
        self.life.as_ref().ok_or_else(|| "the server is down".into())
    }

    /// Every second.
    pub fn check_now(&mut self) -> Held {
        let now = self.now;
        let Some(life) = &self.life else {
            self.empty_since = None;
            return Ok(());
        };
        if let Some(part) = life.broken() {
            return Err(format!("{part} ended by a fault"));
        }
        match life.endpoint.sessions() {
            0 => drop(self.empty_since.get_or_insert(now)),
            _ => self.empty_since = None,
        }
        for phone in &self.phones {
            let Some(call) = phone.call.filter(|call| call.life == self.lives) else { continue };
            let unknown = call.stage == Stage::Rings && !call.known;
            if unknown || !phone.ua.as_ref().is_some_and(|ua| ua.has_call()) {
                continue;
            }
            let (long, what) = match call.stage {
                Stage::Rings => (RINGS, "rings for ever"),
                Stage::Calls => (CALLS, "waits for an answer for ever"),
                Stage::Talks => (Duration::MAX, "talks"),
            };
            if now - call.since > long {
                return Err(format!("{} {what}: since {:?}", phone.name, call.since));
            }
            if self.empty_since.is_some_and(|since| now > since.max(call.since) + FORGOTTEN) {
                return Err(format!("{} has a call of which the server knows nothing", phone.name));
            }
        }
        Ok(())
    }

    /// After every start: what was acknowledged is in the book, and what phones were told is true.
    pub fn check_recovered(&mut self) -> Held {
        let records = self.read_book()?;
        for told in self.phones.iter_mut().filter_map(|phone| phone.told.as_mut()) {
            // A refresh that may not have reached the disk holds no longer than what was told before it.
            if told.at + LEASE > self.went_down {
                told.until = told.before.unwrap_or(told.until);
            }
        }
        let life = self.server_runs()?;
        for told in &self.acknowledged.records {
            let envelope = &told.envelope;
            let found = records.get(envelope.position.0 as usize - 1);
            let same = found.is_some_and(|found| {
                let found_in = &found.envelope;
                found_in.command == envelope.command
                    && found_in.moment == envelope.moment
                    && found_in.subjects == envelope.subjects
                    && found.event.tag() == told.event.tag()
            });
            if !same {
                return Err(format!("acknowledged and lost: {told:?}; there stands {found:?}"));
            }
        }
        let open = &life.interior.desk.published().exchange.open_calls;
        if !open.is_empty() {
            let of = |(call, open): (&CallId, &Arc<OpenCall>)| format!("{call} of {}", open.placed);
            return Err(format!(
                "calls are open: {}",
                open.iter().map(of).collect::<Vec<_>>().join(", ")
            ));
        }
        let vault = life.interior.store.vault();
        for user in &self.acknowledged.erased {
            if !vault.is_destroyed(KeyId::Person(*user)) {
                return Err(format!("the key of {user} is back, who was told that he is erased"));
            }
        }
        for phone in &self.phones {
            let Some(told) = &phone.told else { continue };
            let until = told.until;
            if told.jumps != self.tally.jumps || until <= self.now {
                continue;
            }
            if self.bound(phone.name, told)?.is_none() {
                return Err(format!("{} was told of {told:?} and is not registered", phone.name));
            }
        }
        Ok(())
    }

    /// Until when the registrar has what a phone was told.
    fn bound(&self, name: &str, told: &Told) -> Held<Option<Moment>> {
        let found = self.registered(name)?;
        Ok(found.into_iter().find(|(contact, _)| *contact == told.contact).map(|(_, until)| until))
    }

    fn registered(&self, name: &str) -> Held<Vec<(String, Moment)>> {
        let life = self.server_runs()?;
        let published = life.interior.desk.published();
        let (leases, now) = (&life.interior.leases, life.wall_clock());
        let (_, bound) = registrar::look_up(&published.exchange, name, leases, now)
            .ok_or_else(|| format!("no device is named {name}"))?;
        Ok(bound
            .iter()
            .map(|bound| (bound.binding.contact.to_string(), bound.expires_at))
            .collect())
    }

    /// How many bindings the book knows, whether their time is over or not.
    fn in_the_book(&self, name: &str) -> Held<usize> {
        let published = self.server_runs()?.interior.desk.published();
        let device = published.exchange.device_named(name).ok_or("no device of this name")?;
        Ok(published.exchange.registrations.get(&device).map_or(0, |found| found.bindings.len()))
    }

    fn read_book(&mut self) -> Held<Vec<Recorded>> {
        let life = self.life.as_mut().ok_or("the server is down")?;
        let book = life.interior.desk.book();
        let read = life.finish(async move { book.read(Position(1), usize::MAX).await });
        let records = read.map_err(|error| format!("the book cannot be read: {error}"))?;
        self.now = self.now.max(life.now());
        let gap = records.iter().zip(1..).find(|(record, at)| record.envelope.position.0 != *at);
        match gap {
            Some((record, at)) => Err(format!("at {at} stands {record:?}")),
            None => Ok(records),
        }
    }

    /// After a long quiet time.
    pub fn check_end(&mut self) -> Held {
        self.check_now()?;
        self.nothing_is_left()?;
        self.check_recovered()?;
        if !self.waiting.is_empty() {
            let words: Vec<_> = self.waiting.iter().map(|waiting| &waiting.words).collect();
            return Err(format!("never answered: {words:?}"));
        }
        let records = self.read_book()?;
        calls_end(&records)?;
        commands_are_whole(&records)?;
        self.count(&records);
        self.registrar_is_what_phones_were_told()?;
        self.tables_are_a_fold(&records)
    }

    fn count(&mut self, records: &[Recorded]) {
        let of = |wanted: fn(&Event) -> bool| {
            records.iter().filter(|recorded| wanted(&recorded.event)).count() as u64
        };
        self.tally.events = records.len() as u64;
        self.tally.calls = of(|event| matches!(event, Event::CallPlaced(_)));
        self.tally.answered = of(|event| matches!(event, Event::CallAnswered(_)));
        self.tally.lost = of(|event| matches!(event, Event::CallLost(_)));
    }

    fn registrar_is_what_phones_were_told(&self) -> Held {
        let now = self.server_runs()?.wall_clock();
        for phone in &self.phones {
            let told = phone.told.as_ref();
            if phone.wants > 0 && told.is_none() {
                return Err(format!("{} wants to be registered and never is", phone.name));
            }
            let has = self.registered(phone.name)?;
            let bound = self.in_the_book(phone.name)?;
            if bound != has.len() {
                return Err(format!("{} has {bound} bindings, of which {has:?} live", phone.name));
            }
            let told: Vec<_> = told.into_iter().collect();
            for told in &told {
                // A refresh may have been granted whose answer is still on its way.
                let from = self.wall.at(told.until).plus_seconds(-3);
                let to = now.plus_seconds(i64::from(told.granted) + 3);
                let near = |end: &Moment| (from..=to).contains(end);
                if !has.iter().any(|(contact, end)| *contact == told.contact && near(end)) {
                    return Err(format!("{} was told {told:?}; registered is {has:?}", phone.name));
                }
            }
            let strange =
                |(contact, _): &&(String, Moment)| told.iter().all(|told| told.contact != *contact);
            if let Some((contact, end)) = has.iter().find(strange) {
                return Err(format!(
                    "{} is registered at {contact} until {end}, and gave that up",
                    phone.name
                ));
            }
        }
        Ok(())
    }

    fn nothing_is_left(&self) -> Held {
        let life = self.server_runs()?;
        if life.endpoint.sessions() > 0 {
            return Err(format!("{} sessions are left", life.endpoint.sessions()));
        }
        for phone in &self.phones {
            if phone.ua.as_ref().is_some_and(|ua| ua.has_call()) {
                return Err(format!("{} still has a call: {:?}", phone.name, phone.call));
            }
        }
        Ok(())
    }

    /// Once every phone is silent.
    pub fn check_idle(&self) -> Held {
        let life = self.server_runs()?;
        if !life.endpoint.is_idle() {
            return Err("something of a call or a request is left".into());
        }
        match life.wants_disk() {
            true => Err("something waits for the disk".into()),
            false => Ok(()),
        }
    }

    /// The tables that are served, and the Desk's own state, are those of a fold from the first record.
    fn tables_are_a_fold(&self, records: &[Recorded]) -> Held {
        let life = self.server_runs()?;
        let mut folded = Tables::default();
        records.iter().for_each(|recorded| folded.apply(recorded));
        let served = life.interior.readers.now();
        if served.exchange != folded.exchange {
            return Err("the exchange that is served is not what the book folds to".into());
        }
        if served.names != folded.names {
            return Err("the names that are served are not what the book folds to".into());
        }
        if served.calls != folded.calls {
            return Err("the call log that is served is not what the book folds to".into());
        }
        if life.interior.desk.published().position != folded.position() {
            return Err("the Desk is not at the end of the book".into());
        }
        Ok(())
    }
}

/// Every call in the book has one end, behind its beginning.
fn calls_end(records: &[Recorded]) -> Held {
    let mut open = BTreeMap::new();
    for recorded in records {
        let position = recorded.envelope.position;
        match &recorded.event {
            Event::CallPlaced(placed) if open.insert(placed.call, position).is_some() => {
                return Err(format!("call {} is placed twice", placed.call));
            }
            Event::CallEnded(ended) if open.remove(&ended.call).is_none() => {
                return Err(format!("{position}: {} ends and was not open", ended.call));
            }
            Event::CallLost(lost) if open.remove(&lost.call).is_none() => {
                return Err(format!("{position}: {} is lost and was not open", lost.call));
            }
            _ => {}
        }
    }
    match open.iter().next() {
        Some((call, position)) => Err(format!("call {call} of {position} never ends")),
        None => Ok(()),
    }
}

/// No command stands in the book twice: a repeated one is answered from it.
fn commands_are_whole(records: &[Recorded]) -> Held {
    let mut over = BTreeSet::new();
    let mut last = None;
    for recorded in records {
        let command = recorded.envelope.command;
        if last != Some(command) {
            if over.contains(&command) {
                return Err(format!("command {command:?} stands in the book twice"));
            }
            over.extend(last.replace(command));
        }
    }
    Ok(())
}
