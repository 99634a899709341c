//! What a watcher sees over HTTP.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use switchbook_admin::{Figure, Health, Limits, Server, Status};
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

async fn server(exchange: Arc<Exchange>, limits: Limits) -> Server {
    Server::start("127.0.0.1:0".parse().unwrap(), exchange, limits).await.unwrap()
}

async fn well(limits: Limits) -> Server {
    server(Arc::new(Exchange(AtomicBool::new(true))), limits).await
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.local_addr()).await.unwrap()
}

/// Everything until the server hangs up, which it does at last.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let patience = Duration::from_secs(60);
    let read = tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await;
    // A reset after unread input is a hang-up, too.
    let _ = read.expect("the server does not hang up");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn say(stream: &mut TcpStream, text: &str) {
    // It may have hung up already.
    let _ = stream.write_all(text.as_bytes()).await;
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
    let server = server(exchange.clone(), Limits::default()).await;
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
    let server = server(exchange, Limits::default()).await;
    let answer = get(&server, "/metrics").await;
    assert!(answer.contains("# TYPE switchbook_calls counter"), "{answer}");
    assert!(answer.contains("switchbook_calls_total 7"), "{answer}");
    assert!(answer.contains("switchbook_calls_open 2"), "{answer}");
    assert!(answer.trim_end().ends_with("# EOF"), "{answer}");
    assert!(get(&server, "/etc/passwd").await.starts_with("HTTP/1.1 404"));
    server.stop().await;
}

#[tokio::test]
async fn c23_who_sends_his_head_slowly_is_hung_up_on_while_others_are_served() {
    let server = well(Limits { head_time: Duration::from_millis(200), ..Limits::default() }).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&server).await;
        say(&mut stream, "GET /health HTTP/1.1\r\nHost: x\r\nX-").await;
        slow.push(stream);
    }
    // And one that says nothing at all, and one that has had its answer and stays.
    slow.push(connect(&server).await);
    let mut idle = connect(&server).await;
    say(&mut idle, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(get(&server, "/health").await.starts_with("HTTP/1.1 200"));
    assert!(rest(&mut idle).await.starts_with("HTTP/1.1 200"));
    for mut stream in slow {
        let answer = rest(&mut stream).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn c23_a_drip_of_bytes_does_not_prolong_the_time_for_a_head() {
    let head_time = Duration::from_millis(200);
    let server = well(Limits { head_time, head_bytes: 1 << 30, ..Limits::default() }).await;
    let stream = connect(&server).await;
    let (mut reader, mut writer) = stream.into_split();
    let drip = tokio::spawn(async move {
        let head = "GET /health HTTP/1.1\r\n".bytes().chain(std::iter::repeat(b'x'));
        for byte in head {
            if writer.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), reader.read_to_end(&mut answer));
    let _ = read.await.expect("nobody stops the drip");
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    drop(reader);
    drip.await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn c23_a_peer_has_so_many_connections_and_gets_a_place_again_when_one_is_free() {
    let server = well(Limits { per_peer: 3, ..Limits::default() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&server).await;
        say(&mut stream, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(stream);
    }
    let refused = rest(&mut connect(&server).await).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("Retry-After"), "{refused}");
    held.clear();
    // The server hears of it in its own time.
    let served = async {
        loop {
            let answer = get_or_nothing(&server, "/metrics").await;
            if answer.starts_with("HTTP/1.1 200") {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(60), served).await.unwrap();
    let line = answer.lines().find(|line| line.contains("connections_refused_total")).unwrap();
    assert_ne!(line.split(' ').next_back(), Some("0"), "{line}");
    server.stop().await;
}

async fn get_or_nothing(server: &Server, path: &str) -> String {
    let mut stream = connect(server).await;
    say(&mut stream, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
    rest(&mut stream).await
}

#[tokio::test]
async fn c23_all_peers_together_have_so_many_connections() {
    let server = well(Limits { connections: 2, ..Limits::default() }).await;
    let held = [connect(&server).await, connect(&server).await];
    let refused = rest(&mut connect(&server).await).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    drop(held);
    server.stop().await;
}

#[tokio::test]
async fn c49_heads_and_bodies_have_their_size() {
    let server = well(Limits::default()).await;
    let ask = async |head: String| {
        let mut stream = connect(&server).await;
        say(&mut stream, &head).await;
        rest(&mut stream).await
    };
    let long = format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    assert!(ask(long).await.starts_with("HTTP/1.1 431"));
    let many = "X: y\r\n".repeat(200);
    let many = format!("GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    assert!(ask(many).await.starts_with("HTTP/1.1 431"));
    let large = "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
    assert!(ask(large.into()).await.starts_with("HTTP/1.1 413"));
    let endless = "GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(ask(endless.into()).await.starts_with("HTTP/1.1 413"));
    assert!(ask("nonsense\r\n\r\n".into()).await.starts_with("HTTP/1.1 400"));
    server.stop().await;
}

#[tokio::test]
async fn c23_a_connection_ends_after_its_lifetime_however_busy_it_is() {
    let server = well(Limits { lifetime: Duration::from_millis(100), ..Limits::default() }).await;
    let stream = connect(&server).await;
    let (mut reader, mut writer) = stream.into_split();
    let asks = tokio::spawn(async move {
        // A new request each time, well inside the time for a head.
        while writer.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    let mut answers = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), reader.read_to_end(&mut answers));
    let _ = read.await.expect("the connection lives for ever");
    drop(reader);
    asks.await.unwrap();
    server.stop().await;
}
