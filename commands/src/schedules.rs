//! The reaction that tells the book when a window's edge came (X-16, way 5). Whether it runs or not changes no call:
//! what a schedule means is computed from its definition.

use crate::desk::{DeskError, DeskHandle};
use crate::order::Order;
use crate::refusal::RefusalCode;
use crate::schedule::{Fire, Lateness, Missed};
use std::collections::BTreeSet;
use std::time::Duration;
use switchbook_core::envelope::{Actor, Subject};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{CommandId, ScheduleId};
use switchbook_core::position::{Moment, Position};
use switchbook_core::schedule::Edge;
use switchbook_core::schedule::window::{edges, next_edge, zone_of};

/// More missed edges than this are summed up.
pub const ONE_BY_ONE: usize = 1000;
/// The clock is looked at again after this, in case somebody set it.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// An edge that came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Due {
    /// When.
    pub due: Moment,
    /// Whose.
    pub schedule: ScheduleId,
    /// Which.
    pub edge: Edge,
}

/// Every edge up to `now` that may not be in the book yet, in order. Those due exactly at the last recorded moment are
/// among them: some of them may be missing.
#[must_use]
pub fn due_edges(exchange: &Exchange, now: Moment) -> Vec<Due> {
    let recorded = Moment(exchange.edges_until.0.saturating_sub(1));
    let mut found: Vec<Due> = exchange
        .schedules
        .iter()
        .flat_map(|(id, schedule)| {
            let zone = zone_of(exchange, schedule.number);
            let after = recorded.max(schedule.made_at);
            let due = |(due, edge)| Due { due, schedule: *id, edge };
            edges(&schedule.pattern, zone, after, now).into_iter().map(due)
        })
        .collect();
    found.sort_unstable();
    found
}

/// When the next edge comes.
#[must_use]
pub fn next_due(exchange: &Exchange, now: Moment) -> Option<Moment> {
    let next = exchange.schedules.values().filter_map(|schedule| {
        next_edge(&schedule.pattern, zone_of(exchange, schedule.number), now)
    });
    next.map(|(due, _)| due).min()
}

/// Records edges as they come, until the Desk is closed. Those missed while the server was down come first.
pub async fn run(desk: DeskHandle) {
    let mut bell = Bell { started: desk.clock().now(), rung: BTreeSet::new(), desk };
    loop {
        match bell.ring().await {
            Ok(()) => {}
            Err(DeskError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "an edge of a schedule is not recorded yet");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        }
        if !bell.sleep().await {
            return;
        }
    }
}

struct Bell {
    desk: DeskHandle,
    /// What was due before that is late.
    started: Moment,
    /// Edges at the last recorded moment that stand in the book.
    rung: BTreeSet<Due>,
}

impl Bell {
    /// Records what is due.
    async fn ring(&mut self) -> Result<(), DeskError> {
        let published = self.desk.published();
        let exchange = &published.exchange;
        let until = exchange.edges_until;
        self.rung.retain(|due| due.due >= until);
        let now = self.desk.clock().now();
        let mut open = Vec::new();
        for due in due_edges(exchange, now) {
            if self.rung.contains(&due) || (due.due == until && self.recorded(due).await) {
                self.rung.insert(due);
            } else {
                open.push(due);
            }
        }
        if open.len() > ONE_BY_ONE {
            let edges = open.len() as u64;
            let missed = Missed { after: until, until: now, edges };
            let id = CommandId(self.desk.clock().new_id());
            let answer = self.desk.submit(Order::new(id, Actor::System, missed)).await?;
            return self.desk.wait_for(answer.position).await;
        }
        for due in open {
            let late = if due.due < self.started { Lateness::Late } else { Lateness::InTime };
            let Due { due: at, schedule, edge } = due;
            let fire = Fire { schedule, edge, due: at, late };
            let id = CommandId(self.desk.clock().new_id());
            match self.desk.submit(Order::new(id, Actor::Schedule(schedule), fire)).await {
                Ok(_) => {}
                Err(error) if error.code() == Some(RefusalCode::ScheduleUnknown) => {}
                Err(error) => return Err(error),
            }
            self.rung.insert(due);
        }
        Ok(())
    }

    /// Does the edge stand in the book?
    async fn recorded(&self, due: Due) -> bool {
        let subject = Subject::Schedule(due.schedule);
        let history = self.desk.book().history(subject, Position::START, usize::MAX).await;
        history.unwrap_or_default().iter().any(|recorded| match &recorded.event {
            Event::ScheduleFired(fired) => fired.due == due.due && fired.edge == due.edge,
            _ => false,
        })
    }

    /// Until the next edge comes or the configuration changes; `false` when the Desk is closed.
    async fn sleep(&self) -> bool {
        let published = self.desk.published();
        let now = self.desk.clock().now();
        let wait = next_due(&published.exchange, now).map_or(LONGEST_SLEEP, |due| {
            let micros = u64::try_from(due.0.saturating_sub(now.0)).unwrap_or(0);
            Duration::from_micros(micros + 1).min(LONGEST_SLEEP)
        });
        let mut position = self.desk.subscribe();
        let configuration = published.exchange.configuration;
        let changed = async {
            loop {
                if position.changed().await.is_err() {
                    return false;
                }
                if self.desk.published().exchange.configuration != configuration {
                    return true;
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => true,
            open = changed => open,
        }
    }
}
