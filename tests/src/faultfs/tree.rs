//! The files and directories that the kernel or the durable image refers to, each held by an `O_PATH`
//! descriptor, so that a backing inode number is never reused under us. It knows the backing directory;
//! it knows nothing of requests, delays or faults.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::CutReport;
use super::Survivors;
use super::content::Content;
use super::names::Pending;
use crate::dice::Dice;

/// The node of the backing directory itself; FUSE fixes this number.
pub(super) const ROOT: u64 = 1;
/// Where deleted files wait that a power cut may have to bring back. Hidden from the mounted side.
const GRAVEYARD: &str = ".faultfs-graveyard";

/// Everything that is known, by node number: the inode number in the backing file system, and 1 for the root.
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) graveyard: File,
    device: u64,
    pub(super) graveyard_path: PathBuf,
}

/// One file, directory or symbolic link.
pub(super) struct Node {
    /// Opened with `O_PATH`: it names the thing wherever it is moved, and after it is unlinked.
    pub(super) handle: File,
    pub(super) directory: bool,
    /// How many references the kernel holds.
    lookups: u64,
    /// How many names of the durable image, changed since, mean this node.
    pub(super) claims: u64,
    /// A file has a second name in the graveyard; a directory has been moved there.
    pub(super) buried: bool,
    /// Of a directory: names that differ from the durable image.
    pub(super) pending: BTreeMap<OsString, Pending>,
    /// Of a file: bytes that differ from the durable image.
    pub(super) content: Content,
}

impl Node {
    fn new(handle: File, directory: bool) -> Node {
        Node {
            handle,
            directory,
            lookups: 0,
            claims: 0,
            buried: false,
            pending: BTreeMap::new(),
            content: Content::default(),
        }
    }

    /// Opens the thing itself, whatever its name is by now.
    pub(super) fn open(&self, write: bool) -> io::Result<File> {
        OpenOptions::new().read(true).write(write).open(self.path())
    }

    /// A path that leads to the thing itself, whatever its name is by now.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.handle.as_raw_fd()))
    }

    /// Metadata, and the number of names on the mounted side.
    pub(super) fn metadata(&self) -> io::Result<(Metadata, u64)> {
        let metadata = self.handle.metadata()?;
        let hidden = u64::from(self.buried && !self.directory);
        let links = metadata.nlink().saturating_sub(hidden);
        Ok((metadata, links))
    }
}

impl Tree {
    /// Takes a directory as it stands to be durable.
    pub(super) fn open(backing: &Path) -> io::Result<Tree> {
        let graveyard_path = backing.join(GRAVEYARD);
        match std::fs::remove_dir_all(&graveyard_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir(&graveyard_path)?,
        }
        let handle = OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::PATH | OFlags::DIRECTORY).bits() as i32)
            .open(backing)?;
        let device = handle.metadata()?.dev();
        let nodes = BTreeMap::from([(ROOT, Node::new(handle, true))]);
        Ok(Tree {
            nodes,
            graveyard: File::open(&graveyard_path)?,
            device,
            graveyard_path,
        })
    }

    /// Removes what only served to undo changes.
    pub(super) fn remove_graveyard(&self) -> io::Result<()> {
        std::fs::remove_dir_all(&self.graveyard_path)
    }

    pub(super) fn node(&self, id: u64) -> io::Result<&Node> {
        self.nodes.get(&id).ok_or_else(|| Errno::STALE.into())
    }

    pub(super) fn node_mut(&mut self, id: u64) -> io::Result<&mut Node> {
        self.nodes.get_mut(&id).ok_or_else(|| Errno::STALE.into())
    }

    pub(super) fn is_hidden(&self, parent: u64, name: &OsStr) -> bool {
        parent == ROOT && name == GRAVEYARD
    }

    /// The node behind a name, if there is one. The caller refers to it or calls `drop_unused`.
    pub(super) fn find(&mut self, parent: u64, name: &OsStr) -> io::Result<Option<u64>> {
        if self.is_hidden(parent, name) {
            return Ok(None);
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = match openat(&self.node(parent)?.handle, name, flags, Mode::empty()) {
            Ok(handle) => File::from(handle),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let metadata = handle.metadata()?;
        // Node numbers are inode numbers, so another file system below would mix them up.
        if metadata.dev() != self.device || metadata.ino() == ROOT {
            return Err(Errno::XDEV.into());
        }
        self.nodes
            .entry(metadata.ino())
            .or_insert_with(|| Node::new(handle, metadata.is_dir()));
        Ok(Some(metadata.ino()))
    }

    /// As `find`, and the kernel holds a reference from now on.
    pub(super) fn look_up(&mut self, parent: u64, name: &OsStr) -> io::Result<u64> {
        let id = self.find(parent, name)?.ok_or(Errno::NOENT)?;
        self.node_mut(id)?.lookups += 1;
        Ok(id)
    }

    /// The kernel gives up that many references.
    pub(super) fn forget(&mut self, id: u64, lookups: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.lookups = node.lookups.saturating_sub(lookups);
            self.drop_unused(id);
        }
    }

    /// Forgets a node that neither the kernel nor the durable image needs.
    pub(super) fn drop_unused(&mut self, id: u64) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        let gone = || node.metadata().is_ok_and(|(_, links)| links == 0);
        let unused = node.lookups == 0 && node.claims == 0 && node.pending.is_empty();
        if id != ROOT && unused && (node.content.is_durable() || gone()) {
            self.nodes.remove(&id);
        }
    }

    /// Power is lost: brings content and names back to what is durable, with the survivors.
    pub(super) fn power_cut(&mut self, survivors: Survivors) -> io::Result<CutReport> {
        let mut dice = Dice::new(survivors.seed());
        let mut report = CutReport::default();
        for node in self
            .nodes
            .values_mut()
            .filter(|node| !node.content.is_durable())
        {
            let file = node.open(true)?;
            let lost = node.content.power_cut(&file, survivors, &mut dice)?;
            report.bytes_lost += lost;
            report.files_changed += u64::from(lost > 0);
        }
        report.names_changed = self.power_cut_names(survivors, &mut dice)?;
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        ids.into_iter().for_each(|id| self.drop_unused(id));
        Ok(report)
    }
}
