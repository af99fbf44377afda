//! Answers the kernel's requests: translates them to calls of the machine and back. It decides nothing
//! about what is durable.
//!
//! Nothing is cached by the kernel beyond an open file, because a power cut changes everything at once.
//! Locks are left to the kernel. Extended attributes do not exist.

use std::ffi::OsStr;
use std::fs::{Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};
use parking_lot::{Condvar, Mutex};
use rustix::fs::{AtFlags, CWD, FallocateFlags, OFlags, Timespec, Timestamps, fstatvfs, utimensat};

use super::machine::{Machine, Sync};
use super::tree::ROOT;

/// How long the kernel may remember a name or attributes: not at all.
const NEVER: Duration = Duration::ZERO;
/// The largest write that the kernel hands over in one request, in bytes.
const MAX_WRITE: u32 = 1 << 20;
/// Longest name in a directory, in bytes (`NAME_MAX`).
const NAME_MAX: u32 = 255;

/// The machine, shared by the threads that serve the kernel, waiting syncs, and whoever controls it.
pub(super) struct Shared {
    pub(super) machine: Mutex<Machine>,
    /// Wakes syncs that wait, when the power fails.
    pub(super) power_failed: Condvar,
}

impl Shared {
    /// Waits until a sync is due, or the power fails, and finishes it.
    fn finish(&self, sync: &Sync) -> io::Result<()> {
        let due = Instant::now() + sync.delay;
        let mut machine = self.machine.lock();
        while machine.concerns(sync) && !self.power_failed.wait_until(&mut machine, due).timed_out()
        {
        }
        machine.finish_sync(sync)
    }
}

/// What FUSE calls.
pub(super) struct Served(pub(super) Arc<Shared>);

/// Answers with the outcome of an operation.
macro_rules! answer {
    ($reply:expr, $result:expr, $value:pat => $($answer:tt)+) => {
        match $result {
            Ok($value) => $reply.$($answer)+,
            Err(error) => $reply.error(Errno::from(error)),
        }
    };
}

impl Served {
    fn attributes(machine: &Machine, node: u64) -> io::Result<FileAttr> {
        machine.check_power()?;
        let (metadata, links) = machine.tree.node(node)?.metadata()?;
        let kind = file_type(metadata.file_type());
        Ok(FileAttr {
            ino: INodeNo(node),
            size: metadata.size(),
            blocks: metadata.blocks(),
            atime: time(metadata.atime(), metadata.atime_nsec()),
            mtime: time(metadata.mtime(), metadata.mtime_nsec()),
            ctime: time(metadata.ctime(), metadata.ctime_nsec()),
            crtime: UNIX_EPOCH,
            kind,
            perm: permissions(&metadata),
            nlink: u32::try_from(links).unwrap_or(u32::MAX),
            uid: metadata.uid(),
            gid: metadata.gid(),
            rdev: u32::try_from(metadata.rdev()).unwrap_or(0),
            blksize: u32::try_from(metadata.blksize()).unwrap_or(4096),
            flags: 0,
        })
    }

    /// Runs an operation that yields a node, which the kernel then refers to.
    fn entry(&self, reply: ReplyEntry, operation: impl FnOnce(&mut Machine) -> io::Result<u64>) {
        let mut machine = self.0.machine.lock();
        let attributes = machine
            .check_power()
            .and_then(|()| operation(&mut machine))
            .and_then(|node| Served::attributes(&machine, node));
        answer!(reply, attributes, attributes => entry(&NEVER, &attributes, Generation(0)));
    }

    /// Runs an operation that yields nothing.
    fn done(&self, reply: ReplyEmpty, operation: impl FnOnce(&mut Machine) -> io::Result<()>) {
        let mut machine = self.0.machine.lock();
        let result = machine.check_power().and_then(|()| operation(&mut machine));
        answer!(reply, result, () => ok());
    }

    /// Answers a sync after its delay, without holding up other requests.
    fn finish_later(&self, sync: io::Result<Sync>, reply: ReplyEmpty) {
        let sync = match sync {
            Ok(sync) => sync,
            Err(error) => return reply.error(Errno::from(error)),
        };
        if sync.delay.is_zero() {
            let result = self.0.machine.lock().finish_sync(&sync);
            return answer!(reply, result, () => ok());
        }
        let shared = Arc::clone(&self.0);
        // One thread a sync: there are never more than threads of the victim that wait for one. When the
        // thread cannot be started the reply is dropped, and the kernel then answers EIO by itself.
        let finish = move || answer!(reply, shared.finish(&sync), () => ok());
        drop(
            thread::Builder::new()
                .name("faultfs-sync".into())
                .spawn(finish),
        );
    }
}

fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    UNIX_EPOCH + Duration::new(seconds, u32::try_from(nanoseconds).unwrap_or(0))
}

fn permissions(metadata: &Metadata) -> u16 {
    u16::try_from(metadata.mode() & 0o7777).unwrap_or(0)
}

fn file_type(kind: std::fs::FileType) -> FileType {
    match kind {
        kind if kind.is_dir() => FileType::Directory,
        kind if kind.is_symlink() => FileType::Symlink,
        kind if kind.is_fifo() => FileType::NamedPipe,
        kind if kind.is_socket() => FileType::Socket,
        kind if kind.is_block_device() => FileType::BlockDevice,
        kind if kind.is_char_device() => FileType::CharDevice,
        _ => FileType::RegularFile,
    }
}

/// A time to set, in the form that `utimensat` takes.
fn to_set(time: Option<TimeOrNow>) -> Timespec {
    match time {
        None => Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        },
        Some(TimeOrNow::Now) => Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        },
        Some(TimeOrNow::SpecificTime(time)) => {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            Timespec {
                tv_sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: since.subsec_nanos().into(),
            }
        }
    }
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // The kernel offers what it can; a smaller value than asked for is fine.
        config.set_max_write(MAX_WRITE).ok();
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(reply, |machine| machine.tree.look_up(parent.0, name));
    }

    fn forget(&self, _: &Request, node: INodeNo, lookups: u64) {
        self.0.machine.lock().tree.forget(node.0, lookups);
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let attributes = Served::attributes(&self.0.machine.lock(), node.0);
        answer!(reply, attributes, attributes => attr(&NEVER, &attributes));
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut machine = self.0.machine.lock();
        let result = (|| {
            machine.check_power()?;
            if let Some(handle) = handle {
                machine.file(handle.0)?;
            }
            let path = machine.tree.node(node.0)?.path();
            if let Some(mode) = mode {
                std::fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777))?;
            }
            if uid.is_some() || gid.is_some() {
                std::os::unix::fs::chown(&path, uid, gid)?;
            }
            if let Some(size) = size {
                machine.set_size(node.0, size)?;
            }
            if atime.is_some() || mtime.is_some() {
                let times = Timestamps {
                    last_access: to_set(atime),
                    last_modification: to_set(mtime),
                };
                utimensat(CWD, &path, &times, AtFlags::empty())?;
            }
            Served::attributes(&machine, node.0)
        })();
        answer!(reply, result, attributes => attr(&NEVER, &attributes));
    }

    fn readlink(&self, _: &Request, node: INodeNo, reply: ReplyData) {
        let machine = self.0.machine.lock();
        let target = machine.check_power().and_then(|()| {
            let handle = &machine.tree.node(node.0)?.handle;
            Ok(rustix::fs::readlinkat(handle, c"", Vec::new())?)
        });
        answer!(reply, target, target => data(target.as_bytes()));
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        self.entry(reply, |machine| {
            machine.tree.make_directory(parent.0, name, mode)
        });
    }

    fn symlink(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        self.entry(reply, |machine| {
            machine.tree.make_symlink(parent.0, name, target)
        });
    }

    fn link(&self, _: &Request, node: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(reply, |machine| machine.tree.link(node.0, parent.0, name));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.done(reply, |machine| machine.tree.unlink(parent.0, name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.done(reply, |machine| {
            machine.tree.remove_directory(parent.0, name)
        });
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !RenameFlags::RENAME_NOREPLACE.contains(flags) {
            return reply.error(Errno::EINVAL);
        }
        let (from, to) = ((parent.0, name), (new_parent.0, new_name));
        self.done(reply, |machine| {
            machine.tree.rename(from, to, flags.is_empty())
        });
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let exclusive = flags & OFlags::EXCL.bits() as i32 != 0;
        let mut machine = self.0.machine.lock();
        let result = machine
            .create(parent.0, name, mode, exclusive)
            .and_then(|(node, handle)| Ok((Served::attributes(&machine, node)?, handle)));
        answer!(reply, result, (attributes, handle) =>
            created(&NEVER, &attributes, Generation(0), FileHandle(handle), FopenFlags::empty()));
    }

    fn open(&self, _: &Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let write = flags.acc_mode() != OpenAccMode::O_RDONLY;
        let handle = self.0.machine.lock().open(node.0, write);
        answer!(reply, handle, handle => opened(FileHandle(handle), FopenFlags::empty()));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        // The lock is not held while reading: a reader that races with a writer may see either.
        let file = self.0.machine.lock().file(handle.0);
        let bytes = file.and_then(|(_, file)| {
            let mut bytes = vec![0; size as usize];
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
                    0 => break,
                    count => filled += count,
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        });
        answer!(reply, bytes, bytes => data(&bytes));
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.0.machine.lock().write(handle.0, offset, data);
        // Never more than MAX_WRITE.
        answer!(reply, written, written => written(written as u32));
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let mode = FallocateFlags::from_bits_retain(mode as u32);
        self.done(reply, |machine| {
            machine.allocate(handle.0, offset, length, mode)
        });
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.0.machine.lock().release(handle.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        let sync = self.0.machine.lock().begin_sync(handle.0);
        self.finish_later(sync, reply);
    }

    fn opendir(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let handle = self.0.machine.lock().open_directory(node.0);
        answer!(reply, handle, handle => opened(FileHandle(handle), FopenFlags::empty()));
    }

    fn readdir(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = match self.0.machine.lock().listing(handle.0) {
            Ok(listed) => listed,
            Err(error) => return reply.error(Errno::from(error)),
        };
        let dots = [".", ".."].map(|name| (node.0, FileType::Directory, OsStr::new(name)));
        let names = listed
            .iter()
            .map(|entry| (entry.node, file_type(entry.kind), entry.name.as_os_str()));
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, (node, kind, name)) in dots.into_iter().chain(names).enumerate().skip(skip) {
            if reply.add(INodeNo(node), index as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.0.machine.lock().release(handle.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        let sync = self.0.machine.lock().begin_directory_sync(handle.0);
        self.finish_later(sync, reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let machine = self.0.machine.lock();
        let usage = machine
            .check_power()
            .and_then(|()| Ok(fstatvfs(&machine.tree.node(ROOT)?.handle)?));
        let left = machine.faults.space_left.unwrap_or(u64::MAX);
        answer!(reply, usage, usage => statfs(
            usage.f_blocks,
            usage.f_bfree.min(left / usage.f_frsize),
            usage.f_bavail.min(left / usage.f_frsize),
            usage.f_files,
            usage.f_ffree,
            u32::try_from(usage.f_bsize).unwrap_or(4096),
            NAME_MAX,
            u32::try_from(usage.f_frsize).unwrap_or(4096),
        ));
    }
}
