//! The thread that keeps house: leases on disk within a second, the watermark made durable about once a second.

use super::Shared;
use std::fmt::Display;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Keeps house.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    leases: Trouble,
    watermark: Trouble,
    vault: Trouble,
}

impl Keeper {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            leases: Trouble::new("leases wait for the disk"),
            watermark: Trouble::new(
                "the watermark could not be made durable; records themselves are",
            ),
            vault: Trouble::new("the vault's disk failed; the next write that needs it says so"),
        }
    }

    /// Keeps house at every beat until the book is closed, then closes the leases properly.
    pub(super) fn run(mut self, beat: Duration) {
        while !self.shared.is_closing() {
            thread::park_timeout(beat);
            self.beat();
        }
        self.close();
    }

    /// What is done at every beat.
    pub(super) fn beat(&mut self) {
        self.leases.look(self.shared.leases.flush());
        self.watermark.look(self.shared.watermark.sync());
        self.vault.look(self.shared.vault.settle());
    }

    /// Closes the leases.
    pub(super) fn close(&self) {
        if let Err(error) = self.shared.leases.close() {
            tracing::warn!(%error, "leases could not be closed properly: a second is added to each at the next start");
        }
    }
}

/// Something that fails again at every beat as long as the disk is full: told when it begins and when it is over, or the
/// log would fill what is left.
struct Trouble {
    what: &'static str,
    lasts: bool,
}

impl Trouble {
    const fn new(what: &'static str) -> Self {
        Self { what, lasts: false }
    }

    fn look<E: Display>(&mut self, outcome: Result<(), E>) {
        match &outcome {
            Err(error) if !self.lasts => tracing::warn!(%error, "{}", self.what),
            Ok(()) if self.lasts => tracing::warn!("over: {}", self.what),
            _ => {}
        }
        self.lasts = outcome.is_err();
    }
}
