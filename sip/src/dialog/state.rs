//! The state of a dialog (RFC 3261 §12).

use crate::message::{
    Builder, Head, HeaderName, Method, Rejection, Request, Response, SipUri, ValueError,
};
use bytes::BytesMut;

/// Call-ID and both tags (§12).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialogId {
    /// Call-ID
    pub call_id: String,
    /// Our tag
    pub local_tag: String,
    /// Their tag; empty for a peer of RFC 2543
    pub remote_tag: String,
}

impl DialogId {
    /// The dialog an incoming request or an ACK belongs to; `None` without To tag.
    pub fn of_request(request: &Request) -> Result<Option<DialogId>, ValueError> {
        let Some(local_tag) = request.to()?.tag() else {
            return Ok(None);
        };
        Ok(Some(DialogId {
            call_id: request.call_id()?.to_owned(),
            local_tag: local_tag.to_owned(),
            remote_tag: request.from()?.tag().unwrap_or("").to_owned(),
        }))
    }

    /// The dialog a response to a request of ours belongs to; `None` without To tag.
    pub fn of_response(response: &Response) -> Result<Option<DialogId>, ValueError> {
        let Some(remote_tag) = response.to()?.tag() else {
            return Ok(None);
        };
        Ok(Some(DialogId {
            call_id: response.call_id()?.to_owned(),
            local_tag: response.from()?.tag().unwrap_or("").to_owned(),
            remote_tag: remote_tag.to_owned(),
        }))
    }
}

/// Early until the 2xx (§12.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Made by a 1xx with tag
    Early,
    /// Made or confirmed by a 2xx
    Confirmed,
}

/// Why no dialog came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DialogError {
    /// A header is missing or malformed
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The response carries no To tag, so it makes no dialog
    #[error("no tag in To")]
    NoTag,
    /// No usable Contact: in-dialog requests would have no target
    #[error("no usable Contact")]
    NoTarget,
}

/// One end of a dialog.
#[derive(Debug, Clone)]
pub struct Dialog {
    id: DialogId,
    stage: Stage,
    /// Value of From in our requests, without tag
    local: Vec<u8>,
    /// Value of To in our requests, without tag
    remote: Vec<u8>,
    local_seq: u32,
    invite_seq: u32,
    remote_seq: Option<u32>,
    target: String,
    routes: Vec<String>,
}

impl Dialog {
    /// The dialog that our response to `request` makes (§12.1.1). `local_tag` is the To tag of that response.
    pub fn uas(request: &Request, local_tag: &str, stage: Stage) -> Result<Dialog, DialogError> {
        Ok(Dialog {
            id: DialogId {
                call_id: request.call_id()?.to_owned(),
                local_tag: local_tag.to_owned(),
                remote_tag: request.from()?.tag().unwrap_or("").to_owned(),
            },
            stage,
            local: without_tag(request, HeaderName::To)?,
            remote: without_tag(request, HeaderName::From)?,
            local_seq: 0,
            invite_seq: 0,
            remote_seq: Some(request.cseq()?.seq),
            target: target(request)?.ok_or(DialogError::NoTarget)?,
            routes: routes(request)?,
        })
    }

    /// The dialog that a response to our `request` makes (§12.1.2): 1xx (not 100) early, 2xx confirmed.
    pub fn uac(request: &Request, response: &Response) -> Result<Dialog, DialogError> {
        let id = DialogId::of_response(response)?.ok_or(DialogError::NoTag)?;
        let mut set = routes(response)?;
        set.reverse();
        let seq = request.cseq()?.seq;
        let target = match target(response)? {
            Some(target) => target,
            // A provisional response need not name a target yet.
            None if response.status() < 200 => request.uri_raw().to_owned(),
            None => return Err(DialogError::NoTarget),
        };
        Ok(Dialog {
            id,
            stage: if response.status() < 200 { Stage::Early } else { Stage::Confirmed },
            local: without_tag(request, HeaderName::From)?,
            remote: without_tag(response, HeaderName::To)?,
            local_seq: seq,
            invite_seq: seq,
            remote_seq: None,
            target,
            routes: set,
        })
    }

    /// Its identity.
    pub fn id(&self) -> &DialogId {
        &self.id
    }

    /// Early or confirmed.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Where in-dialog requests are addressed to.
    pub fn remote_target(&self) -> &str {
        &self.target
    }

    /// The route set, first hop first.
    pub fn routes(&self) -> &[String] {
        &self.routes
    }

    /// The CSeq number of our last request.
    pub fn local_seq(&self) -> u32 {
        self.local_seq
    }

    /// As UAS: the 2xx was sent.
    pub fn confirm(&mut self) {
        self.stage = Stage::Confirmed;
    }

    /// As UAC: the 2xx came; route set and target are taken from it anew (§13.2.2.4).
    pub fn confirm_by(&mut self, response: &Response) -> Result<(), DialogError> {
        if self.stage == Stage::Early {
            self.routes = routes(response)?;
            self.routes.reverse();
        }
        self.stage = Stage::Confirmed;
        self.refresh_target(response)
    }

    /// A target refresh by a re-INVITE, an UPDATE, or their 2xx (§12.2).
    pub fn refresh_target(&mut self, message: &Head) -> Result<(), DialogError> {
        if let Some(target) = target(message)? {
            self.target = target;
        }
        Ok(())
    }

    /// Judges the CSeq of a request within the dialog and remembers it (§12.2.2). ACK and CANCEL carry the number of
    /// their INVITE and are not to be given here.
    pub fn receive(&mut self, request: &Request) -> Result<(), Rejection> {
        let seq = request.cseq()?.seq;
        if self.remote_seq.is_some_and(|last| seq <= last) {
            return Err(Rejection::new(500, "CSeq Out Of Order"));
        }
        self.remote_seq = Some(seq);
        Ok(())
    }

    /// Begins a request within the dialog (§12.2.1.1): Request-URI, Route, Via, Max-Forwards, From, To, Call-ID and
    /// the next CSeq; Contact, further headers and body are the caller's. Not for ACK and CANCEL.
    pub fn request<'b>(
        &mut self,
        out: &'b mut BytesMut,
        method: Method,
        transport: &str,
        sent_by: &str,
        branch: &str,
    ) -> Builder<'b> {
        self.local_seq = self.local_seq.saturating_add(1);
        if method == Method::Invite {
            self.invite_seq = self.local_seq;
        }
        self.begin(out, method, self.local_seq, [transport, sent_by, branch])
    }

    /// Begins the ACK to the 2xx of our last INVITE (§13.2.2.4), with a branch of its own.
    pub fn ack<'b>(
        &self,
        out: &'b mut BytesMut,
        transport: &str,
        sent_by: &str,
        branch: &str,
    ) -> Builder<'b> {
        self.begin(out, Method::Ack, self.invite_seq, [transport, sent_by, branch])
    }

    /// The URI whose host the next request is sent to: the first route, or the target (§12.2.1.1).
    pub fn next_hop(&self) -> &str {
        self.routes.first().unwrap_or(&self.target)
    }

    fn begin<'b>(
        &self,
        out: &'b mut BytesMut,
        method: Method,
        seq: u32,
        [transport, sent_by, branch]: [&str; 3],
    ) -> Builder<'b> {
        let strict =
            self.routes.first().filter(|r| !SipUri::parse(r).is_ok_and(|u| u.is_loose_router()));
        let mut b = match strict {
            None => Builder::request(out, method, &self.target),
            // A strict router wants its own URI there, and the target last (§16.12.1.1).
            Some(first) => Builder::request(out, method, first),
        };
        b.via(transport, sent_by, branch);
        let skip = usize::from(strict.is_some());
        for route in self.routes.iter().skip(skip).chain(strict.map(|_| &self.target)) {
            b.addr(HeaderName::Route, None, route, None);
        }
        b.max_forwards(70);
        party(&mut b, HeaderName::From, &self.local, &self.id.local_tag);
        party(&mut b, HeaderName::To, &self.remote, &self.id.remote_tag);
        b.header(HeaderName::CallId, &self.id.call_id);
        b.cseq(seq, method);
        b
    }
}

fn party(b: &mut Builder<'_>, name: HeaderName, value: &[u8], tag: &str) {
    let mut line = value.to_vec();
    if !tag.is_empty() {
        line.extend_from_slice(b";tag=");
        line.extend_from_slice(tag.as_bytes());
    }
    b.header(name, line);
}

/// The header as it came, its tag left out, an unbracketed URI bracketed. NUL, which may stand in a quoted pair, becomes a space.
fn without_tag(message: &Head, name: HeaderName) -> Result<Vec<u8>, DialogError> {
    let addr = message.name_addr(name)?;
    let mut out = Vec::with_capacity(64);
    if !addr.display_raw.is_empty() {
        out.extend(addr.display_raw.iter().map(|b| if *b == 0 { b' ' } else { *b }));
        out.push(b' ');
    }
    out.push(b'<');
    out.extend_from_slice(addr.uri_raw.as_bytes());
    out.push(b'>');
    for p in addr.params.iter().filter(|p| !p.name.eq_ignore_ascii_case("tag")) {
        out.push(b';');
        out.extend_from_slice(p.name.as_bytes());
        if let Some(value) = p.value {
            out.push(b'=');
            out.extend(value.iter().map(|b| if *b == 0 { b' ' } else { *b }));
        }
    }
    Ok(out)
}

/// The URI of the first Contact.
fn target(message: &Head) -> Result<Option<String>, DialogError> {
    let Some(contact) = message.contacts().next() else {
        return Ok(None);
    };
    let contact = contact?;
    let addr = contact.addr().ok_or(DialogError::NoTarget)?;
    addr.uri().map_err(|_| DialogError::NoTarget)?;
    Ok(Some(addr.uri_raw.to_owned()))
}

fn routes(message: &Head) -> Result<Vec<String>, DialogError> {
    message.record_routes().map(|r| Ok(r?.uri_raw.to_owned())).collect()
}
