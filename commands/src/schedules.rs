//! The reaction that tells the book when a window's edge came (X-16, way 5). Whether it runs or not changes no call:
//! what a schedule means is computed from its definition.

use crate::desk::{DeskError, DeskHandle};
use crate::order::Order;
use crate::refusal::RefusalCode;
use crate::schedule::{Fire, Lateness, Missed};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use switchbook_core::envelope::{Actor, Subject};
use switchbook_core::event::Event;
use switchbook_core::exchange::{Exchange, Table};
use switchbook_core::group::Group;
use switchbook_core::id::{CommandId, GroupId, ScheduleId, UserId};
use switchbook_core::position::{Moment, Position};
use switchbook_core::schedule::window::{edges, next_edge, zone_of};
use switchbook_core::schedule::{Edge, Schedule};
use switchbook_core::settings::Settings;
use switchbook_core::user::User;

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
        let looked = match bell.ring().await {
            Ok(looked) => looked,
            Err(DeskError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "an edge of a schedule is not recorded yet");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        if !bell.sleep(looked).await {
            return;
        }
    }
}

/// What edges are computed from. Looking at every schedule costs more than most commands do, so it is done when one of
/// these was changed and not whenever anything was. A number is not among them: its schedules go with its owner.
struct Clockwork {
    schedules: Table<ScheduleId, Schedule>,
    users: Table<UserId, User>,
    groups: Table<GroupId, Group>,
    settings: Option<Arc<Settings>>,
    edges_until: Moment,
}

impl Clockwork {
    fn of(exchange: &Exchange) -> Self {
        Self {
            schedules: exchange.schedules.clone(),
            users: exchange.users.clone(),
            groups: exchange.groups.clone(),
            settings: exchange.settings.clone(),
            edges_until: exchange.edges_until,
        }
    }

    /// Is everything as it was? Looks at where it is, which never says yes to something else.
    fn drives(&self, exchange: &Exchange) -> bool {
        let settings = match (&self.settings, &exchange.settings) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        settings
            && self.schedules.ptr_eq(&exchange.schedules)
            && self.users.ptr_eq(&exchange.users)
            && self.groups.ptr_eq(&exchange.groups)
            && self.edges_until == exchange.edges_until
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
    /// Records what is due, and says up to when it looked.
    async fn ring(&mut self) -> Result<Moment, DeskError> {
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
            self.desk.wait_for(answer.position).await?;
            return Ok(now);
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
        Ok(now)
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

    /// Until the next edge comes after the last look, or what makes edges changes; `false` when the Desk is closed.
    async fn sleep(&self, looked: Moment) -> bool {
        let published = self.desk.published();
        let now = self.desk.clock().now();
        let wait = next_due(&published.exchange, looked).map_or(LONGEST_SLEEP, |due| {
            let micros = u64::try_from(due.0.saturating_sub(now.0)).unwrap_or(0);
            Duration::from_micros(micros + 1).min(LONGEST_SLEEP)
        });
        let mut position = self.desk.subscribe();
        let clockwork = Clockwork::of(&published.exchange);
        drop(published);
        let changed = async {
            loop {
                if position.changed().await.is_err() {
                    return false;
                }
                if !clockwork.drives(&self.desk.published().exchange) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use switchbook_core::fact::Fact;
    use switchbook_core::id::ProfileId;
    use switchbook_core::number::{BusyIfAny, Number, NumberState};
    use switchbook_core::schedule::{Days, Minute, Pattern, Priority};

    /// Every command made the bell look at every schedule.
    #[test]
    fn a_change_of_a_number_moves_no_edge_and_a_new_schedule_does() {
        let mut exchange = Exchange::default();
        let clockwork = Clockwork::of(&exchange);
        let number: Number = "100".parse().unwrap();
        let owner = Fact::new(UserId(uuid::Uuid::nil()), Position(1));
        let state = NumberState {
            owner,
            slots: Vec::new(),
            call_waiting: Fact::new(false, Position(1)),
            busy_if_any: Fact::new(BusyIfAny::Off, Position(1)),
            manual: None,
            schedules: Vec::new(),
        };
        exchange.numbers.insert(number, state.into());
        assert!(clockwork.drives(&exchange));
        let minute = |hour: u16| Minute(hour * 60);
        let schedule = Schedule {
            number,
            profile: ProfileId(uuid::Uuid::nil()),
            pattern: Pattern::Weekly { days: Days(0x7f), from: minute(12), to: minute(13) },
            priority: Priority::default(),
            at: Position(2),
            made_at: Moment(0),
        };
        exchange.schedules.insert(ScheduleId(uuid::Uuid::nil()), schedule.into());
        assert!(!clockwork.drives(&exchange));
        assert!(Clockwork::of(&exchange).drives(&exchange));
    }
}
