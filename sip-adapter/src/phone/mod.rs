//! A built-in phone: registers with digest, calls, answers, holds, plays a tone and tells the tone it hears. For
//! demonstrations and tests; one task, one socket for SIP and one for sound, commands by channel. [`Ua`] is its SIP side
//! alone, as a machine without sockets.

mod sound;
mod ua;

use sound::{Ear, Tone};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
pub use ua::Ua;

/// What a phone is.
#[derive(Clone, Debug)]
pub struct PhoneConfig {
    /// What it registers as.
    pub name: String,
    /// Its password.
    pub password: String,
    /// The SIP domain, as in its address.
    pub domain: String,
    /// Where the server is.
    pub server: SocketAddr,
    /// The address of this phone; ports are taken free.
    pub ip: IpAddr,
    /// What it plays.
    pub tone: u32,
    /// What it does when it is called.
    pub on_call: OnCall,
}

/// What a phone does when it is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnCall {
    /// It rings so long, then it is answered.
    Answer(Duration),
    /// It rings until the caller gives up.
    Ring,
    /// It refuses with this status.
    Refuse(u16),
}

/// What a phone tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PhoneEvent {
    /// It is registered for so many seconds.
    Registered(u32),
    /// It could not register.
    NotRegistered(u16),
    /// It is called, by this number.
    Called(String),
    /// The other side rings.
    Rings,
    /// It talks.
    Talks,
    /// The other side has put it on hold, or taken it back.
    Held(bool),
    /// A change of its own, hold or resume, was carried out or refused.
    Changed(u16),
    /// Its call was refused, with status and phrase.
    Refused(u16, String),
    /// Its call is over.
    Ended,
    /// The tone it hears has changed; 0 for silence.
    Hears(u32),
}

/// What a phone is told to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Register for so many seconds, and go on doing so; 0 takes the registration back.
    Register(u32),
    /// Call a number, or dial a code.
    Call(String),
    /// End the call, or give it up.
    HangUp,
    /// Put the other side on hold, or take it back.
    Hold(bool),
    /// What it does when it is called from now on.
    OnCall(OnCall),
}

/// A running phone. Dropped, it falls silent.
#[derive(Debug)]
pub struct Phone {
    /// Where it is.
    pub address: SocketAddr,
    wishes: mpsc::UnboundedSender<Wish>,
    events: mpsc::UnboundedReceiver<PhoneEvent>,
    heard: Arc<AtomicU32>,
}

impl Phone {
    /// Plugs it in; it does nothing by itself.
    ///
    /// # Errors
    /// When no socket can be had.
    pub async fn start(config: PhoneConfig) -> io::Result<Self> {
        let sip = UdpSocket::bind((config.ip, 0)).await?;
        let rtp = UdpSocket::bind((config.ip, 0)).await?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let (address, media) = (sip.local_addr()?, rtp.local_addr()?);
        let (wishes, wanted) = mpsc::unbounded_channel();
        let (tell, events) = mpsc::unbounded_channel();
        let heard = Arc::new(AtomicU32::new(0));
        let tone = Tone::new(config.tone, u32::from_le_bytes([seed[0], seed[1], seed[2], seed[3]]));
        let ua = Ua::new(config, address, media.port(), seed);
        let phone = Task { ua, sip, rtp, tone, ear: Ear::default(), heard: heard.clone(), tell };
        tokio::spawn(phone.run(wanted));
        Ok(Self { address, wishes, events, heard })
    }

    /// Registers for so many seconds, and goes on doing so.
    pub fn register(&self, seconds: u32) {
        let _ = self.wishes.send(Wish::Register(seconds));
    }

    /// Calls a number, or dials a code.
    pub fn call(&self, number: &str) {
        let _ = self.wishes.send(Wish::Call(number.into()));
    }

    /// Ends the call, or gives it up.
    pub fn hang_up(&self) {
        let _ = self.wishes.send(Wish::HangUp);
    }

    /// Puts the other side on hold, or takes it back.
    pub fn hold(&self, on: bool) {
        let _ = self.wishes.send(Wish::Hold(on));
    }

    /// What it does when it is called from now on.
    pub fn on_call(&self, what: OnCall) {
        let _ = self.wishes.send(Wish::OnCall(what));
    }

    /// The next thing it tells; none once it is gone.
    pub async fn next(&mut self) -> Option<PhoneEvent> {
        self.events.recv().await
    }

    /// Waits for something it tells, passing over the rest.
    pub async fn wait_for(
        &mut self,
        time: Duration,
        mut wanted: impl FnMut(&PhoneEvent) -> bool,
    ) -> Option<PhoneEvent> {
        let look = async {
            loop {
                let event = self.events.recv().await?;
                if wanted(&event) {
                    return Some(event);
                }
            }
        };
        tokio::time::timeout(time, look).await.ok().flatten()
    }

    /// The tone it hears; 0 for silence.
    #[must_use]
    pub fn hears(&self) -> u32 {
        self.heard.load(Relaxed)
    }
}

struct Task {
    ua: Ua,
    sip: UdpSocket,
    rtp: UdpSocket,
    tone: Tone,
    ear: Ear,
    heard: Arc<AtomicU32>,
    tell: mpsc::UnboundedSender<PhoneEvent>,
}

impl Task {
    async fn run(mut self, mut wanted: mpsc::UnboundedReceiver<Wish>) {
        let (mut datagram, mut sound) = (vec![0; 65_536], vec![0; 2048]);
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last_sound = Instant::now();
        loop {
            while let Some((to, bytes)) = self.ua.poll_transmit() {
                let _ = self.sip.send_to(&bytes, to).await;
            }
            for event in self.ua.events.drain(..) {
                let _ = self.tell.send(event);
            }
            let due =
                self.ua.deadline().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                received = self.sip.recv_from(&mut datagram) => {
                    if let Ok((length, from)) = received {
                        let bytes = bytes::Bytes::copy_from_slice(&datagram[..length]);
                        self.ua.receive(Instant::now(), from, bytes);
                    }
                }
                received = self.rtp.recv_from(&mut sound) => {
                    last_sound = Instant::now();
                    let heard = received.ok().and_then(|(length, _)| self.ear.hear(&sound[..length]));
                    self.hears(heard);
                }
                wish = wanted.recv() => match wish {
                    Some(wish) => self.ua.wish(Instant::now(), wish),
                    None => return,
                },
                () = tokio::time::sleep_until(due.into()) => self.ua.timer(Instant::now()),
                _ = beat.tick() => {
                    if let Some(to) = self.ua.sends_sound_to() {
                        let _ = self.rtp.send_to(&self.tone.packet(), to).await;
                    }
                    if last_sound.elapsed() > Duration::from_millis(300) {
                        self.hears(Some(0));
                    }
                }
            }
        }
    }

    fn hears(&mut self, hertz: Option<u32>) {
        if let Some(hertz) = hertz
            && self.heard.swap(hertz, Relaxed) != hertz
        {
            let _ = self.tell.send(PhoneEvent::Hears(hertz));
        }
    }
}
