//! Identities. Every id is a type of its own, so that a slot can never be taken for a device.
//!
//! Ids are UUIDs made outside (`Context` brings them in): `core` knows no randomness. In the book an id
//! is 16 bytes without a length, in JSON the usual hyphenated text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub Uuid);

        impl Ord for $name {
            /// By bytes. As one number, since every look-up in a table compares a dozen times.
            #[inline]
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.as_u128().cmp(&other.0.as_u128())
            }
        }

        impl PartialOrd for $name {
            #[inline]
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                write(&self.0, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                read(deserializer).map(Self)
            }
        }

        impl $name {
            /// The sixteen bytes as they stand in the book.
            #[must_use]
            pub const fn bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// One natural person's account (behaviour.md 1.1).
    UserId;
    /// A place for one device of a user (Endgeräte-Slot, behaviour.md 1.3).
    SlotId;
    /// A phone: hardware, DECT handset or softphone, with credentials of its own.
    DeviceId;
    /// A group of users, phones, fax numbers … (behaviour.md 1.6).
    GroupId;
    /// A forwarding profile (Rufumleitungsprofil, behaviour.md 1.8).
    ProfileId;
    /// One schedule entry: number, profile, time pattern (behaviour.md 1.8).
    ScheduleId;
    /// A trunk (Amt) to the public network (behaviour.md 1.19).
    TrunkId;
    /// One call, from its first INVITE to its end.
    CallId;
    /// A command as its sender names it; a repeated id gets the first answer.
    CommandId;
    /// The thread that ties a command and everything it led to together.
    CorrelationId;
    /// The book itself: made once, with the folder.
    BookId;
    /// An entry in the vault (password, PIN or digest hashes); never its content.
    SecretId;
}

/// `uuid`'s own form has a length before the bytes; an id is always sixteen.
fn write<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        id.serialize(serializer)
    } else {
        id.as_bytes().serialize(serializer)
    }
}

// An x87 register makes another number of some of those bits.
#[cfg(all(target_arch = "x86", not(target_feature = "sse2")))]
compile_error!("ids cannot be read on this machine: floating-point numbers do not keep their bits");

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    if deserializer.is_human_readable() {
        Uuid::deserialize(deserializer)
    } else {
        // Sixteen bytes one by one cost more than the rest of most events. Floating-point numbers are the only ones
        // that the book's codec leaves at their width, so they bring eight bytes at a time; only their bits are looked at.
        let [front, back] = <[f64; 2]>::deserialize(deserializer)?;
        let number = u128::from(back.to_bits()) << 64 | u128::from(front.to_bits());
        Ok(Uuid::from_bytes(number.to_le_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_their_bytes() {
        let of = |first: u8, last: u8| {
            let mut bytes = [0; 16];
            (bytes[0], bytes[15]) = (first, last);
            CallId(Uuid::from_bytes(bytes))
        };
        let mut ids = [of(1, 0), of(0, 9), of(0xff, 0), of(1, 1), of(0, 0)];
        ids.sort_unstable();
        assert!(ids.is_sorted_by_key(|id| *id.bytes()));
    }
}
