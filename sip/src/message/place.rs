//! Where the parts of a header value stand in a message, once it was read: the transaction, the checks, the service and the
//! answer all ask for the same From, To and Via.

use super::address::NameAddr;
use super::host::Host;
use super::scan::Params;
use super::via::Via;
use std::net::Ipv4Addr;

/// A stretch of the message; an empty one has no place.
#[derive(Debug, Clone, Copy)]
struct Span(u16, u16);

impl Span {
    /// `None` when `part` is no part of `whole`.
    fn of(part: &[u8], whole: &[u8]) -> Option<Span> {
        if part.is_empty() {
            return Some(Span(0, 0));
        }
        let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
        let end = start.checked_add(part.len()).filter(|end| *end <= whole.len())?;
        Some(Span(u16::try_from(start).ok()?, u16::try_from(end).ok()?))
    }

    fn bytes(self, whole: &[u8]) -> Option<&[u8]> {
        whole.get(usize::from(self.0)..usize::from(self.1))
    }

    fn text(self, whole: &[u8]) -> Option<&str> {
        std::str::from_utf8(self.bytes(whole)?).ok()
    }
}

/// The parts of a From or To.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddrPlace {
    display: Span,
    uri: Span,
    params: Span,
}

impl AddrPlace {
    pub(crate) fn of(addr: &NameAddr<'_>, whole: &[u8]) -> Option<AddrPlace> {
        Some(AddrPlace {
            display: Span::of(addr.display_raw, whole)?,
            uri: Span::of(addr.uri_raw.as_bytes(), whole)?,
            params: Span::of(addr.params.raw(), whole)?,
        })
    }

    pub(crate) fn read<'a>(&self, whole: &'a [u8]) -> Option<NameAddr<'a>> {
        Some(NameAddr {
            display_raw: self.display.bytes(whole)?,
            uri_raw: self.uri.text(whole)?,
            params: Params::checked(self.params.bytes(whole)?),
        })
    }
}

/// The parts of a Via whose host is an IPv4 address, as nearly all are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ViaPlace {
    transport: Span,
    sent_by: Span,
    params: Span,
    head: Span,
    host: Ipv4Addr,
    port: Option<u16>,
}

impl ViaPlace {
    /// `None` for other hosts: they are read again each time.
    pub(crate) fn of(via: &Via<'_>, whole: &[u8]) -> Option<ViaPlace> {
        let Host::V4(host) = via.host else { return None };
        Some(ViaPlace {
            transport: Span::of(via.transport.as_bytes(), whole)?,
            sent_by: Span::of(via.sent_by.as_bytes(), whole)?,
            params: Span::of(via.params.raw(), whole)?,
            head: Span::of(via.head, whole)?,
            host,
            port: via.port,
        })
    }

    pub(crate) fn read<'a>(&self, whole: &'a [u8]) -> Option<Via<'a>> {
        Some(Via {
            transport: self.transport.text(whole)?,
            host: Host::V4(self.host),
            port: self.port,
            sent_by: self.sent_by.text(whole)?,
            params: Params::checked(self.params.bytes(whole)?),
            head: self.head.bytes(whole)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Message, parse_datagram};
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = String> {
        let name = "(\"[a-z\\\\\" é]{0,6}\" ?|[a-z]{0,4} ?)";
        let addr = format!(
            "{name}<?sip:[a-z0-9@.:%;=]{{0,14}}>?( ?;(tag|x|)( ?= ?[a-z\"]{{0,4}})?){{0,2}} ?"
        );
        let via = "SIP ?/ ?2\\.0/(UDP|TCP|) (1\\.2\\.3\\.4|\\[::1\\]|a\\.example|1\\.2\\.3\\.999)( ?: ?[0-9]{0,6})?( ?;(rport|branch|x)(=[a-z\"]{0,5})?){0,3}(, ?SIP/2\\.0/UDP b;branch=c)?";
        prop_oneof![addr.prop_regex(), via.to_owned().prop_regex(), "\\PC{0,12}"]
    }

    trait Regex {
        fn prop_regex(self) -> proptest::strategy::BoxedStrategy<String>;
    }

    impl Regex for String {
        fn prop_regex(self) -> proptest::strategy::BoxedStrategy<String> {
            proptest::string::string_regex(&self).unwrap().boxed()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Asked twice and of a copy, a message says what the readers of single values say.
        #[test]
        fn what_is_kept_is_what_is_read(from in value(), to in value(), via in value()) {
            let text = format!(
                "OPTIONS sip:a@b SIP/2.0\r\nVia: {via}\r\nFrom: {from}\r\nt: {to}\r\n\r\n"
            );
            if let Ok(Message::Request(request)) = parse_datagram(Bytes::from(text)) {
                let addr = |name| format!("{:?}", request.name_addr(name));
                let vias: Vec<_> =
                    request.list(super::super::HeaderName::Via).map(Via::parse).collect();
                let read = (
                    addr(super::super::HeaderName::From),
                    addr(super::super::HeaderName::To),
                    format!("{vias:?}"),
                );
                let told = |request: &super::super::Head| {
                    let vias: Vec<_> = request.vias().collect();
                    let (from, to) = (request.from(), request.to());
                    (format!("{from:?}"), format!("{to:?}"), format!("{vias:?}"))
                };
                prop_assert_eq!(&told(&request), &read);
                prop_assert_eq!(&told(&request), &read);
                prop_assert_eq!(&told(&request.clone()), &read);
            }
        }
    }

    #[test]
    fn of_a_plain_message_all_three_are_kept_when_they_were_read_once() {
        let text = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKa\r\nFrom: \"A\" <sip:a@b>;tag=x\r\nTo: <sip:c@b>\r\n\r\n";
        let Ok(Message::Request(request)) = parse_datagram(Bytes::from(text)) else {
            unreachable!("it is a request")
        };
        assert!(!request.keeps_all());
        let read = (request.from().is_ok(), request.to().is_ok(), request.top_via().is_ok());
        assert_eq!(read, (true, true, true));
        assert!(request.keeps_all());
    }

    #[test]
    fn a_part_of_something_else_has_no_place() {
        let (whole, other) = (b"abcdef".to_vec(), b"abcdef".to_vec());
        assert!(Span::of(&other[1..3], &whole).is_none());
        let span = Span::of(&whole[1..3], &whole).unwrap();
        assert_eq!(span.bytes(&whole), Some(&b"bc"[..]));
    }
}
