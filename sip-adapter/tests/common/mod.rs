//! A world with simulated time for stories: an exchange in memory, phones that speak real SIP, no socket, no sleep.
#![allow(dead_code, unused_imports, clippy::unwrap_used)]

pub mod desk;
pub mod phone;
pub mod sim;

pub use desk::REALM;
pub use phone::{Dialogue, Phone};
pub use sim::Sim;
