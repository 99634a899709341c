//! The book of a year: an exchange with its users is set up, then they call, register, log in and out, forward and are
//! refused, as the seed says, until the book has as many events as were asked for.
//!
//! Written through the journal's own writer, sealed under keys of its vault. Two books of one seed differ in what is random
//! by nature only: keys, and with them the sealed bytes.

mod dice;
mod mix;
mod pen;
mod people;

pub use dice::Dice;
pub use people::{Failed, device_name, number, password};

use mix::Mix;
use pen::Pen;
use std::path::Path;
use std::time::Duration;
use switchbook_core::id::BookId;
use switchbook_core::position::{Moment, Position};
use switchbook_journal::{Book, EventReader, OpenError, Opened, Options};

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Year {
    /// So many events, a few more for what was begun.
    pub events: u64,
    /// So many users.
    pub users: u32,
    /// The same seed, the same book.
    pub seed: u64,
    /// When the year ends.
    pub ends: Moment,
    /// The realm.
    pub realm: String,
    /// The zone.
    pub time_zone: chrono_tz::Tz,
}

/// A mean year.
pub const SECONDS: i64 = 31_556_952;

impl Year {
    /// A year that ends at this moment, with a realm and a zone that suit benches.
    #[must_use]
    pub fn ending(ends: Moment, events: u64, users: u32, seed: u64) -> Self {
        let (realm, time_zone) = ("bench.test".into(), chrono_tz::Europe::Berlin);
        Self { events, users, seed, ends, realm, time_zone }
    }
}

/// Why there is no book.
#[derive(Debug)]
pub enum NotMade {
    /// The folder cannot be opened.
    Open(OpenError),
    /// There is a book already.
    There(Position),
    /// It cannot be written.
    Write(Failed),
}

impl std::fmt::Display for NotMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::There(tail) => write!(f, "there is a book of {tail} events: name another folder"),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NotMade {}

/// Writes the book, without an index: the first server that opens it makes that. Gives the last position.
///
/// # Errors
/// [`NotMade`].
pub async fn write(
    folder: &Path,
    year: &Year,
    told: &mut dyn FnMut(u64),
) -> Result<Position, NotMade> {
    let mut dice = Dice::new(year.seed);
    let begins = year.ends.plus_seconds(-SECONDS);
    let book = BookId(dice.id(begins));
    let options = Options { book: Some(book), index: false, ..Options::default() };
    let opened = Book::open(folder, options).map_err(NotMade::Open)?;
    let Opened { store, vault, leases, report } = opened;
    if report.tail > Position::START {
        return Err(NotMade::There(report.tail));
    }
    let mut pen = Pen::new(store.clone(), begins, dice);
    let people = people::settle(&mut pen, &vault, report.book, year).await;
    let mut people = people.map_err(NotMade::Write)?;
    let mut mix = Mix::new(&pen, year);
    let mut next = 0;
    while pen.written() < year.events {
        mix.go_on(&mut pen, &mut people).await.map_err(|error| NotMade::Write(error.into()))?;
        if pen.written() >= next {
            told(pen.written());
            next = pen.written() + 100_000;
        }
    }
    mix.end(&mut pen, &mut people, &leases).await.map_err(|error| NotMade::Write(error.into()))?;
    Ok(store.tail())
}

/// Opens the book as a server does and waits until its index has taken everything in.
///
/// # Errors
/// When it cannot be opened.
pub async fn index(folder: &Path) -> Result<(), OpenError> {
    let store = Book::open(folder, Options::default())?.store;
    while store.indexed().is_none_or(|upto| upto.0 + 2048 < store.tail().0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
