//! Reading ahead of whoever folds a long stretch of the book: several threads check and decode pieces of it, and give them
//! over in order.
//!
//! A record is made and dropped on the same thread: its parts go back where they came from sooner than they are given to
//! another thread's heap, and records are decoded into the same memory again. Each thread has a count of its own for the
//! vault in the records' personal fields, so that none waits for another's.

use super::Shared;
use crate::error::ReadError;
use crate::segment::scout::{Piece, Scout};
use crate::store::Stretch;
use crate::vault::Vault;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use switchbook_core::envelope::Recorded;
use switchbook_core::extent::Extent;
use switchbook_core::personal::{KeyId, Keys};
use switchbook_core::position::Position;
use tokio::sync::{mpsc, oneshot};

/// So many threads read. With whoever folds they are one more than two cores, so that neither core waits: what one does less
/// of, the other does more of.
const THREADS: usize = 2;
/// So many pieces wait at most until they are folded.
const WAITING: usize = 4;
/// Fewer records are read sooner than threads come to it.
const LEAST: u64 = 4_096;

/// Pieces of the book, read ahead and in order.
#[derive(Debug)]
pub struct Ahead {
    coming: mpsc::Receiver<Coming>,
    /// The one that is waited for: whoever stops waiting loses none.
    now: Option<Coming>,
    /// There was an error. A thread that was just giving something over when the channel was closed may still do so.
    failed: bool,
}

/// Records that were read ahead. Dropping it gives them back to the thread that made them.
#[derive(Debug)]
pub struct Batch {
    stretch: Stretch,
    home: Sender<Vec<Recorded>>,
}

impl Ahead {
    /// The next piece; `None` behind the last one, and when nobody reads any more because the server stops: whoever needs
    /// everything looks how far the last piece went, and reads on. Nothing comes behind an error.
    pub async fn next(&mut self) -> Option<Result<Batch, ReadError>> {
        if self.failed {
            return None;
        }
        let now = match &mut self.now {
            Some(now) => now,
            waiting => waiting.insert(self.coming.recv().await?),
        };
        let piece = now.await;
        self.now = None;
        let read = piece.unwrap_or(Err(ReadError::Closed));
        if read.is_err() {
            self.failed = true;
            self.coming.close();
            while self.coming.try_recv().is_ok() {}
        }
        Some(read)
    }
}

impl Batch {
    /// What was read.
    #[must_use]
    pub const fn stretch(&self) -> &Stretch {
        &self.stretch
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // When that thread has ended, they are dropped here.
        let _ = self.home.send(std::mem::take(&mut self.stretch.records));
    }
}

impl Shared {
    /// Begins to read ahead, where that is worth threads of its own and the place to begin at is known. What is in memory
    /// anyway is left to the caller. Within a runtime only.
    pub(super) fn ahead(
        self: &Arc<Self>,
        extent: Extent,
        from: Position,
        to: Position,
    ) -> Option<Ahead> {
        let in_memory = self.tail().first();
        let to = to.min(self.durable()).min(Position(in_memory.0.saturating_sub(1)));
        if to.0.saturating_sub(from.0) < LEAST || !self.segments.is_near(from) {
            return None;
        }
        let scout = Arc::new(Mutex::new(Scout::new(&self.segments, from, to)));
        let (order, coming) = mpsc::channel(WAITING);
        for _ in 0..THREADS {
            let (shared, scout, order) = (Arc::clone(self), Arc::clone(&scout), order.clone());
            tokio::task::spawn_blocking(move || Reading::new(shared, extent).run(&scout, &order));
        }
        Some(Ahead { coming, now: None, failed: false })
    }
}

/// A thread that reads.
struct Reading {
    shared: Arc<Shared>,
    extent: Extent,
    keys: Arc<dyn Keys>,
    home: Sender<Vec<Recorded>>,
    used: Receiver<Vec<Recorded>>,
}

type Coming = oneshot::Receiver<Result<Batch, ReadError>>;

impl Reading {
    fn new(shared: Arc<Shared>, extent: Extent) -> Self {
        let keys = Arc::new(Counted(Arc::clone(&shared.vault)));
        let (home, used) = channel();
        Self { shared, extent, keys, home, used }
    }

    fn run(&self, scout: &Mutex<Scout>, order: &mpsc::Sender<Coming>) {
        let mut done: Option<Piece> = None;
        loop {
            let (piece, finished) = {
                let mut scout = scout.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(piece) = done.take() {
                    scout.give_back(piece);
                }
                if self.shared.is_closing() {
                    return;
                }
                let Some(piece) = scout.take().transpose() else { return };
                let (finished, coming) = oneshot::channel();
                // In here, since pieces are folded in the order they are taken in. Nobody else has anything to do meanwhile.
                if order.blocking_send(coming).is_err() {
                    return;
                }
                (piece, finished)
            };
            let read = piece.and_then(|mut piece| {
                let stretch = self.read(&mut piece)?;
                done = Some(piece);
                Ok(Batch { stretch, home: self.home.clone() })
            });
            // Whoever waited for it has seen enough.
            if finished.send(read).is_err() {
                return;
            }
        }
    }

    fn read(&self, piece: &mut Piece) -> Result<Stretch, ReadError> {
        let mut records = Vec::new();
        while let Ok(used) = self.used.try_recv() {
            records = used;
            records.clear();
        }
        if self.extent == Extent::EVERYTHING {
            records.reserve(usize::try_from(piece.records()).unwrap_or(0));
        }
        let mut stretch = Stretch { records, last: None };
        piece.each(|outline| {
            stretch.last = Some((outline.position, outline.recorded_at));
            if self.extent.takes(outline.tag()) {
                stretch.records.push(self.shared.decode(outline, &self.keys)?);
            }
            Ok(())
        })?;
        Ok(stretch)
    }
}

/// The vault, with a count of holders of its own.
struct Counted(Arc<Vault>);

impl Keys for Counted {
    fn open(&self, key: KeyId, sealed: &[u8]) -> Option<String> {
        self.0.open_sealed(key, sealed)
    }
}
