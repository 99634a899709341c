//! How fast a book is read, decoded, and folded into every table a server keeps.

use crate::clock::{Took, best};
use crate::report::{Report, ms};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use switchbook_core::exchange::Exchange;
use switchbook_core::position::Position;
use switchbook_journal::{Book, EventReader, Options, ReadError, SegmentReader};
use switchbook_projections::fold::{self, Tables};
use switchbook_projections::snapshot;

/// Measures all of it, best of `turns`.
///
/// # Errors
/// The book's.
pub fn measure(folder: &Path, turns: u32) -> Result<Report, Box<dyn Error>> {
    let reader = SegmentReader::open(folder)?;
    let events = reader.tail().0;
    let title = format!("replay of {events} events, best of {turns}");
    let mut report = Report::new(title, &["what", "wall ms", "cpu ms", "ns/event", "million/s"]);
    let mut line = |name: &str, took: Took, cpu: std::time::Duration| {
        let each = cpu.as_secs_f64() / events as f64;
        report.row([
            name.into(),
            ms(took.wall),
            ms(cpu),
            (each * 1e9).into(),
            (1e-6 / each).into(),
        ]);
    };
    let bytes = best(turns, || read_bytes(folder));
    line("bytes alone", bytes, bytes.thread);
    let mut failed: Option<ReadError> = None;
    let checked = best(turns, || failed = reader.scrub().err().or(failed.take()));
    line("checksum and leaf hash", checked, checked.thread);
    let decoded = best(turns, || failed = decode(&reader, |_| ()).err().or(failed.take()));
    line("reading, checksum, decoding", decoded, decoded.thread);
    let mut exchange = Exchange::default();
    let folded = best(turns, || {
        exchange = Exchange::default();
        failed = decode(&reader, |recorded| exchange.evolve(recorded)).err().or(failed.take());
    });
    line("and into the Desk's state", folded, folded.thread);
    let mut tables = Tables::default();
    let one = best(turns, || {
        tables = Tables::default();
        failed = decode(&reader, |recorded| tables.apply(recorded)).err().or(failed.take());
    });
    line("and into all tables, one core", one, one.thread);
    drop(reader);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let store = Book::open(folder, Options { index: false, ..Options::default() })?.store;
    let mut served = Tables::default();
    let two = best(turns, || {
        served = Tables::default();
        let all = fold::each(store.as_ref(), Position(1), Position(u64::MAX), |recorded| {
            served.apply(recorded);
            ControlFlow::Continue(())
        });
        failed = runtime.block_on(all).err().or(failed.take());
    });
    line("as the server does, two cores", two, two.process);
    if let Some(error) = failed {
        return Err(error.into());
    }
    // By their canonical bytes: names are open in the server's tables and closed in the others.
    let same = tables.snapshots() == served.snapshots()
        && snapshot::encode(&exchange) == snapshot::encode(&tables.exchange);
    if !same || served.position() != store.tail() {
        return Err("the ways of folding do not agree".into());
    }
    report.note(format!(
        "all tables on one core: {:.2} million/s, {:.2} of the rate of reading, checksum and decoding (goals 1.5 and 0.5)",
        events as f64 / one.thread.as_secs_f64() / 1e6,
        decoded.thread.as_secs_f64() / one.thread.as_secs_f64(),
    ));
    report.note(format!(
        "on two cores: {:.2} of the time of decoding alone on one (goal 1)",
        two.wall.as_secs_f64() / decoded.wall.as_secs_f64(),
    ));
    Ok(report)
}

fn read_bytes(folder: &Path) {
    use std::io::Read;
    let mut buffer = vec![0; 256 * 1024];
    for entry in std::fs::read_dir(folder.join("segments")).into_iter().flatten().flatten() {
        let Ok(mut file) = std::fs::File::open(entry.path()) else { continue };
        while file.read(&mut buffer).is_ok_and(|read| read > 0) {}
    }
}

fn decode(
    reader: &SegmentReader,
    mut visit: impl FnMut(&switchbook_core::envelope::Recorded),
) -> Result<(), ReadError> {
    for recorded in reader.records(Position(1), None) {
        visit(std::hint::black_box(&recorded?));
    }
    Ok(())
}
