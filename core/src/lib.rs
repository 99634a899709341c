//! Switchbook's vocabulary: nouns, events, the state they fold to, and the routing decision.
//!
//! Pure by construction: no clock, no randomness, no I/O, no async, no SIP or HTTP words. One file per noun holds
//! its state, its events and what they do (`evolve`); [`exchange`] composes them; [`event`] is the register of all
//! event types with their stable tags.

pub mod call;
pub mod device;
pub mod envelope;
pub mod erasure;
pub mod event;
pub mod exchange;
pub mod extent;
pub mod fact;
pub mod feature_code;
pub mod forwarding;
pub mod group;
pub mod id;
pub mod number;
pub mod outside;
pub mod permission;
pub mod personal;
pub mod position;
pub mod refusal;
pub mod registration;
pub mod routing;
pub mod schedule;
pub mod seal;
pub mod settings;
pub mod slot;
mod stored;
pub mod trunk;
pub mod user;
pub mod usernames;
