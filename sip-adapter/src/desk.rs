//! The Desk as the phones' room sees it: errands become orders, answers become replies.

use crate::orders::{language_at, orders, trouble};
use crate::port::{Done, Errand, Port, Reply, Snapshot, Trouble};
use switchbook_commands::desk::{Answer, DeskError, DeskHandle};
use switchbook_core::id::{CommandId, DeviceId};
use switchbook_core::position::Moment;
use switchbook_core::registration::BindingId;
use switchbook_core::user::{Language, SecretRef};
use switchbook_sip::digest::{Algorithm, Ha1};

/// The Desk, the leases and the secrets, as one port. Clones are the same.
#[derive(Clone, Debug)]
pub struct DeskPort {
    desk: DeskHandle,
    runtime: tokio::runtime::Handle,
}

impl DeskPort {
    /// A port to this Desk. Must be made inside the runtime that the Desk runs on.
    #[must_use]
    pub fn new(desk: DeskHandle) -> Self {
        let runtime = tokio::runtime::Handle::current();
        Self { desk, runtime }
    }
}

impl Port for DeskPort {
    fn exchange(&self) -> Snapshot {
        Snapshot::new(self.desk.published())
    }

    fn ha1(&self, secret: SecretRef, algorithm: Algorithm) -> Option<Ha1> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let hashes = self.desk.secrets().digest(secret)?;
        let hash: &[u8] = match algorithm {
            Algorithm::Md5 => &hashes.md5,
            Algorithm::Sha256 => &hashes.sha256,
        };
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(hash) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Ha1::from_hex(algorithm, std::str::from_utf8(&hex[..hash.len() * 2]).ok()?)
    }

    fn lease(&self, device: DeviceId, binding: BindingId) -> Option<Moment> {
        self.desk.leases().lease(device, binding).map(|lease| lease.expires_at)
    }

    fn submit(&self, errand: Errand, reply: Reply) {
        // A code may bring a PIN, whose check is slow on purpose: it waits on a task of its own.
        let (slow, language) = match &errand {
            Errand::Code { device, .. } => (true, language_at(&self.exchange(), *device)),
            _ => (false, Language::English),
        };
        let mut list = orders(errand);
        let Some(asked) = list.pop() else {
            let text = "nothing is known by this name".into();
            return reply.tell(Err(Trouble::Refused { code: "CODE_UNKNOWN", text }));
        };
        let id = || CommandId(self.desk.clock().new_id());
        for before in list {
            self.desk.enqueue(before.order(id()), |_| ());
        }
        let order = asked.order(id());
        if slow {
            let desk = self.desk.clone();
            self.runtime.spawn(async move {
                reply.tell(outcome(desk.submit(order).await, language));
            });
        } else {
            self.desk.enqueue(order, move |answer| reply.tell(outcome(answer, language)));
        }
    }
}

fn outcome(answer: Result<Answer, DeskError>, language: Language) -> Result<Done, Trouble> {
    match answer {
        Ok(answer) => Ok(Done { events: answer.records.len() }),
        Err(DeskError::Refused(refusal) | DeskError::RefusedInBulk { refusal, .. }) => {
            Err(trouble(&refusal, language))
        }
        Err(DeskError::Closed) => Err(Trouble::ReadOnly),
    }
}
