//! How long a view of the past takes, at random positions, and how long the whole book takes to be verified.

use crate::clock::once;
use crate::report::{Report, ms};
use crate::year::Dice;
use std::error::Error;
use std::path::Path;
use std::time::Duration;
use switchbook_core::position::Position;
use switchbook_journal::{Book, EventReader, Options};
use switchbook_projections::fold;
use switchbook_replay::verify::{Check, verify};

/// Folds the tables that any view is read from, as of random positions, as a running server does.
///
/// # Errors
/// The book's.
pub fn measure(folder: &Path, looks: u32, seed: u64) -> Result<Report, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let opened = Book::open(folder, Options::default())?;
    let (store, vault, mut dice) = (opened.store, opened.vault, Dice::new(seed));
    let open = |key, sealed: &[u8]| vault.open_sealed(key, sealed);
    let events = store.tail().0;
    let mut times = Vec::new();
    for _ in 0..looks.max(1) {
        let at = Position(1 + dice.below(events));
        let (tables, took) = once(|| runtime.block_on(fold::tables_at(store.as_ref(), at, &open)));
        if tables?.position() != at {
            return Err(format!("the tables are not as of {at}").into());
        }
        times.push(took.wall);
    }
    times.sort_unstable();
    let title = format!("all tables as of {looks} random positions in {events} events");
    let mut report = Report::new(title, &["", "ms", "goal"]);
    let worst = times.last().copied().unwrap_or(Duration::ZERO);
    report.row(["median".into(), ms(times[times.len() / 2]), 50.into()]);
    report.row(["worst".into(), ms(worst), 150.into()]);
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
