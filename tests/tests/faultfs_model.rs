//! The fault layer against a model of it: random changes, syncs and power cuts, after which the files must
//! be what a few maps say. The model knows nothing of how the layer undoes things.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use waybill_tests::faultfs::{Options, Sandbox, Survivors};

/// What is done. Directories are chosen by number among those that exist, names by number among few.
#[derive(Clone, Debug)]
enum Step {
    Write {
        directory: usize,
        name: usize,
        offset: u64,
        length: usize,
        byte: u8,
    },
    SetLen {
        directory: usize,
        name: usize,
        length: u64,
    },
    Sync {
        directory: usize,
        name: usize,
    },
    SyncDirectory {
        directory: usize,
    },
    MakeDirectory {
        directory: usize,
        name: usize,
    },
    Remove {
        directory: usize,
        name: usize,
    },
    Rename {
        directory: usize,
        from: usize,
        to: usize,
    },
    Link {
        directory: usize,
        name: usize,
        to_directory: usize,
        to: usize,
    },
    Cut,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (directory, name) = (|| 0usize..6, || 0..NAMES.len());
    let step = prop_oneof![
        6 => (directory(), name(), 0u64..12_000, 1usize..9_000, 1u8..)
            .prop_map(|(directory, name, offset, length, byte)| Step::Write {
                directory, name, offset, length, byte,
            }),
        2 => (directory(), name(), 0u64..15_000)
            .prop_map(|(directory, name, length)| Step::SetLen { directory, name, length }),
        3 => (directory(), name()).prop_map(|(directory, name)| Step::Sync { directory, name }),
        4 => directory().prop_map(|directory| Step::SyncDirectory { directory }),
        2 => (directory(), name())
            .prop_map(|(directory, name)| Step::MakeDirectory { directory, name }),
        3 => (directory(), name()).prop_map(|(directory, name)| Step::Remove { directory, name }),
        3 => (directory(), name(), name())
            .prop_map(|(directory, from, to)| Step::Rename { directory, from, to }),
        2 => (directory(), name(), directory(), name()).prop_map(
            |(directory, name, to_directory, to)| Step::Link { directory, name, to_directory, to }
        ),
        1 => Just(Step::Cut),
    ];
    prop::collection::vec(step, 1..80)
}

/// A file or directory, as a program sees it and as the disk has it.
#[derive(Clone)]
enum Node {
    File {
        live: Vec<u8>,
        durable: Vec<u8>,
    },
    Directory {
        live: BTreeMap<&'static str, usize>,
        durable: BTreeMap<&'static str, usize>,
    },
}

/// Nodes by number, 0 being the root. None is ever removed from the list.
struct Model(Vec<Node>);

impl Model {
    fn new() -> Model {
        Model(vec![Node::Directory {
            live: BTreeMap::new(),
            durable: BTreeMap::new(),
        }])
    }

    fn entries(&self, directory: usize) -> &BTreeMap<&'static str, usize> {
        match &self.0[directory] {
            Node::Directory { live, .. } => live,
            Node::File { .. } => panic!("{directory} is a file"),
        }
    }

    fn entries_mut(&mut self, directory: usize) -> &mut BTreeMap<&'static str, usize> {
        match &mut self.0[directory] {
            Node::Directory { live, .. } => live,
            Node::File { .. } => panic!("{directory} is a file"),
        }
    }

    fn is_directory(&self, node: usize) -> bool {
        matches!(self.0[node], Node::Directory { .. })
    }

    fn add(&mut self, directory: usize, name: &'static str, node: Node) {
        self.0.push(node);
        let number = self.0.len() - 1;
        self.entries_mut(directory).insert(name, number);
    }

    /// The directories that exist, with their paths.
    fn directories(&self, root: &Path) -> Vec<(usize, PathBuf)> {
        let mut found = vec![(0, root.to_owned())];
        let mut next = 0;
        while next < found.len() {
            let (directory, path) = found[next].clone();
            let below = self
                .entries(directory)
                .iter()
                .filter(|(_, node)| self.is_directory(**node));
            found.extend(below.map(|(name, node)| (*node, path.join(name))));
            next += 1;
        }
        found
    }

    fn cut(&mut self) {
        for node in &mut self.0 {
            match node {
                Node::File { live, durable } => live.clone_from(durable),
                Node::Directory { live, durable } => live.clone_from(durable),
            }
        }
    }

    fn assert_same(&self, directory: usize, path: &Path) {
        let entries = self.entries(directory);
        let mut names: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            entries.keys().copied().collect::<Vec<_>>(),
            "in {path:?}"
        );
        for (name, node) in entries {
            let path = path.join(name);
            match &self.0[*node] {
                Node::File { live, .. } => {
                    let bytes = fs::read(&path).unwrap();
                    let first = bytes.iter().zip(live).position(|(one, other)| one != other);
                    assert!(
                        bytes == *live,
                        "{path:?} has {} bytes, expected {}; the first other one is {first:?}",
                        bytes.len(),
                        live.len()
                    );
                }
                Node::Directory { .. } => self.assert_same(*node, &path),
            }
        }
    }

    /// Does a step here and there; one that makes no sense now is left out.
    fn step(&mut self, step: &Step, root: &Path, cut: &dyn Fn()) {
        let directories = self.directories(root);
        let chosen = |number: &usize| directories[number % directories.len()].clone();
        match step {
            Step::Write {
                directory,
                name,
                offset,
                length,
                byte,
            } => {
                self.write(
                    chosen(directory),
                    NAMES[*name],
                    *offset,
                    &vec![*byte; *length],
                );
            }
            Step::SetLen {
                directory,
                name,
                length,
            } => {
                self.set_len(chosen(directory), NAMES[*name], *length);
            }
            Step::Sync { directory, name } => {
                let (directory, path) = chosen(directory);
                let Some(node) = self.entries(directory).get(NAMES[*name]).copied() else {
                    return;
                };
                if let Node::File { live, durable } = &mut self.0[node] {
                    File::open(path.join(NAMES[*name]))
                        .unwrap()
                        .sync_data()
                        .unwrap();
                    durable.clone_from(live);
                }
            }
            Step::SyncDirectory { directory } => {
                let (directory, path) = chosen(directory);
                File::open(path).unwrap().sync_all().unwrap();
                if let Node::Directory { live, durable } = &mut self.0[directory] {
                    durable.clone_from(live);
                }
            }
            Step::MakeDirectory { directory, name } => {
                let (directory, path) = chosen(directory);
                if !self.entries(directory).contains_key(NAMES[*name]) {
                    fs::create_dir(path.join(NAMES[*name])).unwrap();
                    let node = Node::Directory {
                        live: BTreeMap::new(),
                        durable: BTreeMap::new(),
                    };
                    self.add(directory, NAMES[*name], node);
                }
            }
            Step::Remove { directory, name } => self.remove(chosen(directory), NAMES[*name]),
            Step::Rename {
                directory,
                from,
                to,
            } => {
                self.rename(chosen(directory), NAMES[*from], NAMES[*to]);
            }
            Step::Link {
                directory,
                name,
                to_directory,
                to,
            } => {
                let ((from, from_path), (to_directory, to_path)) =
                    (chosen(directory), chosen(to_directory));
                let Some(node) = self.entries(from).get(NAMES[*name]).copied() else {
                    return;
                };
                if !self.is_directory(node) && !self.entries(to_directory).contains_key(NAMES[*to])
                {
                    fs::hard_link(from_path.join(NAMES[*name]), to_path.join(NAMES[*to])).unwrap();
                    self.entries_mut(to_directory).insert(NAMES[*to], node);
                }
            }
            Step::Cut => {
                cut();
                self.cut();
                self.assert_same(0, root);
            }
        }
    }

    fn write(&mut self, at: (usize, PathBuf), name: &'static str, offset: u64, bytes: &[u8]) {
        let (directory, path) = at;
        if !self.entries(directory).contains_key(name) {
            self.add(
                directory,
                name,
                Node::File {
                    live: Vec::new(),
                    durable: Vec::new(),
                },
            );
        }
        let node = self.entries(directory)[name];
        let Node::File { live, .. } = &mut self.0[node] else {
            return;
        };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(name))
            .unwrap();
        file.write_all_at(bytes, offset).unwrap();
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        live.resize(live.len().max(end), 0);
        live[start..end].copy_from_slice(bytes);
    }

    fn set_len(&mut self, at: (usize, PathBuf), name: &'static str, length: u64) {
        let (directory, path) = at;
        let Some(node) = self.entries(directory).get(name).copied() else {
            return;
        };
        let Node::File { live, .. } = &mut self.0[node] else {
            return;
        };
        let file = OpenOptions::new()
            .write(true)
            .open(path.join(name))
            .unwrap();
        file.set_len(length).unwrap();
        live.resize(length as usize, 0);
    }

    fn remove(&mut self, at: (usize, PathBuf), name: &'static str) {
        let (directory, path) = at;
        let Some(node) = self.entries(directory).get(name).copied() else {
            return;
        };
        if !self.is_directory(node) {
            fs::remove_file(path.join(name)).unwrap();
        } else if self.entries(node).is_empty() {
            fs::remove_dir(path.join(name)).unwrap();
        } else {
            assert!(fs::remove_dir(path.join(name)).is_err());
            return;
        }
        self.entries_mut(directory).remove(name);
    }

    fn rename(&mut self, at: (usize, PathBuf), from: &'static str, to: &'static str) {
        let (directory, path) = at;
        let entries = self.entries(directory);
        let Some(moved) = entries.get(from).copied() else {
            return;
        };
        let allowed = match entries.get(to).copied() {
            None => true,
            Some(replaced) if replaced == moved => false,
            Some(replaced) if self.is_directory(replaced) => {
                self.is_directory(moved) && self.entries(replaced).is_empty()
            }
            Some(_) => !self.is_directory(moved),
        };
        if !allowed {
            return;
        }
        fs::rename(path.join(from), path.join(to)).unwrap();
        let entries = self.entries_mut(directory);
        entries.remove(from);
        entries.insert(to, moved);
    }
}

#[test]
fn random_changes_syncs_and_cuts_leave_what_the_model_says() {
    let sandbox = Sandbox::new(&Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let top = sandbox.path("");
    let cut = || {
        sandbox.fs.power_cut(Survivors::Nothing).unwrap();
    };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let case = std::cell::Cell::new(0);
    let outcome = runner.run(&steps(), |steps| {
        // Each case has a directory of its own, and the next one does not depend on how it ended.
        case.set(case.get() + 1);
        let root = top.join(case.get().to_string());
        fs::create_dir(&root).unwrap();
        File::open(&top).unwrap().sync_all().unwrap();
        let mut model = Model::new();
        for step in &steps {
            model.step(step, &root, &cut);
        }
        model.assert_same(0, &root);
        cut();
        model.cut();
        model.assert_same(0, &root);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
