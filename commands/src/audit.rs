//! The one thing a reader of the book leaves in it: that he opened personal fields.

use crate::command::Decide;
use crate::draft::Draft;
use crate::refusal::Refusal;
use switchbook_core::id::UserId;
use switchbook_core::refusal::PersonalFieldsOpened;

/// Personal fields are about to be shown. It is recorded before they are.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The view that shows them.
    pub view: String,
    /// Whose fields, when it is one person's.
    pub person: Option<UserId>,
}

impl Decide for Opened {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        draft.tell_last(PersonalFieldsOpened { view: self.view.clone(), person: self.person });
        Ok(())
    }
}
