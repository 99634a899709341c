//! The time of the simulation: a monotonic one that all share, and a wall clock that may jump.

use crate::random::mix;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use switchbook_commands::desk::Clock;
use switchbook_core::position::Moment;
use uuid::Uuid;

/// Monday, 2026-11-23, 10:00 in Berlin.
const BEGAN: i64 = 1_795_424_400_000_000;

/// What outlives the server.
#[derive(Default)]
pub struct Wall {
    /// Microseconds by which the wall clock is wrong.
    wrong_by: AtomicI64,
    ids: AtomicU64,
}

impl Wall {
    pub fn jump(&self, seconds: i64) {
        self.wrong_by.fetch_add(seconds * 1_000_000, Relaxed);
    }

    pub fn wrong_by(&self) -> i64 {
        self.wrong_by.load(Relaxed) / 1_000_000
    }

    /// What the wall clock says so long after the beginning.
    pub fn at(&self, since: Duration) -> Moment {
        Moment(BEGAN + since.as_micros() as i64 + self.wrong_by.load(Relaxed))
    }
}

/// The machine's clock as one life of the server sees it. Asked within its runtime only, whose time is driven by hand.
pub struct MachineClock {
    pub wall: Arc<Wall>,
    /// When this life began, in the time of the simulation and in that of its runtime.
    pub began: (Duration, tokio::time::Instant),
}

impl MachineClock {
    pub fn elapsed(&self) -> Duration {
        let (began, by_runtime) = self.began;
        began + tokio::time::Instant::now().saturating_duration_since(by_runtime)
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Moment {
        self.wall.at(self.elapsed())
    }

    /// Version 7, as the machine makes them; what is random in those is a count here.
    fn new_id(&self) -> Uuid {
        let count = self.wall.ids.fetch_add(1, Relaxed);
        let millis = u64::try_from(self.now().0 / 1000).unwrap_or(0);
        let mut rest = [0; 10];
        rest[..2].copy_from_slice(&(count as u16).to_be_bytes());
        rest[2..].copy_from_slice(&mix(count).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
    }
}
