//! A child process that can be waited for with patience, signalled and killed. It knows nothing of what the process does.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A child process. Dropping it kills it.
pub struct Process {
    child: Child,
    /// Becomes readable when the process has ended, and never means another process.
    handle: OwnedFd,
}

impl Process {
    /// Takes over a child.
    pub fn of(child: Child) -> Process {
        let pid = Pid::from_child(&child);
        let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap_or_else(|error| {
            panic!("no handle on a child (Linux 5.3 or newer is needed): {error}")
        });
        Process { child, handle }
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; `None` when it goes on after that time.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).expect("a time that fits");
            let mut handles = [PollFd::new(&self.handle, PollFlags::IN)];
            match poll(&mut handles, Some(&left)) {
                Ok(0) => return None,
                Ok(_) => return Some(self.child.wait().expect("a child can be waited for")),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("a child cannot be waited for: {error}"),
            }
        }
    }

    /// Asks it to stop: SIGTERM.
    pub fn ask_to_stop(&self) {
        pidfd_send_signal(&self.handle, Signal::TERM).expect("a child can be signalled");
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) {
        match pidfd_send_signal(&self.handle, Signal::KILL) {
            // It has ended by itself.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("a child cannot be killed: {}", io::Error::from(error)),
        }
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
