//! Mounting, unmounting and the switches: what a test holds in its hands. It knows FUSE sessions and the
//! machine, and nothing of requests.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, Session};
use parking_lot::{Condvar, Mutex};

use super::machine::Machine;
use super::serve::{Served, Shared};
use super::{CutReport, Error, Options, Survivors};

/// The device that FUSE file systems are served through.
const DEVICE: &str = "/dev/fuse";
/// Threads that serve the kernel. More than one, so that a long write does not hold up a read.
const THREADS: usize = 2;

/// The file system. See the module for what it simulates.
pub struct FaultFs;

impl FaultFs {
    /// Shows the directory `backing` at the directory `mountpoint`. What `backing` holds now is durable.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where FUSE is missing, [`Error::Backing`] when `backing` cannot be used,
    /// [`Error::Mount`] when the kernel refuses.
    pub fn mount(backing: &Path, mountpoint: &Path, options: &Options) -> Result<Mounted, Error> {
        if !Path::new(DEVICE).exists() {
            return Err(Error::NoDevice);
        }
        detach_dead_mount(mountpoint);
        let on_backing = |source| Error::Backing {
            path: backing.into(),
            source,
        };
        let on_mount = |source| Error::Mount {
            path: mountpoint.into(),
            source,
        };
        let machine = Machine::new(backing, options).map_err(on_backing)?;
        let machine = Mutex::new(machine);
        let shared = Arc::new(Shared {
            machine,
            power_failed: Condvar::new(),
        });
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("waybill-faultfs".into()),
            MountOption::Subtype("faultfs".into()),
            MountOption::DefaultPermissions,
        ];
        config.n_threads = Some(THREADS);
        let session = Session::new(Served(Arc::clone(&shared)), mountpoint, &config)
            .and_then(Session::spawn)
            .map_err(on_mount)?;
        Ok(Mounted {
            session: Some(session),
            shared,
            mountpoint: mountpoint.into(),
        })
    }
}

/// A mounted file system. Dropping it unmounts.
pub struct Mounted {
    session: Option<BackgroundSession>,
    shared: Arc<Shared>,
    mountpoint: PathBuf,
}

impl Mounted {
    /// Where it is mounted.
    pub fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }

    /// The power fails: every request that has not been answered fails with EIO, every later one too, until
    /// [`Mounted::power_on`]. Kill the victim in between: then no answer of it can be younger than the cut.
    pub fn power_off(&self) {
        self.shared.machine.lock().power_off();
        self.shared.power_failed.notify_all();
    }

    /// The power comes back, after [`Mounted::power_off`]: of what was not durable, only the survivors are
    /// left. Files that were open stay unusable; open them again.
    ///
    /// # Errors
    /// When the backing directory cannot be changed. It is in no defined state then.
    pub fn power_on(&self, survivors: Survivors) -> io::Result<CutReport> {
        self.shared.machine.lock().power_on(survivors)
    }

    /// [`Mounted::power_off`] and [`Mounted::power_on`] at once, for a victim that is dead already.
    ///
    /// # Errors
    /// As [`Mounted::power_on`].
    pub fn power_cut(&self, survivors: Survivors) -> io::Result<CutReport> {
        let mut machine = self.shared.machine.lock();
        machine.power_off();
        self.shared.power_failed.notify_all();
        machine.power_on(survivors)
    }

    /// Makes every sync that begins from now on, of a file or a directory, take that long.
    pub fn set_sync_delay(&self, delay: Duration) {
        self.shared.machine.lock().faults.sync_delay = delay;
    }

    /// Makes syncs say that they succeeded while nothing is durable, or stops doing so.
    pub fn set_lying_syncs(&self, lying: bool) {
        self.shared.machine.lock().faults.lying_syncs = lying;
    }

    /// From now on files may grow by that many bytes in all, then writes fail with ENOSPC; deleting gives
    /// nothing back. `None` ends it.
    pub fn set_space_left(&self, bytes: Option<u64>) {
        self.shared.machine.lock().faults.space_left = bytes;
    }

    /// After `before` more syncs the next `failures` fail with EIO. What a failed sync of a file should have
    /// saved is given up, as by Linux: a later sync succeeds and does not save it.
    pub fn fail_syncs(&self, before: u64, failures: u64) {
        self.shared.machine.lock().faults.failing_syncs = Some((before, failures));
    }

    /// How many syncs were asked for since mounting, of files and directories, whatever became of them.
    pub fn sync_count(&self) -> u64 {
        self.shared.machine.lock().faults.syncs
    }

    /// Unmounts. The backing directory keeps what was written, durable or not.
    ///
    /// # Errors
    /// When something still uses it; it is then detached, and goes away with its last user.
    pub fn unmount(mut self) -> io::Result<()> {
        self.take_down()
    }

    fn take_down(&mut self) -> io::Result<()> {
        let Some(session) = self.session.take() else {
            return Ok(());
        };
        if let Err(busy) = session.umount_and_join() {
            detach(&self.mountpoint);
            return Err(busy);
        }
        self.shared.machine.lock().tree.remove_graveyard()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = self.take_down() {
            eprintln!(
                "faultfs: {}: not unmounted cleanly: {error}",
                self.mountpoint.display()
            );
        }
    }
}

/// A process that was killed leaves its mount behind, and every access to it fails.
fn detach_dead_mount(mountpoint: &Path) {
    let disconnected = rustix::io::Errno::NOTCONN.raw_os_error();
    let state = std::fs::metadata(mountpoint);
    if state.is_err_and(|error| error.raw_os_error() == Some(disconnected)) {
        detach(mountpoint);
    }
}

/// Takes a mount out of the directory tree, whoever still uses it.
fn detach(mountpoint: &Path) {
    let outcome = Command::new("fusermount3")
        .args(["-u", "-z", "-q", "--"])
        .arg(mountpoint)
        .stdin(Stdio::null())
        .status();
    if !outcome.as_ref().is_ok_and(|status| status.success()) {
        eprintln!(
            "faultfs: {}: fusermount3 could not detach it: {outcome:?}",
            mountpoint.display()
        );
    }
}
