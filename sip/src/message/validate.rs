//! What a well-framed request must also satisfy before anything is done with it (RFC 3261 §8.2, §16.3, RFC 4475).

use super::error::ValueError;
use super::head::Request;
use super::method::Method;
use super::name::HeaderName;
use super::scan;
use super::uri::Uri;

/// What this element supports.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Methods that are served; ACK and CANCEL always are
    pub methods: &'a [Method],
    /// Option tags that may stand in Require
    pub extensions: &'a [&'a str],
}

impl Default for Rules<'_> {
    fn default() -> Self {
        Rules {
            methods: &[
                Method::Invite,
                Method::Ack,
                Method::Bye,
                Method::Cancel,
                Method::Register,
                Method::Options,
                Method::Info,
                Method::Update,
                Method::Refer,
                Method::Notify,
                Method::Subscribe,
                Method::Message,
            ],
            extensions: &[],
        }
    }
}

impl Rules<'_> {
    /// The value of Allow.
    pub fn allow(&self) -> String {
        self.methods.iter().map(|m| m.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// A refusal: status, reason phrase and perhaps one header that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The status
    pub status: u16,
    /// The reason phrase
    pub reason: &'static str,
    /// Unsupported or Allow
    pub header: Option<(HeaderName, String)>,
}

impl Rejection {
    /// A refusal without further header.
    pub fn new(status: u16, reason: &'static str) -> Rejection {
        Rejection { status, reason, header: None }
    }
}

impl From<ValueError> for Rejection {
    fn from(e: ValueError) -> Rejection {
        Rejection::new(400, fault_phrase(e))
    }
}

const SINGLE: [HeaderName; 17] = [
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::ContentType,
    HeaderName::Expires,
    HeaderName::Event,
    HeaderName::ReferTo,
    HeaderName::Replaces,
    HeaderName::Subject,
    HeaderName::SessionExpires,
    HeaderName::MinSe,
    HeaderName::RAck,
    HeaderName::ReferredBy,
    HeaderName::UserAgent,
    HeaderName::Date,
];

/// An option tag is a token (RFC 3261 §25.1).
fn option_tag(tag: &[u8]) -> Option<&str> {
    std::str::from_utf8(tag).ok().filter(|tag| scan::token_len(tag.as_bytes()) == tag.len())
}

/// Checks a request in the order of RFC 3261 §8.2 and §16.3. An ACK that fails is to be dropped, never answered.
pub fn validate(request: &Request, rules: &Rules<'_>) -> Result<(), Rejection> {
    let to_us = syntax(request)?;
    let method = request.method();
    let always = matches!(method, Method::Ack | Method::Cancel);
    if method == Method::Other {
        return Err(Rejection {
            status: 501,
            reason: "Not Implemented",
            header: Some((HeaderName::Allow, rules.allow())),
        });
    }
    if !always && !rules.methods.contains(&method) {
        return Err(Rejection {
            status: 405,
            reason: "Method Not Allowed",
            header: Some((HeaderName::Allow, rules.allow())),
        });
    }
    if let Some(Uri::Other { .. }) = to_us {
        return Err(Rejection::new(416, "Unsupported URI Scheme"));
    }
    // A registrar is the end of the way: its hop count does not matter (§16.3 speaks of forwarding).
    if request.max_forwards()? == Some(0) && !always && method != Method::Register {
        return Err(Rejection::new(483, "Too Many Hops"));
    }
    // These live within a dialog only (§15, RFC 3262, RFC 3311, RFC 6086).
    let within = matches!(method, Method::Bye | Method::Prack | Method::Update | Method::Info);
    if within && request.to()?.tag().is_none() {
        return Err(Rejection::new(481, "Call/Transaction Does Not Exist"));
    }
    // Require is ignored in ACK and CANCEL (§8.2.2.3).
    if request.has(HeaderName::Require) && !always {
        let supported =
            |tag: &&[u8]| rules.extensions.iter().any(|e| e.as_bytes().eq_ignore_ascii_case(tag));
        let unknown: Vec<_> =
            request.list(HeaderName::Require).filter(|t| !t.is_empty() && !supported(t)).collect();
        if !unknown.is_empty() {
            // They are repeated in the answer: option tags are, anything else is not.
            let tags: Option<Vec<&str>> = unknown.iter().map(|tag| option_tag(tag)).collect();
            let Some(tags) = tags.map(|tags| tags.join(", ")).filter(|t| t.len() <= 1024) else {
                return Err(Rejection::new(400, "Bad Require"));
            };
            return Err(Rejection {
                status: 420,
                reason: "Bad Extension",
                header: Some((HeaderName::Unsupported, tags)),
            });
        }
    }
    Ok(())
}

/// Mandatory headers, singletons, and the grammar of everything that is used later. Gives the Request-URI; none if it will not
/// matter.
fn syntax(request: &Request) -> Result<Option<Uri<'_>>, Rejection> {
    let repeated = SINGLE.iter().fold(0, |mask, name| mask | name.bit()) & request.repeated;
    if repeated != 0 {
        return Err(Rejection::new(400, "Header Repeated"));
    }
    let mut any = false;
    for via in request.vias() {
        via?;
        any = true;
    }
    if !any {
        return Err(ValueError::Missing(HeaderName::Via).into());
    }
    let to_us = request.uri().map_err(|_| Rejection::new(400, "Bad Request-URI"))?;
    if to_us.as_sip().is_some_and(|u| u.has_headers()) {
        return Err(Rejection::new(400, "Headers In Request-URI"));
    }
    for (name, addr) in [(HeaderName::From, request.from()?), (HeaderName::To, request.to()?)] {
        let bad = Rejection::from(ValueError::Malformed(name));
        let uri = addr.uri().map_err(|_| bad.clone())?;
        // A tag parameter must have a value, and only one.
        let mut tags = addr.params.iter().filter(|p| p.name.eq_ignore_ascii_case("tag"));
        if tags.next().is_some_and(|p| p.value.is_none()) || tags.next().is_some() {
            return Err(bad);
        }
        // An address of record is SIP or SIPS (§10.2).
        if request.method() == Method::Register && name == HeaderName::To && uri.as_sip().is_none()
        {
            return Err(bad);
        }
    }
    request.call_id()?;
    let cseq = request.cseq()?;
    if cseq.token != request.method_token() {
        // An unknown method is unknown before its CSeq can mismatch (RFC 4475 §3.1.2.18).
        if request.method() == Method::Other {
            return Ok(None);
        }
        return Err(Rejection::new(400, "CSeq Method Mismatch"));
    }
    request.max_forwards()?;
    contacts(request)?;
    for route in request.routes().chain(request.record_routes()) {
        let route = route?;
        let uri = route.uri().ok().filter(|u| u.as_sip().is_some());
        uri.ok_or(Rejection::new(400, "Bad Route"))?;
    }
    Ok(Some(to_us))
}

fn contacts(request: &Request) -> Result<(), Rejection> {
    if !request.has(HeaderName::Contact) {
        return Ok(());
    }
    let bad = || Rejection::from(ValueError::Malformed(HeaderName::Contact));
    let (mut count, mut star) = (0, false);
    for contact in request.contacts() {
        count += 1;
        match contact?.addr() {
            None => star = true,
            Some(addr) => {
                addr.uri().map_err(|_| bad())?;
            }
        }
    }
    let register = request.method() == Method::Register;
    // `*` stands alone, in REGISTER only (§10.2.2); a dialog has one Contact (§8.1.1.8).
    if star && (!register || count > 1) || matches!(request.method(), Method::Invite) && count > 1 {
        return Err(bad());
    }
    Ok(())
}

fn fault_phrase(e: ValueError) -> &'static str {
    match (e, e.header()) {
        (ValueError::Missing(_), HeaderName::Via) => "Missing Via",
        (ValueError::Missing(_), HeaderName::From) => "Missing From",
        (ValueError::Missing(_), HeaderName::To) => "Missing To",
        (ValueError::Missing(_), HeaderName::CallId) => "Missing Call-ID",
        (ValueError::Missing(_), HeaderName::CSeq) => "Missing CSeq",
        (ValueError::Missing(_), _) => "Missing Header",
        (_, HeaderName::Via) => "Bad Via",
        (_, HeaderName::From) => "Bad From",
        (_, HeaderName::To) => "Bad To",
        (_, HeaderName::CallId) => "Bad Call-ID",
        (_, HeaderName::CSeq) => "Bad CSeq",
        (_, HeaderName::Contact) => "Bad Contact",
        (_, HeaderName::MaxForwards) => "Bad Max-Forwards",
        _ => "Bad Header",
    }
}
