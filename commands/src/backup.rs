//! What a backup leaves in the book: somebody took a copy of everything, keys and secrets included (X-10, B-1).

use crate::command::Decide;
use crate::draft::Draft;
use crate::form;
use crate::refusal::Refusal;
use switchbook_core::refusal::BackupTaken;

/// A backup is about to be made. It is recorded before it is: whoever has it can read what is personal.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The name of the file or folder, without where it is.
    pub target: String,
}

impl Decide for Taken {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let target = form::text(&self.target, "target")?.to_owned();
        draft.tell_last(BackupTaken { target });
        Ok(())
    }
}
