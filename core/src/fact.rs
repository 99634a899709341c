//! Provenance: a value together with the position of the event that made it so (architecture.md, way 8).

use crate::position::Position;
use serde::{Deserialize, Serialize};

/// A value and where in the book it was set: every field on every page can say who set it, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fact<T> {
    /// What is so.
    pub value: T,
    /// The event that made it so.
    pub at: Position,
}

impl<T> Fact<T> {
    /// `value`, set by the event at `at`.
    #[must_use]
    pub const fn new(value: T, at: Position) -> Self {
        Self { value, at }
    }
}

impl<T: crate::personal::HasPersonal> crate::personal::HasPersonal for Fact<T> {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut crate::personal::Personal)) {
        self.value.each_personal(visit);
    }
}

impl<T: crate::personal::ShowsPersonal> crate::personal::ShowsPersonal for Fact<T> {
    fn any_personal(&self, is: &dyn Fn(&crate::personal::Personal) -> bool) -> bool {
        self.value.any_personal(is)
    }
}
