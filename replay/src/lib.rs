//! The auditor's room: what was true when, who made it so, and why a call went where it went.
//!
//! **Nothing here can append**: every function takes an [`EventReader`], which has no way to write. It works on the
//! store of a running server, and on [`SegmentBook`], which reads the segment files themselves without asking the
//! server (architecture.md way 9).
//!
//! [`as_of`] gives states, [`mod@history`] and [`mod@show`] events, [`mod@diff`] what changed between two moments and by whom,
//! [`mod@explain`] walks from a call back to the events that made its plan.
//!
//! [`EventReader`]: switchbook_journal::EventReader
//! [`SegmentBook`]: segments::SegmentBook

pub mod as_of;
pub mod diff;
pub mod error;
pub mod evidence;
pub mod explain;
mod facts;
pub mod history;
pub mod person;
pub mod segments;
pub mod show;
pub mod source;
pub mod story;
pub mod verify;
pub mod what_if;
pub mod why;

pub use as_of::{At, StateHash, state_hash};
pub use diff::{Difference, diff};
pub use error::ReplayError;
pub use explain::{Explanation, Options, StoredPlan, explain};
pub use history::{Request, history};
pub use segments::SegmentBook;
pub use show::{Shown, show};
pub use source::Source;
