//! A byte budget per source for answers to unauthenticated requests: whoever forges a source gets no amplifier.

use super::bucket::{Buckets, Pace};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A source: an IPv4 address, or the /64 of an IPv6 address, which one subscriber holds as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceKey(u64);

impl SourceKey {
    /// The key of an address; IPv4 in IPv6 counts as IPv4.
    pub fn of(ip: IpAddr) -> SourceKey {
        match ip.to_canonical() {
            IpAddr::V4(a) => SourceKey(u64::from(u32::from(a))),
            // The top bit sets the two families apart; 2000::/3 loses nothing by it.
            IpAddr::V6(a) => SourceKey((u128::from(a) >> 64) as u64 | 1 << 63),
        }
    }
}

/// Settings of a [`ByteBudget`].
#[derive(Debug, Clone, Copy)]
pub struct BudgetConfig {
    /// Bytes per second that flow back
    pub rate: u32,
    /// Bytes that can be saved up
    pub burst: u32,
    /// Sources remembered at a time
    pub sources: usize,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        // About 40 challenges a second, 400 at once: an office behind one address after a power cut.
        BudgetConfig { rate: 32_768, burst: 327_680, sources: 65_536 }
    }
}

/// A token bucket of bytes per source. Sources that have saved up everything are not remembered; with more sources than
/// can be told apart, strangers get nothing: that is a flood with forged ones.
#[derive(Debug)]
pub struct ByteBudget(Buckets<SourceKey>);

impl ByteBudget {
    /// An empty table.
    pub fn new(config: BudgetConfig) -> ByteBudget {
        let every = Duration::from_secs(1) / config.rate.max(1);
        ByteBudget(Buckets::new(Pace { burst: config.burst, every }, config.sources))
    }

    /// Takes `bytes` from the source's budget; `false`: do not send.
    pub fn take(&mut self, now: Instant, source: IpAddr, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.0.take(now, SourceKey::of(source), bytes).is_ok()
    }

    /// The source has authenticated: it owes nothing.
    pub fn forgive(&mut self, source: IpAddr) {
        self.0.forgive(&SourceKey::of(source));
    }

    /// Sources remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_gets_its_burst_and_then_its_rate() {
        let config = BudgetConfig { rate: 1000, burst: 3000, sources: 10 };
        let mut budget = ByteBudget::new(config);
        let (now, ip) = (Instant::now(), "192.0.2.1".parse().unwrap());
        assert_eq!((0..10).filter(|_| budget.take(now, ip, 500)).count(), 6);
        let later = now + Duration::from_secs(1);
        assert_eq!((0..10).filter(|_| budget.take(later, ip, 500)).count(), 2);
        assert!(budget.take(now, "192.0.2.2".parse().unwrap(), 500));
        budget.forgive(ip);
        assert!(budget.take(later, ip, 3000));
    }

    #[test]
    fn forged_sources_fill_the_table_but_not_the_memory() {
        let config = BudgetConfig { rate: 1000, burst: 3000, sources: 100 };
        let mut budget = ByteBudget::new(config);
        let now = Instant::now();
        for i in 0..10_000u32 {
            budget.take(now, IpAddr::from(std::net::Ipv4Addr::from(i)), 400);
        }
        assert_eq!(budget.len(), 100);
        // They owe nothing after a while.
        assert!(budget.take(now + Duration::from_secs(2), "198.51.100.1".parse().unwrap(), 400));
        assert_eq!(budget.len(), 1);
    }

    #[test]
    fn an_ipv6_subscriber_is_one_source() {
        let key = |s: &str| SourceKey::of(s.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
