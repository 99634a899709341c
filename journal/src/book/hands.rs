//! Who does the book's work: a thread each for writing and for keeping house, or whoever opened it, step by step.

use super::keeper::Keeper;
use super::writer::{Work, Writer};
use tokio::sync::mpsc;

/// So many callers are answered by one write at most.
const GROUPS: usize = 4096;

/// The writing end with what waits for it.
pub(super) struct Pen {
    pub(super) writer: Writer,
    pub(super) queue: mpsc::Receiver<Work>,
}

impl Pen {
    /// Works until the last handle of the book is gone, then closes properly.
    pub(super) fn run(mut self) {
        let mut waiting = Vec::new();
        while self.queue.blocking_recv_many(&mut waiting, GROUPS) > 0 {
            self.writer.do_all(&mut waiting);
        }
        self.writer.close();
    }
}

/// The work of a book that was opened by hand: nothing is written, and nobody answered, until it is done. For whoever
/// drives time himself.
pub struct Hands {
    pub(super) pen: Pen,
    pub(super) keeper: Keeper,
}

impl Hands {
    /// Does anybody wait for the disk?
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.pen.queue.is_empty()
    }

    /// Writes everything that waits, with one fdatasync, and answers.
    pub fn write(&mut self) {
        let mut waiting = Vec::new();
        while waiting.len() < GROUPS
            && let Ok(work) = self.pen.queue.try_recv()
        {
            waiting.push(work);
        }
        if !waiting.is_empty() {
            self.pen.writer.do_all(&mut waiting);
        }
    }

    /// Leases on disk, the watermark durable: due at every [`Options::beat`](super::Options::beat).
    pub fn beat(&mut self) {
        self.keeper.beat();
    }

    /// Writes what still waits and closes the book properly. Handles of it append nothing from then on.
    pub fn close(mut self) {
        self.pen.queue.close();
        while self.is_wanted() {
            self.write();
        }
        self.pen.writer.close();
        self.keeper.close();
    }
}

impl std::fmt::Debug for Hands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hands")
    }
}
