//! Events in words: one line for a person, in English and German, built from the event itself.

mod calls;
mod evidence;
mod forwarding;
mod people;
mod phones;
mod reasons;

pub use calls::{caller, dialled, outcome, status};
pub use forwarding::{condition, origin, rule, target};
pub use phones::logout_reason;
pub use reasons::{reason, refusal};

use crate::names::Naming;
use crate::text::Text;
use chrono_tz::Tz;
use switchbook_core::event::Event;

/// What an event says, for a person; moments on the wall clock of `zone`.
#[must_use]
pub fn event(event: &Event, names: &dyn Naming, zone: Tz) -> Text {
    match event.tag() {
        0x0000..=0x01ff | 0x0500..=0x06ff => people::line(event, names),
        0x0200..=0x04ff | 0x0a00..=0x0aff => phones::line(event, names, zone),
        0x0700..=0x09ff => forwarding::line(event, names, zone),
        _ => calls::line(event, names, zone),
    }
}

/// Only for an event that the dispatch above sent to the wrong file; the test below finds it.
fn bare(event: &Event) -> Text {
    Text::same(event.name())
}
