//! The administrator: what he orders, and what he was answered.

use crate::life::Life;
use crate::random::Random;
use switchbook::erasure::is_erasure;
use switchbook_commands::desk::{Answer, Bulk, DeskError, Progress};
use switchbook_commands::{Command, Order};
use switchbook_core::envelope::{Actor, Recorded};
use switchbook_core::id::{CommandId, UserId};
use tokio::task::JoinHandle;

pub const CONSOLE: Actor = Actor::Supervisor { uid: 0 };

/// Everybody and everything there is at the beginning.
pub const FOUNDING: [&str; 9] = [
    r#"{"command":"user.add","username":"ada","display_name":"Ada","pin":"4711","numbers":["100","101"],"slots":["desk","dect"],"devices":[
        {"name":"p1","type":"desk","password":"secret-p1"},{"name":"p2","type":"dect","password":"secret-p2"}]}"#,
    r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["200"],"slots":["desk"],
        "devices":[{"name":"p3","type":"desk","password":"secret-p3"}]}"#,
    r#"{"command":"user.add","username":"cat","display_name":"Cat","numbers":["300"],"slots":["desk","softphone"],"devices":[
        {"name":"p4","type":"desk","password":"secret-p4"},{"name":"p5","type":"softphone","password":"secret-p5"}]}"#,
    r#"{"command":"user.add","username":"dan","display_name":"Dan","numbers":["400"],"slots":["desk"],
        "devices":[{"name":"p6","type":"desk","password":"secret-p6"}]}"#,
    r#"{"command":"device.add","name":"q1","type":"desk","password":"secret-q1"}"#,
    r#"{"command":"profile.add","user":"ada","name":"away","rules":[
        {"when":"busy","to":"300"},{"when":"no-answer","after":10,"to":"300"},{"when":"logged-off","to":"200"}]}"#,
    r#"{"command":"profile.add","user":"cat","name":"away","rules":[
        {"when":"always","to":"200","from":"internal"},{"when":"no-answer","after":15,"to":"400"}]}"#,
    r#"{"command":"profile.add","user":"dan","name":"away","rules":[{"when":"no-answer","after":5,"to":"100"}]}"#,
    r#"{"command":"forwarding.set","number":"100","profile":"ada/away"}"#,
];

/// What is asked.
#[derive(Clone)]
pub enum Asked {
    One(Box<Order>),
    Many(Bulk),
    /// An erasure, which is done when its key is gone.
    Erase(Box<Order>),
    Seal,
}

impl Asked {
    pub fn id(&self) -> Option<CommandId> {
        match self {
            Self::One(order) | Self::Erase(order) => Some(order.id),
            Self::Many(bulk) => Some(bulk.id),
            Self::Seal => None,
        }
    }
}

/// What came of it.
pub enum Outcome {
    Done(Answer),
    Sealed(switchbook_core::position::Position),
    Erased(Answer),
    Refused(DeskError),
    Failed(String),
}

pub struct Waiting {
    pub asked: Asked,
    pub words: String,
    /// The phone whose password it is, and the password.
    pub password: Option<(usize, String)>,
    pub task: JoinHandle<Outcome>,
}

/// The records that somebody was told of.
#[derive(Default)]
pub struct Acknowledged {
    pub records: Vec<Recorded>,
    pub erased: Vec<UserId>,
}

pub fn command(json: &str) -> Command {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Hands something to the server.
pub fn ask(life: &Life, asked: Asked) -> JoinHandle<Outcome> {
    let interior = &life.interior;
    let (desk, sealer) = (interior.desk.clone(), interior.sealer.clone());
    let (erasures, readers) = (interior.erasures.clone(), interior.readers.clone());
    life.spawn(async move {
        let answer = match asked {
            Asked::One(order) => desk.submit(*order).await,
            Asked::Many(bulk) => desk.apply(bulk, &Progress::default()).await,
            Asked::Erase(order) => match desk.submit(*order).await {
                Ok(answer) => match erasures.carried_out(answer.position).await {
                    Ok(()) => return Outcome::Erased(answer),
                    Err(failure) => return Outcome::Failed(failure.to_string()),
                },
                Err(error) => Err(error),
            },
            Asked::Seal => match sealer.seal(CONSOLE, None).await {
                Ok(sealed) => return Outcome::Sealed(sealed.at),
                Err(error) => return Outcome::Failed(error.to_string()),
            },
        };
        match answer {
            Ok(answer) => match readers.wait_for(answer.position).await {
                Ok(tables) if tables.position() < answer.position => {
                    Outcome::Failed("a view is older than what it waited for".into())
                }
                _ => Outcome::Done(answer),
            },
            Err(error) => Outcome::Refused(error),
        }
    })
}

/// Something an administrator may think of.
pub fn idea(random: &mut Random, life: &Life, serial: u64) -> String {
    let user = random.pick(&["ada", "bob", "cat", "dan"]);
    let number = random.pick(&["100", "101", "200", "300", "400"]);
    let slot = random.pick(&["ada/desk", "ada/dect", "bob/desk", "cat/desk", "cat/softphone"]);
    let profile = random.pick(&["ada/away", "cat/away", "dan/away"]);
    let phone = random.pick(&["p1", "p2", "p3", "p4", "p5", "p6", "q1"]);
    let on = random.chance(50);
    match random.below(18) {
        0 => format!(r#"{{"command":"user.dnd","user":"{user}","on":{}}}"#, random.chance(15)),
        1 => format!(r#"{{"command":"number.tick","number":"{number}","slot":"{slot}"}}"#),
        2 => format!(r#"{{"command":"number.untick","number":"{number}","slot":"{slot}"}}"#),
        3 => format!(r#"{{"command":"forwarding.set","number":"{number}","profile":"{profile}"}}"#),
        4 => format!(r#"{{"command":"forwarding.clear","number":"{number}"}}"#),
        5 => format!(
            r#"{{"command":"profile.add","user":"{user}","name":"n{serial}","rules":[{{"when":"busy","to":"{number}"}}]}}"#
        ),
        6 if random.chance(30) => {
            format!(r#"{{"command":"device.log_out","device":"{phone}","force":{on}}}"#)
        }
        6 | 7 => {
            let homes = [
                ("p1", "ada"),
                ("p2", "ada"),
                ("p3", "bob"),
                ("p4", "cat"),
                ("p5", "cat"),
                ("p6", "dan"),
            ];
            let (phone, user) = if on { random.pick(&homes) } else { (phone, user) };
            format!(r#"{{"command":"device.log_in","device":"{phone}","user":"{user}"}}"#)
        }
        8 => {
            let verb = if on { "grant" } else { "withdraw" };
            format!(
                r#"{{"command":"permission.{verb}","group":"users","permission":"roaming","on":"hosts"}}"#
            )
        }
        9 | 10 => {
            let published = life.interior.desk.published();
            let open: Vec<_> = published.exchange.open_calls.keys().copied().collect();
            match open.is_empty() {
                true => format!(
                    r#"{{"command":"user.rename","user":"{user}","display_name":"N{serial}"}}"#
                ),
                false => format!(r#"{{"command":"call.hang_up","call":"{}"}}"#, random.pick(&open)),
            }
        }
        11 => format!(
            r#"{{"command":"schedule.add","number":"{number}","profile":"{profile}","pattern":{{"weekly":"daily {:02}:{:02}-{:02}:30"}}}}"#,
            10 + random.below(2),
            random.below(60),
            12 + random.below(10),
        ),
        12 => format!(
            r#"{{"command":"user.add","username":"u{serial}","display_name":"U","numbers":["{}"],"slots":["desk"],
                "devices":[{{"name":"d{serial}","type":"desk","password":"secret-d{serial}"}}]}}"#,
            5000 + serial
        ),
        13 => format!(r#"{{"command":"number.call_waiting","number":"{number}","on":{on}}}"#),
        14 => format!(
            r#"{{"command":"device.ring","user":"{user}","device":"{phone}","wait":{},"ring":{}}}"#,
            random.below(5),
            5 + random.below(40)
        ),
        15 => format!(r#"{{"command":"user.rename","user":"{user}","display_name":"N{serial}"}}"#),
        16 => format!(
            r#"{{"command":"number.busy_if_any","number":"{number}","scope":"{}"}}"#,
            random.pick(&["off", "calls"])
        ),
        _ => format!(
            r#"{{"command":"settings.digest","policy":"{}"}}"#,
            random.pick(&["md5-then-sha256", "sha256-only"])
        ),
    }
}

/// Does this answer tell of an erasure?
pub fn erased(answer: &Answer) -> Vec<UserId> {
    let told = answer.records.iter().filter(|recorded| is_erasure(&recorded.event));
    told.filter_map(|recorded| match &recorded.event {
        switchbook_core::event::Event::PersonErased(erased) => Some(erased.user),
        _ => None,
    })
    .collect()
}
