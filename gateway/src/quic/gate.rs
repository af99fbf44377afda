//! How many connections there may be, in all and from one address, and when a newcomer must first show that its address is its
//! own. It counts; it knows no socket.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Handshakes under way from which on newcomers must show that their address is theirs: it costs them a round trip, and an
/// attacker with forged addresses everything.
const RETRY_ABOVE: usize = 256;

/// The same for handshakes from one address.
const RETRY_ABOVE_PER_ADDRESS: u32 = 8;

/// What becomes of a newcomer.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It may come in.
    Enter(Permit),
    /// It is to come again with proof of its address.
    Retry,
    /// There is no room.
    Full,
}

/// Counts connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    most_per_address: usize,
    open: AtomicUsize,
    handshakes: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, Address>>,
}

#[derive(Debug, Default)]
struct Address {
    open: u32,
    handshakes: u32,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Gate,
    /// `None` for loopback, which is not counted by address.
    address: Option<IpAddr>,
    in_handshake: bool,
}

/// What is counted as one address.
fn counted(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V6(v6) => {
            // One customer has a /64, and with it more addresses than can be counted.
            let network = u128::from(v6) >> 64 << 64;
            Some(IpAddr::V6(Ipv6Addr::from(network)))
        }
        v4 => Some(v4),
    }
}

impl Gate {
    pub(super) fn new(most: usize, most_per_address: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            most_per_address,
            open: AtomicUsize::new(0),
            handshakes: AtomicUsize::new(0),
            addresses: Mutex::default(),
        }))
    }

    /// Decides on a newcomer; `validated` says that its address is known to be its own.
    pub(super) fn knock(&self, address: IpAddr, validated: bool) -> Verdict {
        let inner = &self.0;
        let busy = inner.handshakes.load(Ordering::Relaxed) >= RETRY_ABOVE;
        if inner.open.load(Ordering::Relaxed) >= inner.most {
            return Verdict::Full;
        }
        if !validated && busy {
            return Verdict::Retry;
        }
        let address = counted(address);
        if let Some(address) = address {
            let mut addresses = inner.addresses.lock();
            let counts = addresses.entry(address).or_default();
            if counts.open as usize >= inner.most_per_address {
                return Verdict::Full;
            }
            if !validated && counts.handshakes >= RETRY_ABOVE_PER_ADDRESS {
                return Verdict::Retry;
            }
            counts.open += 1;
            counts.handshakes += 1;
        }
        inner.open.fetch_add(1, Ordering::Relaxed);
        inner.handshakes.fetch_add(1, Ordering::Relaxed);
        Verdict::Enter(Permit {
            gate: self.clone(),
            address,
            in_handshake: true,
        })
    }

    /// Connections at this moment, those in handshake included.
    pub(super) fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// The handshake is over.
    pub(super) fn established(&mut self) {
        if std::mem::replace(&mut self.in_handshake, false) {
            let inner = &self.gate.0;
            inner.handshakes.fetch_sub(1, Ordering::Relaxed);
            if let Some(address) = self.address
                && let Some(counts) = inner.addresses.lock().get_mut(&address)
            {
                counts.handshakes -= 1;
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.established();
        let inner = &self.gate.0;
        inner.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut addresses = inner.addresses.lock();
            if let Some(counts) = addresses.get_mut(&address) {
                counts.open -= 1;
                if counts.open == 0 {
                    addresses.remove(&address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(gate: &Gate, address: &str, validated: bool) -> Option<Permit> {
        match gate.knock(address.parse().unwrap(), validated) {
            Verdict::Enter(permit) => Some(permit),
            Verdict::Retry | Verdict::Full => None,
        }
    }

    #[test]
    fn bounds_hold_and_room_comes_back() {
        let gate = Gate::new(3, 2);
        let one = enter(&gate, "192.0.2.1", true).unwrap();
        let _two = enter(&gate, "192.0.2.1", true).unwrap();
        assert!(matches!(
            gate.knock("192.0.2.1".parse().unwrap(), true),
            Verdict::Full
        ));
        let _three = enter(&gate, "192.0.2.2", true).unwrap();
        assert!(matches!(
            gate.knock("192.0.2.3".parse().unwrap(), true),
            Verdict::Full
        ));
        assert_eq!(gate.open(), 3);
        drop(one);
        let _four = enter(&gate, "192.0.2.3", true).unwrap();
        assert_eq!(gate.open(), 3);
    }

    #[test]
    fn a_v6_network_and_a_mapped_v4_are_one_address_each() {
        let gate = Gate::new(100, 1);
        let _one = enter(&gate, "2001:db8:1:2::1", true).unwrap();
        assert!(enter(&gate, "2001:db8:1:2:ffff::9", true).is_none());
        let _other = enter(&gate, "2001:db8:1:3::1", true).unwrap();
        let _four = enter(&gate, "192.0.2.1", true).unwrap();
        assert!(enter(&gate, "::ffff:192.0.2.1", true).is_none());
    }

    #[test]
    fn loopback_is_not_counted_by_address() {
        let gate = Gate::new(4, 1);
        let held: Vec<_> = ["127.0.0.1", "127.0.0.1", "::1", "::ffff:127.0.0.1"]
            .map(|address| enter(&gate, address, false).unwrap())
            .into();
        assert!(enter(&gate, "127.0.0.1", true).is_none(), "but in all");
        drop(held);
        assert_eq!(gate.open(), 0);
    }

    #[test]
    fn many_handshakes_ask_for_proof_of_the_address() {
        let gate = Gate::new(10_000, 10_000);
        let mut held: Vec<_> = (0..RETRY_ABOVE_PER_ADDRESS)
            .map(|_| enter(&gate, "192.0.2.1", false).unwrap())
            .collect();
        let newcomer = "192.0.2.1".parse().unwrap();
        assert!(matches!(gate.knock(newcomer, false), Verdict::Retry));
        assert!(matches!(gate.knock(newcomer, true), Verdict::Enter(_)));
        held.iter_mut().for_each(Permit::established);
        assert!(matches!(gate.knock(newcomer, false), Verdict::Enter(_)));
        held.extend((0..RETRY_ABOVE).map(|_| enter(&gate, "127.0.0.1", true).unwrap()));
        assert!(matches!(
            gate.knock("192.0.2.9".parse().unwrap(), false),
            Verdict::Retry
        ));
        drop(held);
        assert!(
            gate.0.addresses.lock().is_empty(),
            "nothing is kept of those who are gone"
        );
    }
}
