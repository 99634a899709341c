//! Datagrams between phones and server: lost, doubled, late.

use crate::life::{Life, flow};
use crate::world::{Event, World};
use bytes::Bytes;
use std::net::SocketAddr;
use switchbook_sip::transaction::Flow;
use switchbook_sip_adapter::endpoint::Input;

/// Of a hundred datagrams, so many.
#[derive(Clone, Copy, Default, Debug)]
pub struct Weather {
    pub loss: u64,
    pub twice: u64,
    pub slow: u64,
}

impl World {
    pub fn sent(&mut self, out: Vec<(Flow, Bytes)>) {
        for (flow, bytes) in out {
            self.send(flow.local, flow.remote, bytes);
        }
        if !self.disk_works && self.life.as_ref().is_some_and(Life::wants_disk) {
            self.disk_works = true;
            let faults = &mut self.chance.faults;
            let slow = !self.calm && faults.chance(4);
            let takes = if slow { faults.millis(200, 2500) } else { faults.millis(1, 15) };
            self.later(takes, Event::Disk);
        }
    }

    pub fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        self.tally.packets += 1;
        let Weather { loss, twice, slow } = self.weather;
        let network = &mut self.chance.network;
        let copies = 1 + u64::from(network.chance(twice));
        for _ in 0..copies {
            let network = &mut self.chance.network;
            let (lost, slow) = (network.chance(loss), network.chance(slow));
            let delay = if slow { network.millis(100, 1500) } else { network.millis(1, 25) };
            if lost {
                self.note(&format!("lost: {}", line(from, to, &bytes)));
            } else {
                self.later(delay, Event::Packet { from, to, bytes: bytes.clone() });
            }
        }
    }

    pub fn arrives(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        self.note(&line(from, to, &bytes));
        if to == flow(to).local {
            if self.life.is_some() {
                let ringing = bytes.starts_with(b"SIP/2.0 18");
                let at = self.phones.iter_mut().find(|phone| phone.at == from && ringing);
                if let Some(call) = at.and_then(|phone| phone.call.as_mut()) {
                    call.known = true;
                }
                self.server(Input::Datagram(flow(from), bytes));
            }
            return;
        }
        let now = self.instant();
        if let Some(phone) = self.phones.iter().position(|phone| phone.at == to)
            && let Some(ua) = &mut self.phones[phone].ua
        {
            ua.receive(now, from, bytes);
            self.heard(phone);
        }
    }

    pub fn server(&mut self, input: Input) {
        let Some(life) = &mut self.life else { return };
        let mut out = Vec::new();
        life.handle(input, &mut out);
        self.now = self.now.max(life.now());
        self.sent(out);
    }
}

/// A message in a line: who, to whom, what.
fn line(from: SocketAddr, to: SocketAddr, bytes: &Bytes) -> String {
    let text = String::from_utf8_lossy(bytes);
    let value = |name: &str| {
        let mut lines = text.lines().take_while(|line| !line.is_empty());
        lines.find_map(|line| line.strip_prefix(name)).unwrap_or("").trim().to_owned()
    };
    let first = text.lines().next().unwrap_or("");
    let first = first.strip_suffix(" SIP/2.0").unwrap_or(first);
    format!("{from} → {to}: {first} ({})", value("CSeq:"))
}
