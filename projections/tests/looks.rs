//! Looks at the past that leave registrations or calls out, against a full fold of the same events.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
#[path = "../../journal/tests/samples/mod.rs"]
mod samples;

use common::*;
use proptest::prelude::*;
use switchbook_core::call::{CallEnded, CallOutcome, ReleaseCause};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::extent::Extent;
use switchbook_core::id::CallId;
use switchbook_core::number::MatrixChanged;
use switchbook_core::position::Position;
use switchbook_core::registration::{BindingId, RegistrationRemoved};
use switchbook_journal::EventStore;
use switchbook_projections::fold::{self, Tables};
use switchbook_projections::snapshot;

const EXTENTS: [Extent; 4] =
    [Extent::EVERYTHING, Extent::CONFIGURATION, Extent::REGISTRATIONS, Extent::CALLS];

/// A full fold without what an extent leaves out.
fn cut(extent: Extent, exchange: &Exchange) -> Exchange {
    let mut cut = exchange.clone();
    if !extent.registrations {
        cut.registrations = Exchange::default().registrations;
    }
    if !extent.calls {
        cut.open_calls = Exchange::default().open_calls;
    }
    cut
}

/// Every event there is, in an order in which most of them find what they are about.
#[test]
fn an_event_outside_an_extent_changes_nothing_inside_it() {
    const LAST: [&str; 6] = ["Deleted", "Removed", "Freed", "Expired", "Ended", "Lost"];
    let ends = |event: &Event| LAST.iter().any(|end| event.name().ends_with(end));
    let (last, first): (Vec<_>, Vec<_>) = samples::samples().into_iter().partition(ends);
    let again = samples::samples();
    let all = first.into_iter().chain(last.into_iter().rev()).chain(again);
    let mut story = Story::begun();
    let mut folded = EXTENTS.map(|extent| cut(extent, &story.exchange));
    let (mut left_out, mut registered, mut called) = ([0; EXTENTS.len()], false, false);
    for event in all {
        story.tell(event);
        let recorded = story.records.last().unwrap();
        registered |= !story.exchange.registrations.is_empty();
        called |= !story.exchange.open_calls.is_empty();
        for ((extent, folded), left) in EXTENTS.into_iter().zip(&mut folded).zip(&mut left_out) {
            if extent.takes(recorded.event.tag()) {
                folded.evolve(recorded);
            } else {
                *left += 1;
                folded.pass(recorded.envelope.position, recorded.envelope.recorded_at);
            }
            assert!(*folded == cut(extent, &story.exchange), "{extent:?} at {recorded:?}");
        }
    }
    assert!(left_out[0] == 0 && left_out[1..].iter().all(|left| *left > 3), "{left_out:?}");
    assert!(registered && called);
}

fn told(deeds: &[u8]) -> Story {
    let mut story = Story::of_ada_and_bob();
    for (n, deed) in (10u32..).zip(deeds) {
        match deed % 6 {
            0 | 1 => {
                story.register([P1, P2, P3][usize::from(deed / 6) % 3], n, 600);
            }
            2 => {
                let (device, binding) = (P1, BindingId(n.saturating_sub(2)));
                story.tell(RegistrationRemoved { device, binding });
            }
            3 => {
                story.call(u128::from(n), P1, "300");
            }
            4 => {
                let open: Option<CallId> = story.exchange.open_calls.keys().next().copied();
                let Some(call) = open else { continue };
                let (outcome, ended_at) = (CallOutcome::NoAnswer, story.now);
                let (cause, rang) = (ReleaseCause::ABSENT, vec![P3]);
                story.tell(CallEnded { call, outcome, ended_at, cause, rang });
            }
            _ => {
                let (number, slot) = (number("100"), ADA_DECT);
                story.tell(MatrixChanged { user: ADA, number, slot, on: deed % 4 < 2 });
            }
        }
        story.pass(7);
    }
    story
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// From snapshots anywhere, one of which does not decode, or from none.
    #[test]
    fn a_look_sees_what_a_full_fold_comes_to(
        deeds in prop::collection::vec(any::<u8>(), 0..60),
        kept in prop::collection::vec(1..80u64, 0..3),
        broken in prop::option::of(1..80u64),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let mut story = told(&deeds);
            story.write().await;
            let (store, open) = (&*story.store, story.opener());
            let mut tables = Tables::default();
            for recorded in &story.records {
                tables.apply(recorded);
                if kept.contains(&tables.position().0) {
                    for (name, bytes) in tables.snapshots() {
                        store.put_snapshot(name, tables.position(), bytes).await.unwrap();
                    }
                }
            }
            if let Some(at) = broken.map(Position).filter(|at| *at <= story.exchange.position) {
                store.put_snapshot(snapshot::EXCHANGE, at, vec![1, 2, 3]).await.unwrap();
            }
            let mut full = Tables::default();
            for recorded in &story.records {
                full.apply(recorded);
                let at = full.position();
                for extent in EXTENTS {
                    let seen = fold::exchange_of(extent, store, at, &open).await.unwrap();
                    assert_eq!(seen, cut(extent, &full.exchange), "{extent:?} at {at}");
                }
                let seen = fold::calls_at(store, at, &open).await.unwrap();
                let exchange = cut(Extent::CALLS, &full.exchange);
                assert_eq!(seen, Tables { exchange, ..full.clone() }, "calls at {at}");
                assert_eq!(fold::names_at(store, at, &open).await.unwrap(), full.names);
                assert_eq!(fold::tables_at(store, at, &open).await.unwrap(), full);
            }
        });
    }

    /// Whatever bytes stand in a snapshot: what an extent keeps of it is what the whole has there, and is refused unless all that
    /// it reads checks.
    #[test]
    fn what_is_kept_of_a_snapshot_is_checked_whatever_is_passed_over(
        deeds in prop::collection::vec(any::<u8>(), 0..20),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        end in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let story = told(&deeds);
        let sound = snapshot::encode(&story.exchange);
        let first_part = 8 + u64::from_le_bytes(*sound.first_chunk().unwrap()) as usize;
        let (mut bytes, mut first_is_sound) = (sound.clone(), true);
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            first_is_sound &= bytes[..first_part] == sound[..first_part];
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
            first_is_sound &= bytes.len() >= first_part;
        }
        let whole = snapshot::decode::<Exchange>(&bytes, &story.opener());
        for extent in EXTENTS {
            let part = snapshot::decode_of::<Exchange>(extent, &bytes, &story.opener());
            match (&whole, part) {
                (Ok(whole), part) => prop_assert_eq!(part.ok(), Some(cut(extent, whole))),
                (Err(_), Ok(part)) => {
                    prop_assert!(!extent.registrations);
                    prop_assert!(!first_is_sound || part == cut(extent, &story.exchange));
                }
                (Err(_), Err(_)) => prop_assert!(extent.registrations || !first_is_sound),
            }
        }
    }
}
