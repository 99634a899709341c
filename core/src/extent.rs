//! How much of an exchange a look at the past folds. Phones register and call all day: nine records of ten are of these
//! two, and most views show neither.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// What is folded besides the configuration, which always is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Where devices can be reached.
    pub registrations: bool,
    /// Calls without an end, and whatever else follows calls.
    pub calls: bool,
}

impl Extent {
    /// Everything.
    pub const EVERYTHING: Self = Self { registrations: true, calls: true };
    /// Nothing besides.
    pub const CONFIGURATION: Self = Self { registrations: false, calls: false };
    /// Registrations besides.
    pub const REGISTRATIONS: Self = Self { registrations: true, calls: false };
    /// Calls besides.
    pub const CALLS: Self = Self { registrations: false, calls: true };

    /// Is an event of this tag folded? One that is not changes nothing but what is left out here: that no other event
    /// looks at registrations and calls, and that these look at nothing else, is held by a test.
    #[must_use]
    pub const fn takes(self, tag: u16) -> bool {
        match tag >> 8 {
            0x0a => self.registrations,
            0x0b => self.calls,
            _ => true,
        }
    }
}

/// A table that is read over: its entries are checked as they are when it is kept, and not kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed<K, V>(PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Passed<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Over<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Over<K, V> {
            type Value = Passed<K, V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                while entries.next_entry::<K, V>()?.is_some() {}
                Ok(Passed(PhantomData))
            }
        }
        deserializer.deserialize_map(Over(PhantomData))
    }
}
