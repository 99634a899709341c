//! Session descriptions (RFC 8866, RFC 3264), read as far as a B2BUA without media needs. Bodies that are passed on are
//! never rewritten.

use std::fmt::Write;
use std::net::IpAddr;

/// The direction of media as its sender means it (RFC 3264 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both ways
    #[default]
    SendRecv,
    /// The sender only sends: the other end is on hold
    SendOnly,
    /// The sender only receives
    RecvOnly,
    /// Neither
    Inactive,
}

impl Direction {
    fn parse(attribute: &[u8]) -> Option<Direction> {
        match attribute {
            b"sendrecv" => Some(Direction::SendRecv),
            b"sendonly" => Some(Direction::SendOnly),
            b"recvonly" => Some(Direction::RecvOnly),
            b"inactive" => Some(Direction::Inactive),
            _ => None,
        }
    }

    /// What an answerer that agrees says (RFC 3264 §6.1).
    pub fn reversed(self) -> Direction {
        match self {
            Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly => Direction::SendOnly,
            other => other,
        }
    }
}

/// The address of a `c=` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection<'a> {
    /// An address
    Ip(IpAddr),
    /// A name
    Name(&'a str),
}

impl Connection<'_> {
    /// 0.0.0.0 or ::, the hold of RFC 2543
    pub fn is_unspecified(&self) -> bool {
        matches!(self, Connection::Ip(ip) if ip.is_unspecified())
    }
}

/// One `m=` section.
#[derive(Debug, Clone)]
pub struct Media<'a> {
    /// `audio`, `video`, `image` …
    pub kind: &'a str,
    /// The port; 0: refused or ended
    pub port: u16,
    /// `RTP/AVP`, `RTP/SAVP`, `udptl` …
    pub protocol: &'a str,
    /// Payload types or formats as spelled
    pub formats: &'a str,
    /// Its address: its own `c=`, else that of the session
    pub connection: Option<Connection<'a>>,
    /// Its direction: its own, else that of the session
    pub direction: Direction,
}

/// A session description.
#[derive(Debug, Clone)]
pub struct Sdp<'a> {
    /// Session id and version of `o=`
    pub origin: Option<(&'a str, &'a str)>,
    /// The media in order
    pub media: Vec<Media<'a>>,
}

/// A body that is no session description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed SDP at line {line}")]
pub struct SdpError {
    /// Counted from 1
    pub line: usize,
}

/// More `m=` sections than any phone sends.
const MOST_MEDIA: usize = 32;

impl<'a> Sdp<'a> {
    /// Reads a body loosely: unknown lines and lines out of order are passed over.
    pub fn parse(body: &'a [u8]) -> Result<Sdp<'a>, SdpError> {
        let mut sdp = Sdp { origin: None, media: Vec::new() };
        let (mut connection, mut direction) = (None, Direction::default());
        let mut seen_version = false;
        for (i, raw) in body.split(|b| *b == b'\n').enumerate() {
            let line = raw.strip_suffix(b"\r").unwrap_or(raw);
            if line.is_empty() {
                continue;
            }
            let error = SdpError { line: i + 1 };
            let [kind, b'=', value @ ..] = line else {
                return Err(error);
            };
            if !seen_version && (*kind != b'v' || value != b"0") {
                return Err(error);
            }
            match kind {
                b'v' => seen_version = true,
                b'o' => sdp.origin = Some(origin(value).ok_or(error)?),
                b'c' => {
                    let c = Some(address(value).ok_or(error)?);
                    match sdp.media.last_mut() {
                        Some(media) => media.connection = c,
                        None => connection = c,
                    }
                }
                b'm' => {
                    if sdp.media.len() == MOST_MEDIA {
                        return Err(error);
                    }
                    sdp.media.push(media(value, connection, direction).ok_or(error)?);
                }
                b'a' => {
                    if let Some(d) = Direction::parse(value) {
                        match sdp.media.last_mut() {
                            Some(media) => media.direction = d,
                            None => direction = d,
                        }
                    }
                }
                _ => {}
            }
        }
        if seen_version { Ok(sdp) } else { Err(SdpError { line: 1 }) }
    }

    /// Whether the sender puts the other end on hold: every open audio is sendonly, inactive, or has no address.
    pub fn is_hold(&self) -> bool {
        let mut audio = self.media.iter().filter(|m| m.kind == "audio" && m.port != 0).peekable();
        audio.peek().is_some()
            && audio.all(|m| {
                matches!(m.direction, Direction::SendOnly | Direction::Inactive)
                    || m.connection.is_some_and(|c| c.is_unspecified())
            })
    }

    /// The first open audio.
    pub fn audio(&self) -> Option<&Media<'a>> {
        self.media.iter().find(|m| m.kind == "audio" && m.port != 0)
    }

    /// An answer that takes the first open audio without sound and refuses the rest (RFC 3264 §6). `local` is an
    /// address of ours, `port` one where nothing need listen, `session` any number.
    pub fn inactive_answer(&self, local: IpAddr, port: u16, session: u32) -> String {
        let family = if local.is_ipv4() { "IP4" } else { "IP6" };
        let mut out = format!(
            "v=0\r\no=- {session} 1 IN {family} {local}\r\ns=-\r\nc=IN {family} {local}\r\nt=0 0\r\n"
        );
        let mut taken = false;
        for m in &self.media {
            let take = !taken && m.kind == "audio" && m.port != 0 && m.protocol == "RTP/AVP";
            let format = m.formats.split(' ').next().unwrap_or("0");
            let port = if take { port.max(1) } else { 0 };
            // Writing to a string cannot fail.
            let _ = write!(out, "m={} {port} {} {format}\r\n", m.kind, m.protocol);
            if take {
                out.push_str("a=inactive\r\n");
                taken = true;
            }
        }
        out
    }
}

/// Whether a body names a broadcast or multicast address where media would be sent, read line by line: a phone may make
/// sense of a body that [`Sdp::parse`] does not. All of `c=` counts, also one that a later line replaces, and
/// `a=rtcp:` (RFC 3605).
pub fn names_broadcast(body: &[u8]) -> bool {
    body.split(|b| matches!(b, b'\r' | b'\n')).any(|line| {
        let address = match line.strip_prefix(b"c=") {
            Some(address) => Some(address),
            None => line.strip_prefix(b"a=rtcp:"),
        };
        address.is_some_and(|address| {
            String::from_utf8_lossy(address)
                .split(|c: char| c.is_ascii_whitespace() || c == '/')
                .filter_map(|field| field.parse().ok())
                .any(hits_everyone)
        })
    })
}

/// An address no phone can have: broadcast or multicast. Media sent there would hit everyone.
fn hits_everyone(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_broadcast() || ip.is_multicast(),
        IpAddr::V6(ip) => ip.is_multicast(),
    }
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

fn origin(value: &[u8]) -> Option<(&str, &str)> {
    let mut fields = text(value)?.split(' ').skip(1);
    Some((fields.next()?, fields.next()?))
}

/// `IN IP4 192.0.2.1/127`
fn address(value: &[u8]) -> Option<Connection<'_>> {
    let mut fields = text(value)?.split(' ').filter(|f| !f.is_empty());
    if fields.next()? != "IN" {
        return None;
    }
    let family = fields.next()?;
    let host = fields.next()?.split('/').next()?;
    if let Ok(ip) = host.parse::<IpAddr>() {
        return (ip.is_ipv4() == (family == "IP4")).then_some(Connection::Ip(ip));
    }
    let sound = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    sound.then_some(Connection::Name(host))
}

fn media<'a>(
    value: &'a [u8],
    connection: Option<Connection<'a>>,
    direction: Direction,
) -> Option<Media<'a>> {
    let mut fields = text(value)?.splitn(4, ' ');
    let (kind, port, protocol) = (fields.next()?, fields.next()?, fields.next()?);
    let formats = fields.next()?;
    let port = port.split('/').next()?.parse().ok()?;
    let sound = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_graphic());
    let formats_sound = formats.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    (sound(kind) && sound(protocol) && formats_sound).then_some(Media {
        kind,
        port,
        protocol,
        formats,
        connection,
        direction,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=a 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\nm=video 4002 RTP/AVP 96\r\n";

    #[test]
    fn media_inherit_address_and_direction_from_the_session() {
        let body = OFFER.replace("t=0 0\r\n", "t=0 0\r\na=sendonly\r\n");
        let body = body + "a=inactive\r\nc=IN IP6 2001:db8::1\r\n";
        let sdp = Sdp::parse(body.as_bytes()).unwrap();
        assert_eq!(sdp.origin, Some(("1", "2")));
        assert_eq!(sdp.media[0].direction, Direction::SendOnly);
        assert_eq!(sdp.media[1].direction, Direction::Inactive);
        assert_eq!(sdp.media[0].connection, Some(Connection::Ip("192.0.2.1".parse().unwrap())));
        assert_eq!(sdp.media[1].connection, Some(Connection::Ip("2001:db8::1".parse().unwrap())));
        assert!(sdp.is_hold());
    }

    #[test]
    fn hold_in_both_manners_and_resume() {
        assert!(!Sdp::parse(OFFER.as_bytes()).unwrap().is_hold());
        let old = OFFER.replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0");
        assert!(Sdp::parse(old.as_bytes()).unwrap().is_hold());
        let refused = OFFER.replace("audio 4000", "audio 0");
        assert!(!Sdp::parse(refused.as_bytes()).unwrap().is_hold());
    }

    #[test]
    fn broadcast_addresses_are_seen() {
        for address in ["255.255.255.255", "224.2.1.1/127"] {
            let body = OFFER.replace("c=IN IP4 192.0.2.1", &format!("c=IN IP4 {address}"));
            assert!(names_broadcast(body.as_bytes()));
        }
    }

    #[test]
    fn broadcast_addresses_are_seen_where_the_body_is_no_sound_one() {
        let bad = OFFER.replacen("c=IN IP4 192.0.2.1", "c=IN IP4 255.255.255.255", 1);
        let mapped = OFFER.replacen("IN IP4 192.0.2.1\r\nt", "IN IP6 ::ffff:239.1.1.1\r\nt", 1);
        for body in [
            bad.clone(),
            bad.replace("v=0", "v=0 "),
            bad.replace("o=a 1 2 IN IP4 192.0.2.1", "o=a"),
            bad.replace("\r\n", "\r"),
            format!("{bad}junk\r\n"),
            format!("{bad}c=IN IP4 192.0.2.1\r\n"),
            format!("{OFFER}a=rtcp:4001 IN IP4 224.2.1.1/127\r\n"),
            mapped,
        ] {
            assert!(names_broadcast(body.as_bytes()), "{body}");
        }
        for body in [OFFER, "", "c=", "c=IN IP4 pbx.example\r\n", "a=x:255.255.255.255"] {
            assert!(!names_broadcast(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn an_inactive_answer_has_as_many_media_as_the_offer() {
        let offer = Sdp::parse(OFFER.as_bytes()).unwrap();
        let answer = offer.inactive_answer("198.51.100.1".parse().unwrap(), 9, 7);
        let answer = Sdp::parse(answer.as_bytes()).unwrap();
        assert_eq!(answer.media.len(), 2);
        assert_eq!((answer.media[0].port, answer.media[0].formats), (9, "8"));
        assert_eq!((answer.media[0].direction, answer.media[1].port), (Direction::Inactive, 0));
    }

    #[test]
    fn malformed_bodies_name_their_line() {
        for (bad, line) in [
            ("", 1),
            ("x", 1),
            ("o=a 1 2", 1),
            ("v=0\r\nm=audio x RTP/AVP 0", 2),
            ("v=0\r\nc=IN IP4 ::1", 2),
            ("v=0\nm =a", 2),
        ] {
            assert_eq!(Sdp::parse(bad.as_bytes()).unwrap_err(), SdpError { line }, "{bad}");
        }
    }
}
