//! How much of an exchange a look at the past folds. Phones register and call all day: nine records of ten are of these
//! two, and most views show neither.

/// What is folded besides the configuration, which always is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Where devices can be reached.
    pub registrations: bool,
    /// Calls without an end, and whatever else follows calls.
    pub calls: bool,
}

impl Extent {
    /// Everything.
    pub const EVERYTHING: Self = Self { registrations: true, calls: true };
    /// Nothing besides.
    pub const CONFIGURATION: Self = Self { registrations: false, calls: false };
    /// Registrations besides.
    pub const REGISTRATIONS: Self = Self { registrations: true, calls: false };
    /// Calls besides.
    pub const CALLS: Self = Self { registrations: false, calls: true };

    /// Is an event of this tag folded? One that is not changes nothing but what is left out here: that no other event
    /// looks at registrations and calls, and that these look at nothing else, is held by a test.
    #[must_use]
    pub const fn takes(self, tag: u16) -> bool {
        match tag >> 8 {
            0x0a => self.registrations,
            0x0b => self.calls,
            _ => true,
        }
    }
}
