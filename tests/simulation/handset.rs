//! A phone on somebody's desk: the built-in phone's machine, and what it has been told.

use crate::life::{REALM, SERVER};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use switchbook_sip_adapter::phone::{OnCall, PhoneConfig, PhoneEvent, Ua, Wish};

/// A binding as its phone believes in it.
#[derive(Clone, Debug)]
pub struct Told {
    pub contact: String,
    /// When it was told, and until when it was told to count on it.
    pub at: Duration,
    pub until: Duration,
    /// Seconds granted.
    pub granted: u32,
    /// The end it was told the time before, if that was about the same binding.
    pub before: Option<Duration>,
    /// How often the server's wall clock had jumped by then.
    pub jumps: u32,
}

/// Where its call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It called, and has no answer yet.
    Calls,
    /// It is called.
    Rings,
    Talks,
}

#[derive(Clone, Copy, Debug)]
pub struct CallSince {
    pub stage: Stage,
    pub since: Duration,
    /// The life of the server that it began in.
    pub life: u32,
    /// The server has heard of it. A phone that comes back when its INVITE is sent for the last time may ring with no
    /// word of it getting through: nobody may send it a CANCEL then (RFC 3261 §9.1).
    pub known: bool,
    /// Its user has hung up; it may still be answered meanwhile.
    pub given_up: bool,
}

pub struct Handset {
    pub name: &'static str,
    pub password: String,
    pub at: SocketAddr,
    /// None: unplugged.
    pub ua: Option<Ua>,
    /// Seconds it wants to be registered for; 0: not.
    pub wants: u32,
    pub on_call: OnCall,
    /// A REGISTER it was told to send is under way.
    pub asking: bool,
    pub ask_again: Option<Duration>,
    pub told: Option<Told>,
    pub call: Option<CallSince>,
    /// When its last REGISTER was sent first, and its CSeq: what it is granted is granted after that, however late and
    /// often the answer is repeated.
    asked: (Duration, String),
    /// How often the server's wall clock had jumped by then.
    asked_jumps: u32,
}

impl Handset {
    pub fn new(name: &'static str, host: u8) -> Self {
        Self {
            name,
            password: format!("secret-{name}"),
            at: SocketAddr::from(([198, 51, 100, host], 5060)),
            ua: None,
            wants: 0,
            on_call: OnCall::Answer(Duration::from_secs(2)),
            asking: false,
            ask_again: None,
            told: None,
            call: None,
            asked: (Duration::ZERO, String::new()),
            asked_jumps: 0,
        }
    }

    /// It gets power: whatever it knew before is forgotten.
    pub fn plug_in(&mut self, seed: [u8; 32]) {
        let config = PhoneConfig {
            name: self.name.into(),
            password: self.password.clone(),
            domain: REALM.into(),
            server: SERVER.parse().expect("an address"),
            ip: self.at.ip(),
            tone: 0,
            on_call: self.on_call,
        };
        self.ua = Some(Ua::new(config, self.at, 4000, seed));
    }

    /// It loses power, without a word.
    pub fn unplug(&mut self) {
        self.ua = None;
        (self.asking, self.ask_again, self.told, self.call) = (false, None, None, None);
    }

    pub fn contact(&self) -> String {
        format!("sip:{}@{}", self.name, self.at)
    }

    pub fn wish(&mut self, now: Instant, wish: Wish) {
        if let Some(ua) = &mut self.ua {
            ua.wish(now, wish);
        }
    }

    /// Asks for what it wants, unless an answer is still awaited (RFC 3261 §10.2).
    pub fn ask(&mut self, now: Instant) {
        self.ask_again = None;
        if self.ua.is_some() && !self.asking {
            self.asking = true;
            if self.wants == 0 {
                // From here on it may be gone.
                self.told = None;
            }
            self.wish(now, Wish::Register(self.wants));
        }
    }

    /// What it sends, watched.
    pub fn sends(&mut self, now: Duration, jumps: u32, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let seq = text.lines().find(|line| line.starts_with("CSeq:") && line.ends_with("REGISTER"));
        if let Some(seq) = seq.filter(|seq| text.starts_with("REGISTER") && **seq != self.asked.1) {
            (self.asked, self.asked_jumps) = ((now, seq.to_owned()), jumps);
        }
    }

    /// What it told, taken in. Whether something is to be done at once: hang up again.
    pub fn heard(&mut self, now: Duration, life: u32, event: &PhoneEvent) -> bool {
        let stage =
            |stage| Some(CallSince { stage, since: now, life, known: false, given_up: false });
        match event {
            PhoneEvent::Registered(seconds) => {
                self.asking = false;
                let until = self.asked.0 + Duration::from_secs(u64::from(*seconds));
                let contact = self.contact();
                let before = self.told.take().filter(|told| told.contact == contact);
                let jumps = self.asked_jumps;
                // What the clock had told before a jump says nothing of an end after it.
                let same = |told: Told| if told.jumps == jumps { told.until } else { now };
                let before = before.map(same);
                let told = Told { contact, at: now, until, granted: *seconds, before, jumps };
                self.told = (*seconds > 0).then_some(told);
                if (*seconds > 0) != (self.wants > 0) {
                    // It was told otherwise meanwhile.
                    self.ask_again = Some(now);
                }
            }
            PhoneEvent::NotRegistered(408) => {
                // It asks again by itself.
                self.asking = false;
            }
            PhoneEvent::NotRegistered(_) => {
                self.asking = false;
                self.ask_again = Some(now + Duration::from_secs(12));
            }
            PhoneEvent::Called(_) => self.call = stage(Stage::Rings),
            PhoneEvent::Talks => {
                // An answer that was on its way when the server went down is of that life.
                let before = self.call;
                self.call = stage(Stage::Talks);
                if let (Some(call), Some(before)) = (&mut self.call, before) {
                    call.life = before.life;
                }
                return before.is_some_and(|call| call.given_up);
            }
            PhoneEvent::Ended | PhoneEvent::Refused(..) => self.call = None,
            _ => {}
        }
        false
    }
}
