//! How long views of the past take, at random positions, and how long the whole book takes to be verified.

use crate::clock::once;
use crate::console::Console;
use crate::report::{Report, ms};
use crate::server::{Server, settle};
use crate::year::Dice;
use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};
use switchbook_replay::verify::{Check, verify};

/// A book is made and started for the first time within this.
const PATIENCE: Duration = Duration::from_secs(600);

/// A view that is asked for: its name, its arguments.
fn views() -> [(&'static str, Value); 8] {
    let user = json!({ "user": "user00007" });
    [
        ("settings.show", json!({})),
        ("user.show", user.clone()),
        ("matrix.show", user.clone()),
        ("number.list", user),
        ("call.list", json!({ "limit": 50 })),
        ("forwarding.list", json!({})),
        ("registration.list", json!({})),
        ("user.list", json!({})),
    ]
}

/// Asks a running server by its console for views of now and as of random positions, in turn.
///
/// # Errors
/// When the server does not start, or refuses a view.
pub fn measure(
    binary: &Path,
    folder: &Path,
    looks: u32,
    seed: u64,
) -> Result<Report, Box<dyn Error>> {
    // Index and snapshots are laid by the first start of a book that was made up, and not measured.
    let first = !folder.join("snapshots").exists();
    let mut server = Server::start(binary, folder, first)?;
    let mut console = Console::connect(folder, PATIENCE, &mut || server.runs())?;
    settle(folder, PATIENCE);
    let events = console.view("settings.show", &json!({}), None)?["position"].as_u64();
    let events = events.ok_or("the server does not say how far the book goes")?;
    // Behind the records that make the users.
    let begun = events / 50;
    let mut dice = Dice::new(seed);
    let title = format!("views as of {looks} random positions each in {events} events, ms");
    let mut report = Report::new(title, &["view", "now", "median", "worst", "CPU"]);
    let (mut all, mut worst) = (Vec::new(), Duration::ZERO);
    for (view, arguments) in views() {
        let (mut now, mut times, mut processor) = (Vec::new(), Vec::new(), Duration::ZERO);
        for _ in 0..looks.max(1) {
            let at = format!("#{}", begun + 1 + dice.below(events - begun));
            for (as_of, times) in [(None, &mut now), (Some(&*at), &mut times)] {
                let (began, before) = (Instant::now(), server.processor());
                console.shown(view, &arguments, as_of)?;
                times.push(began.elapsed());
                if as_of.is_some() {
                    processor += server.processor().saturating_sub(before);
                }
            }
        }
        for times in [&mut now, &mut times] {
            times.sort_unstable();
        }
        let middle = |times: &[Duration]| ms(times[times.len() / 2]);
        let most = times.last().copied().unwrap_or_default();
        let each = ms(processor / looks.max(1));
        report.row([view.into(), middle(&now), middle(&times), ms(most), each]);
        worst = worst.max(most);
        all.extend(times);
    }
    all.sort_unstable();
    let median = all[all.len() / 2].as_secs_f64() * 1e3;
    let worst = worst.as_secs_f64() * 1e3;
    report.note(format!("all of them: median {median:.1} (goal 50), worst {worst:.1} (goal 150)"));
    server.stop(PATIENCE)?;
    Ok(report)
}

/// Verifies the whole book, tables recomputed, as `audit verify` does; the index is not compared.
///
/// # Errors
/// When the book does not hold.
pub fn verified(folder: &Path) -> Result<Report, Box<dyn Error>> {
    let check = Check { folder: folder.into(), ..Check::default() };
    let (verified, took) = once(|| verify(check, &mut |_| true));
    let verified = verified?;
    if !verified.holds() {
        return Err(format!("the book does not hold: {:?}", verified.findings).into());
    }
    let title = format!("audit verify of {} events, without the index", verified.records);
    let mut report = Report::new(title, &["", "wall ms", "cpu ms"]);
    report.row(["verify".into(), ms(took.wall), ms(took.process)]);
    Ok(report)
}
