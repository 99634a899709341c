//! What both stores do alike: seal before a write, open after a read, and check a group.

use crate::error::AppendError;
use crate::store::Commit;
use crate::vault::{SealError, Vault};
use std::sync::Arc;
use switchbook_core::envelope::Recorded;
use switchbook_core::personal::{HasPersonal, KeyId, Keys};
use switchbook_core::position::Position;

/// Seals every personal field of something.
pub(crate) fn seal_all(vault: &Vault, fields: &mut dyn HasPersonal) -> Result<(), AppendError> {
    let mut failed = None;
    fields.each_personal(&mut |field| {
        field.seal_with(|key, clear| {
            vault.seal(key, clear).unwrap_or_else(|error| {
                failed = Some(error);
                Vec::new()
            })
        });
    });
    match failed {
        None => Ok(()),
        Some(SealError::Destroyed(key)) => Err(AppendError::KeyDestroyed(named(key))),
        Some(SealError::Random(what)) => Err(AppendError::Random(what)),
    }
}

/// As the list of erasures has it.
fn named(key: KeyId) -> String {
    match key {
        KeyId::Person(user) => format!("person {user}"),
        KeyId::Period(month) => format!("month {:04}-{:02}", month / 100, month % 100),
    }
}

/// Lets every personal field of a record that was read be opened by the vault when somebody asks for it: known then, or
/// erased when the key is gone.
pub(crate) fn open_personal(vault: &Arc<Vault>, recorded: &mut Recorded) {
    open_by(&(Arc::clone(vault) as Arc<dyn Keys>), recorded);
}

/// The same by whoever has the keys.
pub(crate) fn open_by(keys: &Arc<dyn Keys>, recorded: &mut Recorded) {
    recorded.each_personal(&mut |field| field.open_by(Arc::clone(keys)));
}

/// Each commit is of one command and not empty, and positions go on from `tail` without a gap. Gives the last one.
pub(crate) fn check_commits(commits: &[Commit], tail: Position) -> Result<Position, AppendError> {
    let mut last = tail;
    for commit in commits {
        let Some(first) = commit.records.first() else { return Err(AppendError::NotOneCommand) };
        for record in &commit.records {
            if record.envelope.command != first.envelope.command {
                return Err(AppendError::NotOneCommand);
            }
            if record.envelope.position != last.next() {
                let (expected, found) = (last.next(), record.envelope.position);
                return Err(AppendError::WrongPosition { expected, found });
            }
            last = record.envelope.position;
        }
    }
    Ok(last)
}
