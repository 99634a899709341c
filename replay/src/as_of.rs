//! The state at a position or a moment: the nearest snapshot, and a fold from there (architecture.md way 6).

use crate::error::ReplayError;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;
use switchbook_core::envelope::Subject;
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::position::{Moment, Position};
use switchbook_journal::EventReader;
use switchbook_projections::fold;
use switchbook_projections::snapshot::{self, Open};

/// A place in time, as a person names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum At {
    /// The end of the book.
    #[default]
    Now,
    /// Right after this event.
    Position(Position),
    /// With everything recorded up to this moment.
    Moment(Moment),
    /// The same on the wall clock of the exchange; of a time that comes twice, the first.
    Wall(NaiveDateTime),
}

impl FromStr for At {
    type Err = ReplayError;

    fn from_str(text: &str) -> Result<Self, ReplayError> {
        let text = text.trim();
        if text == "now" {
            return Ok(Self::Now);
        }
        if let Ok(position) = text.strip_prefix('#').unwrap_or(text).parse() {
            return Ok(Self::Position(Position(position)));
        }
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Moment(Moment::from_utc(moment.to_utc())));
        }
        let wall = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
        let wall = wall.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
        let day =
            || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN));
        wall.or_else(day).map(Self::Wall).ok_or_else(|| ReplayError::NotATime(text.into()))
    }
}

/// The zone of the exchange, as the book last set it.
///
/// # Errors
/// The reader's.
pub async fn zone(reader: &dyn EventReader) -> Result<Tz, ReplayError> {
    let (mut zone, mut from) = (Tz::UTC, Position(1));
    loop {
        let records = reader.history(Subject::Exchange, from, fold::BATCH).await?;
        let Some(last) = records.last() else { return Ok(zone) };
        from = last.envelope.position.next();
        for recorded in &records {
            match &recorded.event {
                Event::ExchangeFounded(event) => zone = event.time_zone,
                Event::TimeZoneSet(event) => zone = event.time_zone,
                _ => {}
            }
        }
    }
}

/// The moment that a place in time names; none for a position or now.
///
/// # Errors
/// The reader's.
pub async fn moment(reader: &dyn EventReader, at: At) -> Result<Option<Moment>, ReplayError> {
    Ok(match at {
        At::Now | At::Position(_) => None,
        At::Moment(moment) => Some(moment),
        At::Wall(wall) => {
            let zone = zone(reader).await?;
            let time = zone.from_local_datetime(&wall).earliest();
            Some(Moment::from_utc(time.map_or_else(|| wall.and_utc(), |time| time.to_utc())))
        }
    })
}

/// The last position that belongs to a place in time.
///
/// # Errors
/// [`ReplayError::NotYet`] for a position behind the end of the book; else the reader's.
pub async fn position(reader: &dyn EventReader, at: At) -> Result<Position, ReplayError> {
    let tail = reader.tail();
    match at {
        At::Now => Ok(tail),
        At::Position(position) if position > tail => Err(ReplayError::NotYet { position, tail }),
        At::Position(position) => Ok(position),
        At::Moment(_) | At::Wall(_) => match moment(reader, at).await? {
            Some(moment) => Ok(fold::position_at(reader, moment).await?),
            None => Ok(tail),
        },
    }
}

/// The exchange as of a place in time. Any view of projections takes it.
///
/// # Errors
/// As [`position`].
pub async fn state(
    reader: &dyn EventReader,
    at: At,
    open: Open<'_>,
) -> Result<Exchange, ReplayError> {
    let position = position(reader, at).await?;
    Ok(fold::exchange_at(reader, position, open).await?)
}

/// The exchange as of a place in time, and the moment T that views of it are asked for: the moment that was named, or
/// else when the last event was recorded.
///
/// # Errors
/// As [`position`].
pub async fn seen(
    reader: &dyn EventReader,
    at: At,
    open: Open<'_>,
) -> Result<(Exchange, Moment), ReplayError> {
    let exchange = state(reader, at, open).await?;
    let moment = moment(reader, at).await?.unwrap_or(exchange.recorded_at);
    Ok((exchange, moment))
}

/// The exchange as of `position`, had the events in `without` never happened. The fold ends all the same: events that
/// refer to what is not there change nothing.
///
/// # Errors
/// The reader's.
pub async fn state_without(
    reader: &dyn EventReader,
    position: Position,
    without: &[Position],
    open: Open<'_>,
) -> Result<Exchange, ReplayError> {
    let Some(first) = without.iter().min() else {
        return Ok(fold::exchange_at(reader, position, open).await?);
    };
    let before = Position(first.0.saturating_sub(1)).min(position);
    let mut exchange = fold::exchange_at(reader, before, open).await?;
    fold::each(reader, before.next(), position, |recorded| {
        if !without.contains(&recorded.envelope.position) {
            exchange.evolve(recorded);
        }
        ControlFlow::Continue(())
    })
    .await?;
    Ok(exchange)
}

/// SHA-256 over the canonical bytes of an exchange: equal prefixes of a book give equal hashes, whatever has been
/// erased since.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateHash(pub [u8; 32]);

/// The hash of a state.
#[must_use]
pub fn state_hash(exchange: &Exchange) -> StateHash {
    StateHash(Sha256::digest(snapshot::canonical(exchange)).into())
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateHash({self})")
    }
}

impl Serialize for StateHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_name_times_in_many_ways() {
        let at = |text: &str| text.parse::<At>().ok();
        assert_eq!(at("now"), Some(At::Now));
        assert_eq!(at("#12"), Some(At::Position(Position(12))));
        assert_eq!(at("12"), Some(At::Position(Position(12))));
        let noon = Moment::from_utc("2026-11-23T11:00:00Z".parse().unwrap());
        assert_eq!(at("2026-11-23T12:00:00+01:00"), Some(At::Moment(noon)));
        assert!(matches!(at("2026-11-23 12:00"), Some(At::Wall(_))));
        assert!(matches!(at("2026-11-23"), Some(At::Wall(_))));
        assert_eq!(at("yesterday"), None);
    }
}
