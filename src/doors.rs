//! Where phones, watchers and the console come in, and what the settings say of that.

use crate::console::{self};
use crate::failure::{Failure, failed};
use crate::settings::{AtStop, Http, Settings};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use switchbook_sip::limits::Pace;
use switchbook_sip_adapter::config::OnStop;
use switchbook_sip_adapter::{Config, Door};
use tokio::net::UnixListener;

/// Where phones, watchers and the console come in: bound before the exchange is founded or started.
pub struct Doors {
    /// Phones.
    pub sip: Door,
    /// Watchers.
    pub http: Option<switchbook_admin::Door>,
    /// Administrators on this machine.
    pub console: UnixListener,
}

impl Doors {
    /// Binds them all, or none.
    pub async fn bind(data: &Path, settings: &Settings) -> Result<Self, Failure> {
        let listen = sip_config(settings).listen;
        let sip = Door::bind(listen).map_err(|error| {
            failed(&format!("phones cannot be served at udp:{listen}"))(error)
                .advice("Is another program using this port? Choose another with --sip.")
        })?;
        let http = match settings.http.unwrap_or(Http::Address(default_http())) {
            Http::None => None,
            Http::Address(address) => {
                let bound = switchbook_admin::Door::bind(address).await;
                Some(bound.map_err(|error| Failure::new(error.to_string()))?)
            }
        };
        Ok(Self { sip, http, console: console::server::bind(&console::socket_of(data))? })
    }
}

fn default_http() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 8060).into()
}

/// The phones' room as the settings want it.
pub fn sip_config(settings: &Settings) -> Config {
    let Settings { registration, calls, limits, guessing, .. } = settings;
    let default = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5060));
    let mut config = Config::new(settings.sip.unwrap_or(default));
    config.names.clone_from(&settings.names);
    config.advertised = settings.advertised;
    config.on_stop = match calls.on_stop {
        AtStop::HangUp => OnStop::HangUp,
        AtStop::Leave => OnStop::Leave,
    };
    let bounds = &mut config.registration;
    (bounds.min, bounds.default) = (registration.min, registration.default);
    (bounds.max, bounds.contacts) = (registration.max, registration.contacts);
    let to = &mut config.limits;
    (to.calls, to.calls_per_device) = (limits.calls, limits.calls_per_device);
    to.invites_per_second = limits.calls_from_source.per_second;
    to.invite_burst = limits.calls_from_source.burst;
    to.calls_placed = pace(limits.calls_placed);
    to.calls_from_trunk = pace(limits.calls_from_trunk);
    to.binding_events = pace(limits.binding_events);
    to.calls_for_help = pace(limits.calls_for_help);
    to.registers = pace(limits.registers);
    to.budget.rate = limits.answers_to_strangers.per_second;
    to.budget.burst = limits.answers_to_strangers.burst;
    to.nonce_lifetime = seconds(limits.nonce_lifetime);
    (to.trunk_ring, to.alive_check) = (seconds(calls.trunk_ring), seconds(calls.alive_check));
    to.account_back_off.free = guessing.free;
    to.source_back_off.free = guessing.free_per_source;
    for back_off in [&mut to.account_back_off, &mut to.source_back_off] {
        back_off.most = seconds(guessing.longest_pause);
        back_off.memory = seconds(guessing.memory);
    }
    config
}

fn pace(pace: crate::settings::Pace) -> Pace {
    Pace { burst: pace.burst, every: Duration::from_secs_f64(pace.seconds) }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// What watchers may take.
pub fn http_limits(settings: &Settings) -> switchbook_admin::Limits {
    let limits = settings.http_limits;
    switchbook_admin::Limits {
        connections: limits.connections,
        per_peer: limits.per_peer,
        head_time: seconds(limits.head_seconds),
        lifetime: seconds(limits.lifetime),
        ..switchbook_admin::Limits::default()
    }
}
