//! What a watcher sees over HTTP.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use switchbook_admin::{Figure, Health, Server, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Exchange(AtomicBool);

impl Status for Exchange {
    fn health(&self) -> Health {
        let ok = self.0.load(Ordering::Relaxed);
        let book = if ok { "writable" } else { "no space left on device" };
        let (book, notices) = (book.into(), vec!["look".into()]);
        Health { ok, book, position: 42, version: "0.1.0", uptime_seconds: 3, notices }
    }

    fn figures(&self) -> Vec<Figure> {
        vec![
            Figure { name: "calls", help: "Calls placed", value: 7, counter: true },
            Figure { name: "calls_open", help: "Calls in progress", value: 2, counter: false },
        ]
    }
}

async fn get(server: &Server, path: &str) -> String {
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn health_turns_to_503_when_the_book_cannot_be_written() {
    let exchange = Arc::new(Exchange(AtomicBool::new(true)));
    let server = Server::start("127.0.0.1:0".parse().unwrap(), exchange.clone()).await.unwrap();
    let answer = get(&server, "/health").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""position":42"#), "{answer}");
    exchange.0.store(false, Ordering::Relaxed);
    let answer = get(&server, "/health").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("no space left on device"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_in_the_form_prometheus_reads() {
    let exchange = Arc::new(Exchange(AtomicBool::new(true)));
    let server = Server::start("127.0.0.1:0".parse().unwrap(), exchange).await.unwrap();
    let answer = get(&server, "/metrics").await;
    assert!(answer.contains("# TYPE switchbook_calls counter"), "{answer}");
    assert!(answer.contains("switchbook_calls_total 7"), "{answer}");
    assert!(answer.contains("switchbook_calls_open 2"), "{answer}");
    assert!(answer.trim_end().ends_with("# EOF"), "{answer}");
    assert!(get(&server, "/etc/passwd").await.starts_with("HTTP/1.1 404"));
    server.stop().await;
}
