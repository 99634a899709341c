//! A table, a peer and a clock that a test moves.

pub use bytes::{Bytes, BytesMut};
pub use std::time::{Duration, Instant};
pub use switchbook_sip::message::{
    Builder, Framing, HeaderName, Limits, Message, Request, Response, parse_with,
};
pub use switchbook_sip::transaction::{
    Config, Flow, Key, Occasion, Output, RequestError, RespondError, Transactions, Transport,
};
pub use switchbook_sip::{IdSource, Method};

pub struct Sim {
    pub table: Transactions,
    pub start: Instant,
    pub now: Instant,
    pub flow: Flow,
    pub buf: BytesMut,
    pub ids: IdSource,
}

/// What came out, told shortly: `>INVITE`, `>180`, `request`, `response 200`, `timeout` …
pub type Told = Vec<String>;

impl Sim {
    pub fn new(transport: Transport) -> Sim {
        Sim::with(Config::default(), transport)
    }

    pub fn with(config: Config, transport: Transport) -> Sim {
        let start = Instant::now();
        let flow = Flow {
            remote: "192.0.2.9:5070".parse().unwrap(),
            local: "192.0.2.1:5060".parse().unwrap(),
            transport,
        };
        let table = Transactions::new(config, [3; 16]);
        Sim { table, start, now: start, flow, buf: BytesMut::new(), ids: IdSource::new([5; 32]) }
    }

    pub fn drain(&mut self) -> (Told, Vec<Output>) {
        let mut told = Vec::new();
        let mut outputs = Vec::new();
        while let Some(output) = self.table.poll_output() {
            told.push(match &output {
                Output::Transmit { bytes, occasion, .. } => {
                    let word = bytes
                        .split(|b| *b == b' ')
                        .nth(usize::from(bytes.starts_with(b"SIP/")))
                        .unwrap();
                    let star = if *occasion == Occasion::Stateless { "*" } else { "" };
                    format!(">{}{star}", String::from_utf8_lossy(word))
                }
                Output::Request { .. } => "request".into(),
                Output::Ack2xx { .. } => "ack2xx".into(),
                Output::Cancel { .. } => "cancel".into(),
                Output::Response { response, .. } => format!("response {}", response.status()),
                Output::TimedOut { .. } => "timeout".into(),
                Output::TransportError { .. } => "transport error".into(),
                Output::Terminated { .. } => "terminated".into(),
                other => format!("{other:?}"),
            });
            outputs.push(output);
        }
        (told, outputs)
    }

    pub fn told(&mut self) -> Told {
        self.drain().0
    }

    pub fn receive(&mut self, text: impl Into<Bytes>) -> Told {
        self.table.receive(self.now, self.flow, text.into());
        self.told()
    }

    /// Receives a new request and gives its key.
    pub fn incoming(&mut self, text: &str) -> (Key, Request) {
        self.table.receive(self.now, self.flow, Bytes::copy_from_slice(text.as_bytes()));
        match self.drain().1.pop() {
            Some(Output::Request { key, request, .. }) => (key, request),
            other => panic!("no request: {other:?}"),
        }
    }

    pub fn answer(
        &mut self,
        key: Key,
        request: &Request,
        status: u16,
    ) -> Result<Told, RespondError> {
        let remote = self.flow.remote;
        let bytes = Builder::reply(&mut self.buf, request, status, "x", Some("tt"), remote)
            .finish()
            .unwrap();
        self.table.respond(self.now, key, bytes)?;
        Ok(self.told())
    }

    /// Lets time run, with each thing that happened at its millisecond.
    pub fn run(&mut self, duration: Duration) -> Vec<(u128, String)> {
        let end = self.now + duration;
        let mut all = Vec::new();
        while let Some(at) = self.table.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.table.handle_timeout(self.now);
            let ms = (self.now - self.start).as_millis();
            all.extend(self.told().into_iter().map(|t| (ms, t)));
        }
        self.now = end;
        all
    }

    pub fn send(&mut self, method: Method) -> (Key, Request) {
        let branch = self.ids.branch();
        let bytes = Builder::request(&mut self.buf, method, "sip:b@192.0.2.9:5070")
            .via("UDP", "192.0.2.1:5060", &branch)
            .header(HeaderName::Route, "<sip:p@192.0.2.9;lr>")
            .max_forwards(70)
            .addr(HeaderName::From, None, "sip:a@pbx", Some("ours"))
            .addr(HeaderName::To, None, "sip:b@pbx", None)
            .header(HeaderName::CallId, "call")
            .cseq(7, method)
            .finish()
            .unwrap();
        let key = self.table.request(self.now, self.flow, bytes.clone()).unwrap();
        assert_eq!(self.told(), [format!(">{}", method.as_str())]);
        (key, request(bytes))
    }

    /// The peer answers a request of ours.
    pub fn reply(&mut self, to: &Request, status: u16) -> (Told, Vec<Output>) {
        let local = self.flow.local;
        let bytes =
            Builder::reply(&mut self.buf, to, status, "x", Some("theirs"), local).finish().unwrap();
        self.table.receive(self.now, self.flow, bytes);
        self.drain()
    }
}

pub fn request(bytes: Bytes) -> Request {
    match parse_with(bytes, &Limits::default(), Framing::Datagram) {
        Ok(Message::Request(r)) => r,
        other => panic!("{other:?}"),
    }
}

pub fn text(method: &str, branch: &str) -> String {
    format!(
        "{method} sip:b@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5070;branch={branch};rport\r\n\
         From: <sip:a@192.0.2.9>;tag=ft\r\nTo: <sip:b@192.0.2.1>\r\nCall-ID: c1\r\nCSeq: 1 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

pub fn ack(branch: &str, to_tag: &str) -> String {
    text("ACK", branch)
        .replace("To: <sip:b@192.0.2.1>", &format!("To: <sip:b@192.0.2.1>;tag={to_tag}"))
}

pub const B: &str = "z9hG4bK-1";
pub const S: fn(u64) -> Duration = Duration::from_secs;
