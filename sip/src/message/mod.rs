//! Messages: parsing (RFC 3261 §7, §25), typed values borrowed from the message, and emission.
//!
//! A [`Message`] owns its datagram and an index of its header lines; nothing else is copied. Typed values are parsed
//! when asked for and borrow from the datagram.

mod address;
mod build;
mod error;
mod escape;
mod frame;
mod head;
mod host;
mod method;
mod name;
mod parse;
mod place;
mod quick;
mod reply;
pub(crate) mod scan;
mod uri;
mod validate;
mod value;
mod via;

pub use address::{Contact, NameAddr};
pub use build::{BuildError, Builder};
pub use error::{ParseError, ParseErrorKind, Salvage, ValueError};
pub use escape::{escape_user, unescape};
pub use frame::{Frame, frame};
pub use head::{Head, Message, Request, Response};
pub use host::Host;
pub use method::Method;
pub use name::HeaderName;
pub use parse::{Framing, Limits, parse_datagram, parse_with};
pub use quick::reason_phrase;
pub use reply::{reject_unparsed, reply_address};
pub use scan::{Param, Params};
pub use uri::{SipUri, TelUri, Uri, UriError};
pub use validate::{Rejection, Rules, validate};
pub use value::{CSeq, Credentials, Replaces};
pub use via::Via;
