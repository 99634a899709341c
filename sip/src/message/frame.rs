//! Cutting messages out of a byte stream by their Content-Length (RFC 3261 §18.3, §7.5).

use super::name::HeaderName;
use super::parse::Limits;
use super::scan::{digits, is_ws, trim};

/// What stands at the start of a stream buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Not yet a whole message: read on
    Partial,
    /// CRLF CRLF of that many bytes: answer with CRLF (RFC 5626 §3.5.1)
    Ping(usize),
    /// One message of that many bytes, for [`super::parse_with`] and `Framing::Stream`
    Message(usize),
    /// The stream cannot be followed any further: close it. Two lengths, a bad one, or too large.
    Broken,
}

/// Looks for one message at the start of `buf`. Costs a scan of the header section each time it is called, so call it
/// when bytes have come.
pub fn frame(buf: &[u8], limits: &Limits) -> Frame {
    let lead = buf.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(buf.len());
    if buf.starts_with(b"\r\n\r\n") {
        return Frame::Ping(4);
    }
    let Some(head_end) = head_end(&buf[lead..]).map(|n| lead + n) else {
        return if buf.len() > limits.message { Frame::Broken } else { Frame::Partial };
    };
    let mut length = None;
    for line in unfolded_lines(&buf[lead..head_end]) {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        if HeaderName::parse(trim(&line[..colon])) != HeaderName::ContentLength {
            continue;
        }
        let value = &line[colon + 1..];
        let value = value.strip_suffix(b"\r").unwrap_or(value);
        match digits(trim(value)) {
            Some(n) if length.is_none_or(|l| l == n) => length = Some(n),
            _ => return Frame::Broken,
        }
    }
    let length = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
    match head_end.checked_add(length) {
        Some(total) if total <= limits.message => {
            if total <= buf.len() {
                Frame::Message(total)
            } else {
                Frame::Partial
            }
        }
        _ => Frame::Broken,
    }
}

/// Where the empty line ends.
fn head_end(buf: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', buf).find_map(|i| match &buf[i + 1..] {
        [b'\n', ..] => Some(i + 2),
        [b'\r', b'\n', ..] => Some(i + 3),
        _ => None,
    })
}

/// Lines; a folded Content-Length would be cut, fail as a number and break the stream, which is as well.
fn unfolded_lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|b| *b == b'\n').filter(|l| !l.first().copied().is_some_and(is_ws))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Frame {
        frame(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn messages_are_cut_at_their_length() {
        let one = "INFO sip:a SIP/2.0\r\nl : 3\r\n\r\nabc";
        assert_eq!(cut(&format!("{one}INFO")), Frame::Message(one.len()));
        for n in 0..one.len() {
            assert_eq!(cut(&one[..n]), Frame::Partial, "{n}");
        }
        assert_eq!(cut(&format!("\r\n{one}")), Frame::Message(one.len() + 2));
        assert_eq!(cut("\r\n\r\nINFO"), Frame::Ping(4));
        assert_eq!(cut("\r\n"), Frame::Partial);
    }

    #[test]
    fn a_stream_that_lies_about_lengths_is_broken() {
        for l in [
            "l: -1",
            "l: 3\r\nContent-Length: 4",
            "l: 99999999999999999999",
            "l: 65536",
            "l:\r\n 3",
        ] {
            assert_eq!(
                cut(&format!("INFO sip:a SIP/2.0\r\n{l}\r\n\r\nabcd")),
                Frame::Broken,
                "{l}"
            );
        }
        assert_eq!(cut(&"x".repeat(70_000)), Frame::Broken);
    }
}
