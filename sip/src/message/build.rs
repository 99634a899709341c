//! Emission: one builder for requests and responses that writes into a buffer the caller keeps.
//!
//! CR, LF and NUL are refused in every value, so no header can be injected. A fault sticks, and `finish` tells it.

use super::head::Head;
use super::method::Method;
use super::name::HeaderName;
use super::reply;
use super::scan::{is_token, is_token_byte};
use bytes::{Bytes, BytesMut};
use std::fmt::{self, Write};
use std::net::SocketAddr;

/// Why a message was not built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A value held CR, LF or NUL
    #[error("line end or NUL in the value of a header")]
    Control,
    /// A method, header name or status out of its grammar
    #[error("method, header name or status out of its grammar")]
    Name,
    /// The message that was to be answered lacks a header that the answer needs
    #[error("the request cannot be answered")]
    Unanswerable,
}

/// Writes one message. Lines stand in the order of the calls; Content-Length is written by `finish` and `body`.
#[derive(Debug)]
pub struct Builder<'b> {
    pub(crate) out: &'b mut BytesMut,
    pub(crate) fault: Option<BuildError>,
}

impl<'b> Builder<'b> {
    /// Begins a request. Whatever `out` held is dropped.
    pub fn request(out: &'b mut BytesMut, method: Method, uri: &str) -> Builder<'b> {
        let mut b = Builder::begin(out);
        if method == Method::Other || uri.is_empty() || !uri.bytes().all(|c| c.is_ascii_graphic()) {
            b.fault = Some(BuildError::Name);
        }
        b.put(method.as_str().as_bytes());
        b.put(b" ");
        b.put(uri.as_bytes());
        b.put(b" SIP/2.0\r\n");
        b
    }

    /// Begins a response without any header; [`Builder::reply`] is the usual way.
    pub fn response(out: &'b mut BytesMut, status: u16, reason: &str) -> Builder<'b> {
        let mut b = Builder::begin(out);
        if !(100..700).contains(&status) {
            b.fault = Some(BuildError::Name);
        }
        let mut code = *b"SIP/2.0 000 ";
        for (i, unit) in [100, 10, 1].into_iter().enumerate() {
            code[8 + i] = b'0' + (status / unit % 10) as u8;
        }
        b.put(&code);
        b.checked(reason.as_bytes());
        b.put(b"\r\n");
        b
    }

    /// Begins the response to a request (RFC 3261 §8.2.6.2): Via lines with `received` and `rport` filled in from
    /// `source` (§18.2.1, RFC 3581 §4), From, To, Call-ID and CSeq, all copied as they came. `to_tag` is added if To
    /// has none.
    pub fn reply(
        out: &'b mut BytesMut,
        request: &Head,
        status: u16,
        reason: &str,
        to_tag: Option<&str>,
        source: SocketAddr,
    ) -> Builder<'b> {
        let mut b = Builder::response(out, status, reason);
        reply::copy_headers(&mut b, request, to_tag, source);
        b
    }

    fn begin(out: &'b mut BytesMut) -> Builder<'b> {
        out.clear();
        Builder { out, fault: None }
    }

    /// Adds a header line.
    pub fn header(&mut self, name: HeaderName, value: impl AsRef<[u8]>) -> &mut Self {
        self.name(name);
        self.checked(value.as_ref());
        self.put(b"\r\n");
        self
    }

    /// Adds a header line with a formatted value.
    pub fn header_fmt(&mut self, name: HeaderName, value: fmt::Arguments<'_>) -> &mut Self {
        self.name(name);
        // `write_str` below cannot fail.
        let _ = Checked(self).write_fmt(value);
        self.put(b"\r\n");
        self
    }

    /// Adds a header line whose name [`HeaderName`] does not know.
    pub fn header_named(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Self {
        if !is_token(name.as_bytes()) {
            self.fault.get_or_insert(BuildError::Name);
        }
        self.put(name.as_bytes());
        self.put(b": ");
        self.checked(value.as_ref());
        self.put(b"\r\n");
        self
    }

    /// Adds a Via with `rport` (RFC 3581 §3). `sent_by` is a host or address with or without port.
    pub fn via(&mut self, transport: &str, sent_by: &str, branch: &str) -> &mut Self {
        self.header_fmt(
            HeaderName::Via,
            format_args!("SIP/2.0/{transport} {sent_by};rport;branch={branch}"),
        )
    }

    /// Adds a name-addr. The display name is quoted and escaped, its control characters become spaces.
    pub fn addr(
        &mut self,
        name: HeaderName,
        display: Option<&str>,
        uri: &str,
        tag: Option<&str>,
    ) -> &mut Self {
        self.name(name);
        if let Some(display) = display.filter(|d| !d.is_empty()) {
            self.put(b"\"");
            for b in display.bytes() {
                match b {
                    b'"' | b'\\' => self.put(&[b'\\', b]),
                    b if b.is_ascii_control() => self.put(b" "),
                    b => self.put(&[b]),
                }
            }
            self.put(b"\" ");
        }
        if !uri.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>') {
            self.fault.get_or_insert(BuildError::Control);
        }
        self.put(b"<");
        self.put(uri.as_bytes());
        self.put(b">");
        if let Some(tag) = tag {
            self.tag(tag);
        }
        self.put(b"\r\n");
        self
    }

    /// Adds CSeq.
    pub fn cseq(&mut self, seq: u32, method: Method) -> &mut Self {
        self.header_fmt(HeaderName::CSeq, format_args!("{seq} {}", method.as_str()))
    }

    /// Adds Max-Forwards.
    pub fn max_forwards(&mut self, hops: u8) -> &mut Self {
        self.header_fmt(HeaderName::MaxForwards, format_args!("{hops}"))
    }

    /// Copies all lines of that name from another message. A NUL, which may stand in a quoted string there, is refused.
    /// The Record-Route of a request belongs into each 1xx and 2xx that makes a dialog (RFC 3261 §12.1.1).
    pub fn copy(&mut self, from: &Head, name: HeaderName) -> &mut Self {
        for value in from.values(name) {
            self.header(name, value);
        }
        self
    }

    /// Ends the message without body.
    pub fn finish(&mut self) -> Result<Bytes, BuildError> {
        self.put(b"Content-Length: 0\r\n\r\n");
        self.end()
    }

    /// Ends the message with a body, which is written as it is.
    pub fn body(&mut self, content_type: &str, body: &[u8]) -> Result<Bytes, BuildError> {
        self.header(HeaderName::ContentType, content_type);
        self.header_fmt(HeaderName::ContentLength, format_args!("{}", body.len()));
        self.put(b"\r\n");
        self.put(body);
        self.end()
    }

    fn end(&mut self) -> Result<Bytes, BuildError> {
        match self.fault {
            // A copy of its own length: a part of the buffer would keep all of it for as long as one message is kept.
            None => Ok(Bytes::copy_from_slice(self.out)),
            Some(fault) => {
                self.out.clear();
                Err(fault)
            }
        }
    }

    pub(crate) fn name(&mut self, name: HeaderName) {
        if name == HeaderName::Other {
            self.fault.get_or_insert(BuildError::Name);
        }
        self.put(name.as_str().as_bytes());
        self.put(b": ");
    }

    pub(crate) fn tag(&mut self, tag: &str) {
        if tag.is_empty() || !tag.bytes().all(is_token_byte) {
            self.fault.get_or_insert(BuildError::Name);
        }
        self.put(b";tag=");
        self.put(tag.as_bytes());
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn checked(&mut self, bytes: &[u8]) {
        if memchr::memchr3(b'\r', b'\n', 0, bytes).is_some() {
            self.fault.get_or_insert(BuildError::Control);
        }
        self.put(bytes);
    }
}

struct Checked<'a, 'b>(&'a mut Builder<'b>);

impl fmt::Write for Checked<'_, '_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.checked(s.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, parse_datagram};

    fn request() -> Bytes {
        let mut buf = BytesMut::new();
        Builder::request(&mut buf, Method::Options, "sip:a@example.com")
            .via("UDP", "192.0.2.1:5060", "z9hG4bKx")
            .max_forwards(70)
            .addr(HeaderName::From, Some("A \"q\" \\ \r\nX: y"), "sip:b@example.com", Some("1"))
            .addr(HeaderName::To, None, "sip:a@example.com", None)
            .header(HeaderName::CallId, "c1")
            .cseq(1, Method::Options)
            .body("text/plain", b"a\r\nb\0")
            .unwrap()
    }

    #[test]
    fn a_built_request_reads_back() {
        let Ok(Message::Request(r)) = parse_datagram(request()) else { panic!("no request") };
        assert_eq!(r.from().unwrap().display().unwrap(), "A \"q\" \\   X: y");
        assert_eq!(
            (r.method(), r.uri_raw(), r.body()),
            (Method::Options, "sip:a@example.com", &b"a\r\nb\0"[..])
        );
        assert_eq!(r.lines().count(), 8);
    }

    #[test]
    fn line_ends_and_nul_never_get_into_a_header() {
        let mut buf = BytesMut::new();
        for bad in ["a\r\nX: y", "a\nb", "a\0b", "\r"] {
            let mut b = Builder::response(&mut buf, 200, "OK");
            assert_eq!(b.header(HeaderName::Subject, bad).finish(), Err(BuildError::Control));
            let mut b = Builder::response(&mut buf, 200, "OK");
            assert_eq!(
                b.header_fmt(HeaderName::Subject, format_args!("{bad}")).finish(),
                Err(BuildError::Control)
            );
            assert!(Builder::response(&mut buf, 200, bad).finish().is_err());
            assert!(Builder::request(&mut buf, Method::Info, bad).finish().is_err());
            assert!(
                Builder::response(&mut buf, 200, "OK").header_named(bad, "x").finish().is_err()
            );
            assert!(
                Builder::response(&mut buf, 200, "OK")
                    .addr(HeaderName::To, None, bad, None)
                    .finish()
                    .is_err()
            );
            assert!(
                Builder::response(&mut buf, 200, "OK")
                    .addr(HeaderName::To, None, "sip:a", Some(bad))
                    .finish()
                    .is_err()
            );
            assert!(buf.is_empty());
        }
    }

    #[test]
    fn a_reply_fills_in_received_and_rport_and_adds_a_tag() {
        let Ok(Message::Request(r)) = parse_datagram(request()) else { panic!("no request") };
        let mut buf = BytesMut::new();
        let source = "198.51.100.7:40000".parse().unwrap();
        let reply = Builder::reply(&mut buf, &r, 200, "OK", Some("t2"), source).finish().unwrap();
        let Ok(Message::Response(reply)) = parse_datagram(reply) else { panic!("no response") };
        let via = reply.top_via().unwrap();
        assert_eq!(
            (via.received(), via.rport(), via.branch()),
            (Some(source.ip()), Some(40000), Some("z9hG4bKx"))
        );
        assert_eq!(
            (reply.to().unwrap().tag(), reply.from().unwrap().tag()),
            (Some("t2"), Some("1"))
        );
        assert_eq!(
            (reply.call_id(), reply.cseq().unwrap().seq, reply.status()),
            (Ok("c1"), 1, 200)
        );
    }

    /// Messages were parts of one buffer: a call that kept one INVITE kept all that was written beside it.
    #[test]
    fn a_message_leaves_the_buffer_to_the_next_one() {
        let mut out = BytesMut::with_capacity(65_536);
        let kept: Vec<Bytes> = (0..200)
            .map(|n| {
                let mut b = Builder::response(&mut out, 200, "OK");
                b.header_fmt(HeaderName::CallId, format_args!("{n}"));
                b.finish().unwrap()
            })
            .collect();
        assert!(kept.iter().all(|bytes| bytes.starts_with(b"SIP/2.0 200 OK\r\n")));
        assert!(out.capacity() >= 65_536);
    }
}
