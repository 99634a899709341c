//! Large books and what is measured on them.
//!
//! [`year`] writes the book of a year from a seed, through the journal's own writer. The program of the same name has one
//! command for each measurement (`cargo run --release -p switchbook-bench -- help`).

pub mod clock;
pub mod replay;
pub mod report;
pub mod year;
