//! Checkpoints leave the machine: appended to a file (on another machine's disk, or one that only takes appends), and
//! posted to an HTTPS address. A place that does not take them is told of in log and health, tried again, and stops
//! nothing. Only the newest waits, since it seals everything that the ones before it sealed; and those that hand over to
//! another key, which nobody could follow without.

use super::{Sealed, list};
use crate::failure::{Failure, failed};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use switchbook_core::position::Position;
use tokio::sync::watch;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// The first wait before another try; it doubles up to the longest.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(600);
/// An address that does not answer is given up for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where checkpoints go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// An append-only list.
    File(PathBuf),
    /// An address that takes them by POST.
    Url {
        /// The address.
        url: String,
        /// Certificates (PEM) of whoever vouches for it, instead of the public authorities.
        authority: Option<PathBuf>,
    },
}

impl Place {
    /// An address outside: encrypted, or on this machine (where something else carries it on).
    pub fn url(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://");
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let local = host.is_some_and(|host| {
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            ["127.0.0.1", "localhost", "[::1]"].contains(&name)
        });
        if text.starts_with("https://") || local {
            return Ok(Self::Url { url: text.into(), authority: None });
        }
        Err(format!(
            "`{text}` is no address for checkpoints: it begins with https:// (http:// on this machine only)"
        ))
    }

    /// The same place, vouched for by the certificates in this file.
    #[must_use]
    pub fn vouched_for_by(self, file: Option<PathBuf>) -> Self {
        match self {
            Self::Url { url, .. } => Self::Url { url, authority: file },
            other => other,
        }
    }

    /// Hands a checkpoint over; blocks for [`PATIENCE`] at most.
    fn deliver(&self, checkpoint: &str) -> Result<(), Failure> {
        match self {
            Self::File(path) => list::append(path, checkpoint),
            Self::Url { url, authority } => post(url, authority.as_deref(), checkpoint),
        }
    }

    /// Which of these it is known to have. An address tells nothing: it gets them again.
    fn holds(&self, checkpoints: &[String]) -> Result<Vec<bool>, Failure> {
        match self {
            Self::File(path) => list::holds(path, checkpoints),
            Self::Url { .. } => Ok(vec![false; checkpoints.len()]),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url { url, .. } => url.fmt(f),
        }
    }
}

fn post(url: &str, authority: Option<&Path>, checkpoint: &str) -> Result<(), Failure> {
    let mut config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(0);
    if let Some(path) = authority {
        let roots = RootCerts::new_with_certs(&certificates(path)?);
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    let agent: ureq::Agent = config.build().into();
    let request = agent.post(url).header("Content-Type", "text/plain; charset=utf-8");
    let answer = request.send(checkpoint).map_err(failed(&format!("{url} does not take it")))?;
    match answer.status().as_u16() {
        200..=299 => Ok(()),
        status => Err(Failure::new(format!("{url} does not take it: it answers {status}"))),
    }
}

/// Read anew each time: it may be replaced while the server runs.
fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let name = path.display();
    let pem = std::fs::read(path).map_err(failed(&format!("{name} cannot be read")))?;
    let items = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(error) => Some(Err(failed(&format!("{name} is no list of certificates"))(error))),
    });
    let found = items.collect::<Result<Vec<_>, _>>()?;
    match found.is_empty() {
        true => Err(Failure::new(format!("{name} holds no certificate"))),
        false => Ok(found),
    }
}

/// What waits for a place, for health.
#[derive(Default)]
pub struct Waiting(Mutex<Vec<(String, String)>>);

impl Waiting {
    fn set(&self, place: &Place, why: Option<String>) {
        let name = place.to_string();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(waits, _)| *waits != name);
        all.extend(why.map(|why| (name, why)));
    }

    /// One sentence each.
    pub fn notices(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(_, why)| why.clone()).collect()
    }
}

/// Takes every seal to a place, until nobody seals any more. The first may be from before a restart: what of it is there
/// already is not taken again.
pub async fn carry(
    place: Place,
    mut seals: watch::Receiver<Option<Sealed>>,
    waiting: Arc<Waiting>,
) {
    let mut there = Position::START;
    let mut wait = FIRST;
    let mut known = Vec::new();
    let first = seals.borrow().clone();
    if let Some(sealed) = first {
        known = already(&place, &sealed).await;
    }
    loop {
        let newest = seals.borrow_and_update().clone().filter(|sealed| sealed.at > there);
        let Some(sealed) = newest else {
            if seals.changed().await.is_err() {
                return;
            }
            continue;
        };
        let (at, note) = next(&sealed, there);
        if known.contains(&at) {
            there = at;
            continue;
        }
        let to = place.clone();
        let done = tokio::task::spawn_blocking(move || to.deliver(&note)).await;
        let why = match done {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure.to_string()),
            Err(error) => Some(error.to_string()),
        };
        match why {
            None => {
                (there, wait) = (at, FIRST);
                waiting.set(&place, None);
            }
            Some(why) => {
                let why =
                    format!("the checkpoint of {at} has not got out: {why}; it is tried again");
                tracing::warn!(why, "a checkpoint waits");
                waiting.set(&place, Some(why));
                // A newer one may come meanwhile: it goes instead, and does not make the tries more frequent.
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST);
            }
        }
    }
}

/// What goes to a place that has everything up to `there`.
fn next(sealed: &Sealed, there: Position) -> (Position, String) {
    let missed = sealed.handed_over.iter().find(|(at, _)| *at > there).cloned();
    missed.unwrap_or_else(|| (sealed.at, sealed.checkpoint.clone()))
}

/// Which of a seal's checkpoints the place has. When that cannot be told, they are taken there, and perhaps twice.
async fn already(place: &Place, sealed: &Sealed) -> Vec<Position> {
    let newest = (sealed.at, sealed.checkpoint.clone());
    let all = sealed.handed_over.iter().cloned().chain([newest]);
    let (at, notes): (Vec<Position>, Vec<String>) = all.unzip();
    let place = place.clone();
    let held = tokio::task::spawn_blocking(move || place.holds(&notes)).await;
    let held = held.ok().and_then(Result::ok).unwrap_or_default();
    at.into_iter().zip(held).filter_map(|(at, held)| held.then_some(at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn sealed(at: u64) -> Sealed {
        let checkpoint = format!("o\n{at}\nx\n\n\u{2014} o AAAA\n");
        let (key, handed_over) = (String::new(), Vec::new());
        Sealed { at: Position(at), size: at - 1, checkpoint, key, handed_over }
    }

    #[test]
    fn an_address_is_encrypted_or_on_this_machine() {
        for good in [
            "https://log.example.com/x",
            "http://127.0.0.1:9/x",
            "http://localhost/",
            "http://[::1]:80",
        ] {
            assert!(Place::url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://log.example.com/",
            "ftp://x",
            "log.example.com",
            "http://127.0.0.1.example.com/",
        ] {
            assert!(Place::url(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_file_becomes_a_list_of_every_seal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints");
        let (sender, seals) = watch::channel(None);
        let waiting = Arc::new(Waiting::default());
        let task = tokio::spawn(carry(Place::File(path.clone()), seals, Arc::clone(&waiting)));
        for at in [5, 9] {
            sender.send_replace(Some(sealed(at)));
            while !std::fs::read_to_string(&path)
                .is_ok_and(|text| text.contains(&format!("\n{at}\n")))
            {
                tokio::task::yield_now().await;
            }
        }
        drop(sender);
        task.await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("\u{2014} o").count(), 2);
        assert_eq!(waiting.notices(), [] as [String; 0]);
    }

    /// Tells what one request brought, and only then answers with a status: whoever waits for the telling is awake before
    /// the sender goes on, and the driven clock does not run ahead of it.
    fn answer(listener: &TcpListener, status: &str, tell: impl FnOnce(String)) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&bytes).contains("\u{2014} o AAAA\n") {
            let read = stream.read(&mut chunk).unwrap();
            assert!(read > 0);
            bytes.extend_from_slice(&chunk[..read]);
        }
        tell(String::from_utf8(bytes).unwrap());
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
    }

    /// Answers two requests, from a thread of its own: what blocks inside the runtime would hold its clock.
    fn two_answers(listener: TcpListener) -> tokio::sync::mpsc::UnboundedReceiver<String> {
        let (tell, told) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for status in ["503 Busy", "200 OK"] {
                answer(&listener, status, |came| drop(tell.send(came)));
            }
        });
        told
    }

    /// Time is driven: the waits between the tries pass at once.
    #[tokio::test(start_paused = true)]
    async fn an_address_that_fails_is_told_of_and_gets_the_newest_when_it_is_well() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/take", listener.local_addr().unwrap());
        let mut told = two_answers(listener);
        let (sender, seals) = watch::channel(Some(sealed(5)));
        let waiting = Arc::new(Waiting::default());
        let task = tokio::spawn(carry(Place::url(&url).unwrap(), seals, Arc::clone(&waiting)));
        let first = told.recv().await.unwrap();
        assert!(first.contains("\n5\n") && first.starts_with("POST /take"), "{first}");
        while waiting.notices().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(waiting.notices()[0].contains("503"), "{:?}", waiting.notices());
        sender.send_replace(Some(sealed(9)));
        let second = told.recv().await.unwrap();
        assert!(second.contains("\n9\n"), "{second}");
        while !waiting.notices().is_empty() {
            tokio::task::yield_now().await;
        }
        drop(sender);
        task.await.unwrap();
    }

    /// Whoever missed the checkpoint that hands over could not follow to the key of the newest one.
    #[tokio::test]
    async fn a_checkpoint_that_hands_over_is_never_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints");
        let mut newest = sealed(20);
        newest.handed_over = [5, 9].map(|at| (Position(at), sealed(at).checkpoint)).to_vec();
        let (sender, seals) = watch::channel(Some(newest));
        let task =
            tokio::spawn(carry(Place::File(path.clone()), seals, Arc::new(Waiting::default())));
        drop(sender);
        task.await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let sizes: Vec<&str> =
            text.split("o\n").filter_map(|note| note.split('\n').next()).collect();
        assert_eq!(sizes, ["", "5", "9", "20"].map(|size| size), "{text}");
    }

    /// After a restart the book hands out again what may not have got out; a list does not get it twice.
    #[tokio::test]
    async fn what_a_list_has_already_is_not_appended_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints");
        let mut newest = sealed(20);
        newest.handed_over = [5, 9].map(|at| (Position(at), sealed(at).checkpoint)).to_vec();
        let there = [5, 12].map(|at| format!("{}\n", sealed(at).checkpoint)).concat();
        std::fs::write(&path, &there).unwrap();
        for _ in 0..2 {
            let (sender, seals) = watch::channel(Some(newest.clone()));
            let carrying = carry(Place::File(path.clone()), seals, Arc::new(Waiting::default()));
            let task = tokio::spawn(carrying);
            drop(sender);
            task.await.unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let more = [9, 20].map(|at| format!("{}\n", sealed(at).checkpoint)).concat();
            assert_eq!(text, format!("{there}{more}"));
        }
    }

    /// A certificate authority of its own, and a server key it vouches for under this name.
    struct Authority {
        pem: String,
        config: Arc<rustls::ServerConfig>,
    }

    fn authority(name: &str) -> Authority {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(params, key);
        let own = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&own, &issuer).unwrap();
        let private = rustls::pki_types::PrivateKeyDer::try_from(own.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        Authority { pem: root.pem(), config: Arc::new(config) }
    }

    /// Serves one connection; gives what came in the clear, or why nothing did.
    fn serve_once(
        listener: TcpListener,
        config: Arc<rustls::ServerConfig>,
    ) -> std::thread::JoinHandle<Result<String, String>> {
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut tls = rustls::ServerConnection::new(config).unwrap();
            let mut tls = rustls::Stream::new(&mut tls, &mut stream);
            let mut bytes = Vec::new();
            let mut chunk = [0; 4096];
            while !String::from_utf8_lossy(&bytes).contains("\u{2014} o AAAA\n") {
                match tls.read(&mut chunk).map_err(|error| error.to_string())? {
                    0 => return Err("the client hung up".into()),
                    read => bytes.extend_from_slice(&chunk[..read]),
                }
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            tls.write_all(answer).map_err(|error| error.to_string())?;
            Ok(String::from_utf8(bytes).unwrap())
        })
    }

    /// Posts a checkpoint to a server that shows this authority's certificate; `trusted` vouches for servers.
    fn posted(
        server: &Authority,
        trusted: Option<&str>,
    ) -> (Result<(), String>, Result<String, String>) {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/take", listener.local_addr().unwrap().port());
        let file = trusted.map(|pem| {
            let path = folder.path().join("authority.pem");
            std::fs::write(&path, pem).unwrap();
            path
        });
        let served = serve_once(listener, Arc::clone(&server.config));
        let place = Place::url(&url).unwrap().vouched_for_by(file);
        let done = place.deliver(&sealed(5).checkpoint).map_err(|failure| failure.to_string());
        (done, served.join().unwrap())
    }

    #[test]
    fn a_checkpoint_goes_out_encrypted_to_a_server_somebody_trusted_vouches_for() {
        let ours = authority("localhost");
        let (done, came) = posted(&ours, Some(&ours.pem));
        assert_eq!(done, Ok(()));
        let came = came.unwrap();
        assert!(came.starts_with("POST /take") && came.contains("\n5\n"), "{came}");
    }

    #[test]
    fn c24_a_server_nobody_trusted_vouches_for_gets_no_checkpoint() {
        let (ours, other) = (authority("localhost"), authority("localhost"));
        let elsewhere = authority("log.example.com");
        let tries = [
            (&other, Some(ours.pem.as_str()), "another authority"),
            (&ours, None, "none of the public authorities"),
            (&elsewhere, Some(elsewhere.pem.as_str()), "a certificate for another name"),
        ];
        for (server, trusted, why) in tries {
            let (done, came) = posted(server, trusted);
            let told = done.expect_err(why);
            assert!(told.contains("does not take it"), "{why}: {told}");
            assert!(came.is_err(), "{why}: the server got {came:?}");
        }
    }

    #[test]
    fn an_authority_that_cannot_be_read_is_named_and_nothing_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing\n").unwrap();
        for (path, what) in
            [(empty, "holds no certificate"), (folder.path().join("none"), "cannot be read")]
        {
            let place = Place::url("https://127.0.0.1:9/").unwrap().vouched_for_by(Some(path));
            let told = place.deliver("x").unwrap_err().to_string();
            assert!(told.contains(what), "{told}");
        }
    }
}
