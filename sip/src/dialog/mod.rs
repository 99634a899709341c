//! Dialogs (RFC 3261 §12) and what an INVITE usage needs around them.
//!
//! [`Dialog`] builds requests within a dialog and judges incoming ones; [`Retransmit2xx`] repeats a 2xx until its ACK
//! comes (§13.3.1.4); [`OfferAnswer`] knows when a re-INVITE must wait (§14, RFC 6141).

mod offer;
mod retransmit;
mod state;

pub use offer::{CallIdOwner, Glare, OfferAnswer, glare_wait};
pub use retransmit::{Retransmission, Retransmit2xx};
pub use state::{Dialog, DialogError, DialogId, Stage};
