//! How long the switchroom may look away from its socket. Falling asleep and being woken costs more than a refresh; a
//! server that is woken for every datagram of a busy hour spends a third of its time on that. So under load it looks at
//! set times and takes what has come meanwhile, as network cards do with their interrupts.
//!
//! A quiet server answers at once; under load a datagram waits [`LONGEST`] at most.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// No datagram waits longer for the server to look up. T1 of RFC 3261 is 500 ms.
pub const LONGEST: Duration = Duration::from_millis(4);
/// Datagrams per second from which on it looks away at all.
const BUSY: f64 = 800.0;
/// So many datagrams at once are worth a wake-up; when so many came, more are on their way.
const WORTHWHILE: usize = 16;
/// The rate is taken over so long a time.
const WINDOW: Duration = Duration::from_millis(20);

/// Measures the load and says how long to look away. Pure: time comes in.
#[derive(Clone, Copy, Debug)]
pub struct Moderation {
    window: Instant,
    counted: usize,
    /// Datagrams per second in the last whole window.
    rate: f64,
}

impl Moderation {
    /// A quiet server.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { window: now, counted: 0, rate: 0.0 }
    }

    /// So many datagrams were taken; the socket is empty. How long is nobody missed?
    pub fn taken(&mut self, now: Instant, datagrams: usize) -> Duration {
        self.counted += datagrams;
        let passed = now.saturating_duration_since(self.window);
        if passed >= WINDOW {
            #[allow(clippy::cast_precision_loss)]
            let counted = self.counted as f64;
            self.rate = counted / passed.as_secs_f64();
            (self.window, self.counted) = (now, 0);
        }
        if self.rate < BUSY || datagrams >= WORTHWHILE {
            return Duration::ZERO;
        }
        #[allow(clippy::cast_precision_loss)]
        let worthwhile = WORTHWHILE as f64;
        LONGEST.min(Duration::from_secs_f64(worthwhile / self.rate))
    }
}

/// Until when the thread looks away: set by the loop, kept by the thread when nothing else is to be done.
#[derive(Debug)]
pub(crate) struct Nap {
    epoch: Instant,
    /// Nanoseconds after the epoch.
    until: AtomicU64,
    /// Who naps here.
    thread: OnceLock<Thread>,
    asleep: AtomicBool,
}

impl Nap {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            until: AtomicU64::new(0),
            thread: OnceLock::new(),
            asleep: AtomicBool::new(false),
        }
    }

    /// Nobody is missed for so long from `now` on.
    pub(crate) fn set(&self, now: Instant, length: Duration) {
        let until = if length.is_zero() { 0 } else { self.nanos(now + length) };
        self.until.store(until, Ordering::Relaxed);
    }

    /// Sleeps until the time that was set, if it is still to come, or until [`rouse`](Self::rouse).
    pub(crate) fn take(&self) {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return;
        }
        let left = until.saturating_sub(self.nanos(Instant::now()));
        if left > 0 {
            self.thread.get_or_init(std::thread::current);
            self.asleep.store(true, Ordering::Release);
            std::thread::park_timeout(Duration::from_nanos(left).min(LONGEST));
            self.asleep.store(false, Ordering::Release);
        }
    }

    /// Ends a nap, from any thread: something is there that phones wait for. Who is about to fall asleep in the same moment naps on,
    /// no longer than he would have.
    pub(crate) fn rouse(&self) {
        if self.asleep.swap(false, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Datagrams that come evenly, taken each time the server looks: how often it looks, and the longest time away.
    fn a_second_of(per_second: u64) -> (usize, Duration) {
        let began = Instant::now();
        let mut moderation = Moderation::new(began);
        let every = Duration::from_nanos(1_000_000_000 / per_second);
        let (mut at, mut due, mut looks, mut longest) = (began, began + every, 0, Duration::ZERO);
        while at < began + ms(1000) {
            let mut taken = 0;
            while due <= at {
                (taken, due) = (taken + 1, due + every);
            }
            if taken > 0 {
                looks += 1;
            }
            let away = moderation.taken(at, taken);
            longest = longest.max(away);
            at = if away.is_zero() { due } else { at + away };
        }
        (looks, longest)
    }

    #[test]
    fn a_quiet_server_looks_up_for_every_datagram() {
        assert_eq!(a_second_of(100), (99, Duration::ZERO));
    }

    #[test]
    fn a_busy_one_takes_several_at_once_and_keeps_nobody_waiting() {
        let (looks, longest) = a_second_of(4_000);
        assert!(looks < 600, "{looks}");
        assert_eq!(longest, LONGEST);
    }

    #[test]
    fn the_busier_it_is_the_shorter_it_looks_away() {
        let (_, longest) = a_second_of(40_000);
        assert!(longest < ms(1), "{longest:?}");
    }

    #[test]
    fn after_a_rush_it_is_at_once_attentive_again() {
        let began = Instant::now();
        let mut moderation = Moderation::new(began);
        for at in 0..100 {
            moderation.taken(began + ms(at), 4);
        }
        assert!(!moderation.taken(began + ms(100), 4).is_zero());
        // The first datagram after the rush still measures the rush's last window together with the quiet.
        assert!(moderation.taken(began + ms(600), 1).is_zero());
    }

    #[test]
    fn whoever_naps_is_roused() {
        let nap = std::sync::Arc::new(Nap::new());
        let (naps, (tell, told)) = (nap.clone(), std::sync::mpsc::channel());
        let napper = std::thread::spawn(move || {
            let mut roused = 0;
            while roused == 0 {
                let began = Instant::now();
                naps.set(began, LONGEST);
                naps.take();
                roused += usize::from(began.elapsed() < LONGEST);
            }
            let _ = tell.send(());
        });
        while told.try_recv().is_err() {
            nap.rouse();
        }
        napper.join().unwrap();
    }

    #[test]
    fn a_full_hand_is_followed_by_the_next_without_looking_away() {
        let began = Instant::now();
        let mut moderation = Moderation::new(began);
        for at in 0..100 {
            moderation.taken(began + ms(at), 4);
        }
        assert!(moderation.taken(began + ms(100), WORTHWHILE).is_zero());
    }
}
