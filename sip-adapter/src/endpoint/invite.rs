//! Who calls whom: from INVITE to plan (way 4). The decision itself is `core::routing::route`.

use super::authenticate::Who;
use super::pace::Wants;
use super::places::World;
use super::sessions::Session;
use super::{Endpoint, user_of};
use crate::call::code::CodeCall;
use crate::call::{Begin, Call, Cx, Party, Places};
use crate::config::Limits;
use crate::port::{Errand, Trouble};
use std::borrow::Cow;
use std::sync::Arc;
use switchbook_core::call::{CallPlaced, Caller, Dialled, Facts};
use switchbook_core::device::Origin;
use switchbook_core::exchange::Exchange;
use switchbook_core::feature_code::FeatureCode;
use switchbook_core::id::{CallId, DeviceId};
use switchbook_core::number::Number;
use switchbook_core::outside::OutsideNumber;
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::Moment;
use switchbook_core::routing::caller_id::{self, Shown};
use switchbook_core::routing::outbound::{CallingAs, calling_as, is_emergency};
use switchbook_core::routing::plan::{RoutePlan, Step, StepIndex};
use switchbook_core::routing::{From, Routed, RoutingInput, route};
use switchbook_sip::message::{Contact, HeaderName, Method, Request, Uri};
use switchbook_sip::transaction::{Flow, Key};
use uuid::Uuid;

impl Endpoint {
    pub(super) fn invite(&mut self, key: Key, flow: Flow, request: Request) {
        let from_tag = request.from().ok().and_then(|from| from.tag());
        if from_tag.is_some_and(|tag| self.wire.dialogs.contains_key(tag)) {
            // One of our own INVITEs has come back to us (checklist 26).
            return self.wire.refuse(key, &flow, &request, 482, "Loop Detected", &[]);
        }
        let exchange = self.port.exchange();
        if let Some(settings) = exchange.settings.as_deref() {
            self.keep_domain(&settings.realm.value);
        }
        let peer =
            |(_, trunk): &(_, &Arc<switchbook_core::trunk::Trunk>)| trunk.peer == flow.remote;
        let party = match exchange.trunks.iter().find(peer) {
            Some((id, trunk)) => {
                if !self.trunk_keeps_pace(key, &flow, &request, (*id, &trunk.name)) {
                    return;
                }
                Party::Trunk(*id)
            }
            None => match self.authenticate(key, &flow, &request, &exchange) {
                Who::Device(device) => Party::Device(device),
                Who::Answered => return,
            },
        };
        if let Party::Device(device) = party
            && let Some(claimed) = speaks_for_another(&request, &exchange, device)
        {
            return self.claims_another(key, &flow, &request, device, claimed);
        }
        let Some(dialled) = self.addressed(&request, &flow) else {
            return self.wire.refuse(key, &flow, &request, 404, "Not Found", &[]);
        };
        let contact = request.contacts().next();
        let Some(Ok(Contact::Addr(contact))) = contact else {
            let phrase = if contact.is_none() { "Missing Contact" } else { "Bad Contact" };
            return self.wire.refuse(key, &flow, &request, 400, phrase, &[]);
        };
        // What is sent to the caller later must not come back to us, and to nobody else (checklist 13).
        if let Ok(Uri::Sip(uri)) = contact.uri()
            && let Some((status, phrase)) = self.no_phone(&uri, &flow)
        {
            return self.wire.refuse(key, &flow, &request, status, phrase, &[]);
        }
        if super::sdp_is_hostile(&request) {
            return self.wire.refuse(key, &flow, &request, 488, "Not Acceptable Here", &[]);
        }
        match party {
            Party::Device(device) if dialled.starts_with('*') => {
                self.code(key, flow, request, &exchange, device, &dialled);
            }
            _ => self.place(key, flow, request, &exchange, party, dialled),
        }
    }

    fn place(
        &mut self,
        key: Key,
        flow: Flow,
        request: Request,
        exchange: &Exchange,
        party: Party,
        dialled: String,
    ) {
        // Help is never refused for want of room; what the network sends in is no call for help.
        let help = matches!(party, Party::Device(_)) && is_emergency(exchange, &dialled);
        if self.is_full(party, &flow) && !help {
            return self.no_room(key, &flow, &request);
        }
        let at = self.wire.now.moment;
        let from = match party {
            Party::Device(device) => From::Device(device),
            Party::Trunk(trunk) => From::Trunk(trunk),
        };
        let (id, call) = (self.sessions.next_id(), self.call_id());
        let world = World { exchange, port: &*self.port, usage: &self.usage, at };
        let input = RoutingInput { exchange, volatile: &world, from, dialled: &dialled, at };
        let Routed { plan, facts } = route(input);
        for warning in &plan.warnings {
            tracing::warn!("{warning}");
        }
        let (number, shown) = match party {
            Party::Device(device) => {
                (number_of(exchange, device), caller_id::inside(exchange, device))
            }
            Party::Trunk(_) => (None, shown_by_trunk(&request)),
        };
        let placed = CallPlaced {
            call,
            caller: caller(party, number, &shown, exchange.erasures.key_of_month(at)),
            dialled: as_dialled(exchange, party, &plan, &dialled, at),
            origin: plan.origin,
            facts,
            decided_on: plan.decided_on,
            decided_for: at,
            plan: serde_json::to_string(&plan).unwrap_or_default(),
        };
        let Limits { trunk_ring, alive_check, .. } = self.config.limits;
        let mut effects = Vec::new();
        let mut cx = Cx { wire: &mut self.wire, effects: &mut effects, places: &world };
        let (again, way) = (request.clone(), flow);
        let begin = Begin {
            id,
            call,
            key,
            flow,
            request,
            party,
            shown,
            dialled,
            plan,
            trunk_ring,
            alive_check,
        };
        let Ok(machine) = Call::new(&mut cx, begin) else {
            return self.wire.refuse(key, &way, &again, 400, "Bad Contact", &[]);
        };
        self.wire.metrics.calls_placed.add(1);
        self.record_from(Box::new(placed.into()), way);
        self.sessions.insert(id, call, Session::Call(Box::new(machine)));
        if let Party::Device(device) = party {
            self.usage.take(id, device, number);
        }
        self.start_call(id);
    }

    /// A feature code: the Desk decides, off the loop.
    fn code(
        &mut self,
        key: Key,
        flow: Flow,
        request: Request,
        exchange: &Exchange,
        device: DeviceId,
        dialled: &str,
    ) {
        let Some(code) = FeatureCode::parse(dialled) else {
            return self.wire.refuse(key, &flow, &request, 404, "Not Found", &[]);
        };
        if code == FeatureCode::Unknown {
            return self.wire.refuse(key, &flow, &request, 404, "Unknown Code", &[]);
        }
        if self.is_full(Party::Device(device), &flow)
            || self.pending.len() >= self.config.limits.errands
        {
            return self.no_room(key, &flow, &request);
        }
        let (id, call, at) = (self.sessions.next_id(), self.call_id(), self.wire.now.moment);
        let (again, way) = (request.clone(), flow);
        let Ok(machine) = CodeCall::new(&mut self.wire, id, key, flow, request) else {
            return self.wire.refuse(key, &way, &again, 400, "Bad Contact", &[]);
        };
        let plan = RoutePlan {
            at,
            decided_on: exchange.position,
            origin: Origin::Internal,
            start: StepIndex(0),
            steps: Vec::new(),
            warnings: Vec::new(),
        };
        let placed = CallPlaced {
            call,
            caller: Caller::Device { device, number: number_of(exchange, device) },
            // Never what was dialled: it may hold a PIN.
            dialled: Dialled::Other(Personal::new(
                exchange.erasures.key_of_month(at),
                code.masked(),
            )),
            origin: Origin::Internal,
            facts: Facts::default(),
            decided_on: exchange.position,
            decided_for: at,
            plan: serde_json::to_string(&plan).unwrap_or_default(),
        };
        self.wire.metrics.feature_codes.add(1);
        self.record_from(Box::new(placed.into()), way);
        self.sessions.insert(id, call, Session::Code(Box::new(machine), call));
        if !self.submit(Errand::Code { device, code, from: way }, Self::pending_code(id)) {
            self.code_decided(id, Err(Trouble::Overloaded));
        }
    }

    /// Does a request call for help from where a phone is? `device` must be the one that sends it: its credentials
    /// were checked, or nothing follows but a question for them.
    pub(super) fn calls_for_help(
        &self,
        request: &Request,
        flow: &Flow,
        exchange: &Exchange,
        device: DeviceId,
    ) -> bool {
        let at = self.wire.now.moment;
        let world = World { exchange, port: &*self.port, usage: &self.usage, at };
        request.method() == Method::Invite
            && self.addressed(request, flow).is_some_and(|dialled| is_emergency(exchange, &dialled))
            && world.contacts(device).iter().any(|target| target.remote.ip() == flow.remote.ip())
    }

    /// Has a phone a living binding at exactly the address and port that something came from? Its contact may name
    /// another port than it sends from.
    pub(super) fn lives_at(&self, flow: &Flow, exchange: &Exchange, device: DeviceId) -> bool {
        let at = self.wire.now.moment;
        let world = World { exchange, port: &*self.port, usage: &self.usage, at };
        let from = flow.remote.to_string();
        let registered_from = || {
            let registration = exchange.registrations.get(&device);
            registration.is_some_and(|registration| {
                let here = |source: &Personal| source.known() == Some(&from);
                registration.bindings.iter().any(|(binding, _)| here(&binding.source))
            })
        };
        let contacts = world.contacts(device);
        contacts.iter().any(|target| target.remote == flow.remote)
            || (!contacts.is_empty() && registered_from())
    }

    /// Which of a phone's bounds a request of it counts against.
    pub(super) fn wants(
        &self,
        request: &Request,
        flow: &Flow,
        exchange: &Exchange,
        device: DeviceId,
    ) -> Wants {
        if request.method() != Method::Invite
            || speaks_for_another(request, exchange, device).is_some()
        {
            return Wants::Requests;
        }
        let dialled = self.addressed(request, flow);
        match dialled.is_some_and(|dialled| is_emergency(exchange, &dialled)) {
            true => Wants::Help,
            false => Wants::Calls,
        }
    }

    /// Is there no room for a call more?
    fn is_full(&mut self, party: Party, flow: &Flow) -> bool {
        let limits = self.config.limits;
        let device_full = match party {
            Party::Device(device) => self.usage.calls_of(device) >= limits.calls_per_device,
            Party::Trunk(_) => false,
        };
        device_full
            || self.sessions.live >= limits.calls
            || !self.invites.take(self.wire.now.instant, flow.remote.ip(), 1)
    }

    fn no_room(&mut self, key: Key, flow: &Flow, request: &Request) {
        let later = [(HeaderName::RetryAfter, "5")];
        self.wire.refuse(key, flow, request, 503, "Service Unavailable", &later);
    }

    /// A name for the book: time-ordered, the rest unguessable (UUID version 7).
    fn call_id(&mut self) -> CallId {
        let millis = u128::try_from(self.wire.now.moment.0 / 1000).unwrap_or(0);
        let random = u128::from(self.wire.ids.u64()) << 64 | u128::from(self.wire.ids.u64());
        let value = millis << 80 | random & ((1 << 80) - 1);
        let value = value & !(0xf << 76) | 7 << 76;
        let value = value & !(0b11 << 62) | 0b10 << 62;
        CallId(Uuid::from_u128(value))
    }
}

/// Does From name another than the phone that has authenticated (checklist 8), and which, if there is one?
fn speaks_for_another(
    request: &Request,
    exchange: &Exchange,
    device: DeviceId,
) -> Option<Option<DeviceId>> {
    let name = exchange.devices.get(&device).map(|device| device.name.as_str());
    let from = from_user(request);
    (from.as_deref() != name).then(|| from.and_then(|name| exchange.device_named(&name)))
}

/// Whom a request says it is from.
pub(super) fn from_user(request: &Request) -> Option<String> {
    match request.from().ok()?.uri().ok()? {
        Uri::Sip(uri) => user_of(&uri),
        _ => None,
    }
}

fn number_of(exchange: &Exchange, device: DeviceId) -> Option<Number> {
    match calling_as(exchange, device) {
        CallingAs::User { number, .. } => Some(number),
        CallingAs::Device { service_number } => service_number,
        CallingAs::NoNumberOnSlot { .. } => None,
    }
}

/// The caller's number as the trunk gives it; no name, which would come from a telephone book (3.5).
fn shown_by_trunk(request: &Request) -> Shown {
    let asserted = request.name_addr(HeaderName::PAssertedIdentity).ok();
    let from = asserted.or_else(|| request.from().ok()).and_then(|from| from.uri().ok());
    let number = match from {
        Some(Uri::Sip(uri)) => user_of(&uri),
        Some(Uri::Tel(uri)) => Some(uri.digits().collect()),
        _ => None,
    };
    let digits = |text: &String| {
        let rest = text.strip_prefix('+').unwrap_or(text);
        !rest.is_empty() && rest.len() <= 32 && rest.bytes().all(|b| b.is_ascii_digit())
    };
    Shown { number: number.filter(digits), name: None }
}

fn caller(party: Party, number: Option<Number>, shown: &Shown, key: KeyId) -> Caller {
    match party {
        Party::Device(device) => Caller::Device { device, number },
        Party::Trunk(trunk) => {
            let number = shown.number.as_ref();
            let number = number.map(|number| OutsideNumber::new(key, number));
            Caller::Trunk { trunk, number }
        }
    }
}

fn as_dialled(
    exchange: &Exchange,
    party: Party,
    plan: &RoutePlan,
    dialled: &str,
    at: Moment,
) -> Dialled {
    let inside = dialled.parse().ok().filter(|number| exchange.numbers.contains_key(number));
    let key = exchange.erasures.key_of_month(at);
    let outside = || OutsideNumber::new(key, &masked(dialled));
    match (party, inside) {
        (Party::Device(_), Some(number)) => Dialled::Inside(number),
        (Party::Trunk(_), _) => Dialled::Outside(outside()),
        _ if matches!(plan.step(plan.start), Some(Step::Dial { .. })) => {
            Dialled::Outside(outside())
        }
        _ => Dialled::Other(Personal::new(key, &masked(dialled))),
    }
}

/// What was dialled, for the book. Text with `*` or `#` may be a mistyped log-in with a PIN in it: nothing is kept of
/// what stands behind the first of them.
fn masked(dialled: &str) -> Cow<'_, str> {
    match dialled.find(['*', '#']) {
        Some(mark) => Cow::Owned(format!("{}…", &dialled[..=mark])),
        None => Cow::Borrowed(dialled),
    }
}
