//! The transaction table in simulated time: each timer of RFC 3261 Table 4, matching, absorbing, races.
#![allow(clippy::unwrap_used)] // A test stops at the first surprise.

mod chaos;
mod client;
mod server;
mod sim;
mod table;
