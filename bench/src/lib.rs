//! Large books and what is measured on them.
//!
//! [`year`] writes the book of a year from a seed, through the journal's own writer. The program of the same name has one
//! command for each measurement (`cargo run --release -p switchbook-bench -- help`).

pub mod as_of;
pub mod clock;
pub mod closed_loop;
pub mod console;
pub mod growth;
pub mod memory;
pub mod phones;
pub mod plot;
pub mod register;
pub mod replay;
pub mod report;
pub mod routing;
pub mod server;
pub mod start;
pub mod year;
