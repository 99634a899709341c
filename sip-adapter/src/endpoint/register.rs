//! The registrar (RFC 3261 §10.3). The address of record is the device; what is bound, the Desk decides.

use super::authenticate::Who;
use super::pace::Wants;
use super::{Endpoint, Pending};
use crate::port::{Done, Errand, Register, Trouble, WantedContact, Wish};
use crate::wire::Wire;
use switchbook_core::id::DeviceId;
use switchbook_core::position::Seconds;
use switchbook_sip::message::{Contact, HeaderName, NameAddr, Request, Uri};
use switchbook_sip::transaction::{Flow, Key};

/// Bytes of a contact's parameters that are kept.
const LONGEST_PARAMETERS: usize = 512;

/// A refusal: status, phrase, and perhaps a Min-Expires.
type Refusal = (u16, &'static str, Option<u32>);

impl Endpoint {
    pub(super) fn register(&mut self, key: Key, flow: Flow, request: Request) {
        let exchange = self.port.exchange();
        let Who::Device(device) = self.authenticate(key, &flow, &request, &exchange) else {
            return;
        };
        let name = exchange.devices.get(&device).map_or("", |device| device.name.as_str());
        // Read once: it tells who is to be registered, and with whom.
        let to = request.to().ok().and_then(|to| to.uri().ok());
        if let Some(aor) = address_of_record(to.as_ref()).filter(|aor| aor != name) {
            let claimed = exchange.device_named(&aor);
            return self.claims_another(key, &flow, &request, device, claimed);
        }
        let wish = match self.wish(&request, to, &flow) {
            Ok(wish) => wish,
            Err((status, phrase, min)) => {
                let min = min.map(|seconds| seconds.to_string());
                let headers: Vec<_> =
                    min.iter().map(|min| (HeaderName::MinExpires, min.as_str())).collect();
                return self.wire.refuse(key, &flow, &request, status, phrase, &headers);
            }
        };
        let Some(wish) = wish else {
            return self.bindings(key, &flow, &request, device);
        };
        if self.pending.len() >= self.config.limits.errands {
            let later = [(HeaderName::RetryAfter, "10")];
            return self.wire.refuse(key, &flow, &request, 503, "Service Unavailable", &later);
        }
        // A refresh leaves no event, but only the Desk can tell: what was not used comes back with its answer.
        let units = match &wish {
            Wish::Bind(contacts) => contacts.len(),
            Wish::RemoveAll => exchange.registrations.get(&device).map_or(0, |r| r.bindings.len()),
        };
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        if !self.keeps_pace(key, &flow, &request, device, (Wants::Bindings, units)) {
            return;
        }
        let errand = Errand::Register(Register {
            device,
            call_id: hash(request.call_id().unwrap_or_default()),
            cseq: request.cseq().map_or(0, |cseq| cseq.seq),
            user_agent: user_agent(&request),
            from: flow,
            wish,
        });
        let request = request.into();
        self.submit(errand, Pending::Register { key, flow, request, device, units });
    }

    /// What a REGISTER asks for; `None`: only to be told.
    fn wish(
        &self,
        request: &Request,
        to: Option<Uri<'_>>,
        flow: &Flow,
    ) -> Result<Option<Wish>, Refusal> {
        let Some(Uri::Sip(to)) = to else { return Err((400, "Bad To", None)) };
        if !self.is_ours(&to.host, flow) {
            return Err((404, "Not Found", None));
        }
        let bounds = self.config.registration;
        let header = request.expires().map_err(|_| (400, "Bad Expires", None))?;
        let mut wanted = Vec::new();
        for contact in request.contacts() {
            let Ok(contact) = contact else { return Err((400, "Bad Contact", None)) };
            let Contact::Addr(addr) = &contact else {
                return match (header, wanted.is_empty()) {
                    (Some(0), true) => Ok(Some(Wish::RemoveAll)),
                    _ => Err((400, "Bad Contact", None)),
                };
            };
            let Ok(Uri::Sip(uri)) = addr.uri() else { return Err((400, "Bad Contact", None)) };
            if let Some((status, phrase)) = self.no_phone(&uri, flow) {
                return Err((status, phrase, None));
            }
            let expires = contact.expires().or(header).unwrap_or(bounds.default);
            if expires > 0 && expires < bounds.min {
                return Err((423, "Interval Too Brief", Some(bounds.min)));
            }
            if wanted.len() >= bounds.contacts || addr.uri_raw.len() > 512 {
                return Err((403, "Too Many Contacts", None));
            }
            wanted.push(WantedContact {
                uri: addr.uri_raw.to_owned(),
                parameters: others(addr),
                instance: instance(&contact),
                behind_nat: uri.host.ip() != Some(flow.remote.ip()),
                expires: Seconds(expires.min(bounds.max)),
            });
        }
        Ok((!wanted.is_empty()).then_some(Wish::Bind(wanted)))
    }

    /// The Desk has decided.
    pub(super) fn registered(
        &mut self,
        key: Key,
        flow: Flow,
        request: &Request,
        device: DeviceId,
        outcome: Result<Done, Trouble>,
    ) {
        match outcome {
            Ok(Done { .. }) => {
                self.watch(device);
                self.bindings(key, &flow, request, device);
            }
            Err(Trouble::Refused { code, text }) => {
                // A REGISTER older than the binding it is about (RFC 3261 §10.3 step 7).
                let (status, phrase) = match code {
                    "REGISTRATION_OUT_OF_ORDER" => (500, "Out Of Order".to_owned()),
                    _ => (403, crate::call::code::phrase(&text)),
                };
                self.wire.metrics.refused.add(1);
                self.wire.answer_with(key, &flow, request, status, &phrase, None, &[]);
            }
            Err(Trouble::ReadOnly | Trouble::Overloaded | Trouble::Unknown) => {
                self.wire.metrics.refused.add(1);
                let later = [(HeaderName::RetryAfter, "30")];
                let phrase = "Service Unavailable";
                self.wire.answer_with(key, &flow, request, 503, phrase, None, &later);
            }
        }
    }

    /// 200 with every binding and what is left of it.
    fn bindings(&mut self, key: Key, flow: &Flow, request: &Request, device: DeviceId) {
        let exchange = self.port.exchange();
        let now = self.wire.now;
        let tag = self.wire.table.stateless_tag(request);
        let buf = &mut self.wire.buf;
        let mut b = Wire::reply(buf, request, flow, 200, "OK", Some(&tag));
        if let Some(registration) = exchange.registrations.get(&device) {
            for (binding, _) in &registration.bindings {
                let lease = self.port.lease(device, binding.binding);
                let ends = binding.ends(lease, now.moment);
                let left = (ends.0 - now.moment.0 + 999_999) / 1_000_000;
                let Some(contact) = binding.contact.known().filter(|_| left > 0) else { continue };
                let told = told_back(&binding.parameters, binding.instance.as_deref());
                b.header_fmt(HeaderName::Contact, format_args!("<{contact}>;expires={left}{told}"));
            }
        }
        if let Ok(bytes) = b.finish() {
            self.wire.metrics.registers.add(1);
            let _ = self.wire.table.respond(now.instant, key, bytes);
        }
    }
}

/// The user a REGISTER is for; empty if it names none, `None` if To cannot be read.
fn address_of_record(to: Option<&Uri<'_>>) -> Option<String> {
    match to? {
        Uri::Sip(to) => Some(super::user_of(to).unwrap_or_default()),
        _ => None,
    }
}

/// The parameters of a Contact that say something of the phone (RFC 3840, q): all but those kept apart. What is not
/// printable, or would make them longer than a line, is left out.
fn others(addr: &NameAddr<'_>) -> String {
    let mut out = String::new();
    for param in addr.params.iter() {
        let apart = ["expires", "+sip.instance", "reg-id"];
        let value = std::str::from_utf8(param.value.unwrap_or_default()).unwrap_or("\0");
        let odd = value.chars().any(char::is_control);
        if odd || apart.iter().any(|name| param.name.eq_ignore_ascii_case(name)) {
            continue;
        }
        let before = out.len();
        out.extend([";", param.name]);
        if param.value.is_some() {
            out.extend(["=", value]);
        }
        if out.len() > LONGEST_PARAMETERS {
            out.truncate(before);
        }
    }
    out
}

/// The handset, and the flow if it keeps several.
fn instance(contact: &Contact<'_>) -> Option<String> {
    let plain = |b: u8| b.is_ascii_graphic() && !b"\";".contains(&b);
    let fits = |id: &&str| id.len() <= 128 && id.bytes().all(plain);
    let id = contact.instance().filter(fits)?;
    Some(match contact.reg_id() {
        Some(flow) => format!("{id};reg-id={flow}"),
        None => id.to_owned(),
    })
}

/// What a phone told of a contact, told back to it (RFC 3261 §10.3 step 8).
fn told_back(parameters: &str, instance: Option<&str>) -> String {
    match instance.map(|instance| instance.split_once(';').unwrap_or((instance, ""))) {
        None => parameters.to_owned(),
        Some((id, "")) => format!("{parameters};+sip.instance=\"{id}\""),
        Some((id, flow)) => format!("{parameters};+sip.instance=\"{id}\";{flow}"),
    }
}

fn user_agent(request: &Request) -> Option<String> {
    let text = String::from_utf8_lossy(request.user_agent()?);
    if text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Some(text.into_owned());
    }
    Some(text.chars().filter(|c| !c.is_control()).take(128).collect())
}

/// The same for equal Call-IDs, on every machine and for ever: it stands in the book.
fn hash(call_id: &str) -> u64 {
    // FNV-1a, 64 bits.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in call_id.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}
