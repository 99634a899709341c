//! How long something takes: on the wall, and in processor time of this thread and of the whole process.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// A stretch of work, measured.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// On the wall.
    pub wall: Duration,
    /// Processor time of the thread that measured.
    pub thread: Duration,
    /// Processor time of all threads of the process.
    pub process: Duration,
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Does some work once.
pub fn once<T>(work: impl FnOnce() -> T) -> (T, Took) {
    let clocks = || (Instant::now(), read(ClockId::ThreadCPUTime), read(ClockId::ProcessCPUTime));
    let (began, thread, process) = clocks();
    let done = work();
    let (wall, thread) = (began.elapsed(), read(ClockId::ThreadCPUTime) - thread);
    (done, Took { wall, thread, process: read(ClockId::ProcessCPUTime) - process })
}

/// Does some work several times; the shortest of each clock counts, since others use the machine too.
pub fn best(turns: u32, mut work: impl FnMut()) -> Took {
    let mut shortest = once(&mut work).1;
    for _ in 1..turns {
        let took = once(&mut work).1;
        shortest.wall = shortest.wall.min(took.wall);
        shortest.thread = shortest.thread.min(took.thread);
        shortest.process = shortest.process.min(took.process);
    }
    shortest
}
