//! How many connections may be open: in all, and from one address. It counts; it knows no socket.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// The bound that stood in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Connections in all.
    Total,
    /// Connections from this address.
    Address,
}

impl Refused {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
        }
    }
}

/// Counts open connections over all listeners.
#[derive(Clone)]
pub struct Admission(Arc<Inner>);

struct Inner {
    max: usize,
    max_per_address: usize,
    open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One open connection; it is counted until this is dropped.
pub struct Admitted {
    admission: Admission,
    address: Option<IpAddr>,
}

impl Admission {
    /// No connection is open yet.
    pub fn new(max: usize, max_per_address: usize) -> Self {
        Self(Arc::new(Inner {
            max,
            max_per_address,
            open: AtomicUsize::new(0),
            by_address: Mutex::default(),
        }))
    }

    /// Takes a connection from this address in. Addresses of the machine itself count towards the total only.
    ///
    /// # Errors
    /// The bound that stands in the way.
    pub fn admit(&self, address: IpAddr) -> Result<Admitted, Refused> {
        let inner = &self.0;
        if inner.open.fetch_add(1, Ordering::Relaxed) >= inner.max {
            inner.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Total);
        }
        let mut admitted = Admitted {
            admission: self.clone(),
            address: None,
        };
        if let Some(address) = counted(address) {
            let mut by_address = inner.by_address.lock();
            let count = by_address.entry(address).or_insert(0);
            if *count >= inner.max_per_address {
                drop(by_address);
                return Err(Refused::Address);
            }
            *count += 1;
            admitted.address = Some(address);
        }
        Ok(admitted)
    }
}

/// The address under which a peer is counted. Whoever has one IPv6 address has 2^64 of them, so the network counts.
fn counted(address: IpAddr) -> Option<IpAddr> {
    Some(network(address)).filter(|_| !address.to_canonical().is_loopback())
}

/// What stands for all addresses that one peer may have: of IPv6 the network, of IPv4 the address itself.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let inner = &self.admission.0;
        inner.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut by_address = inner.by_address.lock();
            if let Some(count) = by_address.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    by_address.remove(&address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn both_bounds_hold_and_room_comes_back() {
        let admission = Admission::new(4, 2);
        let one = admission.admit(ip("192.0.2.1")).unwrap();
        let _two = admission.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(
            admission.admit(ip("192.0.2.1")).err(),
            Some(Refused::Address)
        );
        let _three = admission.admit(ip("192.0.2.2")).unwrap();
        drop(one);
        let _four = admission.admit(ip("192.0.2.1")).unwrap();
        let _five = admission.admit(ip("192.0.2.3")).unwrap();
        assert_eq!(admission.admit(ip("192.0.2.4")).err(), Some(Refused::Total));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_and_loopback_not_at_all() {
        let admission = Admission::new(100, 1);
        let _held = admission.admit(ip("2001:db8:1:2::1")).unwrap();
        assert_eq!(
            admission.admit(ip("2001:db8:1:2:ffff::9")).err(),
            Some(Refused::Address)
        );
        let _other = admission.admit(ip("2001:db8:1:3::1")).unwrap();
        let many: Vec<_> = ["127.0.0.1", "127.0.0.1", "::1", "::1", "::ffff:127.0.0.1"]
            .map(|t| admission.admit(ip(t)).unwrap())
            .into();
        drop(many);
        assert_eq!(admission.0.open.load(Ordering::Relaxed), 2);
        assert_eq!(admission.0.by_address.lock().len(), 2);
    }
}
