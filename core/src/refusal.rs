//! What the book says about refusals, openings and copies: who tried what, who read what, who took it all.

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal};
use crate::exchange::Exchange;
use crate::id::UserId;
use serde::{Deserialize, Serialize};

/// Somebody authenticated tried something and was refused; who, says the envelope.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AttemptRefused {
    /// The command, by its stable name (`device.log_out`).
    pub what: String,
    /// The refusal's stable code (`ROAMING_DENIED`).
    pub code: String,
    /// What it concerned.
    pub about: Vec<Subject>,
    /// Further attempts of the same actor with the same code that were not written one by one (rate cap).
    pub suppressed: u32,
}

/// Somebody with the right `audit.personal` opened personal fields.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PersonalFieldsOpened {
    /// The view that showed them (`audit history`).
    pub view: String,
    /// Whose fields, when it was one person's.
    pub person: Option<UserId>,
}

/// Somebody took a copy of the whole book, keys and secrets included (X-10, B-1). Who and when, says the envelope; the copy
/// goes at least up to this event, and its manifest says up to where. Recorded before the copy is made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BackupTaken {
    /// The name of the file or folder, without where it is.
    pub target: String,
}

nothing_personal!(AttemptRefused, PersonalFieldsOpened, BackupTaken);

impl Evolve for AttemptRefused {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend(self.about.iter().copied());
    }

    fn evolve(&self, _: &mut Exchange, _: &Envelope) {}
}

impl Evolve for PersonalFieldsOpened {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(self.person.map_or(Subject::Exchange, Subject::User));
    }

    fn evolve(&self, _: &mut Exchange, _: &Envelope) {}
}

impl Evolve for BackupTaken {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
    }

    fn evolve(&self, _: &mut Exchange, _: &Envelope) {}
}
