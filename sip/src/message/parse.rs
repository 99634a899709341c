//! From a datagram to an indexed message (RFC 3261 §7, §18.3): one pass, one allocation.

use super::error::{ParseError, ParseErrorKind, Salvage};
use super::head::{Head, Kept, Line, Message, Request, Response};
use super::method::Method;
use super::name::HeaderName;
use super::scan;
use bytes::{Bytes, BytesMut};

/// Bounds on what is taken in.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a message; at most 65,535
    pub message: usize,
    /// Bytes of a header line, folds included, and of the first line
    pub line: usize,
    /// Header lines
    pub headers: usize,
    /// Via values
    pub vias: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { message: 65_535, line: 8_192, headers: 256, vias: 70 }
    }
}

/// How the end of a message is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One datagram, one message: without Content-Length the body is the rest (RFC 3261 §18.3)
    Datagram,
    /// Cut out of a stream by its Content-Length; without it the body is empty
    Stream,
}

/// Parses a UDP datagram within the default limits.
pub fn parse_datagram(datagram: Bytes) -> Result<Message, ParseError> {
    parse_with(datagram, &Limits::default(), Framing::Datagram)
}

/// Parses a message.
pub fn parse_with(buf: Bytes, limits: &Limits, framing: Framing) -> Result<Message, ParseError> {
    let mut first_fault = None;
    let mut buf = buf;
    if buf.len() > limits.message.min(usize::from(u16::MAX)) {
        first_fault = Some(ParseErrorKind::TooLarge);
        buf.truncate(limits.message.min(usize::from(u16::MAX)));
    }
    // Line ends before a message are passed over (§7.5); spaces or NULs alone are keep-alives of some phones.
    let at = buf.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(buf.len());
    if buf[at..].iter().all(|b| matches!(b, b'\r' | b'\n' | b' ' | b'\t' | 0)) {
        return Err(ParseError { kind: ParseErrorKind::Empty, salvage: None });
    }
    let before = first_fault;
    let mut scanned = scan_lines(&buf, at, limits, &mut first_fault);
    if scanned.folded {
        buf = unfold(&buf, scanned.end);
        first_fault = before;
        scanned = scan_lines(&buf, at, limits, &mut first_fault);
    }
    let Scanned { start, lines, seen, repeated, mut end, .. } = scanned;
    let start_line = &buf[at..start];
    let parsed = read_start_line(start_line, at);
    if parsed.is_err() && !looks_like_sip(start_line) {
        return Err(ParseError { kind: ParseErrorKind::NotSip, salvage: None });
    }
    let fault = parsed.as_ref().err().copied().or(first_fault);
    let mut head = Head { buf, lines, seen, repeated, body: (0, 0), kept: Kept::default() };
    let fault = match bound_body(&head, end, framing) {
        Ok(body_end) => {
            end = end.min(body_end);
            head.body = (end as u16, body_end as u16);
            fault
        }
        Err(kind) => fault.or(Some(kind)),
    };
    match (fault, parsed) {
        (None, Ok(StartLine::Request { method, method_span, uri })) => {
            Ok(Message::Request(Request { head, method, method_span, uri }))
        }
        (None, Ok(StartLine::Response { status, reason })) => {
            Ok(Message::Response(Response { head, status, reason }))
        }
        (fault, parsed) => {
            let kind = fault.unwrap_or(ParseErrorKind::StartLine);
            let first = head.buf.get(at..start).unwrap_or_default();
            let is_response = first.len() >= 4 && first[..4].eq_ignore_ascii_case(b"SIP/");
            let method = match parsed {
                Ok(StartLine::Request { method, .. }) => method,
                _ => Method::parse(&first[..scan::token_len(first)]),
            };
            let salvage = (!is_response).then(|| Box::new(Salvage { method, head }));
            Err(ParseError { kind, salvage })
        }
    }
}

enum StartLine {
    Request { method: Method, method_span: (u16, u16), uri: (u16, u16) },
    Response { status: u16, reason: (u16, u16) },
}

struct Scanned {
    /// Where the start line ends
    start: usize,
    lines: Vec<Line>,
    seen: u128,
    repeated: u128,
    /// Where the body begins
    end: usize,
    folded: bool,
}

/// Indexes the header lines. The first fault is kept and the scan goes on, so that a refusal can be answered.
fn scan_lines(
    buf: &[u8],
    at: usize,
    limits: &Limits,
    fault: &mut Option<ParseErrorKind>,
) -> Scanned {
    let mut note = |kind| {
        fault.get_or_insert(kind);
    };
    let mut out = Scanned {
        start: buf.len(),
        lines: Vec::new(),
        seen: 0,
        repeated: 0,
        end: buf.len(),
        folded: false,
    };
    let mut vias = 0;
    let (start, mut pos) = match line_end(buf, at) {
        Ok(found) => found,
        Err(bare) => {
            note(if bare { ParseErrorKind::BareCr } else { ParseErrorKind::NoEnd });
            return out;
        }
    };
    out.start = start;
    if start - at > limits.line {
        note(ParseErrorKind::TooLarge);
    }
    out.lines.reserve(16);
    loop {
        let (end, next) = match line_end(buf, pos) {
            Ok(found) => found,
            Err(bare) => {
                note(if bare { ParseErrorKind::BareCr } else { ParseErrorKind::NoEnd });
                break;
            }
        };
        if end == pos {
            out.end = next;
            break;
        }
        if buf.get(next).copied().is_some_and(scan::is_ws) {
            out.folded = true;
        }
        let line = &buf[pos..end];
        if line.len() > limits.line {
            note(ParseErrorKind::TooLarge);
        }
        let name_len = scan::token_len(line);
        let colon = name_len + line[name_len..].iter().position(|b| !scan::is_ws(*b)).unwrap_or(0);
        if name_len == 0 || name_len > 255 || line.get(colon) != Some(&b':') {
            note(ParseErrorKind::HeaderLine);
            pos = next;
            continue;
        }
        if out.lines.len() >= limits.headers {
            note(ParseErrorKind::TooManyHeaders);
            break;
        }
        let name = HeaderName::parse(&line[..name_len]);
        let value = pos + colon + 1;
        let lead = buf[value..end].iter().position(|b| !scan::is_ws(*b)).unwrap_or(end - value);
        let trail = buf[value + lead..end].iter().rev().position(|b| !scan::is_ws(*b)).unwrap_or(0);
        if name == HeaderName::Via {
            vias += 1 + memchr::memchr_iter(b',', &buf[value..end]).count();
            if vias > limits.vias {
                note(ParseErrorKind::TooManyVias);
            }
        }
        let bit = name.bit();
        out.repeated |= out.seen & bit;
        out.seen |= bit;
        out.lines.push(Line {
            name,
            name_len: name_len as u8,
            start: pos as u16,
            value: (value + lead) as u16,
            end: (end - trail) as u16,
        });
        pos = next;
    }
    out
}

/// Finds the end of the line and the start of the next. `Err(true)`: a CR stands alone; `Err(false)`: no end.
fn line_end(buf: &[u8], pos: usize) -> Result<(usize, usize), bool> {
    match memchr::memchr2(b'\r', b'\n', &buf[pos..]) {
        None => Err(false),
        Some(n) if buf[pos + n] == b'\n' => Ok((pos + n, pos + n + 1)),
        Some(n) if buf.get(pos + n + 1) == Some(&b'\n') => Ok((pos + n, pos + n + 2)),
        Some(_) => Err(true),
    }
}

/// Replaces the line ends of folds by spaces (RFC 3261 §7.3.1). A fold before the colon stays and is refused: it
/// would hide the name from whoever filters headers by line.
fn unfold(buf: &[u8], end: usize) -> Bytes {
    let mut out = BytesMut::from(buf);
    let mut line = 0;
    let mut first = true;
    while let Ok((stop, next)) = line_end(&out[..end], line) {
        let mut stop_next = (stop, next);
        let folds =
            |out: &[u8], next: usize| out[..end].get(next).copied().is_some_and(scan::is_ws);
        // Looked at once a header: a datagram may be all folds.
        let header = !first
            && folds(&out, next)
            && memchr::memchr(b':', out.get(line..stop).unwrap_or_default()).is_some();
        while header && folds(&out, stop_next.1) {
            out[stop_next.0..stop_next.1].fill(b' ');
            match line_end(&out[..end], stop_next.1) {
                Ok(found) => stop_next = found,
                Err(_) => return out.freeze(),
            }
        }
        line = stop_next.1;
        first = false;
    }
    out.freeze()
}

/// `METHOD SP URI SP SIP/2.0` or `SIP/2.0 SP 3DIGIT SP reason`, no other white space (RFC 3261 §7.1, §7.2).
fn read_start_line(line: &[u8], at: usize) -> Result<StartLine, ParseErrorKind> {
    let bad = ParseErrorKind::StartLine;
    if line.len() >= 4 && line[..4].eq_ignore_ascii_case(b"SIP/") {
        let rest = line.get(7..).ok_or(bad)?;
        if !line[4..7].eq_ignore_ascii_case(b"2.0") {
            return Err(ParseErrorKind::Version);
        }
        let code = match rest {
            [b' ', code @ ..] => code,
            _ => return Err(bad),
        };
        let status = scan::digits(code.get(..3).ok_or(bad)?).ok_or(bad)? as u16;
        if !(100..700).contains(&status) || !matches!(code.get(3), None | Some(b' ')) {
            return Err(bad);
        }
        let reason = at + line.len().min(12);
        return Ok(StartLine::Response {
            status,
            reason: (reason as u16, (at + line.len()) as u16),
        });
    }
    let n = scan::token_len(line);
    if n == 0 || line.get(n) != Some(&b' ') {
        return Err(bad);
    }
    let rest = &line[n + 1..];
    let space = memchr::memchr(b' ', rest).ok_or(bad)?;
    let version = &rest[space + 1..];
    if space == 0 || !rest[..space].iter().all(u8::is_ascii_graphic) {
        return Err(bad);
    }
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        let digits = |s: &[u8]| !s.is_empty() && s.iter().all(u8::is_ascii_digit);
        let is_version = version.len() > 4
            && version[..4].eq_ignore_ascii_case(b"SIP/")
            && version[4..].split(|b| *b == b'.').all(digits);
        return Err(if is_version { ParseErrorKind::Version } else { bad });
    }
    let uri = at + n + 1;
    Ok(StartLine::Request {
        method: Method::parse(&line[..n]),
        method_span: (at as u16, (at + n) as u16),
        uri: (uri as u16, (uri + space) as u16),
    })
}

/// A broken start line is worth an answer only if it ends like a request or begins like a response.
fn looks_like_sip(line: &[u8]) -> bool {
    memchr::memmem::find(line, b"SIP/").is_some() || memchr::memmem::find(line, b"sip:").is_some()
}

/// Where the body ends.
fn bound_body(head: &Head, start: usize, framing: Framing) -> Result<usize, ParseErrorKind> {
    let rest = head.buf.len() - start.min(head.buf.len());
    let mut announced = None;
    for raw in head.values(HeaderName::ContentLength) {
        let n = scan::digits(raw).ok_or(ParseErrorKind::ContentLength)?;
        if announced.is_some_and(|a| a != n) {
            return Err(ParseErrorKind::ContentLength);
        }
        announced = Some(n);
    }
    match announced {
        None if framing == Framing::Stream => Ok(start),
        None => Ok(start + rest),
        Some(n) if n > rest as u64 => Err(ParseErrorKind::BodyShort),
        Some(n) => Ok(start + n as usize),
    }
}
