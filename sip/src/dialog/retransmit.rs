//! Repeating a 2xx to an INVITE until its ACK comes (RFC 3261 §13.3.1.4).

use crate::transaction::Timers;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retransmission {
    /// Nothing yet
    Nothing,
    /// Send the 2xx again, by [`crate::transaction::Transactions::respond`] while the transaction lives, else directly.
    Send(Bytes),
    /// No ACK in 64·T1: end the session with BYE.
    GiveUp,
}

/// One 2xx that waits for its ACK; needed over reliable transports, too.
#[derive(Debug, Clone)]
pub struct Retransmit2xx {
    bytes: Bytes,
    next: Instant,
    interval: Duration,
    most: Duration,
    ends: Instant,
    done: bool,
}

impl Retransmit2xx {
    /// Starts when the 2xx is first sent.
    pub fn new(now: Instant, timers: &Timers, bytes: Bytes) -> Retransmit2xx {
        Retransmit2xx {
            bytes,
            next: now + timers.t1,
            interval: timers.t1,
            most: timers.t2,
            ends: now + timers.timeout(),
            done: false,
        }
    }

    /// The ACK came.
    pub fn ack(&mut self) {
        self.done = true;
    }

    /// Whether the ACK came or was given up on.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// When to call [`Retransmit2xx::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.done).then(|| self.next.min(self.ends))
    }

    /// What is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) -> Retransmission {
        if self.done {
            return Retransmission::Nothing;
        }
        if self.ends <= now {
            self.done = true;
            return Retransmission::GiveUp;
        }
        if self.next > now {
            return Retransmission::Nothing;
        }
        self.interval = (self.interval * 2).min(self.most);
        let due = self.next + self.interval;
        self.next = if due > now { due } else { now + self.interval };
        Retransmission::Send(self.bytes.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_2xx_is_repeated_with_doubling_intervals_up_to_t2_and_given_up_after_64_t1() {
        let start = Instant::now();
        let mut r = Retransmit2xx::new(start, &Timers::default(), Bytes::from_static(b"x"));
        let mut at = Vec::new();
        loop {
            let now = r.poll_timeout().unwrap();
            match r.handle_timeout(now) {
                Retransmission::Send(_) => at.push((now - start).as_millis()),
                Retransmission::GiveUp => break assert_eq!((now - start).as_secs(), 32),
                Retransmission::Nothing => panic!("woken for nothing"),
            }
        }
        assert_eq!(at[..5], [500, 1500, 3500, 7500, 11500]);
        assert!(r.is_done() && r.poll_timeout().is_none());
    }

    #[test]
    fn the_ack_ends_it() {
        let start = Instant::now();
        let mut r = Retransmit2xx::new(start, &Timers::default(), Bytes::new());
        r.ack();
        assert_eq!(r.handle_timeout(start + Duration::from_secs(40)), Retransmission::Nothing);
        assert_eq!(r.poll_timeout(), None);
    }
}
