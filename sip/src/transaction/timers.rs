//! Timer values (RFC 3261 Table 4, RFC 6026 §8).

use std::time::{Duration, Instant};

/// The timers of the machines. The default is that of the RFC for UDP.
#[derive(Debug, Clone, Copy)]
pub struct Timers {
    /// Round-trip estimate; A, E and G start here, B, F, H, J, L and M are 64 of it
    pub t1: Duration,
    /// Longest interval between retransmissions of non-INVITE requests and INVITE responses
    pub t2: Duration,
    /// Longest life of a message in the network; I and K
    pub t4: Duration,
    /// D: how long a client remembers a failed INVITE, at least 32 s
    pub d: Duration,
    /// How long the TU may take before an INVITE gets its 100 (§17.2.1 allows 200 ms)
    pub trying: Duration,
    /// How long an INVITE of either side may stay in Proceeding without a word; guards against leaks
    pub forgotten: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Timers {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            d: Duration::from_secs(32),
            trying: Duration::ZERO,
            forgotten: Duration::from_secs(3600),
        }
    }
}

impl Timers {
    /// 64·T1: B, F, H, J, L, M.
    pub fn timeout(&self) -> Duration {
        self.t1 * 64
    }
}

/// A retransmission whose interval doubles up to a bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) at: Instant,
    interval: Duration,
    most: Duration,
}

impl Backoff {
    pub(crate) fn new(now: Instant, first: Duration, most: Duration) -> Backoff {
        Backoff { at: now + first, interval: first, most }
    }

    /// The next one after `now`; if the caller was late, missed ones are not made up for.
    pub(crate) fn again(&mut self, now: Instant) {
        self.interval = (self.interval * 2).min(self.most);
        let due = self.at + self.interval;
        self.at = if due > now { due } else { now + self.interval };
    }
}

pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
