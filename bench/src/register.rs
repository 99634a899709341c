//! One phone that registers over UDP, as plain as can be: what is measured is the other side.

use std::error::Error;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use switchbook_sip::digest::{Answer, Challenge, Ha1};

/// A request is sent again when nothing came for so long: the server may not be there yet.
const AGAIN: Duration = Duration::from_millis(5);

/// Registers until it is accepted, `patience` is over, or the server does not run any more. Gives the number of requests sent.
///
/// # Errors
/// When the time is over, or the server refuses.
pub fn register(
    server: SocketAddr,
    (name, realm, password): (&str, &str, &str),
    patience: Duration,
    runs: &mut dyn FnMut() -> bool,
) -> Result<u32, Box<dyn Error>> {
    let socket = UdpSocket::bind((server.ip(), 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(AGAIN))?;
    let local = socket.local_addr()?;
    let (mut authorization, mut sent) = (String::new(), 0);
    let began = Instant::now();
    for sequence in 1..=3 {
        let request = format!(
            "REGISTER sip:{realm} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{port}x{sequence};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{name}@{realm}>;tag=t{port}\r\nTo: <sip:{name}@{realm}>\r\n\
             Call-ID: c{port}@{local}\r\nCSeq: {sequence} REGISTER\r\nContact: <sip:{name}@{local}>\r\n\
             Expires: 600\r\n{authorization}Content-Length: 0\r\n\r\n",
            port = local.port()
        );
        let response = loop {
            if began.elapsed() > patience {
                return Err(format!("nothing was accepted within {patience:?}").into());
            }
            if !runs() {
                return Err("the server has ended: what it said stands above".into());
            }
            // Nobody listens yet: refused, and tried again.
            let _ = socket.send(request.as_bytes());
            sent += 1;
            match answer(&socket, sequence)? {
                Some(response) => break response,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        if response.starts_with("SIP/2.0 200") {
            return Ok(sent);
        }
        let challenges = response.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate:"));
        let Ok(challenge) = Challenge::choose(challenges.map(|value| value.trim().as_bytes()))
        else {
            let first = response.lines().next().unwrap_or_default().to_owned();
            return Err(format!("the REGISTER was refused: {first}").into());
        };
        let ha1 = Ha1::compute(challenge.algorithm, name, &challenge.realm, password);
        let uri = format!("sip:{realm}");
        let (username, method, cnonce) = (name, "REGISTER", "0a4f113b");
        let answer = Answer { username, ha1: &ha1, method, uri: &uri, cnonce, count: 1 };
        authorization = format!("Authorization: {}\r\n", answer.header(&challenge)?);
    }
    Err("the password was not accepted".into())
}

/// The final response to this request, if one comes soon.
fn answer(socket: &UdpSocket, sequence: u32) -> std::io::Result<Option<String>> {
    let mut buffer = [0; 4096];
    loop {
        let read = match socket.recv(&mut buffer) {
            Ok(read) => read,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
        let ours = text.contains(&format!("CSeq: {sequence} "));
        if ours && !text.starts_with("SIP/2.0 1") {
            return Ok(Some(text));
        }
    }
}
