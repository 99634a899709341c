//! Concurrent edits (I-6): a sender may say which book he looked at; what was changed after that he did not see.

use crate::command::Command;
use crate::lookup;
use crate::order::Order;
use crate::refusal::{Refusal, RefusalCode};
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{ProfileId, SlotId, UserId};
use switchbook_core::number::Number;
use switchbook_core::position::Position;

/// Refuses `STALE` when what the command changes was changed after the sender looked.
pub(crate) fn check(exchange: &Exchange, order: &Order) -> Result<(), Refusal> {
    let Some(seen) = order.seen else { return Ok(()) };
    let Some((what, changed)) = target(exchange, &order.command) else { return Ok(()) };
    if changed > seen {
        return Err(Refusal::new(RefusalCode::Stale).with("what", what));
    }
    Ok(())
}

/// What a command changes, and when that was changed last. Commands that make or remove whole things have none.
fn target(exchange: &Exchange, command: &Command) -> Option<(String, Position)> {
    let user = |reference| {
        let id = lookup::user(exchange, reference).ok()?;
        Some((lookup::user_name(exchange, id), user_changed(exchange, id)?))
    };
    let number = |number: Number| Some((number.to_string(), number_changed(exchange, number)?));
    let slot = |reference| {
        let id = lookup::slot(exchange, reference).ok()?;
        Some((lookup::slot_name(exchange, id), slot_changed(exchange, id)?))
    };
    let profile = |reference| {
        let id = lookup::profile(exchange, reference).ok()?;
        Some((lookup::profile_name(exchange, id), profile_changed(exchange, id)?))
    };
    match command {
        Command::UserRename(c) => user(&c.user),
        Command::UserDnd(c) => user(&c.user),
        Command::UserCallerId(c) => user(&c.user),
        Command::UserLanguage(c) => user(&c.user),
        Command::UserTimeZone(c) => user(&c.user),
        Command::UserContact(c) => user(&c.user),
        Command::DeviceRing(c) => user(&c.user),
        Command::NumberTick(c) => number(c.number),
        Command::NumberUntick(c) => number(c.number),
        Command::NumberCallWaiting(c) => number(c.number),
        Command::NumberBusyIfAny(c) => number(c.number),
        Command::ForwardingSet(c) => number(c.number),
        Command::ForwardingClear(c) => number(c.number),
        Command::NumberSwap(c) => slot(&c.slot),
        Command::SlotSelect(c) => slot(&c.slot),
        Command::ProfileRules(c) => profile(&c.profile),
        Command::ProfileRename(c) => profile(&c.profile),
        _ => None,
    }
}

fn user_changed(exchange: &Exchange, id: UserId) -> Option<Position> {
    let user = exchange.users.get(&id)?;
    let facts = [
        Some(user.username.at),
        Some(user.display_name.at),
        user.email.as_ref().map(|fact| fact.at),
        user.mobile.as_ref().map(|fact| fact.at),
        user.language.map(|fact| fact.at),
        user.time_zone.map(|fact| fact.at),
        user.do_not_disturb.map(|fact| fact.at),
        user.caller_id.map(|fact| fact.at),
    ];
    facts.into_iter().flatten().chain(user.follow_me.iter().map(|fact| fact.at)).max()
}

fn number_changed(exchange: &Exchange, number: Number) -> Option<Position> {
    let state = exchange.numbers.get(&number)?;
    let facts = [
        Some(state.owner.at),
        Some(state.call_waiting.at),
        Some(state.busy_if_any.at),
        state.manual.map(|fact| fact.at),
    ];
    facts.into_iter().flatten().chain(state.slots.iter().map(|tick| tick.at)).max()
}

fn slot_changed(exchange: &Exchange, id: SlotId) -> Option<Position> {
    let slot = exchange.slots.get(&id)?;
    let ticks = slot.numbers.iter().filter_map(|n| Some(exchange.numbers.get(n)?.tick(id)?.at));
    ticks.chain([slot.at]).chain(slot.selected.map(|fact| fact.at)).max()
}

fn profile_changed(exchange: &Exchange, id: ProfileId) -> Option<Position> {
    let profile = exchange.profiles.get(&id)?;
    Some(profile.name.at.max(profile.rules.at))
}
