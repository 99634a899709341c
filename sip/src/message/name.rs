//! Header field names: long and compact forms (RFC 3261 §7.3.3), looked up without allocation.

macro_rules! names {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A header field name known to Switchbook. Any other name is [`HeaderName::Other`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum HeaderName {
            $(#[doc = $name] $variant,)*
            /// A name not in this list; the line keeps its spelling.
            Other,
        }
        const NAMES: &[(&str, HeaderName)] = &[$(($name, HeaderName::$variant)),*];
    };
}

names! {
    Accept = "Accept", AcceptEncoding = "Accept-Encoding", AcceptLanguage = "Accept-Language",
    AlertInfo = "Alert-Info", Allow = "Allow", AllowEvents = "Allow-Events",
    AuthenticationInfo = "Authentication-Info", Authorization = "Authorization", CallId = "Call-ID",
    CallInfo = "Call-Info", Contact = "Contact", ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding", ContentLanguage = "Content-Language", ContentLength = "Content-Length",
    ContentType = "Content-Type", CSeq = "CSeq", Date = "Date", Diversion = "Diversion", ErrorInfo = "Error-Info",
    Event = "Event", Expires = "Expires", From = "From", HistoryInfo = "History-Info", InReplyTo = "In-Reply-To",
    MaxForwards = "Max-Forwards", MimeVersion = "MIME-Version", MinExpires = "Min-Expires", MinSe = "Min-SE",
    Organization = "Organization", PAssertedIdentity = "P-Asserted-Identity",
    PPreferredIdentity = "P-Preferred-Identity", Path = "Path", Priority = "Priority", Privacy = "Privacy",
    ProxyAuthenticate = "Proxy-Authenticate", ProxyAuthorization = "Proxy-Authorization",
    ProxyRequire = "Proxy-Require", RAck = "RAck", Reason = "Reason", RecordRoute = "Record-Route",
    ReferTo = "Refer-To", ReferredBy = "Referred-By", RemotePartyId = "Remote-Party-ID", Replaces = "Replaces",
    ReplyTo = "Reply-To", Require = "Require", RetryAfter = "Retry-After", Route = "Route", RSeq = "RSeq",
    Server = "Server", ServiceRoute = "Service-Route", SessionExpires = "Session-Expires", SipETag = "SIP-ETag",
    SipIfMatch = "SIP-If-Match", Subject = "Subject", SubscriptionState = "Subscription-State",
    Supported = "Supported", Timestamp = "Timestamp", To = "To", Unsupported = "Unsupported",
    UserAgent = "User-Agent", Via = "Via", Warning = "Warning", WwwAuthenticate = "WWW-Authenticate",
}

impl HeaderName {
    /// Looks a name up, whatever its case, long or compact.
    pub fn parse(name: &[u8]) -> HeaderName {
        if let [one] = name {
            return compact(*one);
        }
        let Some(slot) = slot_of(name) else {
            return HeaderName::Other;
        };
        match TABLE[slot] {
            0 => HeaderName::Other,
            n => {
                let (known, variant) = NAMES[n as usize - 1];
                let known = known.as_bytes();
                if name == known || name.eq_ignore_ascii_case(known) {
                    variant
                } else {
                    HeaderName::Other
                }
            }
        }
    }

    /// The name as Switchbook writes it; empty for [`HeaderName::Other`].
    pub fn as_str(self) -> &'static str {
        NAMES.get(self as usize).map_or("", |(name, _)| name)
    }

    pub(crate) fn bit(self) -> u128 {
        1u128 << (self as u8)
    }
}

fn compact(letter: u8) -> HeaderName {
    match letter.to_ascii_lowercase() {
        b'b' => HeaderName::ReferredBy,
        b'c' => HeaderName::ContentType,
        b'e' => HeaderName::ContentEncoding,
        b'f' => HeaderName::From,
        b'i' => HeaderName::CallId,
        b'k' => HeaderName::Supported,
        b'l' => HeaderName::ContentLength,
        b'm' => HeaderName::Contact,
        b'o' => HeaderName::Event,
        b'r' => HeaderName::ReferTo,
        b's' => HeaderName::Subject,
        b't' => HeaderName::To,
        b'u' => HeaderName::AllowEvents,
        b'v' => HeaderName::Via,
        b'x' => HeaderName::SessionExpires,
        _ => HeaderName::Other,
    }
}

const SLOTS: usize = 1024;
const TABLE: [u8; SLOTS] = build_table();

/// A hash of length, first, middle and last letters that is free of collisions over the known names.
const fn slot_of(name: &[u8]) -> Option<usize> {
    let n = name.len();
    if n < 2 || n > 32 {
        return None;
    }
    let first = (name[0] | 0x20) as usize;
    let middle = (name[n / 2] | 0x20) as usize;
    let last = (name[n - 1] | 0x20) as usize;
    let second = (name[1] | 0x20) as usize;
    Some((n * 61 + first * 255 + second * 391 + middle * 231 + last * 243) % SLOTS)
}

const fn build_table() -> [u8; SLOTS] {
    let mut table = [0u8; SLOTS];
    let mut i = 0;
    while i < NAMES.len() {
        if let Some(slot) = slot_of(NAMES[i].0.as_bytes()) {
            assert!(table[slot] == 0, "two header names share a slot: change a factor in slot_of");
            table[slot] = i as u8 + 1;
        }
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for (name, variant) in NAMES {
            assert_eq!(HeaderName::parse(name.as_bytes()), *variant);
            assert_eq!(HeaderName::parse(name.to_ascii_uppercase().as_bytes()), *variant);
            assert_eq!(variant.as_str(), *name);
        }
        assert!((HeaderName::Other as u8) < 128);
    }

    #[test]
    fn compact_and_unknown_names() {
        assert_eq!(HeaderName::parse(b"v"), HeaderName::Via);
        assert_eq!(HeaderName::parse(b"M"), HeaderName::Contact);
        assert_eq!(HeaderName::parse(b"C%6Fntact"), HeaderName::Other);
        assert_eq!(HeaderName::parse(b""), HeaderName::Other);
    }
}
