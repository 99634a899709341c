//! The UDP socket: one for everything, read and written in batches.

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
use std::sync::{Arc, Mutex};

/// Asked of the kernel for each direction: a burst of registrations after a power cut has to fit.
const BUFFER: usize = 8 << 20;
/// Different remote addresses whose way out is remembered.
const REMEMBERED: usize = 65_536;

/// A bound socket.
pub(crate) struct Udp {
    socket: tokio::net::UdpSocket,
    scratch: Vec<u8>,
    v6: bool,
}

/// A socket that is bound, but not yet served by a runtime.
pub(crate) fn bind(listen: SocketAddr) -> io::Result<StdSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    if listen.is_ipv6() && listen.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // As much as the system allows; less is no error.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    Ok(socket.into())
}

impl Udp {
    pub fn new(socket: StdSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        Ok(Self { socket, scratch: vec![0; 65_536], v6: local.is_ipv6() })
    }

    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// One datagram, if one waits. It is copied out, so that a message kept for a call keeps no more than itself.
    pub fn receive(&mut self) -> Option<(SocketAddr, Bytes)> {
        loop {
            match self.socket.try_recv_from(&mut self.scratch) {
                Ok((length, from)) => {
                    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                    return Some((from, Bytes::copy_from_slice(self.scratch.get(..length)?)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                // An ICMP error about something sent earlier; transactions notice by themselves.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => {
                    tracing::debug!(%error, "receive");
                    return None;
                }
            }
        }
    }

    pub async fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let to = match to.ip() {
            IpAddr::V4(ip) if self.v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        };
        let sent = match self.socket.try_send_to(bytes, to) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.socket.send_to(bytes, to).await
            }
            other => other,
        };
        if let Err(error) = sent {
            // Lost like any datagram; the transaction repeats it.
            tracing::debug!(%error, %to, "send");
        }
    }
}

/// Which of our addresses a remote one sees: the advertised one, the one we are bound to, or the one the routing table
/// of the system would use.
pub(crate) fn ways_out(
    bound: SocketAddr,
    advertised: Option<IpAddr>,
) -> Arc<dyn Fn(IpAddr) -> SocketAddr + Send + Sync> {
    let port = bound.port();
    if let Some(ip) = advertised.or(Some(bound.ip()).filter(|ip| !ip.is_unspecified())) {
        return Arc::new(move |_| SocketAddr::new(ip, port));
    }
    let known: Mutex<rustc_hash::FxHashMap<IpAddr, IpAddr>> = Mutex::default();
    Arc::new(move |remote| {
        if remote.is_loopback() {
            return SocketAddr::new(remote, port);
        }
        let Ok(mut known) = known.lock() else { return SocketAddr::new(bound.ip(), port) };
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let ip = *known.entry(remote).or_insert_with(|| probe(remote).unwrap_or(bound.ip()));
        SocketAddr::new(ip, port)
    })
}

/// Asks the system which address it would send from. Nothing is sent.
fn probe(remote: IpAddr) -> Option<IpAddr> {
    let any: SocketAddr = match remote {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = StdSocket::bind(any).ok()?;
    socket.connect((remote, 5060)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
