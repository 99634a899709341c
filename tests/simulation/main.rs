//! The whole server in one process and one thread, from one seed: the real Desk with the real book on a disk in memory, the
//! real endpoint at the real port between them, read models, schedules, erasures and seals; around it phones that register
//! and call, an administrator, a network that loses, doubles and delays, power cuts, kills, full disks and a wall clock that
//! jumps. Time is virtual.
//!
//! ```console
//! SWITCHBOOK_SIM_SEEDS=200 cargo test --release -p switchbook --test simulation -- --nocapture
//! SWITCHBOOK_SIM_SEED=17 cargo test --release -p switchbook --test simulation -- --nocapture
//! ```
//!
//! The first runs so many seeds (from `SWITCHBOOK_SIM_FIRST` on), the second one of them with everything that happens in it.
//!
//! | File | Subject |
//! |---|---|
//! | `world` | what happens, and when |
//! | `network` | datagrams: lost, doubled, late |
//! | `people` | phones' users |
//! | `administrator` | what he asks, and asks again |
//! | `trouble` | machine, disk and clock |
//! | `life` | the server from start to crash |
//! | `handset` | a phone and what it was told |
//! | `office` | what an administrator may think of, and how he asks it |
//! | `checks` | what must hold |
#![allow(missing_docs, clippy::unwrap_used)]

mod administrator;
mod checks;
mod handset;
mod life;
mod network;
mod office;
mod people;
mod random;
mod time;
mod trouble;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use world::{Tally, World};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// What a seed came to: a hash of all that happened, and counts.
fn run(seed: u64, loud: bool) -> Result<(u64, Tally), String> {
    let mut world = World::new(seed, loud);
    let held = catch_unwind(AssertUnwindSafe(|| world.run()));
    let why = match held {
        Ok(Ok(())) => return Ok((world.trace_hash, world.tally)),
        Ok(Err(why)) => why,
        Err(_) => "a panic, told above".into(),
    };
    let trace: Vec<String> = world.trace.drain(..).collect();
    Err(format!(
        "seed {seed} at {:.3} s: {why}\nthe last that happened:\n{}\n\
         again, with all of it: SWITCHBOOK_SIM_SEED={seed} cargo test --release -p switchbook --test simulation -- --nocapture",
        world.now.as_secs_f64(),
        trace.join("\n")
    ))
}

#[test]
fn whatever_happens_nothing_acknowledged_is_lost_every_call_ends_and_phones_are_where_they_were_told()
 {
    if let Some(seed) = number("SWITCHBOOK_SIM_SEED") {
        match run(seed, true) {
            Ok((hash, tally)) => println!("seed {seed} holds: {hash:016x} {tally:?}"),
            Err(why) => panic!("{why}"),
        }
        return;
    }
    let first = number("SWITCHBOOK_SIM_FIRST").unwrap_or(1);
    let seeds = number("SWITCHBOOK_SIM_SEEDS").unwrap_or(20);
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8)) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= first + seeds {
                        break;
                    }
                    match run(seed, false) {
                        Ok((_, tally)) => {
                            sum.lock().unwrap_or_else(PoisonError::into_inner).push(tally)
                        }
                        Err(why) => failures
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((seed, why)),
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort();
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{} of {seeds} seeds hold: {}", sum.len(), told(&sum));
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    for (_, why) in &failures {
        println!("{}", why.lines().next().unwrap_or_default());
    }
    if let Some((_, why)) = failures.into_iter().next() {
        panic!("{} seeds fail: {seeds:?}\n{why}", seeds.len());
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in [3, 4, 5] {
        let hash = |told: Result<(u64, Tally), String>| told.map(|(hash, _)| hash);
        assert_eq!(hash(run(seed, false)), hash(run(seed, false)));
    }
}

fn told(sum: &[Tally]) -> String {
    let of = |count: fn(&Tally) -> u64| sum.iter().map(count).sum::<u64>();
    format!(
        "{} crashes, {} stops, {} jumps of the clock, {} full disks, {} packets, {} calls ({} answered, {} lost), {} commands done, {} events",
        of(|tally| tally.crashes.into()),
        of(|tally| tally.stops.into()),
        of(|tally| tally.jumps.into()),
        of(|tally| tally.full.into()),
        of(|tally| tally.packets),
        of(|tally| tally.calls),
        of(|tally| tally.answered),
        of(|tally| tally.lost),
        of(|tally| tally.acknowledged),
        of(|tally| tally.events),
    )
}
