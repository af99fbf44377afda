//! The fault layer over an empty directory of its own, for one test. It knows temporary directories and
//! mounting.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Error, FaultFs, Mounted, Options};

/// A mounted file system, empty at first. Dropping it unmounts and deletes everything.
pub struct Sandbox {
    // Fields are dropped in this order: unmounted first, deleted then.
    /// The switches.
    pub fs: Mounted,
    directories: TempDir,
}

impl Sandbox {
    /// Mounts over an empty directory below the system's temporary directory.
    ///
    /// # Errors
    /// As [`FaultFs::mount`].
    pub fn new(options: &Options) -> Result<Sandbox, Error> {
        let temporary = std::env::temp_dir();
        let unusable = |source| Error::Backing {
            path: temporary.clone(),
            source,
        };
        let directories = TempDir::new().map_err(unusable)?;
        let [backing, mountpoint] = ["backing", "mount"].map(|name| directories.path().join(name));
        std::fs::create_dir(&backing).map_err(unusable)?;
        std::fs::create_dir(&mountpoint).map_err(unusable)?;
        let fs = FaultFs::mount(&backing, &mountpoint, options)?;
        Ok(Sandbox { fs, directories })
    }

    /// A path on the mounted side; `""` is its top.
    pub fn path(&self, name: &str) -> PathBuf {
        self.fs.mountpoint().join(name)
    }

    /// The directory below, where the files really are.
    pub fn backing(&self) -> PathBuf {
        self.directories.path().join("backing")
    }

    /// The directory that holds both, for files of the test that no power cut must touch.
    pub fn outside(&self) -> &Path {
        self.directories.path()
    }
}

/// A test cuts the power from one thread while others drive the victim.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Sandbox>();
};
