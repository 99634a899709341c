//! Tables as they are read back from a snapshot: each entry straight into its place.
//!
//! Serde makes what is shared in a box first and moves it from there; a state of ten thousand users has 60,000 such values.

use crate::exchange::Table;
use imbl::OrdMap;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Shows every entry of a table, in order.
fn each<'de, D: Deserializer<'de>, K: Deserialize<'de>, V: Deserialize<'de>>(
    deserializer: D,
    visit: impl FnMut(K, V),
) -> Result<(), D::Error> {
    struct Each<K, V, F>(F, PhantomData<(K, V)>);
    impl<'de, K: Deserialize<'de>, V: Deserialize<'de>, F: FnMut(K, V)> Visitor<'de> for Each<K, V, F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
            while let Some((key, value)) = entries.next_entry()? {
                (self.0)(key, value);
            }
            Ok(())
        }
    }
    deserializer.deserialize_map(Each(visit, PhantomData))
}

/// Reads a table whose entries are shared.
pub(crate) fn table<'de, D: Deserializer<'de>, K, V>(from: D) -> Result<Table<K, V>, D::Error>
where
    K: Deserialize<'de> + Ord + Clone,
    V: Deserialize<'de>,
{
    let mut table = Table::new();
    each(from, |key, value| {
        table.insert(key, Arc::new(value));
    })?;
    Ok(table)
}

/// Reads a table of names.
pub(crate) fn names<'de, D: Deserializer<'de>, V>(from: D) -> Result<OrdMap<Arc<str>, V>, D::Error>
where
    V: Deserialize<'de> + Clone,
{
    let mut table = OrdMap::new();
    each(from, |Name(name), value| {
        table.insert(name, value);
    })?;
    Ok(table)
}

/// A name, copied once.
struct Name(Arc<str>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
                Ok(Name(Arc::from(text)))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
