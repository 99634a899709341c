//! Counters for `/metrics`: written by the event loop, read by anybody.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident $help:literal;)+) => {
        /// Counters for `/metrics`.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(#[doc = $help] pub(crate) $name: Counter,)+
        }

        impl Metrics {
            /// Every counter as (name, help, value), in a fixed order.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), $help, self.$name.get()),)+].into_iter()
            }
        }
    };
}

metrics! {
    messages_received "Datagrams received";
    messages_sent "Datagrams sent";
    registers "REGISTER requests answered 200";
    challenges "Digest challenges sent";
    wrong_passwords "Requests with wrong credentials";
    digest_uris "Requests whose digest URI names another server or somebody else than the request";
    sprays "Sources that tried many names and proved none";
    claims "Requests of a phone that spoke for another";
    refused "Requests refused";
    over_pace "Registrations, calls and codes refused because one phone asked too often";
    trunk_over_pace "Calls refused because one trunk sent too many";
    dropped "Datagrams not sent or not taken because of a limit";
    calls_placed "Calls placed";
    calls_answered "Calls answered";
    calls_failed "Calls that ended without an answer";
    calls_active "Calls in progress";
    transactions_active "SIP transactions in memory";
    feature_codes "Feature codes dialled";
    records_missed "Call records that could not be written";
    bindings_expired "Bindings that nobody refreshed";
}

/// One counter or gauge.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    // Only the event loop writes, so a load and a store do.
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}
