//! What a REGISTER, a command and a look at the past cost in books of different age: the same exchange, the same server,
//! only more behind it. None of the three may depend on how many events there are.

use crate::console::Console;
use crate::plot;
use crate::register::register;
use crate::report::{Report, ms};
use crate::server::{Server, settle};
use crate::year::{self, Dice, Year};
use serde_json::json;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};
use switchbook_core::position::{Moment, Position};
use switchbook_journal::{Book, Options};
use switchbook_projections::fold;

/// A first start folds the whole book, and its index takes it in.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is measured at each size.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The server.
    pub binary: &'a Path,
    /// So many users: small, so that the smallest book has room for them.
    pub users: u32,
    /// The seed of every book.
    pub seed: u64,
    /// So many registrations and commands each.
    pub turns: u32,
    /// So many looks at the past.
    pub looks: u32,
}

/// Medians at one size.
struct Cost {
    events: u64,
    register: [Duration; 2],
    command: [Duration; 2],
    look: Duration,
}

/// Measures at every size, and gives the table and its plot as SVG.
///
/// # Errors
/// When a book cannot be made, or the server does not do what it is asked.
pub fn measure(
    wanted: Wanted<'_>,
    sizes: &[u64],
    now: Moment,
) -> Result<(Report, String), Box<dyn Error>> {
    if sizes.is_empty() || wanted.turns == 0 || wanted.looks == 0 || wanted.users == 0 {
        return Err("sizes, users, turns and looks must be one or more".into());
    }
    let costs: Result<Vec<Cost>, _> = sizes.iter().map(|events| at(wanted, *events, now)).collect();
    let costs = costs?;
    let title = format!(
        "medians by the age of the book, {} users, {} turns, {} looks",
        wanted.users, wanted.turns, wanted.looks
    );
    let columns =
        ["events", "REGISTER ms", "REGISTER CPU ms", "command ms", "command CPU ms", "as of ms"];
    let mut report = Report::new(title, &columns);
    for cost in &costs {
        let [register, of_register] = cost.register;
        let [command, of_command] = cost.command;
        let times = [register, of_register, command, of_command, cost.look].map(ms);
        report.row(std::iter::once(cost.events.into()).chain(times));
    }
    if let [first, .., last] = costs.as_slice() {
        let ratio = |of: fn(&Cost) -> Duration| of(last).as_secs_f64() / of(first).as_secs_f64();
        report.note(format!(
            "the largest book by the smallest: REGISTER {:.2}, command {:.2}, as of {:.2} (goal 1)",
            ratio(|cost| cost.register[0]),
            ratio(|cost| cost.command[0]),
            ratio(|cost| cost.look)
        ));
    }
    let line = |name, of: fn(&Cost) -> Duration| plot::Line {
        name,
        points: costs
            .iter()
            .map(|cost| (cost.events as f64, of(cost).as_secs_f64() * 1e3))
            .collect(),
    };
    let lines = [
        line("REGISTER", |cost| cost.register[0]),
        line("command", |cost| cost.command[0]),
        line("as of", |cost| cost.look),
    ];
    Ok((report, plot::svg("Cost by the age of the book", "events", "ms, median", &lines)))
}

fn at(wanted: Wanted<'_>, events: u64, now: Moment) -> Result<Cost, Box<dyn Error>> {
    let folder = tempfile::tempdir_in(".")?;
    let data = folder.path().join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let year = Year::ending(now, events, wanted.users, wanted.seed);
    eprintln!("making a book of {events} events");
    let tail = runtime.block_on(year::write(&data, &year, &mut |_| ()))?;
    // Index and snapshots are laid by a first start, as in a server's life, and not measured.
    eprintln!("first start");
    let mut server = Server::start(wanted.binary, &data, true)?;
    Console::connect(&data, PATIENCE, &mut || server.runs())?;
    settle(&data, PATIENCE);
    server.stop(PATIENCE)?;
    eprintln!("measuring");
    let mut server = Server::start(wanted.binary, &data, false)?;
    let mut console = Console::connect(&data, PATIENCE, &mut || server.runs())?;
    settle(&data, PATIENCE);
    let register = median(wanted.turns, &mut server, |server, turn| {
        let index = turn % wanted.users;
        let (name, password) = (year::device_name(index), year::password(index));
        let sip = server.sip;
        register(sip, (&name, "bench.test", &password), PATIENCE, &mut || server.runs())?;
        Ok(())
    })?;
    // A user with a second slot, where his number may be ticked or not: set once, then turned round each time.
    let (number, slot) = (year::number(0).to_string(), "user00000/softphone");
    let command = |tick: bool| {
        let command = if tick { "number.tick" } else { "number.untick" };
        json!({ "command": command, "number": number, "slot": slot })
    };
    console.submit(&command(false))?;
    let commands = median(wanted.turns, &mut server, |_, turn| {
        console.submit(&command(turn % 2 == 0)).map(|_| ())
    })?;
    drop(console);
    server.stop(PATIENCE)?;
    let look = look(&runtime, &data, wanted, tail.0)?;
    Ok(Cost { events: tail.0, register, command: commands, look })
}

/// The median time on the wall, and the mean processor time of the server.
fn median(
    turns: u32,
    server: &mut Server,
    mut work: impl FnMut(&mut Server, u32) -> Result<(), Box<dyn Error>>,
) -> Result<[Duration; 2], Box<dyn Error>> {
    let (mut times, before) = (Vec::new(), server.processor());
    for turn in 0..turns {
        let began = Instant::now();
        work(server, turn)?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let processor = server.processor().saturating_sub(before) / turns;
    Ok([times[times.len() / 2], processor])
}

/// The median of looks at random positions, by the way `as-of` takes.
fn look(
    runtime: &tokio::runtime::Runtime,
    data: &Path,
    wanted: Wanted<'_>,
    events: u64,
) -> Result<Duration, Box<dyn Error>> {
    let opened = Book::open(data, Options::default())?;
    let (store, vault, mut dice) = (opened.store, opened.vault, Dice::new(wanted.seed));
    let open: switchbook_projections::snapshot::Opener = vault.clone();
    let mut times = Vec::new();
    for _ in 0..wanted.looks {
        let at = Position(1 + dice.below(events));
        let began = Instant::now();
        let tables = runtime.block_on(fold::tables_at(store.as_ref(), at, &open))?;
        times.push(began.elapsed());
        if tables.position() != at {
            return Err(format!("the tables are not as of {at}").into());
        }
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
