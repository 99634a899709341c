//! What happens in a year, in which proportions, one thing after another.
//!
//! Of a hundred events: 56 of calls, 24 of registrations, 5 edges of schedules, 5 log-ins and log-outs, 3 choices of
//! profiles, 3 ticks, 2 refused attempts, 2 settings of users and numbers. The rest are names and addresses.

use super::pen::{From, Pen};
use super::people::{People, Person};
use super::{SECONDS, Year};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use switchbook_core::call::{
    CallAnswered, CallEnded, CallOutcome, CallPlaced, Caller, Dialled, ReleaseCause,
};
use switchbook_core::device::{DeviceLoggedIn, DeviceLoggedOut, FollowMe, FollowMeSet};
use switchbook_core::device::{LogoutReason, Origin};
use switchbook_core::envelope::{Actor, Subject};
use switchbook_core::event::Event;
use switchbook_core::forwarding::{ProfileActivated, ProfileDeactivated, Reach};
use switchbook_core::id::{CallId, DeviceId};
use switchbook_core::number::{CallWaitingSet, MatrixChanged};
use switchbook_core::outside::OutsideNumber;
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::{Moment, Position, Seconds};
use switchbook_core::refusal::AttemptRefused;
use switchbook_core::registration::{
    Binding, BindingId, PhoneRegistered, RegistrationChanged, RegistrationExpired,
    RegistrationRemoved,
};
use switchbook_core::schedule::{Edge, ScheduleFired};
use switchbook_core::user::{DoNotDisturbSet, UserRenamed};
use switchbook_journal::{AppendError, Leases};

/// Granted to every phone.
const GRANTED: Seconds = Seconds(3600);

/// What is to come of what has begun.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Then {
    Answer { call: CallId, callee: usize },
    End { call: CallId, callee: usize, answered: bool },
    Register { who: usize },
}

/// Where the year has come to.
pub(super) struct Mix {
    /// Between two things that begin, on average, in microseconds.
    pace: u64,
    ends: Moment,
    later: BinaryHeap<Reverse<(Moment, Then)>>,
}

impl Mix {
    pub(super) fn new(pen: &Pen, year: &Year) -> Self {
        // A thing that begins is 1.9 events in the end; a little time is left over.
        let things = (year.events.saturating_sub(pen.written()) * 11 / 20).max(1);
        let pace = (SECONDS as u64).saturating_sub(3600) * 1_000_000 / things;
        Self { pace, ends: year.ends, later: BinaryHeap::new() }
    }

    /// The next thing that happens: something begun before, or something new.
    pub(super) async fn go_on(
        &mut self,
        pen: &mut Pen,
        people: &mut People,
    ) -> Result<(), AppendError> {
        if self.later.peek().is_some_and(|Reverse((due, _))| *due <= pen.now)
            && let Some(Reverse((_, then))) = self.later.pop()
        {
            return self.then(pen, people, then).await;
        }
        let step = pen.dice.below(self.pace * 2);
        pen.now = Moment((pen.now.0 + step as i64).min(self.ends.0));
        let who = pen.dice.below(people.all.len() as u64) as usize;
        match pen.dice.below(100) {
            0..46 => self.call(pen, people, who).await,
            46..70 => self.registration(pen, people, who).await,
            70..79 => fired(pen, &people.all[who]).await,
            79..85 => log_in_or_out(pen, &mut people.all[who]).await,
            85..89 => forwarding(pen, &people.all[who]).await,
            89..94 => tick(pen, &mut people.all[who]).await,
            94..97 => refused(pen, &people.all[who]).await,
            _ => setting(pen, &people.all[who]).await,
        }
    }

    fn later(&mut self, pen: &mut Pen, seconds: u64, then: Then) {
        let span = pen.dice.below(seconds * 2_000_000) as i64;
        self.later.push(Reverse((Moment(pen.now.0 + span), then)));
    }

    async fn then(
        &mut self,
        pen: &mut Pen,
        people: &mut People,
        then: Then,
    ) -> Result<(), AppendError> {
        match then {
            Then::Answer { call, callee } => {
                let person = &people.all[callee];
                let (device, number) = (Some(person.device), Some(person.number));
                let answered = CallAnswered { call, device, number, answered_at: pen.now };
                pen.commit(From::SYSTEM, vec![answered.into()]).await?;
                self.later(pen, 180, Then::End { call, callee, answered: true });
                Ok(())
            }
            Then::End { call, callee, answered } => {
                let (outcome, cause) = match answered {
                    true => (CallOutcome::HungUpByCaller, ReleaseCause::NORMAL),
                    false => (CallOutcome::NoAnswer, ReleaseCause::NO_ANSWER),
                };
                let rang = vec![people.all[callee].device];
                let ended = CallEnded { call, outcome, ended_at: pen.now, cause, rang };
                pen.commit(From::SYSTEM, vec![ended.into()]).await.map(drop)
            }
            Then::Register { who } => register(pen, &mut people.all[who]).await,
        }
    }

    async fn call(
        &mut self,
        pen: &mut Pen,
        people: &People,
        who: usize,
    ) -> Result<(), AppendError> {
        let callee = pen.dice.below(people.all.len() as u64) as usize;
        let (caller, called) = (&people.all[who], &people.all[callee]);
        let call = CallId(pen.dice.id(pen.now));
        let (plan, facts) = called.plan.clone();
        let outside = pen.dice.percent(25);
        let number = format!("+4989{:07}", pen.dice.below(10_000_000));
        let number = OutsideNumber::new(pen.period(), &number);
        let (caller_is, origin, from) = match outside {
            true => (
                Caller::Trunk { trunk: people.trunk, number: Some(number) },
                Origin::External,
                From { source: Some("192.0.2.250:5060"), ..From::SYSTEM },
            ),
            false => (
                Caller::Device { device: caller.device, number: Some(caller.number) },
                Origin::Internal,
                by_phone(caller),
            ),
        };
        let placed = CallPlaced {
            call,
            caller: caller_is,
            dialled: Dialled::Inside(called.number),
            origin,
            facts,
            decided_on: Position(pen.written()),
            decided_for: pen.now,
            plan,
        };
        pen.commit(from, vec![placed.into()]).await?;
        match pen.dice.percent(80) {
            true => self.later(pen, 10, Then::Answer { call, callee }),
            false => self.later(pen, 40, Then::End { call, callee, answered: false }),
        }
        Ok(())
    }

    /// A phone that is not registered registers; one that is changes its address, says good-bye or is forgotten, and
    /// comes back.
    async fn registration(
        &mut self,
        pen: &mut Pen,
        people: &mut People,
        who: usize,
    ) -> Result<(), AppendError> {
        let person = &mut people.all[who];
        let Some((binding, cseq)) = person.bound else { return register(pen, person).await };
        if pen.dice.percent(40) {
            person.bound = Some((binding, cseq + 1));
            let [high, low] = (pen.dice.next() as u16).to_be_bytes();
            person.address = format!("10.2.{high}.{low}:5060");
            let (device, binding) = (person.device, bound(pen, person, binding, cseq + 1));
            let from = by_phone(person);
            let changed = RegistrationChanged { device, binding: binding.into() }.into();
            return pen.commit(from, vec![changed]).await.map(drop);
        }
        person.bound = None;
        let (device, binding) = (person.device, BindingId(binding));
        let (from, gone) = match pen.dice.percent(60) {
            true => (by_phone(person), Event::from(RegistrationRemoved { device, binding })),
            false => {
                let expired_at = pen.now;
                let expired = RegistrationExpired { device, binding, expired_at };
                (From::SYSTEM, Event::from(expired))
            }
        };
        pen.commit(from, vec![gone]).await?;
        self.later(pen, 600, Then::Register { who });
        Ok(())
    }

    /// Ends what was begun, and leaves everybody registered, with leases that hold for another hour.
    pub(super) async fn end(
        &mut self,
        pen: &mut Pen,
        people: &mut People,
        leases: &Leases,
    ) -> Result<(), AppendError> {
        while let Some(Reverse((_, then))) = self.later.pop() {
            self.then(pen, people, then).await?;
        }
        pen.now = self.ends;
        for person in &mut people.all {
            register(pen, person).await?;
        }
        // The last edge is recorded at the very end: a server that starts then has missed none.
        if let Some(person) = people.all.iter().find(|person| person.schedule.is_some()) {
            fired(pen, person).await?;
        }
        pen.finish().await?;
        for person in &people.all {
            let Some((binding, cseq)) = person.bound else { continue };
            let until = self.ends.plus_seconds(i64::from(GRANTED.0));
            leases.renew(person.device, BindingId(binding), until, cseq);
        }
        Ok(())
    }
}

fn by_phone(person: &Person) -> From<'static> {
    From { actor: Actor::Phone(person.device), source: Some("10.1.0.1:5060"), cause: None }
}

fn bound(pen: &Pen, person: &Person, binding: u32, cseq: u32) -> Binding {
    let key = pen.period();
    let source = &person.address;
    Binding {
        binding: BindingId(binding),
        contact: Personal::new(key, &format!("sip:{}@{source};transport=udp", person.number)),
        parameters: "".into(),
        instance: Some(format!("<urn:uuid:{}>", person.device).into()),
        source: Personal::new(key, source),
        behind_nat: false,
        granted: GRANTED,
        expires_at: pen.now.plus_seconds(i64::from(GRANTED.0)),
        call_id: u64::from(binding) << 32 | 7,
        cseq,
        user_agent: Some("Snom D785/10.1.169.15".into()),
    }
}

async fn register(pen: &mut Pen, person: &mut Person) -> Result<(), AppendError> {
    if person.bound.is_some() {
        return Ok(());
    }
    person.bindings += 1;
    person.bound = Some((person.bindings, 1));
    let (device, binding) = (person.device, bound(pen, person, person.bindings, 1));
    let from = by_phone(person);
    pen.commit(from, vec![PhoneRegistered { device, binding: binding.into() }.into()])
        .await
        .map(drop)
}

async fn fired(pen: &mut Pen, person: &Person) -> Result<(), AppendError> {
    let (Some(schedule), Some(profile)) = (person.schedule, person.profile) else { return Ok(()) };
    let fired = ScheduleFired {
        schedule,
        number: person.number,
        profile,
        edge: if pen.dice.percent(50) { Edge::Begins } else { Edge::Ends },
        due: pen.now,
        utc_offset: 3600,
        tz_data: "2025b".into(),
        late: false,
    };
    let from = From { actor: Actor::Schedule(schedule), ..From::SYSTEM };
    pen.commit(from, vec![fired.into()]).await.map(drop)
}

async fn log_in_or_out(pen: &mut Pen, person: &mut Person) -> Result<(), AppendError> {
    person.logged_in = !person.logged_in;
    let Person { user, slot, device, logged_in, .. } = *person;
    let event = match logged_in {
        true => Event::from(DeviceLoggedIn { user, slot, device }),
        false => DeviceLoggedOut { user, slot, device, reason: LogoutReason::User }.into(),
    };
    pen.commit(by_phone(person), vec![event]).await.map(drop)
}

async fn forwarding(pen: &mut Pen, person: &Person) -> Result<(), AppendError> {
    let (number, reach) = (person.number, Reach::UnderSchedules);
    let event = match person.profile.filter(|_| pen.dice.percent(50)) {
        Some(profile) => Event::from(ProfileActivated { number, profile, reach }),
        None => ProfileDeactivated { number, reach }.into(),
    };
    let from = From { actor: Actor::User(person.user), ..by_phone(person) };
    pen.commit(from, vec![event]).await.map(drop)
}

async fn tick(pen: &mut Pen, person: &mut Person) -> Result<(), AppendError> {
    let Some(slot) = person.second else { return Ok(()) };
    person.ticked = !person.ticked;
    let (user, number) = (person.user, person.number);
    let event = MatrixChanged { user, number, slot, on: person.ticked };
    let from = From { actor: Actor::Supervisor { uid: 1000 }, ..From::SYSTEM };
    pen.commit(from, vec![event.into()]).await.map(drop)
}

async fn refused(pen: &mut Pen, person: &Person) -> Result<(), AppendError> {
    let attempt = AttemptRefused {
        what: "device.log_out".into(),
        code: "ROAMING_DENIED".into(),
        about: vec![Subject::Device(person.device), Subject::User(person.user)],
        suppressed: 0,
    };
    pen.commit(by_phone(person), vec![attempt.into()]).await.map(drop)
}

async fn setting(pen: &mut Pen, person: &Person) -> Result<(), AppendError> {
    let Person { user, number, device, .. } = *person;
    let on = pen.dice.percent(50);
    let event: Event = match pen.dice.below(8) {
        0 => {
            let name = format!("Ada the {}th", pen.dice.below(1000));
            UserRenamed { user, display_name: Personal::new(KeyId::Person(user), &name) }.into()
        }
        1 | 2 => CallWaitingSet { number, on }.into(),
        3 | 4 => follow_me(pen, user, device),
        _ => DoNotDisturbSet { user, on }.into(),
    };
    let from = From { actor: Actor::User(user), ..by_phone(person) };
    pen.commit(from, vec![event]).await.map(drop)
}

fn follow_me(pen: &mut Pen, user: switchbook_core::id::UserId, device: DeviceId) -> Event {
    let (wait, ring) = (Seconds(pen.dice.below(5) as u32), Seconds(20));
    let entry = FollowMe { device, origin: Origin::Internal, enabled: true, wait, ring };
    FollowMeSet { user, entry }.into()
}
