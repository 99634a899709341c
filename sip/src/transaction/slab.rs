//! Places for transactions, and one queue of deadlines.

use super::client::Client;
use super::key::Key;
use super::server::Server;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// A queue as short as this is not tidied, and so many places are kept.
const SPARE: usize = 4096;

/// Boxed, since there are more places than transactions.
#[derive(Debug)]
pub(crate) enum Transaction {
    Server(Box<Server>),
    Client(Box<Client>),
}

impl Transaction {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Transaction::Server(s) => s.deadline(),
            Transaction::Client(c) => c.deadline(),
        }
    }
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    /// The earliest entry in the queue for this place.
    queued: Option<Instant>,
    transaction: Option<Transaction>,
}

/// A transaction has at most one live entry in the queue, for its earliest deadline. An entry that no longer fits is
/// dropped or replaced when its time comes, or when most of the queue is such entries: it is never longer than
/// [`SPARE`] entries or four times the transactions there are.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    places: Vec<Place>,
    free: Vec<u32>,
    /// What a new place begins with: keys of a place that was given up are not those of one that comes later.
    born: u32,
    queue: BinaryHeap<Reverse<(Instant, u32, u32)>>,
}

impl Slab {
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(crate) fn queue_len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn places(&self) -> usize {
        self.places.capacity()
    }

    pub(crate) fn insert(&mut self, transaction: Transaction) -> Key {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.places.push(Place { generation: self.born, ..Place::default() });
                (self.places.len() - 1) as u32
            }
        };
        let place = &mut self.places[index as usize];
        place.transaction = Some(transaction);
        let key = Key { index, generation: place.generation };
        self.schedule(key);
        key
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Transaction> {
        let place = self.places.get(key.index as usize)?;
        if place.generation == key.generation { place.transaction.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Transaction> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation == key.generation { place.transaction.as_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Transaction> {
        let place =
            self.places.get_mut(key.index as usize).filter(|p| p.generation == key.generation)?;
        let transaction = place.transaction.take()?;
        place.generation = place.generation.wrapping_add(1);
        place.queued = None;
        self.free.push(key.index);
        self.tidy();
        Some(transaction)
    }

    /// Drops entries of transactions that are gone, once they are most of the queue: each is looked at a few times in
    /// all, and a flood of answers without a transaction of their own leaves nothing behind.
    fn tidy(&mut self) {
        if self.queue.len() > SPARE && self.queue.len() > 4 * self.len() {
            let places = &self.places;
            self.queue.retain(|Reverse((at, index, generation))| {
                places
                    .get(*index as usize)
                    .is_some_and(|p| p.generation == *generation && p.queued == Some(*at))
            });
        }
        if self.queue.capacity() > SPARE && self.queue.len() < self.queue.capacity() / 8 {
            self.queue.shrink_to(2 * self.queue.len());
        }
        // Not at each end of a transaction, since it looks at all places.
        let quiet = self.places.len() > SPARE && self.len() < self.places.len() / 8;
        if quiet && (self.len() == 0 || self.free.len().is_multiple_of(SPARE)) {
            self.give_up_places();
        }
    }

    /// After a rush: the places behind the last one in use are given up, and those before it used from the front, so that
    /// the next time there are more behind it.
    fn give_up_places(&mut self) {
        let last = self.places.iter().rposition(|place| place.transaction.is_some());
        let kept = last.map_or(0, |last| last + 1);
        let gone = self.places.drain(kept..).map(|place| place.generation);
        self.born = gone.fold(self.born, u32::max);
        self.places.shrink_to_fit();
        self.free.retain(|index| (*index as usize) < kept);
        self.free.sort_unstable_by_key(|index| Reverse(*index));
        self.free.shrink_to_fit();
    }

    /// To be called after the deadlines of a transaction changed.
    pub(crate) fn schedule(&mut self, key: Key) {
        let Some(place) = self.places.get_mut(key.index as usize) else {
            return;
        };
        let Some(at) = place.transaction.as_ref().and_then(Transaction::deadline) else {
            return;
        };
        if place.queued.is_none_or(|queued| at < queued) {
            place.queued = Some(at);
            self.queue.push(Reverse((at, key.index, key.generation)));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes a transaction whose deadline has come. Call `schedule` when it was served.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Key> {
        while let Some(Reverse((at, index, generation))) = self.queue.peek().copied() {
            if at > now {
                return None;
            }
            self.queue.pop();
            let key = Key { index, generation };
            let Some(place) = self.places.get_mut(index as usize) else {
                continue;
            };
            if place.generation != generation || place.queued != Some(at) {
                continue;
            }
            place.queued = None;
            match place.transaction.as_ref().and_then(Transaction::deadline) {
                Some(due) if due <= now => return Some(key),
                Some(_) => self.schedule(key),
                None => {}
            }
        }
        None
    }
}
