//! Many phones behind one UDP socket: they register, call each other, and hold their calls. As plain as can be: what is
//! measured is the other side. Digest as RFC 2617 and RFC 7616, transactions as RFC 3261 §17, no more of it than needed.

use std::cell::Cell;
use std::collections::HashMap;
use std::error::Error;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::time::{Duration, Instant};
use switchbook_sip::digest::{Answer, Challenge, Ha1};

/// So many are under way at once, where nobody asks for another number.
const WINDOW: usize = 32;
/// What nobody answered is sent again after so long (T1, RFC 3261 §17.1.1.1).
const AGAIN: Duration = Duration::from_millis(500);
/// A call is placed every so often: below the 500 a second that one address may place.
const CALL_EVERY: Duration = Duration::from_millis(4);

/// A phone of the bench: name and password; its user's number is made of its index.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// What it registers as.
    pub name: fn(u32) -> String,
    /// Its password.
    pub password: fn(u32) -> String,
    /// What its user is called by.
    pub number: fn(u32) -> String,
}

/// The phones.
pub struct Phones {
    socket: UdpSocket,
    local: SocketAddr,
    server: SocketAddr,
    realm: String,
    names: Names,
    window: usize,
    again: Cell<u64>,
}

/// One request on its way.
struct Open {
    sequence: u32,
    sent: Instant,
    text: String,
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Ask {
    Register,
    /// Each even phone calls the odd one behind it.
    Call,
}

impl Phones {
    /// Phones that talk to this server.
    ///
    /// # Errors
    /// When there is no socket.
    pub fn new(server: SocketAddr, realm: &str, names: Names) -> Result<Self, Box<dyn Error>> {
        let socket = UdpSocket::bind((server.ip(), 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(2)))?;
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20)?;
        let local = socket.local_addr()?;
        let realm = realm.into();
        Ok(Self { socket, local, server, realm, names, window: WINDOW, again: Cell::new(0) })
    }

    /// So many are under way at once: the next begins the moment one is through.
    #[must_use]
    pub fn at_once(self, window: usize) -> Self {
        Self { window, ..self }
    }

    /// So many requests had to be sent again.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.again.get()
    }

    /// Registers the phones of this range.
    ///
    /// # Errors
    /// When one is refused, or not all are through within `patience`.
    pub fn register(&self, range: Range<u32>, patience: Duration) -> Result<(), Box<dyn Error>> {
        self.work(Ask::Register, range, patience)
    }

    /// Places the calls of this range: call n from phone 2n to phone 2n + 1, answered at once and held.
    ///
    /// # Errors
    /// When one is refused, or not all are through within `patience`.
    pub fn call(&self, range: Range<u32>, patience: Duration) -> Result<(), Box<dyn Error>> {
        self.work(Ask::Call, range, patience)
    }

    /// Answers what the server asks for so long: calls are held, nobody does anything.
    ///
    /// # Errors
    /// The socket's.
    pub fn rest(&self, time: Duration) -> Result<(), Box<dyn Error>> {
        let began = Instant::now();
        while began.elapsed() < time {
            if let Some(text) = self.receive()? {
                self.serve(&text)?;
            }
        }
        Ok(())
    }

    fn work(
        &self,
        ask: Ask,
        mut range: Range<u32>,
        patience: Duration,
    ) -> Result<(), Box<dyn Error>> {
        let (began, mut open, mut placed) = (Instant::now(), HashMap::new(), Instant::now());
        let mut looked = began;
        while !open.is_empty() || !range.is_empty() {
            if began.elapsed() > patience {
                return Err(
                    format!("{} were still under way after {patience:?}", open.len()).into()
                );
            }
            while open.len() < self.window
                && (matches!(ask, Ask::Register) || placed.elapsed() > CALL_EVERY)
            {
                let Some(index) = range.next() else { break };
                self.ask(ask, index, 1, "", &mut open)?;
                placed = Instant::now();
            }
            if looked.elapsed() > AGAIN / 5 {
                looked = Instant::now();
                for request in
                    open.values_mut().filter(|request: &&mut Open| request.sent.elapsed() > AGAIN)
                {
                    self.socket.send_to(request.text.as_bytes(), self.server)?;
                    request.sent = Instant::now();
                    self.again.set(self.again.get() + 1);
                }
            }
            if let Some(text) = self.receive()? {
                match text.strip_prefix("SIP/2.0 ") {
                    Some(status) => self.answered(ask, status, &text, &mut open)?,
                    None => self.serve(&text)?,
                }
            }
        }
        Ok(())
    }

    fn receive(&self) -> std::io::Result<Option<String>> {
        let mut buffer = [0; 8192];
        match self.socket.recv(&mut buffer) {
            Ok(read) => Ok(Some(String::from_utf8_lossy(&buffer[..read]).into_owned())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A response to one of ours.
    fn answered(
        &self,
        ask: Ask,
        status: &str,
        text: &str,
        open: &mut HashMap<u32, Open>,
    ) -> Result<(), Box<dyn Error>> {
        let id = header(text, "Call-ID").unwrap_or_default();
        let Some(index) = id.split('@').next().and_then(|id| id.get(1..)?.parse().ok()) else {
            return Ok(());
        };
        let sequence = header(text, "CSeq").and_then(|cseq| cseq.split(' ').next()?.parse().ok());
        let sequence: u32 = sequence.unwrap_or(0);
        if status.starts_with('1') {
            return Ok(());
        }
        if status.starts_with('2') {
            // Also when it comes again: the first ACK may be lost.
            if matches!(ask, Ask::Call) && id.starts_with('c') {
                self.acknowledge(index, sequence, text, true)?;
            }
            open.remove(&index);
            return Ok(());
        }
        if open.get(&index).is_none_or(|request| request.sequence != sequence) {
            return Ok(());
        }
        if matches!(ask, Ask::Call) {
            self.acknowledge(index, sequence, text, false)?;
        }
        let (field, name) = match status.get(..3) {
            Some("401") => ("Authorization", "WWW-Authenticate"),
            Some("407") => ("Proxy-Authorization", "Proxy-Authenticate"),
            _ => return Err(format!("refused: {}", status.lines().next().unwrap_or(status)).into()),
        };
        if sequence > 3 {
            return Err("the password was not accepted".into());
        }
        let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let challenge = Challenge::choose(values.map(|value| value.trim().as_bytes()))
            .map_err(|_| "a challenge nobody can answer")?;
        let (method, from, uri) = self.of(ask, index);
        let password = (self.names.password)(from);
        let name = (self.names.name)(from);
        let ha1 = Ha1::compute(challenge.algorithm, &name, &challenge.realm, &password);
        let answer =
            Answer { username: &name, ha1: &ha1, method, uri: &uri, cnonce: "0a4f113b", count: 1 };
        let credentials = format!("{field}: {}\r\n", answer.header(&challenge)?);
        self.ask(ask, index, sequence + 1, &credentials, open)
    }

    /// Method, calling phone and address of a request.
    fn of(&self, ask: Ask, index: u32) -> (&'static str, u32, String) {
        match ask {
            Ask::Register => ("REGISTER", index, format!("sip:{}", self.realm)),
            Ask::Call => {
                let number = (self.names.number)(2 * index + 1);
                ("INVITE", 2 * index, format!("sip:{number}@{}", self.realm))
            }
        }
    }

    fn ask(
        &self,
        ask: Ask,
        index: u32,
        sequence: u32,
        credentials: &str,
        open: &mut HashMap<u32, Open>,
    ) -> Result<(), Box<dyn Error>> {
        let (method, from, uri) = self.of(ask, index);
        let (name, realm, local) = ((self.names.name)(from), &self.realm, self.local);
        let (kind, to, body) = match ask {
            Ask::Register => ('r', format!("sip:{name}@{realm}"), String::new()),
            Ask::Call => ('c', uri.clone(), self.session()),
        };
        let more = match ask {
            Ask::Register => "Expires: 3600\r\n",
            Ask::Call => "Content-Type: application/sdp\r\n",
        };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{kind}{index}x{sequence};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{name}@{realm}>;tag={kind}{index}\r\nTo: <{to}>\r\n\
             Call-ID: {kind}{index}@{local}\r\nCSeq: {sequence} {method}\r\nContact: <sip:{name}@{local}>\r\n\
             {more}{credentials}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.socket.send_to(text.as_bytes(), self.server)?;
        open.insert(index, Open { sequence, sent: Instant::now(), text });
        Ok(())
    }

    /// An ACK: of a 200 in its dialog (RFC 3261 §13.2.2.4), of a refusal in its transaction (§17.1.1.3).
    fn acknowledge(
        &self,
        index: u32,
        sequence: u32,
        text: &str,
        accepted: bool,
    ) -> std::io::Result<()> {
        let (_, _, mut uri) = self.of(Ask::Call, index);
        let mut branch = format!("c{index}x{sequence}");
        if accepted {
            branch.push('a');
            let contact = header(text, "Contact").unwrap_or_default();
            let inner = contact.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
            uri = inner.map_or(uri, |(inner, _)| inner.to_owned());
        }
        let [from, to, id] =
            ["From", "To", "Call-ID"].map(|name| header(text, name).unwrap_or_default());
        let ack = format!(
            "ACK {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {sequence} ACK\r\nContent-Length: 0\r\n\r\n",
            self.local
        );
        self.socket.send_to(ack.as_bytes(), self.server).map(|_| ())
    }

    /// A request of the server: every one is granted.
    fn serve(&self, text: &str) -> std::io::Result<()> {
        if text.starts_with("ACK ") || text.starts_with("SIP/2.0 ") {
            return Ok(());
        }
        let mut answer = String::from("SIP/2.0 200 OK\r\n");
        for line in text.lines().take_while(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap_or_default();
            if ["Via", "From", "Call-ID", "CSeq", "Record-Route"].contains(&name) {
                answer.push_str(line);
                answer.push_str("\r\n");
            } else if name == "To" {
                let tag = if line.contains(";tag=") { "" } else { ";tag=callee" };
                answer.push_str(&format!("{line}{tag}\r\n"));
            }
        }
        let body = if text.starts_with("INVITE ") { self.session() } else { String::new() };
        if !body.is_empty() {
            answer.push_str("Content-Type: application/sdp\r\n");
        }
        answer.push_str(&format!(
            "Contact: <sip:bench@{}>\r\nContent-Length: {}\r\n\r\n{body}",
            self.local,
            body.len()
        ));
        self.socket.send_to(answer.as_bytes(), self.server).map(|_| ())
    }

    fn session(&self) -> String {
        let ip = self.local.ip();
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
        )
    }
}

/// The first header of this name, as the server writes it.
fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}
