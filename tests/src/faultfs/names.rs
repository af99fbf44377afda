//! Names in directories, and which of them are durable. A change of a name is durable when the directory
//! is synced, which is the least that POSIX promises. It knows the tree and nothing of content.
//!
//! Of every name changed since the last sync of its directory, the durable node is kept: a file by a
//! second name in the graveyard, a directory by being moved there when it is removed. A rename from one
//! directory into another is durable, at both ends, when either is synced: no file system in use lets a
//! renamed file vanish or double.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, mkdirat, openat, renameat, renameat_with,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::Survivors;
use super::tree::Tree;
use crate::dice::Dice;

/// A name that differs from the durable image, or did for a moment.
pub(super) struct Pending {
    /// What the name means in the durable image.
    durable: Option<u64>,
    /// Set by a rename between directories: its other end, and what it left here.
    rename: Option<Rename>,
}

struct Rename {
    other: Place,
    left: Option<u64>,
}

/// A name in a directory.
type Place = (u64, OsString);

/// The name of a node in the graveyard.
fn grave(id: u64) -> String {
    id.to_string()
}

impl Tree {
    /// Creates a file, or opens one that has appeared meanwhile. The kernel holds a reference afterwards.
    pub(super) fn create(
        &mut self,
        parent: u64,
        name: &OsStr,
        mode: u32,
        exclusive: bool,
    ) -> io::Result<(u64, File)> {
        self.change(&[(parent, name)], |tree| {
            let mut flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            flags.set(OFlags::EXCL, exclusive);
            let directory = &tree.node(parent)?.handle;
            let file = File::from(openat(directory, name, flags, Mode::from_raw_mode(0o600))?);
            file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
            Ok((tree.look_up(parent, name)?, file))
        })
    }

    /// Makes a directory. The kernel holds a reference afterwards.
    pub(super) fn make_directory(
        &mut self,
        parent: u64,
        name: &OsStr,
        mode: u32,
    ) -> io::Result<u64> {
        self.change(&[(parent, name)], |tree| {
            mkdirat(&tree.node(parent)?.handle, name, Mode::from_raw_mode(0o700))?;
            let id = tree.look_up(parent, name)?;
            let permissions = Permissions::from_mode(mode & 0o7777);
            std::fs::set_permissions(tree.node(id)?.path(), permissions)?;
            Ok(id)
        })
    }

    /// Makes a symbolic link. The kernel holds a reference afterwards.
    pub(super) fn make_symlink(
        &mut self,
        parent: u64,
        name: &OsStr,
        target: &Path,
    ) -> io::Result<u64> {
        self.change(&[(parent, name)], |tree| {
            symlinkat(target, &tree.node(parent)?.handle, name)?;
            tree.look_up(parent, name)
        })
    }

    /// Gives a file another name. The kernel holds a reference afterwards.
    pub(super) fn link(&mut self, id: u64, parent: u64, name: &OsStr) -> io::Result<u64> {
        self.change(&[(parent, name)], |tree| {
            let from = tree.node(id)?.path();
            let directory = &tree.node(parent)?.handle;
            linkat(CWD, &from, directory, name, AtFlags::SYMLINK_FOLLOW)?;
            tree.look_up(parent, name)
        })
    }

    /// Removes a name of a file.
    pub(super) fn unlink(&mut self, parent: u64, name: &OsStr) -> io::Result<()> {
        self.change(&[(parent, name)], |tree| {
            Ok(unlinkat(
                &tree.node(parent)?.handle,
                name,
                AtFlags::empty(),
            )?)
        })
    }

    /// Removes an empty directory.
    pub(super) fn remove_directory(&mut self, parent: u64, name: &OsStr) -> io::Result<()> {
        self.change(&[(parent, name)], |tree| {
            let id = tree.find(parent, name)?.ok_or(Errno::NOENT)?;
            if tree.node(id)?.directory && tree.node(id)?.claims > 0 {
                return tree.bury_directory(id, parent, name);
            }
            unlinkat(&tree.node(parent)?.handle, name, AtFlags::REMOVEDIR)?;
            tree.release_pending(id)
        })
    }

    /// Renames, replacing what has the new name, or refusing to where `replace` is false.
    pub(super) fn rename(
        &mut self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        replace: bool,
    ) -> io::Result<()> {
        self.change(&[from, to], |tree| {
            let moved = tree.find(from.0, from.1)?.ok_or(Errno::NOENT)?;
            let target = tree.find(to.0, to.1)?;
            let both_directories = |tree: &Tree, id: &u64| {
                let directory = |id| tree.nodes.get(id).is_some_and(|node| node.directory);
                *id != moved && directory(id) && directory(&moved)
            };
            let replaced = target.filter(|id| replace && both_directories(tree, id));
            let kept = replaced.filter(|id| tree.nodes.get(id).is_some_and(|node| node.claims > 0));
            if let Some(id) = kept {
                tree.bury_directory(id, to.0, to.1)?;
            }
            let flags = if replace {
                RenameFlags::empty()
            } else {
                RenameFlags::NOREPLACE
            };
            let (old, new) = (&tree.node(from.0)?.handle, &tree.node(to.0)?.handle);
            if let Err(error) = renameat_with(old, from.1, new, to.1, flags) {
                kept.map_or(Ok(()), |id| tree.put_back(id, to.0, to.1))?;
                return Err(error.into());
            }
            if let Some(id) = replaced.filter(|id| Some(*id) != kept) {
                tree.release_pending(id)?;
            }
            tree.note_rename(moved, (from.0, from.1.into()), (to.0, to.1.into()))
        })
    }

    /// The directory has been synced: its names are durable as they stand.
    pub(super) fn directory_synced(&mut self, id: u64) -> io::Result<()> {
        for (name, pending) in std::mem::take(&mut self.node_mut(id)?.pending) {
            self.unclaim(pending.durable)?;
            if let Some(rename) = pending.rename {
                self.other_end_synced(rename.other, &(id, name))?;
            }
        }
        self.drop_unused(id);
        Ok(())
    }

    /// Runs a change of names, and keeps book of what the durable image has under them.
    fn change<T>(
        &mut self,
        places: &[(u64, &OsStr)],
        action: impl FnOnce(&mut Tree) -> io::Result<T>,
    ) -> io::Result<T> {
        if places
            .iter()
            .any(|(parent, name)| self.is_hidden(*parent, name))
        {
            return Err(Errno::PERM.into());
        }
        for (parent, name) in places {
            self.note(*parent, name)?;
        }
        let result = action(self);
        for (parent, name) in places {
            self.settle(*parent, name)?;
        }
        result
    }

    /// Remembers what a name means in the durable image, before it is changed.
    fn note(&mut self, parent: u64, name: &OsStr) -> io::Result<()> {
        if self.node(parent)?.pending.contains_key(name) {
            return Ok(());
        }
        let durable = self.find(parent, name)?;
        if let Some(id) = durable {
            self.claim(id, parent, name)?;
        }
        let pending = Pending {
            durable,
            rename: None,
        };
        self.node_mut(parent)?.pending.insert(name.into(), pending);
        Ok(())
    }

    /// Drops the note when the name means again what it means in the durable image.
    fn settle(&mut self, parent: u64, name: &OsStr) -> io::Result<()> {
        let live = self.find(parent, name)?;
        let pending = &mut self.node_mut(parent)?.pending;
        if pending
            .get(name)
            .is_some_and(|pending| pending.durable == live)
        {
            pending.remove(name);
            self.unclaim(live)?;
        }
        live.into_iter().for_each(|id| self.drop_unused(id));
        Ok(())
    }

    /// One more durable name means this node: a file gets a second name that keeps it.
    fn claim(&mut self, id: u64, parent: u64, name: &OsStr) -> io::Result<()> {
        let node = self.node(id)?;
        if !node.directory && !node.buried {
            let directory = &self.node(parent)?.handle;
            linkat(
                directory,
                name,
                &self.graveyard,
                grave(id),
                AtFlags::empty(),
            )?;
            self.node_mut(id)?.buried = true;
        }
        self.node_mut(id)?.claims += 1;
        Ok(())
    }

    /// One durable name less means this node: without any, it need not be kept.
    fn unclaim(&mut self, id: Option<u64>) -> io::Result<()> {
        let Some(id) = id else { return Ok(()) };
        let node = self.node_mut(id)?;
        node.claims -= 1;
        if node.claims == 0 && node.buried {
            node.buried = false;
            if node.directory {
                self.release_pending(id)?;
                unlinkat(&self.graveyard, grave(id), AtFlags::REMOVEDIR)?;
            } else {
                unlinkat(&self.graveyard, grave(id), AtFlags::empty())?;
            }
        }
        self.drop_unused(id);
        Ok(())
    }

    /// A directory is gone for good, and with it the durable names in it.
    fn release_pending(&mut self, id: u64) -> io::Result<()> {
        for pending in std::mem::take(&mut self.node_mut(id)?.pending).into_values() {
            self.unclaim(pending.durable)?;
        }
        Ok(())
    }

    /// Moves an empty directory out of sight instead of removing it.
    fn bury_directory(&mut self, id: u64, parent: u64, name: &OsStr) -> io::Result<()> {
        if std::fs::read_dir(self.node(id)?.path())?.next().is_some() {
            return Err(Errno::NOTEMPTY.into());
        }
        renameat(&self.node(parent)?.handle, name, &self.graveyard, grave(id))?;
        self.node_mut(id)?.buried = true;
        Ok(())
    }

    /// Ties the two ends of a rename between directories together, over renames in between.
    fn note_rename(&mut self, moved: u64, from: Place, to: Place) -> io::Result<()> {
        let pending = self.node_mut(from.0)?.pending.get_mut(&from.1);
        let earlier =
            pending.and_then(|pending| pending.rename.take_if(|rename| rename.left == Some(moved)));
        let origin = earlier.map_or(from, |rename| rename.other);
        if origin.0 == to.0 {
            return Ok(());
        }
        let ends = [
            (origin.clone(), to.clone(), None),
            (to, origin, Some(moved)),
        ];
        for (place, other, left) in ends {
            if let Some(pending) = self.node_mut(place.0)?.pending.get_mut(&place.1) {
                pending.rename = Some(Rename { other, left });
            }
        }
        Ok(())
    }

    /// The directory at one end of a rename has been synced, so the rename is durable at `place` too.
    fn other_end_synced(&mut self, place: Place, synced: &Place) -> io::Result<()> {
        let (parent, name) = place;
        let Some(pending) = self
            .nodes
            .get_mut(&parent)
            .and_then(|node| node.pending.get_mut(&name))
        else {
            return Ok(());
        };
        let Some(rename) = pending.rename.take_if(|rename| rename.other == *synced) else {
            return Ok(());
        };
        let durable = pending.durable;
        match rename.left {
            None => {
                pending.durable = None;
                self.unclaim(durable)?;
            }
            Some(left) => {
                if self.find(parent, &name)? == Some(left) {
                    self.node_mut(parent)?.pending.remove(&name);
                    self.unclaim(durable)?;
                }
            }
        }
        self.settle(parent, &name)
    }

    /// Power is lost: brings all names back to what is durable. Returns how many were changed.
    pub(super) fn power_cut_names(
        &mut self,
        survivors: Survivors,
        dice: &mut Dice,
    ) -> io::Result<u64> {
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        for id in ids {
            let torn = survivors != Survivors::Nothing;
            if torn
                && self
                    .nodes
                    .get(&id)
                    .is_some_and(|node| !node.pending.is_empty())
                && dice.coin()
            {
                self.directory_synced(id)?;
            }
        }
        let mut changed = Vec::new();
        for (id, node) in &mut self.nodes {
            let pending: BTreeMap<OsString, Pending> = std::mem::take(&mut node.pending);
            changed.extend(
                pending
                    .into_iter()
                    .map(|(name, pending)| (*id, name, pending.durable)),
            );
        }
        for (parent, name, durable) in &changed {
            let live = self.find(*parent, name)?;
            if live != *durable
                && let Some(id) = live
            {
                self.take_away(id, *parent, name)?;
            }
        }
        for (parent, name, durable) in &changed {
            if let Some(id) = durable
                && self.find(*parent, name)?.is_none()
            {
                self.put_back(*id, *parent, name)?;
            }
        }
        self.empty_graveyard()?;
        Ok(changed.len() as u64)
    }

    fn take_away(&mut self, id: u64, parent: u64, name: &OsStr) -> io::Result<()> {
        let directory = &self.node(parent)?.handle;
        if self.node(id)?.directory {
            renameat(directory, name, &self.graveyard, grave(id))?;
            self.node_mut(id)?.buried = true;
        } else {
            unlinkat(directory, name, AtFlags::empty())?;
        }
        Ok(())
    }

    fn put_back(&mut self, id: u64, parent: u64, name: &OsStr) -> io::Result<()> {
        let directory = &self.node(parent)?.handle;
        if self.node(id)?.directory {
            renameat(&self.graveyard, grave(id), directory, name)?;
            self.node_mut(id)?.buried = false;
        } else {
            linkat(
                &self.graveyard,
                grave(id),
                directory,
                name,
                AtFlags::empty(),
            )?;
        }
        Ok(())
    }

    fn empty_graveyard(&mut self) -> io::Result<()> {
        for (id, node) in &mut self.nodes {
            node.claims = 0;
            if !std::mem::take(&mut node.buried) {
                continue;
            }
            if node.directory {
                std::fs::remove_dir_all(self.graveyard_path.join(grave(*id)))?;
            } else {
                unlinkat(&self.graveyard, grave(*id), AtFlags::empty())?;
            }
        }
        Ok(())
    }
}
