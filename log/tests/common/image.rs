//! A directory as plain data: what a kill leaves behind, to be changed, put together with others and written out again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Every file, by its path from the directory. Empty directories are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Image {
    /// The directory as it is, also while somebody has it open and writes nothing.
    pub fn of(path: &Path) -> Self {
        let mut image = Self::default();
        image.take_in(path, path);
        image
    }

    fn take_in(&mut self, root: &Path, path: &Path) {
        for entry in path.read_dir().expect("is a directory") {
            let path = entry.expect("is there").path();
            if path.is_dir() {
                self.take_in(root, &path);
            } else {
                let name = path.strip_prefix(root).expect("lies below").to_owned();
                self.files
                    .insert(name, std::fs::read(&path).expect("reads"));
            }
        }
    }

    /// This one without the files that nobody needs to open a database.
    pub fn lean(mut self) -> Self {
        self.files.retain(|path, _| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            !(name.starts_with("LOG")
                || name.starts_with("OPTIONS")
                || name == "LOCK"
                || name == "lock")
        });
        self
    }

    pub fn without(mut self, part: &str) -> Self {
        self.files.retain(|path, _| !path.starts_with(part));
        self
    }

    /// This one with a part (a file or a directory) as another one has it.
    pub fn with(self, part: &str, other: &Self) -> Self {
        let mut image = self.without(part);
        let theirs = other
            .files
            .iter()
            .filter(|(path, _)| path.starts_with(part));
        image
            .files
            .extend(theirs.map(|(path, bytes)| (path.clone(), bytes.clone())));
        image
    }

    pub fn change(&self, file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut image = self.clone();
        change(image.files.get_mut(file).expect("is there"));
        image
    }

    /// The files of a directory whose names end so, largest first.
    pub fn named(&self, directory: &str, end: &str) -> Vec<PathBuf> {
        let mut found: Vec<_> = self
            .files
            .iter()
            .filter(|(path, _)| {
                path.starts_with(directory) && path.to_string_lossy().ends_with(end)
            })
            .collect();
        found.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes.len()));
        found.into_iter().map(|(path, _)| path.clone()).collect()
    }

    pub fn write_to(&self, path: &Path) {
        for (name, bytes) in &self.files {
            let file = path.join(name);
            std::fs::create_dir_all(file.parent().expect("lies below")).expect("makes");
            std::fs::write(file, bytes).expect("writes");
        }
    }

    /// Writes it out where that is fastest.
    pub fn write_out(&self) -> TempDir {
        let dir = quick_dir();
        self.write_to(dir.path());
        dir
    }
}

/// A directory in memory, where the system has such; what is tested there does not depend on a disk.
pub fn quick_dir() -> TempDir {
    let shared = tempfile::tempdir_in("/dev/shm");
    shared
        .or_else(|_| tempfile::tempdir())
        .expect("a directory")
}
