//! How many routing decisions one core makes a second, plan and reasons included (behaviour.md part 3).

use crate::clock::best;
use crate::report::Report;
use crate::year::{self, Dice, Year};
use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::time::Duration;
use switchbook_core::device::Origin;
use switchbook_core::envelope::{Actor, Envelope, Recorded};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::forwarding::{
    Condition, ForwardingRule, ProfileActivated, ProfileAdded, Reach, Target,
};
use switchbook_core::id::{CommandId, CorrelationId, DeviceId, ProfileId, TrunkId, UserId};
use switchbook_core::number::Number;
use switchbook_core::permission::{Grant, Permission, PermissionGranted};
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::{Moment, Position, Seconds};
use switchbook_core::routing::plan::{Says, Step};
use switchbook_core::routing::{From, Routed, RoutingInput, Volatile, route};
use switchbook_journal::SegmentReader;

/// A Tuesday, 20:00 in Berlin: the schedules of the year's users are in their windows, half past five to eight.
const EVENING: Moment = Moment(1_795_546_800_000_000);
/// So many calls are drawn of a kind before the clock starts.
const DRAWN: u32 = 20_000;
/// So many users are needed: the first hundred can be called from outside.
const FEWEST: u32 = 100;
/// A phone in so many of a hundred is in a call.
const TALKING: u64 = 5;

/// The kinds of call, and how many of a hundred each has in the mix.
const KINDS: [(Kind, u32); 6] = [
    (Kind::Inside, 50),
    (Kind::ForwardedAlways, 10),
    (Kind::ForwardedLater, 10),
    (Kind::Scheduled, 15),
    (Kind::FromOutside, 8),
    (Kind::ToOutside, 7),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inside,
    ForwardedAlways,
    ForwardedLater,
    Scheduled,
    FromOutside,
    ToOutside,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Inside => "inside, no profile",
            Self::ForwardedAlways => "forwarded at once",
            Self::ForwardedLater => "forwarded when nobody answers",
            Self::Scheduled => "a schedule's profile in force",
            Self::FromOutside => "from outside",
            Self::ToOutside => "to the outside",
        }
    }

    /// Whom such a call is for, by his place among the users: the year gives profiles and schedules by it.
    const fn suits(self, index: u32) -> bool {
        match self {
            Self::Inside => index % 2 == 1,
            Self::ForwardedAlways => index % 10 == 4,
            Self::ForwardedLater => index % 10 == 6,
            Self::Scheduled => index.is_multiple_of(10) || index % 10 == 2,
            // The first hundred can be called from outside.
            Self::FromOutside => index < 100,
            Self::ToOutside => true,
        }
    }

    /// Did the decision take the way this kind is meant to measure?
    fn took_its_way(self, routed: &Routed) -> bool {
        let plan = &routed.plan;
        let says = |wanted: fn(&Says) -> bool| {
            plan.steps.iter().flat_map(Step::because).any(|reason| wanted(&reason.says))
        };
        let first = plan.step(plan.start);
        let manual = says(|says| matches!(says, Says::Manual { profile: Some(_), .. }));
        let forwards = plan.steps.iter().any(|step| matches!(step, Step::Forward { .. }));
        // Whoever is in a call without call waiting does not ring (11c).
        let rings = matches!(first, Some(Step::Ring { .. }));
        let talks = says(|says| matches!(says, Says::InCall { .. }));
        match self {
            Self::Inside => (rings || talks) && !manual,
            Self::ForwardedAlways => matches!(first, Some(Step::Forward { .. })) && manual,
            Self::ForwardedLater => (rings && forwards || talks) && manual,
            Self::Scheduled => says(|says| matches!(says, Says::Schedule { .. })),
            Self::FromOutside => says(|says| matches!(says, Says::Inbound { .. })),
            Self::ToOutside => matches!(first, Some(Step::Dial { emergency: false, .. })),
        }
    }
}

/// Everybody is registered, and some are in a call.
struct Phones(HashMap<DeviceId, Option<Number>>);

impl Volatile for Phones {
    fn registered(&self, device: DeviceId) -> bool {
        self.0.contains_key(&device)
    }

    fn calls_on(&self, device: DeviceId) -> Vec<Option<Number>> {
        self.0.get(&device).copied().flatten().into_iter().map(Some).collect()
    }

    fn in_use(&self, _: Number) -> bool {
        false
    }
}

/// A user as far as a call needs him.
struct Called {
    user: UserId,
    number: Number,
    device: DeviceId,
}

struct World {
    exchange: Exchange,
    phones: Phones,
    users: Vec<Called>,
    trunk: TrunkId,
}

impl World {
    /// The exchange a year begins with, and some profiles in force by hand.
    fn of(users: u32, seed: u64) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir_in(".")?;
        let runtime = tokio::runtime::Runtime::new()?;
        let year = Year::ending(EVENING, 0, users, seed);
        runtime.block_on(year::write(folder.path(), &year, &mut |_| ()))?;
        let mut exchange = Exchange::default();
        for recorded in SegmentReader::open(folder.path())?.records(Position(1), None) {
            exchange.evolve(&recorded?);
        }
        let trunk = *exchange.trunks.keys().next().ok_or("the exchange has no trunk")?;
        let users = (0..users).map(|index| called(&exchange, index)).collect::<Option<Vec<_>>>();
        let users = users.ok_or("a user has no phone")?;
        let mut dice = Dice::new(seed);
        let phones = users
            .iter()
            .map(|called| (called.device, dice.percent(TALKING).then_some(called.number)));
        let phones = Phones(phones.collect());
        let mut world = Self { exchange, phones, users, trunk };
        world.choose_profiles(&mut dice)?;
        Ok(world)
    }

    fn choose_profiles(&mut self, dice: &mut Dice) -> Result<(), Box<dyn Error>> {
        let everybody = self.exchange.settings.as_ref().ok_or("nothing was founded")?.all_users;
        let grant = Grant { subject: everybody, permission: Permission::Outbound, target: None };
        self.tell(PermissionGranted { grant }.into(), dice);
        for index in 0..self.users.len() {
            let place = u32::try_from(index)?;
            let Called { user, number, .. } = self.users[index];
            let condition = if Kind::ForwardedAlways.suits(place) {
                Condition::Always
            } else if Kind::ForwardedLater.suits(place) {
                Condition::NoAnswer { after: Seconds(20) }
            } else {
                continue;
            };
            let target = Target::Number(self.users[(index + 1) % self.users.len()].number);
            let both = [Origin::Internal, Origin::External];
            let rules = both.map(|origin| ForwardingRule { condition, origin, target }).to_vec();
            let profile = ProfileId(dice.id(EVENING));
            let name = Personal::new(KeyId::Person(user), "Umleitung");
            self.tell(ProfileAdded { profile, owner: user, name, rules }.into(), dice);
            let reach = Reach::UnderSchedules;
            self.tell(ProfileActivated { number, profile, reach }.into(), dice);
        }
        Ok(())
    }

    fn tell(&mut self, event: Event, dice: &mut Dice) {
        let command = CommandId(dice.id(EVENING));
        let envelope = Envelope {
            position: self.exchange.position.next(),
            recorded_at: EVENING,
            moment: EVENING,
            actor: Actor::System,
            on_behalf_of: None,
            source: None,
            cause: None,
            correlation: CorrelationId(command.0),
            command,
            subjects: event.subjects(),
        };
        self.exchange.evolve(&Recorded { envelope, event });
    }

    /// Draws a call: who calls, and what is dialled.
    fn draw(&self, kind: Kind, dice: &mut Dice) -> (From, String) {
        let one = |dice: &mut Dice| dice.below(self.users.len() as u64) as u32;
        let mut index = one(dice);
        while !kind.suits(index) {
            index = if kind == Kind::FromOutside { dice.below(100) as u32 } else { one(dice) };
        }
        let number = self.users[index as usize].number;
        let from = From::Device(self.users[one(dice) as usize].device);
        match kind {
            Kind::FromOutside => (From::Trunk(self.trunk), format!("+4989555{number}")),
            Kind::ToOutside => (from, format!("0049301{:06}", dice.below(1_000_000))),
            _ => (from, number.to_string()),
        }
    }

    fn decide(&self, (from, dialled): &(From, String)) -> Routed {
        let (exchange, volatile) = (&self.exchange, &self.phones);
        route(RoutingInput { exchange, volatile, from: *from, dialled, at: EVENING })
    }
}

/// The user of this place in the year.
fn called(exchange: &Exchange, index: u32) -> Option<Called> {
    let device = exchange.device_named(&year::device_name(index))?;
    let number = year::number(index);
    let user = exchange.numbers.get(&number)?.owner.value;
    Some(Called { user, number, device })
}

/// Decides each kind of call and their mix, best of `turns`, in processor time of one thread.
///
/// # Errors
/// When the exchange cannot be made, or a kind of call does not take its way.
pub fn measure(
    users: u32,
    decisions: u32,
    turns: u32,
    seed: u64,
) -> Result<Report, Box<dyn Error>> {
    if users < FEWEST {
        return Err(format!("with fewer than {FEWEST} users not every kind of call exists").into());
    }
    let world = World::of(users, seed)?;
    let mut dice = Dice::new(seed);
    let title =
        format!("routing decisions with reasons on one core, {users} users, best of {turns}");
    let mut report =
        Report::new(title, &["call", "of 100", "steps", "reasons", "ns", "decisions/s"]);
    let mut mix = Vec::new();
    for (kind, share) in KINDS {
        let calls: Vec<_> = (0..DRAWN).map(|_| world.draw(kind, &mut dice)).collect();
        let astray = calls.iter().find(|call| !kind.took_its_way(&world.decide(call)));
        if let Some((_, dialled)) = astray {
            return Err(format!("{}: the call to {dialled} took another way", kind.name()).into());
        }
        row(&mut report, &world, (kind.name(), share), &calls, decisions, turns);
        mix.extend(calls.into_iter().take((DRAWN / 100 * share) as usize));
    }
    for place in (1..mix.len()).rev() {
        mix.swap(place, dice.below(place as u64 + 1) as usize);
    }
    let each = row(&mut report, &world, ("the mix", 100), &mix, decisions, turns);
    let rate = 1.0 / each.as_secs_f64();
    report.note(format!("the mix: {rate:.0} decisions a second on one core (goal 200000)"));
    Ok(report)
}

/// Measures these calls over and over until there were `decisions`; gives the time of one.
fn row(
    report: &mut Report,
    world: &World,
    (name, share): (&str, u32),
    calls: &[(From, String)],
    decisions: u32,
    turns: u32,
) -> Duration {
    let took = best(turns, || {
        for call in calls.iter().cycle().take(decisions as usize) {
            black_box(world.decide(black_box(call)));
        }
    });
    let each = took.thread / decisions.max(1);
    let plans: Vec<_> = calls.iter().map(|call| world.decide(call).plan).collect();
    let mean = |count: usize| (count as f64 / plans.len() as f64).into();
    let steps = plans.iter().map(|plan| plan.steps.len()).sum();
    let reasons = plans.iter().flat_map(|plan| &plan.steps).map(|step| step.because().len()).sum();
    let rate = (1.0 / each.as_secs_f64()).round() as u64;
    let nanoseconds = u64::try_from(each.as_nanos()).unwrap_or(u64::MAX);
    let [steps, reasons] = [mean(steps), mean(reasons)];
    report.row([name.into(), share.into(), steps, reasons, nanoseconds.into(), rate.into()]);
    each
}
