//! RO-12: after some failed log-ins at a phone the next ones have to wait, longer each time; per extension, whether it
//! exists or not, and per phone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use switchbook_core::id::DeviceId;
use switchbook_core::number::Number;
use switchbook_core::position::Moment;

/// So many tries are free.
const FREE: u32 = 5;
/// The first wait; it doubles with every further failure …
const FIRST_WAIT: i64 = 10;
/// … up to this.
const LONGEST_WAIT: i64 = 3600;
/// After so long without a failure all is forgotten.
const FORGOTTEN_AFTER: i64 = 4 * 3600;
/// Entries kept at most; beyond that nobody new may try until old ones are forgotten.
const MOST: usize = 100_000;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Key {
    Extension(Number),
    Device(DeviceId),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Moment,
    open_at: Moment,
}

/// Counts failed log-ins.
#[derive(Debug, Default)]
pub(crate) struct LoginGuard(Mutex<HashMap<Key, Failures>>);

impl LoginGuard {
    /// Takes a try. `Err` with the seconds to wait. A try counts as failed until [`succeeded`](Self::succeeded) is
    /// called, so that tries at the same time count too.
    pub(crate) fn take(&self, now: Moment, extension: Number, device: DeviceId) -> Result<(), u32> {
        let mut table = self.lock();
        if table.len() >= MOST {
            table.retain(|_, failures| now < failures.last.plus_seconds(FORGOTTEN_AFTER));
        }
        let keys = [Key::Extension(extension), Key::Device(device)];
        let wait = |key: &Key| match table.get(key) {
            Some(failures) => failures.open_at.0.saturating_sub(now.0).max(0),
            None if table.len() >= MOST => LONGEST_WAIT * 1_000_000,
            None => 0,
        };
        let micros = keys.iter().map(wait).max().unwrap_or(0);
        if micros > 0 {
            return Err(u32::try_from(micros / 1_000_000 + 1).unwrap_or(u32::MAX));
        }
        for key in keys {
            let clean = Failures { count: 0, last: now, open_at: now };
            let failures = table.entry(key).or_insert(clean);
            if now >= failures.last.plus_seconds(FORGOTTEN_AFTER) {
                *failures = clean;
            }
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
            if let Some(over @ 0..) = failures.count.checked_sub(FREE) {
                let wait = FIRST_WAIT.saturating_mul(1 << over.min(16)).min(LONGEST_WAIT);
                failures.open_at = now.plus_seconds(wait);
            }
        }
        Ok(())
    }

    /// The try was right: the extension and the phone begin anew.
    pub(crate) fn succeeded(&self, extension: Number, device: DeviceId) {
        let mut table = self.lock();
        table.remove(&Key::Extension(extension));
        table.remove(&Key::Device(device));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn waits_grow_and_a_right_pin_ends_them() {
        let guard = LoginGuard::default();
        let (extension, phone) = ("100".parse().unwrap(), DeviceId(Uuid::from_u128(1)));
        let at = |seconds| Moment(0).plus_seconds(seconds);
        for _ in 0..5 {
            assert_eq!(guard.take(at(0), extension, phone), Ok(()));
        }
        assert_eq!(guard.take(at(1), extension, phone), Err(10));
        assert_eq!(guard.take(at(10), extension, phone), Ok(()));
        assert_eq!(guard.take(at(11), extension, phone), Err(20));
        assert_eq!(guard.take(at(30), extension, phone), Ok(()));
        guard.succeeded(extension, phone);
        assert_eq!(guard.take(at(30), extension, phone), Ok(()));
    }

    #[test]
    fn guessing_other_extensions_from_one_phone_counts_for_the_phone() {
        let guard = LoginGuard::default();
        let phone = DeviceId(Uuid::from_u128(1));
        let tries = (100..).map(|n: u32| n.to_string().parse().unwrap());
        let allowed = tries.take(20).filter(|e| guard.take(Moment(0), *e, phone).is_ok()).count();
        assert_eq!(allowed, 5);
        let other = DeviceId(Uuid::from_u128(2));
        assert!(guard.take(Moment(0), "200".parse().unwrap(), other).is_ok());
    }
}
