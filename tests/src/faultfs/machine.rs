//! The simulated machine: a tree, its faults, and whether it has power. Each request becomes one call
//! here. It knows no FUSE types.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirEntryExt, FileExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::content::Ticket;
use super::faults::{Faults, Outcome};
use super::tree::Tree;
use super::{CutReport, Options, Survivors};

pub(super) struct Machine {
    pub(super) tree: Tree,
    pub(super) faults: Faults,
    handles: HashMap<u64, Handle>,
    next_handle: u64,
    powered: bool,
    /// Counts power cuts: what was opened in an earlier life is of no use any more.
    life: u64,
}

/// Something opened, in one life of the machine.
struct Handle {
    life: u64,
    node: u64,
    what: Opened,
}

enum Opened {
    File(Arc<File>),
    Directory(Arc<Vec<Listed>>),
}

/// A line of a directory listing.
pub(super) struct Listed {
    pub(super) node: u64,
    pub(super) kind: std::fs::FileType,
    pub(super) name: OsString,
}

/// A sync under way: begun, and to be finished after `delay`.
pub(super) struct Sync {
    pub(super) delay: Duration,
    life: u64,
    node: u64,
    ticket: Option<Ticket>,
    outcome: Outcome,
}

impl Machine {
    pub(super) fn new(backing: &Path, options: &Options) -> io::Result<Machine> {
        Ok(Machine {
            tree: Tree::open(backing)?,
            faults: Faults::new(options),
            handles: HashMap::new(),
            next_handle: 1,
            powered: true,
            life: 0,
        })
    }

    /// From now on every request fails, and what is open is of no use after the power comes back.
    pub(super) fn power_off(&mut self) {
        self.powered = false;
        self.life += 1;
    }

    /// The power comes back, and of what was not durable only the survivors are left.
    pub(super) fn power_on(&mut self, survivors: Survivors) -> io::Result<CutReport> {
        if self.powered {
            return Ok(CutReport::default());
        }
        let report = self.tree.power_cut(survivors)?;
        self.powered = true;
        Ok(report)
    }

    /// Every request but the release of something asks this first.
    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.powered {
            Ok(())
        } else {
            Err(Errno::IO.into())
        }
    }

    fn keep(&mut self, node: u64, what: Opened) -> u64 {
        let number = self.next_handle;
        self.next_handle += 1;
        self.handles.insert(
            number,
            Handle {
                life: self.life,
                node,
                what,
            },
        );
        number
    }

    fn handle(&self, number: u64) -> io::Result<&Handle> {
        self.check_power()?;
        let handle = self.handles.get(&number).ok_or(Errno::BADF)?;
        if handle.life == self.life {
            Ok(handle)
        } else {
            Err(Errno::IO.into())
        }
    }

    /// An open file and its node.
    pub(super) fn file(&self, number: u64) -> io::Result<(u64, Arc<File>)> {
        match self.handle(number)? {
            Handle {
                node,
                what: Opened::File(file),
                ..
            } => Ok((*node, Arc::clone(file))),
            _ => Err(Errno::ISDIR.into()),
        }
    }

    pub(super) fn create(
        &mut self,
        parent: u64,
        name: &OsStr,
        mode: u32,
        exclusive: bool,
    ) -> io::Result<(u64, u64)> {
        self.check_power()?;
        let (node, file) = self.tree.create(parent, name, mode, exclusive)?;
        Ok((node, self.keep(node, Opened::File(Arc::new(file)))))
    }

    pub(super) fn open(&mut self, node: u64, write: bool) -> io::Result<u64> {
        self.check_power()?;
        let file = self.tree.node(node)?.open(write)?;
        Ok(self.keep(node, Opened::File(Arc::new(file))))
    }

    /// Opens a directory; what is listed is what it holds now.
    pub(super) fn open_directory(&mut self, node: u64) -> io::Result<u64> {
        self.check_power()?;
        let mut listed = Vec::new();
        for entry in std::fs::read_dir(self.tree.node(node)?.path())? {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            if !self.tree.is_hidden(node, &name) {
                listed.push(Listed {
                    node: entry.ino(),
                    kind,
                    name,
                });
            }
        }
        Ok(self.keep(node, Opened::Directory(Arc::new(listed))))
    }

    pub(super) fn listing(&self, number: u64) -> io::Result<Arc<Vec<Listed>>> {
        match &self.handle(number)?.what {
            Opened::Directory(listed) => Ok(Arc::clone(listed)),
            Opened::File(_) => Err(Errno::NOTDIR.into()),
        }
    }

    pub(super) fn release(&mut self, number: u64) {
        self.handles.remove(&number);
    }

    /// Writes as much as there is room for; nothing at all is ENOSPC.
    pub(super) fn write(&mut self, number: u64, offset: u64, data: &[u8]) -> io::Result<usize> {
        let (node, file) = self.file(number)?;
        let size = file.metadata()?.len();
        let length = self.faults.take_space(size, offset, data.len() as u64);
        if length == 0 && !data.is_empty() {
            return Err(Errno::NOSPC.into());
        }
        let data = &data[..length as usize];
        let content = &mut self.tree.node_mut(node)?.content;
        content.before_change(&file, size, offset..offset + length)?;
        file.write_all_at(data, offset)?;
        Ok(data.len())
    }

    /// Cuts a file off or makes it longer, with zeros.
    pub(super) fn set_size(&mut self, node: u64, to: u64) -> io::Result<()> {
        self.check_power()?;
        let file = self.tree.node(node)?.open(true)?;
        let size = file.metadata()?.len();
        let growth = to.saturating_sub(size);
        if growth > 0 && self.faults.take_space(size, size, growth) < growth {
            return Err(Errno::NOSPC.into());
        }
        let content = &mut self.tree.node_mut(node)?.content;
        content.before_change(&file, size, to.min(size)..size)?;
        file.set_len(to)
    }

    /// Reserves room, or makes a hole: the modes that leave other bytes where they are.
    pub(super) fn allocate(
        &mut self,
        number: u64,
        offset: u64,
        length: u64,
        mode: FallocateFlags,
    ) -> io::Result<()> {
        let known =
            FallocateFlags::KEEP_SIZE | FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE;
        if !known.contains(mode) {
            return Err(Errno::OPNOTSUPP.into());
        }
        let (node, file) = self.file(number)?;
        let size = file.metadata()?.len();
        let end = offset.checked_add(length).ok_or(Errno::FBIG)?;
        let growth = end.saturating_sub(size);
        if !mode.contains(FallocateFlags::PUNCH_HOLE) {
            let room = self.faults.space_left.is_none_or(|left| growth <= left);
            if !room {
                return Err(Errno::NOSPC.into());
            }
            if !mode.contains(FallocateFlags::KEEP_SIZE) {
                self.faults.take_space(size, size, growth);
            }
        }
        let content = &mut self.tree.node_mut(node)?.content;
        content.before_change(&file, size, offset.min(size)..end.min(size))?;
        Ok(fallocate(&file, mode, offset, length)?)
    }

    /// A sync of a file begins: it covers what has been written until now.
    pub(super) fn begin_sync(&mut self, number: u64) -> io::Result<Sync> {
        let node = self.handle(number)?.node;
        let outcome = self.faults.next_sync();
        let content = &mut self.tree.node_mut(node)?.content;
        let ticket = if outcome == Outcome::Lies {
            None
        } else {
            content.seal()
        };
        Ok(Sync {
            delay: self.faults.sync_delay,
            life: self.life,
            node,
            ticket,
            outcome,
        })
    }

    /// A sync of a directory begins. Its names are durable from here on, not only when the answer is
    /// given: a disk may be early.
    pub(super) fn begin_directory_sync(&mut self, number: u64) -> io::Result<Sync> {
        let node = self.handle(number)?.node;
        let outcome = self.faults.next_sync();
        if outcome == Outcome::Durable {
            self.tree.directory_synced(node)?;
        }
        Ok(Sync {
            delay: self.faults.sync_delay,
            life: self.life,
            node,
            ticket: None,
            outcome,
        })
    }

    /// Whether the power has been on ever since the sync began.
    pub(super) fn concerns(&self, sync: &Sync) -> bool {
        self.powered && sync.life == self.life
    }

    /// A sync ends. When the power failed while it was under way, it has done nothing.
    pub(super) fn finish_sync(&mut self, sync: &Sync) -> io::Result<()> {
        if !self.concerns(sync) {
            return Err(Errno::IO.into());
        }
        if let Some(ticket) = sync.ticket {
            let node = self.tree.node_mut(sync.node)?;
            let size = node.handle.metadata()?.len();
            match sync.outcome {
                Outcome::Durable => node.content.synced(ticket),
                Outcome::Fails => node.content.sync_failed(ticket, size),
                Outcome::Lies => {}
            }
        }
        if sync.outcome == Outcome::Fails {
            Err(Errno::IO.into())
        } else {
            Ok(())
        }
    }
}
