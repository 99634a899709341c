//! The exchange that the year begins with: users, each with a number, a slot, a phone and its password; some with more.

use super::Year;
use super::pen::{From, Pen};
use switchbook_commands::secret::DigestHashes;
use switchbook_core::call::Facts;
use switchbook_core::device::{DeviceAdded, DeviceCredentialSet, DeviceLoggedIn, Origin};
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::forwarding::{Condition, ForwardingRule, ProfileAdded, Target};
use switchbook_core::id::{
    BookId, DeviceId, GroupId, ProfileId, ScheduleId, SecretId, SlotId, TrunkId, UserId,
};
use switchbook_core::number::{MatrixChanged, Number, NumberAssigned};
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::Seconds;
use switchbook_core::routing::{self, RoutingInput};
use switchbook_core::schedule::{Days, Minute, Pattern, Priority, ScheduleAdded};
use switchbook_core::settings::{ExchangeFounded, ServerStarted};
use switchbook_core::slot::{DeviceType, SlotAdded};
use switchbook_core::trunk::{Inbound, InboundNumberAssigned, TrunkAdded};
use switchbook_core::user::{PasswordSet, SecretRef, UserAdded};
use switchbook_journal::{AppendError, Vault, VaultError};

/// A user and what is his.
pub struct Person {
    /// Who.
    pub user: UserId,
    /// His number.
    pub number: Number,
    /// Its slot.
    pub slot: SlotId,
    /// A second slot, for a softphone: every third has one.
    pub second: Option<SlotId>,
    /// The phone on his desk.
    pub device: DeviceId,
    /// Its address.
    pub address: String,
    /// He is logged in there.
    pub logged_in: bool,
    /// The number is ticked for his second slot.
    pub ticked: bool,
    /// A profile: every second has one.
    pub profile: Option<ProfileId>,
    /// A schedule that sets it: every fifth has one.
    pub schedule: Option<ScheduleId>,
    /// The last binding of his phone, and when it was granted; none while it is not registered.
    pub bound: Option<(u32, u32)>,
    /// Bindings given to his phone so far.
    pub bindings: u32,
    /// What the routing decided when somebody called him: the plan as it stands in the book, and what it looked at.
    pub plan: (String, Facts),
}

/// Everybody.
pub struct People {
    /// The users.
    pub all: Vec<Person>,
    /// The way out.
    pub trunk: TrunkId,
}

/// The name of the user's phone: what it registers as.
#[must_use]
pub fn device_name(index: u32) -> String {
    format!("p{index:05}")
}

/// The password of a phone.
#[must_use]
pub fn password(index: u32) -> String {
    format!("the-password-of-{index:05}")
}

/// The number of a user, seven digits and more: no two users have the same.
#[must_use]
pub fn number(index: u32) -> Number {
    (1_000_000_u64 + u64::from(index)).to_string().parse().unwrap_or_else(|_| unreachable!())
}

/// Why the exchange could not be set up.
#[derive(Debug)]
pub enum Failed {
    /// The book's.
    Book(AppendError),
    /// The vault's.
    Vault(VaultError),
}

impl std::convert::From<AppendError> for Failed {
    fn from(error: AppendError) -> Self {
        Self::Book(error)
    }
}

impl std::convert::From<VaultError> for Failed {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Book(error) => error.fmt(f),
            Self::Vault(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failed {}

const BY: From<'static> =
    From { actor: Actor::Supervisor { uid: 1000 }, source: None, cause: None };

/// Founds the exchange and adds everybody.
pub async fn settle(
    pen: &mut Pen,
    vault: &Vault,
    book: BookId,
    year: &Year,
) -> Result<People, Failed> {
    let at = pen.now;
    let mut group = || GroupId(pen.dice.id(at));
    let founded = ExchangeFounded {
        book,
        realm: year.realm.clone(),
        time_zone: year.time_zone,
        all_users: group(),
        all_hosts: group(),
        admins: group(),
    };
    pen.commit(From::SYSTEM, vec![founded.into()]).await?;
    let version = env!("CARGO_PKG_VERSION").into();
    pen.commit(From::SYSTEM, vec![ServerStarted { version, clean: true }.into()]).await?;
    let trunk = TrunkId(pen.dice.id(at));
    let added = TrunkAdded {
        trunk,
        name: "amt".into(),
        peer: ([192, 0, 2, 250], 5060).into(),
        outbound_prefix: "0".into(),
        base_number: Some("+4989555".into()),
    };
    pen.commit(BY, vec![added.into()]).await?;
    let mut secrets = Vec::new();
    let mut all = Vec::new();
    for index in 0..year.users {
        all.push(add(pen, index, &mut secrets, &year.realm).await?);
        pen.now.0 += 20_000;
    }
    for person in all.iter().take(100) {
        let dialled = format!("+4989555{}", person.number);
        let rule = Inbound { dialled, number: person.number };
        pen.commit(BY, vec![InboundNumberAssigned { trunk, rule }.into()]).await?;
    }
    let borrowed: Vec<(SecretRef, &[u8])> =
        secrets.iter().map(|(secret, bytes)| (*secret, bytes.as_slice())).collect();
    vault.put_secrets(&borrowed)?;
    plans(pen, &mut all);
    Ok(People { all, trunk })
}

async fn add(
    pen: &mut Pen,
    index: u32,
    secrets: &mut Vec<(SecretRef, Vec<u8>)>,
    realm: &str,
) -> Result<Person, Failed> {
    let at = pen.now;
    let user = UserId(pen.dice.id(at));
    let (slot, device) = (SlotId(pen.dice.id(at)), DeviceId(pen.dice.id(at)));
    let number = number(index);
    let name = device_name(index);
    let key = KeyId::Person(user);
    let mut secret = |bytes: Vec<u8>| {
        let secret = SecretRef { id: SecretId(pen.dice.id(at)), version: 1 };
        secrets.push((secret, bytes));
        secret
    };
    let of_phone = secret(DigestHashes::of(&name, realm, &password(index)).to_bytes().to_vec());
    // As long as an argon2id hash; nobody signs in with it.
    let of_user = secret(vec![b'x'; 97]);
    let mut events: Vec<Event> = vec![
        UserAdded {
            user,
            username: Personal::new(key, &format!("user{index:05}")),
            display_name: Personal::new(key, &format!("Ada Lovelace the {index}th")),
            email: Some(Personal::new(key, &format!("user{index:05}@example.org"))),
            mobile: None,
            language: None,
            time_zone: None,
        }
        .into(),
        NumberAssigned { number, user }.into(),
        slot_added(slot, user, "desk", DeviceType::Desk),
        MatrixChanged { user, number, slot, on: true }.into(),
        DeviceAdded {
            device,
            name,
            device_type: DeviceType::Desk,
            mac: Some(format!("0004f2{index:06x}")),
            service_number: None,
        }
        .into(),
        DeviceCredentialSet { device, secret: of_phone }.into(),
        PasswordSet { user, secret: of_user }.into(),
        DeviceLoggedIn { user, slot, device }.into(),
    ];
    let second = index.is_multiple_of(3).then(|| SlotId(pen.dice.id(at)));
    events
        .extend(second.map(|second| slot_added(second, user, "softphone", DeviceType::Softphone)));
    let profile = index.is_multiple_of(2).then(|| ProfileId(pen.dice.id(at)));
    events.extend(profile.map(|profile| {
        let name = Personal::new(key, "Urlaub");
        Event::from(ProfileAdded { profile, owner: user, name, rules: rules(index) })
    }));
    let schedule =
        profile.filter(|_| index % 10 < 4).map(|profile| (ScheduleId(pen.dice.id(at)), profile));
    events.extend(schedule.map(|(schedule, profile)| {
        let (from, to) = (Minute(17 * 60 + 30), Minute(8 * 60));
        let pattern = Pattern::Weekly { days: Days(0b001_1111), from, to };
        let priority = Priority::default();
        Event::from(ScheduleAdded { schedule, number, profile, pattern, priority })
    }));
    pen.commit(BY, events).await?;
    let [_, _, high, low] = index.to_be_bytes();
    Ok(Person {
        user,
        number,
        slot,
        second,
        device,
        address: format!("10.1.{high}.{low}:5060"),
        logged_in: true,
        ticked: false,
        profile,
        schedule: schedule.map(|(schedule, _)| schedule),
        bound: None,
        bindings: 0,
        plan: Default::default(),
    })
}

fn slot_added(slot: SlotId, user: UserId, name: &str, device_type: DeviceType) -> Event {
    SlotAdded { slot, user, name: name.into(), device_type }.into()
}

fn rules(index: u32) -> Vec<ForwardingRule> {
    let to = Target::Number(number(index / 2));
    let rule = |condition, origin, target| ForwardingRule { condition, origin, target };
    vec![
        rule(Condition::Busy, Origin::Internal, Target::Voicemail),
        rule(Condition::NoAnswer { after: Seconds(20) }, Origin::External, to),
    ]
}

/// What the routing decides when each of them is called by his neighbour: plans as long as those of a real exchange.
fn plans(pen: &mut Pen, all: &mut [Person]) {
    let Some(exchange) = pen.exchange.take() else { return };
    let everybody = all.iter().map(|person| (person.device, true)).collect();
    let volatile = Registered(everybody);
    let callers: Vec<DeviceId> = all.iter().map(|person| person.device).collect();
    for (index, person) in all.iter_mut().enumerate() {
        let input = RoutingInput {
            exchange: &exchange,
            volatile: &volatile,
            from: routing::From::Device(callers[(index + 1) % callers.len()]),
            dialled: person.number.as_str(),
            at: pen.now,
        };
        let routed = routing::route(input);
        person.plan = (serde_json::to_string(&routed.plan).unwrap_or_default(), routed.facts);
    }
}

/// Everybody is registered, nobody is in a call.
struct Registered(std::collections::HashMap<DeviceId, bool>);

impl routing::Volatile for Registered {
    fn registered(&self, device: DeviceId) -> bool {
        self.0.get(&device).copied().unwrap_or(false)
    }

    fn calls_on(&self, _: DeviceId) -> Vec<Option<Number>> {
        Vec::new()
    }

    fn in_use(&self, _: Number) -> bool {
        false
    }
}
