//! What can be wrong with a message, and the status that says so.

use super::head::Head;
use super::method::Method;
use super::name::HeaderName;

/// A typed value that could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A mandatory header is absent.
    #[error("header {} is missing", .0.as_str())]
    Missing(HeaderName),
    /// A header breaks its grammar.
    #[error("header {} is malformed", .0.as_str())]
    Malformed(HeaderName),
}

impl ValueError {
    /// The header at fault.
    pub fn header(&self) -> HeaderName {
        match self {
            ValueError::Missing(name) | ValueError::Malformed(name) => *name,
        }
    }
}

/// Why a datagram is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Nothing but line ends: a keep-alive (RFC 5626 §3.5.1)
    #[error("empty datagram")]
    Empty,
    /// Not recognisable as SIP at all
    #[error("not a SIP message")]
    NotSip,
    /// The start line breaks RFC 3261 §7.1 or §7.2
    #[error("malformed start line")]
    StartLine,
    /// A SIP version other than 2.0
    #[error("SIP version not supported")]
    Version,
    /// A line without a name and a colon
    #[error("malformed header line")]
    HeaderLine,
    /// CR without LF
    #[error("bare CR in the header section")]
    BareCr,
    /// No empty line ends the header section
    #[error("header section has no end")]
    NoEnd,
    /// More header lines than allowed
    #[error("too many header lines")]
    TooManyHeaders,
    /// More Via values than allowed
    #[error("too many Via values")]
    TooManyVias,
    /// Larger than allowed
    #[error("message too large")]
    TooLarge,
    /// Content-Length is no number, or two differ
    #[error("malformed Content-Length")]
    ContentLength,
    /// Content-Length announces more than came (RFC 3261 §18.3)
    #[error("body shorter than its Content-Length")]
    BodyShort,
}

impl ParseErrorKind {
    /// The status a request with this fault is answered with; `None`: better not answered.
    pub fn status(self) -> Option<(u16, &'static str)> {
        Some(match self {
            ParseErrorKind::Empty | ParseErrorKind::NotSip => return None,
            ParseErrorKind::StartLine => (400, "Bad Request Line"),
            ParseErrorKind::Version => (505, "Version Not Supported"),
            ParseErrorKind::HeaderLine => (400, "Bad Header Line"),
            ParseErrorKind::BareCr => (400, "Bad Line End"),
            ParseErrorKind::NoEnd => (400, "Incomplete Message"),
            ParseErrorKind::TooManyHeaders => (400, "Too Many Headers"),
            ParseErrorKind::TooManyVias => (400, "Too Many Vias"),
            ParseErrorKind::TooLarge => (513, "Message Too Large"),
            ParseErrorKind::ContentLength => (400, "Bad Content-Length"),
            ParseErrorKind::BodyShort => (400, "Body Shorter Than Content-Length"),
        })
    }
}

/// A datagram that is no message, with what could be read of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind}")]
pub struct ParseError {
    /// The first fault found
    pub kind: ParseErrorKind,
    /// The readable part, if it was meant as a request
    pub salvage: Option<Box<Salvage>>,
}

/// The readable part of a broken request: enough to answer it without state.
#[derive(Debug, Clone)]
pub struct Salvage {
    /// The method, as far as it was readable
    pub method: Method,
    /// The lines that were readable
    pub head: Head,
}
