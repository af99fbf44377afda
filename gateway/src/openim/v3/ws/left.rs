//! Up to where devices were told when their connections ended: whoever comes back and is behind has missed something. It is a
//! help for clients that forget to ask, and nothing is lost with it.

use std::collections::HashMap;

use parking_lot::Mutex;
use waybill_core::id::Seq;

/// Most devices that are remembered.
const REMEMBERED: usize = 64 * 1024;

/// Devices that have left.
#[derive(Default)]
pub struct Left(Mutex<HashMap<(String, String), Seq>>);

impl Left {
    /// Notes that a device has left.
    pub fn note(&self, user: &str, device: &str, seq: Seq) {
        let mut left = self.0.lock();
        if left.len() >= REMEMBERED {
            left.clear();
        }
        left.insert((user.to_owned(), device.to_owned()), seq);
    }

    /// Where a device that comes back has left; `None` when that is not known.
    pub fn take(&self, user: &str, device: &str) -> Option<Seq> {
        self.0.lock().remove(&(user.to_owned(), device.to_owned()))
    }
}
