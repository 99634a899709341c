//! The decision as a whole: authorise, look whether the sender's picture is current, decide, keep what holds across
//! nouns.

use crate::authorise::authorise;
use crate::draft::Draft;
use crate::order::{Context, Decision, Order};
use crate::refusal::{Refusal, RefusalCode};
use crate::stale;
use switchbook_core::exchange::Exchange;

/// What an order leads to on this exchange. Pure: equal inputs give equal answers, and a refusal changes nothing.
///
/// # Errors
/// A [`Refusal`]; whether it is recorded says its code's nature.
pub fn decide(
    exchange: &Exchange,
    order: &Order,
    context: &mut Context<'_>,
) -> Result<Decision, Refusal> {
    let standing = authorise(exchange, order)?;
    stale::check(exchange, order)?;
    let mut draft = Draft::new(exchange, order, standing, context);
    order.command.decide(&mut draft)?;
    Ok(draft.finish())
}

/// U-6: whoever takes `admin` away from somebody leaves an administrator behind.
pub(crate) fn keeps_an_administrator(
    before: &Exchange,
    draft: &Draft<'_, '_>,
) -> Result<(), Refusal> {
    if draft.exchange().administrators().is_empty() && !before.administrators().is_empty() {
        return Err(Refusal::new(RefusalCode::LastAdmin));
    }
    Ok(())
}
