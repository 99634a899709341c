//! The HTTP face of the exchange: `/health` for whoever watches the machine, `/metrics` for Prometheus.
//!
//! It holds no rule and edits no table: it asks a [`Status`] and writes down what it hears.

mod connections;
mod metrics;

pub use connections::Limits;

use axum::Json;
use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connections::Gate;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Can the exchange do its work?
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Health {
    /// Commands are taken and calls are made.
    pub ok: bool,
    /// The book takes writes; when it does not, calls go on and commands are refused.
    pub book: String,
    /// The last durable position.
    pub position: u64,
    /// Version of Switchbook.
    pub version: &'static str,
    /// Since when the server has been up, in seconds.
    pub uptime_seconds: u64,
    /// What somebody should look at although the exchange works: checkpoints that do not get out, erasures that wait.
    pub notices: Vec<String>,
}

/// One figure for Prometheus.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Name without the `switchbook_` before it, in base units (`_seconds`, `_bytes`), without `_total`.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Its value.
    pub value: u64,
    /// Only ever grows.
    pub counter: bool,
}

/// What the HTTP face asks.
pub trait Status: Send + Sync + 'static {
    /// Now.
    fn health(&self) -> Health;
    /// Now.
    fn figures(&self) -> Vec<Figure>;
}

/// Why the HTTP face could not start.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen for HTTP on {address}: {source}. Is another program using this port? Choose another with --http, or --http none"
)]
pub struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

/// A running HTTP face.
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// A bound address that nobody serves yet: whether it can be had is known before anything is begun.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    listener: TcpListener,
}

impl Door {
    /// Binds the address.
    ///
    /// # Errors
    /// When it cannot be listened on.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let failed = |source| ListenError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        Ok(Self { address: listener.local_addr().map_err(failed)?, listener })
    }
}

impl Server {
    /// Listens and answers until stopped.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(
        address: SocketAddr,
        status: Arc<dyn Status>,
        limits: Limits,
    ) -> Result<Self, ListenError> {
        Ok(Self::start_at(Door::bind(address).await?, status, limits))
    }

    /// Answers at a door that was bound before, until stopped.
    #[must_use]
    pub fn start_at(door: Door, status: Arc<dyn Status>, limits: Limits) -> Self {
        let Door { address, listener } = door;
        let (stop, stopped) = oneshot::channel::<()>();
        let gate = Arc::new(Gate::new(limits));
        let router = router(status, Arc::clone(&gate));
        let task = tokio::spawn(connections::serve(listener, router, gate, stopped));
        Self { address, stop: Some(stop), task }
    }

    /// Where it listens (with port 0: the port it got).
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections and ends with the open ones, two seconds at most.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        let patience = std::time::Duration::from_secs(2);
        if tokio::time::timeout(patience, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

#[derive(Clone)]
struct Face {
    status: Arc<dyn Status>,
    gate: Arc<Gate>,
}

fn router(status: Arc<dyn Status>, gate: Arc<Gate>) -> Router {
    let limit = gate.limits().body_bytes;
    let bounded = middleware::from_fn(move |request, next| no_larger(limit, request, next));
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(figures))
        .layer(bounded)
        .with_state(Face { status, gate })
}

/// Nothing here takes a body. One that is too large, or does not say how large it is, is not even begun to be read.
async fn no_larger(limit: u64, request: Request, next: Next) -> Response {
    if request.body().size_hint().upper().is_none_or(|bytes| bytes > limit) {
        let close = [(header::CONNECTION, "close")];
        return (StatusCode::PAYLOAD_TOO_LARGE, close).into_response();
    }
    next.run(request).await
}

async fn health(State(face): State<Face>) -> impl IntoResponse {
    let health = face.status.health();
    let code = if health.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health))
}

async fn figures(State(face): State<Face>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut figures = face.status.figures();
    figures.extend(face.gate.figures());
    ([(header::CONTENT_TYPE, kind)], metrics::exposition(&figures))
}
