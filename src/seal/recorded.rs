//! Checkpoints as they stand in the book: whatever must get out is there, so nothing of it is lost by a restart.

use super::Sealed;
use crate::failure::{Failure, failed};
use switchbook_core::event::Event;
use switchbook_core::position::Position;
use switchbook_core::seal::{BookSealed, Seals};
use switchbook_journal::EventReader;

/// The newest seal; none before the first.
pub(super) async fn newest(
    book: &dyn EventReader,
    seals: &Seals,
) -> Result<Option<Sealed>, Failure> {
    let (Some(last), Some(key)) = (&seals.last, &seals.key) else { return Ok(None) };
    let Some(seal) = sealed_at(book, last.at).await? else { return Ok(None) };
    let mut handed_over = hand_overs(book, key.at).await?;
    // It may be the one that hands over itself.
    handed_over.retain(|(at, _)| *at < last.at);
    let (size, checkpoint, key) = (seal.size, seal.checkpoint, key.value.verifier.clone());
    Ok(Some(Sealed { at: last.at, size, checkpoint, key, handed_over }))
}

/// The checkpoints that handed over from the first key to the one that was made there, oldest first. Each stands behind the
/// event that made its key, and names the one before.
pub(super) async fn hand_overs(
    book: &dyn EventReader,
    key: Position,
) -> Result<Vec<(Position, String)>, Failure> {
    let (mut made, mut found) = (key, Vec::new());
    while let Some(seal) = sealed_at(book, made.next()).await? {
        // The first one was signed with the key itself.
        if seal.key >= made {
            break;
        }
        found.push((made.next(), seal.checkpoint));
        made = seal.key;
    }
    found.reverse();
    Ok(found)
}

async fn sealed_at(book: &dyn EventReader, at: Position) -> Result<Option<BookSealed>, Failure> {
    let records = book.read(at, 1).await;
    let records = records.map_err(failed("the seals in the book cannot be read"))?;
    Ok(records.into_iter().next().and_then(|recorded| match recorded.event {
        Event::BookSealed(seal) => Some(seal),
        _ => None,
    }))
}
