//! Personal data: sealed on disk, clear in memory, erasable for ever (architecture.md, way 7).
//!
//! A [`Personal`] value carries its sealed bytes and, when the key still exists, the clear text. Only key id and
//! sealed bytes are ever serialised: book, snapshots and tables on disk hold nothing readable, and equal books
//! fold to equal bytes whatever has been erased since.

use crate::id::UserId;
use crate::position::Moment;
use chrono::Datelike;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Which key seals a value. Destroying the key erases everything sealed under it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum KeyId {
    /// The key of one person, destroyed by the erasure of that person.
    Person(UserId),
    /// The key of one retention period, `year * 100 + month` in UTC: outside parties and phone addresses.
    Period(u32),
}

impl KeyId {
    /// The key of the month that `moment` falls into, in UTC.
    #[must_use]
    pub fn of_month(moment: Moment) -> Self {
        let date = moment.utc();
        Self::Period(u32::try_from(date.year()).unwrap_or(0) * 100 + date.month())
    }
}

/// Whoever has the keys.
pub trait Keys: Send + Sync {
    /// Opens sealed bytes; `None` when the key is gone, or they were not sealed under it.
    fn open(&self, key: KeyId, sealed: &[u8]) -> Option<String>;
}

/// A value that belongs to a person and can be erased. It is opened when somebody reads it for the first time, since of
/// the many that are passed by in a replay few are ever read.
#[derive(Clone)]
pub struct Personal {
    key: KeyId,
    sealed: Arc<[u8]>,
    /// What opening came to; empty as long as nobody read it.
    clear: OnceLock<Option<Arc<str>>>,
    /// Who opens it.
    keys: Option<Arc<dyn Keys>>,
}

/// What reading a personal value gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading<'a> {
    /// The clear text.
    Known(&'a str),
    /// The key is gone (or was never opened here): nobody can read this any more.
    Erased,
}

impl Personal {
    /// A fresh value that has not been sealed yet (as `decide` makes it).
    #[must_use]
    pub fn new(key: KeyId, clear: &str) -> Self {
        let clear = OnceLock::from(Some(Arc::from(clear)));
        Self { key, sealed: Arc::from([]), clear, keys: None }
    }

    /// A value as it stands on disk: sealed, not opened yet.
    #[must_use]
    pub fn sealed_under(key: KeyId, sealed: &[u8]) -> Self {
        Self::unopened(key, Arc::from(sealed))
    }

    const fn unopened(key: KeyId, sealed: Arc<[u8]>) -> Self {
        Self { key, sealed, clear: OnceLock::new(), keys: None }
    }

    /// As it was deserialised. What was never sealed has nothing to be opened.
    fn as_read(key: KeyId, sealed: Arc<[u8]>) -> Self {
        let keys = if sealed.is_empty() { None } else { OPENER.with_borrow(Clone::clone) };
        Self { keys, ..Self::unopened(key, sealed) }
    }

    /// The key that seals this value.
    #[must_use]
    pub const fn key(&self) -> KeyId {
        self.key
    }

    /// The sealed bytes; empty as long as nothing sealed it.
    #[must_use]
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// The clear text, or `Erased`.
    #[must_use]
    pub fn read(&self) -> Reading<'_> {
        self.known().map_or(Reading::Erased, Reading::Known)
    }

    /// The clear text if it is known.
    #[must_use]
    pub fn known(&self) -> Option<&str> {
        let keys = self.keys.as_ref();
        let open = || keys?.open(self.key, &self.sealed).map(Arc::from);
        self.clear.get_or_init(open).as_deref()
    }

    /// Puts the sealed form beside the clear one (the journal's codec does this before a write).
    pub fn seal_with(&mut self, seal: impl FnOnce(KeyId, &str) -> Vec<u8>) {
        if self.sealed.is_empty()
            && let Some(clear) = self.known()
        {
            self.sealed = Arc::from(seal(self.key, clear));
        }
    }

    /// Opens the sealed form at once; without a key the value is erased.
    pub fn open_with(&mut self, open: impl FnOnce(KeyId, &[u8]) -> Option<String>) {
        self.clear = OnceLock::from(open(self.key, &self.sealed).map(Arc::from));
    }

    /// Forgets the clear text: the key was destroyed. The sealed bytes stay what they were.
    pub fn forget(&mut self) {
        self.clear = OnceLock::from(None);
        self.keys = None;
    }

    /// Says who opens the sealed form when it is read (the journal does this after a read). What it was opened to
    /// before is forgotten: keys may have been destroyed since.
    pub fn open_by(&mut self, keys: Arc<dyn Keys>) {
        self.clear = OnceLock::new();
        self.keys = Some(keys);
    }
}

/// Two personal values are equal when the book holds the same bytes for them; unsealed ones when the text is.
impl PartialEq for Personal {
    fn eq(&self, other: &Self) -> bool {
        if self.key != other.key {
            return false;
        }
        if self.sealed.is_empty() || other.sealed.is_empty() {
            return self.known() == other.known();
        }
        self.sealed == other.sealed
    }
}

impl Eq for Personal {}

/// Clear text never reaches a log by accident.
impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unread = self.clear.get().is_none() && self.keys.is_some();
        let known = self.clear.get().is_some_and(Option::is_some);
        f.write_str(if known || unread { "Personal(…)" } else { "Personal(erased)" })
    }
}

impl fmt::Display for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.known().unwrap_or("[erased]"))
    }
}

impl Serialize for Personal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let hex: String = self.sealed.iter().map(|byte| format!("{byte:02x}")).collect();
            (self.key, hex).serialize(serializer)
        } else {
            (self.key, Bytes(&self.sealed)).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Personal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (key, sealed) = if deserializer.is_human_readable() {
            let (key, hex) = <(KeyId, String)>::deserialize(deserializer)?;
            (key, unhex(&hex).ok_or_else(|| D::Error::custom("sealed bytes are not hexadecimal"))?)
        } else {
            let (key, Sealed(sealed)) = Deserialize::deserialize(deserializer)?;
            return Ok(Self::as_read(key, sealed));
        };
        Ok(Self::as_read(key, Arc::from(sealed)))
    }
}

thread_local! {
    /// Who opens what is deserialised on this thread.
    static OPENER: RefCell<Option<Arc<dyn Keys>>> = const { RefCell::new(None) };
}

/// Does `read`; personal values that it deserialises on this thread are opened by `keys` when somebody reads them. Serde has
/// no place to hand them through, and to visit each value of a large state afterwards takes as long as decoding it.
pub fn opened_by<T>(keys: &Arc<dyn Keys>, read: impl FnOnce() -> T) -> T {
    struct Before(Option<Arc<dyn Keys>>);
    impl Drop for Before {
        fn drop(&mut self) {
            OPENER.set(self.0.take());
        }
    }
    let _before = Before(OPENER.replace(Some(Arc::clone(keys))));
    read()
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Sealed bytes as a codec hands them over: in one piece, copied once.
struct Sealed(Arc<[u8]>);

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Sealed;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("sealed bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Sealed, E> {
                Ok(Sealed(Arc::from(bytes)))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Something that holds personal values and can show each of them, in a fixed order.
pub trait HasPersonal {
    /// Calls `visit` for every personal value inside.
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal));
}

impl HasPersonal for Personal {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        visit(self);
    }
}

impl<T: HasPersonal> HasPersonal for Option<T> {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        if let Some(inner) = self {
            inner.each_personal(visit);
        }
    }
}

impl<T: HasPersonal> HasPersonal for Box<T> {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        (**self).each_personal(visit);
    }
}

/// What is shared is copied before it is changed: whoever else holds it keeps what he has.
impl<T: HasPersonal + Clone> HasPersonal for Arc<T> {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        Self::make_mut(self).each_personal(visit);
    }
}

impl<T: HasPersonal> HasPersonal for Vec<T> {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        for inner in self {
            inner.each_personal(visit);
        }
    }
}

/// Something whose personal values can be looked at where they are. What is shared stays shared: [`HasPersonal`] makes a copy
/// of it, since it may change what it shows.
pub trait ShowsPersonal {
    /// Is there a personal value inside of which this is true?
    fn any_personal(&self, is: &dyn Fn(&Personal) -> bool) -> bool;
}

impl ShowsPersonal for Personal {
    fn any_personal(&self, is: &dyn Fn(&Personal) -> bool) -> bool {
        is(self)
    }
}

impl<T: ShowsPersonal> ShowsPersonal for Option<T> {
    fn any_personal(&self, is: &dyn Fn(&Personal) -> bool) -> bool {
        self.as_ref().is_some_and(|inner| inner.any_personal(is))
    }
}

impl<T: ShowsPersonal> ShowsPersonal for Box<T> {
    fn any_personal(&self, is: &dyn Fn(&Personal) -> bool) -> bool {
        (**self).any_personal(is)
    }
}

impl<T: ShowsPersonal> ShowsPersonal for Arc<T> {
    fn any_personal(&self, is: &dyn Fn(&Personal) -> bool) -> bool {
        (**self).any_personal(is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_never_shows_in_debug_or_serialised_form() {
        let mut name = Personal::new(KeyId::Period(202_611), "Ada Lovelace");
        name.seal_with(|_, _| vec![1, 2, 255]);
        assert_eq!(format!("{name:?}"), "Personal(…)");
        let text = serde_json::to_string(&name).unwrap();
        assert_eq!(text, r#"[{"Period":202611},"0102ff"]"#);
        let mut back: Personal = serde_json::from_str(&text).unwrap();
        assert_eq!(back.read(), Reading::Erased);
        assert_eq!(back, name);
        back.open_with(|_, sealed| (sealed == [1, 2, 255]).then(|| "Ada Lovelace".into()));
        assert_eq!(back.read(), Reading::Known("Ada Lovelace"));
    }

    /// Counts how often it is asked, and forgets its key when told to.
    struct Counting(std::sync::atomic::AtomicI32);

    impl Keys for Counting {
        fn open(&self, _: KeyId, _: &[u8]) -> Option<String> {
            let before = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            (before >= 0).then(|| "Ada".into())
        }
    }

    #[test]
    fn a_value_is_opened_once_when_it_is_read_and_not_before() {
        let counting = Arc::new(Counting(0.into()));
        let asked = || counting.0.load(std::sync::atomic::Ordering::Relaxed);
        let keys: Arc<dyn Keys> = counting.clone();
        let mut name = Personal::sealed_under(KeyId::Period(1), &[1]);
        name.open_by(Arc::clone(&keys));
        let copy = name.clone();
        assert_eq!((format!("{name:?}"), asked()), ("Personal(…)".into(), 0));
        assert_eq!((name.read(), name.known(), asked()), (Reading::Known("Ada"), Some("Ada"), 1));
        // A key that was destroyed before anybody read the copy: it is erased. So is what is given to be opened again.
        counting.0.store(i32::MIN, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(copy.read(), Reading::Erased);
        name.open_by(Arc::clone(&keys));
        assert_eq!(name.read(), Reading::Erased);
    }

    #[test]
    fn values_that_are_read_back_are_opened_by_whoever_was_named_for_it() {
        let text = r#"[{"Period":1},"01"]"#;
        let read = || serde_json::from_str::<Personal>(text).unwrap();
        let keys: Arc<dyn Keys> = Arc::new(Counting(0.into()));
        let (named, never) = opened_by(&keys, || {
            let none: Arc<dyn Keys> = Arc::new(Counting(i32::MIN.into()));
            assert_eq!(opened_by(&none, read).read(), Reading::Erased);
            (read(), serde_json::from_str::<Personal>(r#"[{"Period":1},""]"#).unwrap())
        });
        assert_eq!((named.read(), never.read()), (Reading::Known("Ada"), Reading::Erased));
        assert_eq!(read().read(), Reading::Erased, "outside nobody is named");
        let broken = || opened_by(&keys, || -> Personal { panic!("{:?}", read().read()) });
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(broken)).is_err());
        assert_eq!(read().read(), Reading::Erased, "nor behind one that broke off");
    }

    #[test]
    fn sealing_twice_keeps_the_first_sealed_form() {
        let mut name = Personal::new(KeyId::Period(1), "x");
        name.seal_with(|_, _| vec![7]);
        name.seal_with(|_, _| vec![8]);
        assert_eq!(name.sealed(), [7]);
    }
}
