//! Messages, their header index and the typed accessors.

use super::address::{Contact, NameAddr};
use super::error::ValueError;
use super::method::Method;
use super::name::HeaderName;
use super::place::{AddrPlace, ViaPlace};
use super::scan::{self, CommaList};
use super::uri::{Uri, UriError};
use super::value::{CSeq, Credentials, Replaces};
use super::via::Via;
use bytes::Bytes;
use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

/// One header line: 8 bytes, offsets into the datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) name: HeaderName,
    pub(crate) name_len: u8,
    pub(crate) start: u16,
    pub(crate) value: u16,
    pub(crate) end: u16,
}

/// The header section and body of a message; owns the datagram.
///
/// Its `Debug` shows sizes only: a message holds digest answers and, in feature codes, PINs, which belong in no log.
#[derive(Clone)]
pub struct Head {
    pub(crate) buf: Bytes,
    pub(crate) lines: Vec<Line>,
    pub(crate) seen: u128,
    pub(crate) repeated: u128,
    pub(crate) body: (u16, u16),
    pub(crate) kept: Kept,
}

/// What every layer asks for, read once: where the parts stand. A fault is not kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    from: OnceLock<AddrPlace>,
    to: OnceLock<AddrPlace>,
    via: OnceLock<ViaPlace>,
}

/// A request.
#[derive(Clone)]
pub struct Request {
    pub(crate) head: Head,
    pub(crate) method: Method,
    pub(crate) method_span: (u16, u16),
    pub(crate) uri: (u16, u16),
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    pub(crate) head: Head,
    pub(crate) status: u16,
    pub(crate) reason: (u16, u16),
}

/// A message of either kind.
#[derive(Debug, Clone)]
pub enum Message {
    /// A request
    Request(Request),
    /// A response
    Response(Response),
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({} bytes, {} lines)", self.buf.len(), self.lines.len())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({:?}, {:?})", self.method, self.head)
    }
}

impl Deref for Request {
    type Target = Head;
    fn deref(&self) -> &Head {
        &self.head
    }
}

impl Deref for Response {
    type Target = Head;
    fn deref(&self) -> &Head {
        &self.head
    }
}

impl Deref for Message {
    type Target = Head;
    fn deref(&self) -> &Head {
        match self {
            Message::Request(r) => &r.head,
            Message::Response(r) => &r.head,
        }
    }
}

impl Request {
    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as spelled.
    pub fn method_token(&self) -> &str {
        self.head.text(self.method_span)
    }

    /// The Request-URI as spelled.
    pub fn uri_raw(&self) -> &str {
        self.head.text(self.uri)
    }

    /// The Request-URI.
    pub fn uri(&self) -> Result<Uri<'_>, UriError> {
        Uri::parse(self.uri_raw())
    }
}

impl Response {
    /// The status code, 100 to 699.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase; any bytes.
    pub fn reason_phrase(&self) -> &[u8] {
        self.head.bytes(self.reason)
    }
}

impl Head {
    /// The whole message as it came (folds replaced by spaces).
    pub fn raw(&self) -> &Bytes {
        &self.buf
    }

    /// The body, as Content-Length bounds it.
    pub fn body(&self) -> &[u8] {
        self.bytes(self.body)
    }

    /// The body, sharing the datagram.
    pub fn body_bytes(&self) -> Bytes {
        self.buf.slice(usize::from(self.body.0)..usize::from(self.body.1))
    }

    /// Whether a header of that name is present.
    pub fn has(&self, name: HeaderName) -> bool {
        self.seen & name.bit() != 0
    }

    /// Whether more than one line has that name.
    pub fn is_repeated(&self, name: HeaderName) -> bool {
        self.repeated & name.bit() != 0
    }

    /// The value of the first line of that name.
    pub fn value(&self, name: HeaderName) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The values of all lines of that name.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        let lines = if self.has(name) { &self.lines[..] } else { &[] };
        lines.iter().filter(move |l| l.name == name).map(|l| self.bytes((l.value, l.end)))
    }

    /// The comma-separated values of all lines of that name.
    pub fn list(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.values(name).flat_map(CommaList::new)
    }

    /// Every line as (known name, name as spelled, value).
    pub fn lines(&self) -> impl Iterator<Item = (HeaderName, &[u8], &[u8])> {
        self.lines.iter().map(|l| (l.name, self.line_name(l), self.bytes((l.value, l.end))))
    }

    /// The values of a header by its spelling, for names that [`HeaderName`] does not know.
    pub fn values_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let known = HeaderName::parse(name.as_bytes());
        self.lines
            .iter()
            .filter(move |l| {
                l.name == known
                    && (known != HeaderName::Other
                        || self.line_name(l).eq_ignore_ascii_case(name.as_bytes()))
            })
            .map(|l| self.bytes((l.value, l.end)))
    }

    /// The value of the first line of that name, if it is UTF-8.
    pub fn str_value(&self, name: HeaderName) -> Option<&str> {
        std::str::from_utf8(self.value(name)?).ok()
    }

    /// Whether a comma list (Supported, Require, Allow …) has a token, whatever its case.
    pub fn lists_token(&self, name: HeaderName, token: &str) -> bool {
        self.list(name).any(|t| t.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// All Via values, topmost first (RFC 3261 §20.42).
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, ValueError>> {
        let values = self.list(HeaderName::Via).enumerate();
        values.map(|(at, raw)| if at == 0 { self.first_via(raw) } else { Via::parse(raw) })
    }

    #[cfg(test)]
    pub(crate) fn keeps_all(&self) -> bool {
        let Kept { from, to, via } = &self.kept;
        from.get().is_some() && to.get().is_some() && via.get().is_some()
    }

    fn first_via<'a>(&'a self, raw: &'a [u8]) -> Result<Via<'a>, ValueError> {
        if let Some(via) = self.kept.via.get().and_then(|place| place.read(&self.buf)) {
            return Ok(via);
        }
        let via = Via::parse(raw)?;
        if let Some(place) = ViaPlace::of(&via, &self.buf) {
            let _ = self.kept.via.set(place);
        }
        Ok(via)
    }

    /// The topmost Via.
    pub fn top_via(&self) -> Result<Via<'_>, ValueError> {
        self.vias().next().unwrap_or(Err(ValueError::Missing(HeaderName::Via)))
    }

    /// From (RFC 3261 §20.20).
    pub fn from(&self) -> Result<NameAddr<'_>, ValueError> {
        self.kept_addr(&self.kept.from, HeaderName::From)
    }

    /// To (RFC 3261 §20.39).
    pub fn to(&self) -> Result<NameAddr<'_>, ValueError> {
        self.kept_addr(&self.kept.to, HeaderName::To)
    }

    fn kept_addr(
        &self,
        kept: &OnceLock<AddrPlace>,
        name: HeaderName,
    ) -> Result<NameAddr<'_>, ValueError> {
        if let Some(addr) = kept.get().and_then(|place| place.read(&self.buf)) {
            return Ok(addr);
        }
        let addr = self.name_addr(name)?;
        if let Some(place) = AddrPlace::of(&addr, &self.buf) {
            let _ = kept.set(place);
        }
        Ok(addr)
    }

    /// Any header that holds one name-addr (Refer-To, Referred-By, Reply-To …).
    pub fn name_addr(&self, name: HeaderName) -> Result<NameAddr<'_>, ValueError> {
        NameAddr::parse(self.value(name).ok_or(ValueError::Missing(name))?)
            .ok_or(ValueError::Malformed(name))
    }

    /// Call-ID (RFC 3261 §20.8).
    pub fn call_id(&self) -> Result<&str, ValueError> {
        let raw = self.value(HeaderName::CallId).ok_or(ValueError::Missing(HeaderName::CallId))?;
        let sound = !raw.is_empty() && raw.iter().all(|b| b.is_ascii_graphic());
        let text = std::str::from_utf8(raw).ok().filter(|_| sound);
        text.ok_or(ValueError::Malformed(HeaderName::CallId))
    }

    /// CSeq (RFC 3261 §20.16).
    pub fn cseq(&self) -> Result<CSeq<'_>, ValueError> {
        let raw = self.value(HeaderName::CSeq).ok_or(ValueError::Missing(HeaderName::CSeq))?;
        CSeq::parse(raw).ok_or(ValueError::Malformed(HeaderName::CSeq))
    }

    /// Contact values in order (RFC 3261 §20.10).
    pub fn contacts(&self) -> impl Iterator<Item = Result<Contact<'_>, ValueError>> {
        self.list(HeaderName::Contact)
            .map(|raw| Contact::parse(raw).ok_or(ValueError::Malformed(HeaderName::Contact)))
    }

    /// Expires in seconds; larger than `u32` saturates (RFC 3261 §20.19).
    pub fn expires(&self) -> Result<Option<u32>, ValueError> {
        Ok(self.number(HeaderName::Expires)?.map(|n| u32::try_from(n).unwrap_or(u32::MAX)))
    }

    /// Max-Forwards, 0 to 255 (RFC 3261 §20.22).
    pub fn max_forwards(&self) -> Result<Option<u8>, ValueError> {
        match self.number(HeaderName::MaxForwards)? {
            None => Ok(None),
            Some(n) => u8::try_from(n)
                .map(Some)
                .map_err(|_| ValueError::Malformed(HeaderName::MaxForwards)),
        }
    }

    /// Route values, topmost first (RFC 3261 §20.34).
    pub fn routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, ValueError>> {
        self.addresses(HeaderName::Route)
    }

    /// Record-Route values, topmost first (RFC 3261 §20.30).
    pub fn record_routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, ValueError>> {
        self.addresses(HeaderName::RecordRoute)
    }

    /// Authorization credentials; other schemes than Digest are passed over.
    pub fn authorizations(&self) -> impl Iterator<Item = Credentials<'_>> {
        self.values(HeaderName::Authorization).filter_map(Credentials::parse)
    }

    /// Proxy-Authorization credentials; other schemes than Digest are passed over.
    pub fn proxy_authorizations(&self) -> impl Iterator<Item = Credentials<'_>> {
        self.values(HeaderName::ProxyAuthorization).filter_map(Credentials::parse)
    }

    /// The media type without parameters, as spelled (RFC 3261 §20.15).
    pub fn content_type(&self) -> Option<&str> {
        let value = self.str_value(HeaderName::ContentType)?;
        Some(value.split(';').next().unwrap_or(value).trim())
    }

    /// User-Agent, any bytes.
    pub fn user_agent(&self) -> Option<&[u8]> {
        self.value(HeaderName::UserAgent)
    }

    /// Replaces (RFC 3891 §6.1).
    pub fn replaces(&self) -> Result<Option<Replaces<'_>>, ValueError> {
        match self.value(HeaderName::Replaces) {
            None => Ok(None),
            Some(raw) => {
                Replaces::parse(raw).map(Some).ok_or(ValueError::Malformed(HeaderName::Replaces))
            }
        }
    }

    /// Reason values as (protocol, cause), for example `("SIP", Some(200))` (RFC 3326).
    pub fn reasons(&self) -> impl Iterator<Item = (&str, Option<u16>)> {
        self.list(HeaderName::Reason).filter_map(|raw| {
            let n = scan::token_len(raw);
            let params = scan::Params::parse(&raw[n..])?;
            let cause = params.text("cause").and_then(|c| c.parse().ok());
            Some((std::str::from_utf8(&raw[..n]).ok()?, cause))
        })
    }

    /// Session-Expires or Min-SE: seconds and parameters (RFC 4028).
    pub fn number_with_params(&self, name: HeaderName) -> Option<(u32, scan::Params<'_>)> {
        let raw = self.value(name)?;
        let n = raw.iter().position(|b| !b.is_ascii_digit()).unwrap_or(raw.len());
        let number = u32::try_from(scan::digits(&raw[..n])?).unwrap_or(u32::MAX);
        Some((number, scan::Params::parse(&raw[n..])?))
    }

    fn addresses(
        &self,
        name: HeaderName,
    ) -> impl Iterator<Item = Result<NameAddr<'_>, ValueError>> {
        self.list(name).map(move |raw| NameAddr::parse(raw).ok_or(ValueError::Malformed(name)))
    }

    fn number(&self, name: HeaderName) -> Result<Option<u64>, ValueError> {
        match self.value(name) {
            None => Ok(None),
            Some(raw) => scan::digits(raw).map(Some).ok_or(ValueError::Malformed(name)),
        }
    }

    fn line_name(&self, l: &Line) -> &[u8] {
        &self.buf[usize::from(l.start)..usize::from(l.start) + usize::from(l.name_len)]
    }

    pub(crate) fn bytes(&self, span: (u16, u16)) -> &[u8] {
        &self.buf[usize::from(span.0)..usize::from(span.1)]
    }

    fn text(&self, span: (u16, u16)) -> &str {
        std::str::from_utf8(self.bytes(span)).unwrap_or("")
    }
}
