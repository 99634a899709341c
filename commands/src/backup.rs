//! What a backup leaves in the book: somebody took a copy of everything, keys and secrets included (X-10, B-1).

use crate::command::Decide;
use crate::draft::Draft;
use crate::refusal::Refusal;
use switchbook_core::refusal::PersonalFieldsOpened;

/// A backup is about to be made. It is recorded before it is: whoever has it can read what is personal.
#[derive(Clone, Copy, Debug)]
pub struct Taken;

impl Decide for Taken {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        draft.tell_last(PersonalFieldsOpened { view: "backup create".into(), person: None });
        Ok(())
    }
}
