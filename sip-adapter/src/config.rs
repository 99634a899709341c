//! Settings of the adapter; the defaults serve without any.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use switchbook_sip::limits::{BackOffConfig, BudgetConfig, Pace};
use switchbook_sip::transaction::Timers;

/// Settings of the adapter.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address phones know us by, when it is not one of this machine's own (port forwarding).
    pub advertised: Option<IpAddr>,
    /// Further host names that mean this server, besides the realm and its addresses.
    pub names: Vec<String>,
    /// Bounds of registrations.
    pub registration: RegistrationBounds,
    /// Bounds of everything a flood could grow.
    pub limits: Limits,
    /// SIP timers; the RFC's, unless a test is in a hurry.
    pub timers: Timers,
    /// What a stop does to calls in progress.
    pub on_stop: OnStop,
}

impl Config {
    /// The defaults, listening at `listen`.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            advertised: None,
            names: Vec::new(),
            registration: RegistrationBounds::default(),
            limits: Limits::default(),
            timers: Timers::default(),
            on_stop: OnStop::HangUp,
        }
    }
}

/// How long a binding may last (RFC 3261 §10.3 step 7).
#[derive(Clone, Copy, Debug)]
pub struct RegistrationBounds {
    /// Shorter wishes are refused with 423.
    pub min: u32,
    /// Granted when nothing is asked for.
    pub default: u32,
    /// Longer wishes are cut to this.
    pub max: u32,
    /// Contacts in one REGISTER (checklist 12).
    pub contacts: usize,
}

impl Default for RegistrationBounds {
    fn default() -> Self {
        Self { min: 60, default: 3600, max: 7200, contacts: 5 }
    }
}

/// Bounds of everything a flood could grow. Calls for help pass all that count calls, and have one of their own
/// (checklist 42).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls at a time.
    pub calls: usize,
    /// Calls at a time in which one device has a part as caller.
    pub calls_per_device: usize,
    /// Bindings one device may make, change and take back, each of which is an event; refreshes do not count.
    pub binding_events: Pace,
    /// Calls and feature codes one device may place, each of which leaves events.
    pub calls_placed: Pace,
    /// Calls for help one device may place: a bound for machines, far beyond what people can need.
    pub calls_for_help: Pace,
    /// REGISTERs one device may send, refreshes included: each keeps a transaction for half a minute.
    pub registers: Pace,
    /// Calls one trunk may send in. It is known by its address alone, which can be forged.
    pub calls_from_trunk: Pace,
    /// New calls per second and source.
    pub invites_per_second: u32,
    /// New calls a source may save up.
    pub invite_burst: u32,
    /// Errands that may wait for the Desk.
    pub errands: usize,
    /// Call records that may wait for the Desk.
    pub records: usize,
    /// How long a trunk may take to answer.
    pub trunk_ring: Duration,
    /// How often both ends of an answered call are asked whether they are still there.
    pub alive_check: Duration,
    /// How long a digest nonce lives.
    pub nonce_lifetime: Duration,
    /// Answers to unauthenticated requests (checklist 25).
    pub budget: BudgetConfig,
    /// Pauses after wrong passwords, per account and source.
    pub account_back_off: BackOffConfig,
    /// Pauses after wrong passwords, per source.
    pub source_back_off: BackOffConfig,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 20_000,
            calls_per_device: 20,
            // A phone that is restarted thirty times, or a call list dialled by hand as fast as fingers go.
            binding_events: Pace { burst: 30, every: Duration::from_secs(10) },
            calls_placed: Pace { burst: 60, every: Duration::from_millis(500) },
            calls_for_help: Pace { burst: 100, every: Duration::from_secs(1) },
            registers: Pace { burst: 100, every: Duration::from_millis(100) },
            // More than any network sends to one exchange, and few enough that a forger fills no book.
            calls_from_trunk: Pace { burst: 300, every: Duration::from_millis(20) },
            invites_per_second: 500,
            invite_burst: 2_000,
            errands: 20_000,
            records: 20_000,
            trunk_ring: Duration::from_secs(180),
            alive_check: Duration::from_secs(300),
            nonce_lifetime: Duration::from_secs(300),
            budget: BudgetConfig { rate: 65_536, burst: 2_097_152, ..BudgetConfig::default() },
            account_back_off: BackOffConfig::default(),
            source_back_off: BackOffConfig { free: 100, ..BackOffConfig::default() },
        }
    }
}

/// What a stop does to calls in progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnStop {
    /// Both sides get a BYE, ringing phones a CANCEL.
    HangUp,
    /// Nothing is sent: phones go on talking to each other until they hang up.
    Leave,
}
