//! Connections: how many at once, from whom, for how long, and with how much to say. Whoever comes slowly, often or with
//! too much loses his own connection and nobody else's (checklist 23, 49).

use crate::Figure;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// Bounds of the HTTP face.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Of these, from one address; of IPv6, from one /64.
    pub per_peer: usize,
    /// A request's head must be there after so long, and the next one on the same connection too.
    pub head_time: Duration,
    /// A connection lives no longer, however busy it is: clients connect again by themselves.
    pub lifetime: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Lines of a request's head.
    pub headers: usize,
    /// Bytes of a request's body.
    pub body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            per_peer: 32,
            head_time: Duration::from_secs(10),
            lifetime: Duration::from_secs(60),
            head_bytes: 16 << 10,
            headers: 64,
            body_bytes: 16 << 10,
        }
    }
}

/// After its lifetime or at a stop, an answer that is being written may take so long.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// When the system has no descriptors left.
const NO_ROOM: Duration = Duration::from_millis(100);
/// For whom there is no room.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\
    Content-Length: 0\r\n\r\n";

/// Counts who is in.
pub(crate) struct Gate {
    limits: Limits,
    inside: Mutex<HashMap<IpAddr, usize>>,
    open: AtomicU64,
    refused: AtomicU64,
}

impl Gate {
    pub fn new(limits: Limits) -> Self {
        let (open, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { limits, inside: Mutex::default(), open, refused }
    }

    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub fn figures(&self) -> [Figure; 2] {
        [
            Figure {
                name: "http_connections_open",
                help: "HTTP connections at present",
                value: self.open.load(Relaxed),
                counter: false,
            },
            Figure {
                name: "http_connections_refused",
                help: "HTTP connections for which there was no room",
                value: self.refused.load(Relaxed),
                counter: true,
            },
        ]
    }

    /// A place for a connection from `peer`, if there is one.
    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = subscriber(peer);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = inside.values().sum();
        let his = inside.get(&peer).copied().unwrap_or_default();
        if all >= self.limits.connections || his >= self.limits.per_peer {
            self.refused.fetch_add(1, Relaxed);
            return None;
        }
        inside.insert(peer, his + 1);
        self.open.store(all as u64 + 1, Relaxed);
        Some(Place { gate: Arc::clone(self), peer })
    }
}

/// One connection's place; given back when dropped.
struct Place {
    gate: Arc<Gate>,
    peer: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.gate.inside.lock().unwrap_or_else(PoisonError::into_inner);
        match inside.get_mut(&self.peer) {
            Some(his) if *his > 1 => *his -= 1,
            _ => drop(inside.remove(&self.peer)),
        }
        self.gate.open.store(inside.values().sum::<usize>() as u64, Relaxed);
    }
}

/// One subscriber holds a /64 of IPv6 as a whole.
fn subscriber(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        ip => ip,
    }
}

/// Accepts until told to stop, then ends what is open.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    gate: Arc<Gate>,
    mut stopped: oneshot::Receiver<()>,
) {
    let (stop, stopping) = watch::channel(());
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match gate.enter(peer.ip()) {
                    Some(place) => {
                        let (router, stopping) = (router.clone(), stopping.clone());
                        open.spawn(connection(stream, router, place, stopping));
                    }
                    // A word if it fits into the socket's buffer; nobody waits for it.
                    None => drop(stream.try_write(FULL)),
                },
                Err(_) => tokio::time::sleep(NO_ROOM).await,
            },
        }
    }
    drop(stop);
    while open.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    router: Router,
    place: Place,
    mut stopping: watch::Receiver<()>,
) {
    let limits = place.gate.limits;
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(8192))
        .max_headers(limits.headers);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let enough = async {
        tokio::select! {
            () = tokio::time::sleep(limits.lifetime) => {}
            // The sender only ever goes away.
            _ = async { while stopping.changed().await.is_ok() {} } => {}
        }
    };
    tokio::select! {
        // An error is the peer's: a broken request, a time that ran out, a line that broke.
        _ = connection.as_mut() => return,
        () = enough => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LAST_WORDS, connection).await;
    drop(place);
}
