//! What a registration and a call in progress hold in memory: a real server, phones over UDP, the difference between two
//! sizes divided by the difference of their counts.
//!
//! Caches do not count: the index's cache and the tail of the book are full before the first reading, since the users alone
//! are several events each; and what is the same at both sizes is not in their difference.

use crate::console::Console;
use crate::phones::{Names, Phones};
use crate::report::Report;
use crate::server::{Server, settle};
use crate::year;
use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;
use std::time::Duration;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(240);
/// So many users in one list of commands.
const LIST: u32 = 5_000;
/// The goals, in KiB.
const GOALS: [f64; 2] = [1.1, 16.0];

const NAMES: Names = Names {
    name: year::device_name,
    password: year::password,
    number: |index| year::number(index).to_string(),
};

fn user(index: u32) -> Value {
    let (name, number) = (year::device_name(index), year::number(index).to_string());
    let device = json!({ "name": name, "type": "desk", "password": year::password(index) });
    let (username, display) = (format!("user{index:05}"), format!("User {index}"));
    json!({ "command": "user.add", "username": username, "display_name": display,
            "numbers": [number], "devices": [device] })
}

/// A server on a new book, with phones that may register.
struct House {
    server: Server,
    phones: Phones,
    report: Report,
    rest: Duration,
}

impl House {
    /// Waits, reads, and adds a line. Gives the proportional memory in KiB.
    fn read(&mut self, what: &str, count: u32) -> Result<f64, Box<dyn Error>> {
        self.phones.rest(self.rest)?;
        if !self.server.runs() {
            return Err("the server has ended: what it said stands above".into());
        }
        let [rss, pss] = self.server.resident();
        self.report.row([what.into(), count.into(), (rss / 1024.0).into(), (pss / 1024.0).into()]);
        Ok(pss)
    }

    fn slope(&mut self, what: &str, counts: [u32; 2], pss: [f64; 2], goal: f64) {
        let each = (pss[1] - pss[0]) / f64::from(counts[1] - counts[0]);
        let [few, many] = counts;
        self.report.note(format!(
            "{each:.2} KiB of memory (PSS) a {what}, between {few} and {many} (goal {goal} KiB)"
        ));
    }
}

/// Measures at two counts of registrations, then at two counts of calls in progress; before each reading it rests: tables
/// follow, transactions end, the allocator gives back.
///
/// # Errors
/// When the server does not start, or a phone does not come through.
pub fn measure(
    binary: &Path,
    registrations: [u32; 2],
    calls: [u32; 2],
    rest: Duration,
) -> Result<Report, Box<dyn Error>> {
    if registrations[0] >= registrations[1] || calls[0] >= calls[1] {
        return Err("the second count must be the larger one".into());
    }
    let folder = tempfile::tempdir_in(".")?;
    let data = folder.path().join("data");
    let mut server = Server::start(binary, &data, false)?;
    let mut console = Console::connect(&data, PATIENCE, &mut || server.runs())?;
    let users: Vec<u32> = (0..registrations[1].max(2 * calls[1])).collect();
    for some in users.chunks(LIST as usize) {
        let commands: Vec<Value> = some.iter().map(|index| user(*index)).collect();
        console.apply(&commands)?;
    }
    settle(&data, PATIENCE);
    let title = format!("resident memory of a server with {} users", users.len());
    let report = Report::new(title, &["", "count", "RSS MiB", "PSS MiB"]);
    let phones = Phones::new(server.sip, "bench.test", NAMES)?;
    let mut house = House { server, phones, report, rest };
    house.read("registrations", 0)?;
    let (mut before, mut pss) = (0, Vec::new());
    for count in registrations {
        house.phones.register(before..count, PATIENCE)?;
        settle(&data, PATIENCE);
        pss.push(house.read("registrations", count)?);
        before = count;
    }
    house.slope("registration", registrations, [pss[0], pss[1]], GOALS[0]);
    // Who calls, and whom, must be there.
    house.phones.register(before..(2 * calls[1]).max(before), PATIENCE)?;
    house.read("calls", 0)?;
    let (mut before, mut pss) = (0, Vec::new());
    for count in calls {
        house.phones.call(before..count, PATIENCE)?;
        pss.push(house.read("calls", count)?);
        before = count;
    }
    house.slope("call", calls, [pss[0], pss[1]], GOALS[1]);
    let open = console.view("call.list", &json!({ "open": true, "limit": calls[1] + 1 }), None)?;
    let held = open["calls"].as_array().map_or(0, Vec::len);
    if held != calls[1] as usize {
        return Err(format!("{held} calls were in progress at the end, not {}", calls[1]).into());
    }
    Ok(house.report)
}
