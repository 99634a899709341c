//! Time and ids at the edge: the only place that asks a clock or makes an id.

use std::time::{SystemTime, UNIX_EPOCH};
use switchbook_core::position::Moment;
use uuid::Uuid;

/// Where moments and ids come from. Production and tests have one each.
pub trait Clock: Send + Sync {
    /// The moment it is.
    fn now(&self) -> Moment;
    /// A new id.
    fn new_id(&self) -> Uuid;
}

/// The clock of the machine, and ids of version 7.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}
