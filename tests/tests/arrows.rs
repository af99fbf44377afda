//! Dependencies point one way: core ◄── log ◄── { gateway, replay } ◄── waybill, and core ◄── client ◄── waybill. This test
//! reads them from cargo, so it knows nothing of the crates' code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

/// Each crate of the workspace, and the crates of the workspace that it may depend on.
/// `None`: it may depend on any, and only its like may depend on it.
const ARROWS: &[(&str, Option<&[&str]>)] = &[
    ("waybill-core", Some(&[])),
    ("waybill-log", Some(&["waybill-core"])),
    ("waybill-gateway", Some(&["waybill-core", "waybill-log"])),
    ("waybill-replay", Some(&["waybill-core", "waybill-log"])),
    ("waybill-client", Some(&["waybill-core"])),
    (
        "waybill",
        Some(&[
            "waybill-core",
            "waybill-log",
            "waybill-gateway",
            "waybill-replay",
            "waybill-client",
        ]),
    ),
    ("waybill-tests", None),
    ("waybill-benches", None),
    ("waybill-fuzz", None),
];

/// What the tests of a crate may use besides: those of the client run against the server.
const IN_TESTS: &[(&str, &str)] = &[("waybill-client", "waybill-gateway")];

/// What must never be found below `core`, however deep: a runtime, a database, a network, a random source.
const NOT_IN_CORE: &[&str] = &[
    "tokio",
    "rocksdb",
    "librocksdb-sys",
    "hyper",
    "h2",
    "quinn",
    "rustls",
    "rand",
    "getrandom",
    "mio",
    "socket2",
    "tempfile",
    "parking_lot",
    "crossbeam-channel",
];

fn cargo(arguments: &[&str]) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(root)
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "cargo {arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Every crate of the workspace with all its dependencies, those of tests and build scripts included, but not those that
/// only its tests may have.
fn workspace() -> BTreeMap<String, BTreeSet<String>> {
    let text = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_slice(&text).expect("cargo prints JSON");
    let names = |list: &serde_json::Value| -> Vec<serde_json::Value> {
        list.as_array().expect("a list").clone()
    };
    names(&metadata["packages"])
        .iter()
        .map(|package| {
            let name = package["name"].as_str().expect("a name");
            let needs = names(&package["dependencies"])
                .iter()
                .map(|need| (need["name"].as_str().expect("a name"), &need["kind"]))
                .filter(|(need, kind)| *kind != "dev" || !IN_TESTS.contains(&(name, need)))
                .map(|(need, _)| need.to_owned())
                .collect();
            (name.to_owned(), needs)
        })
        .collect()
}

#[test]
fn arrows_go_one_way() {
    let workspace = workspace();
    let table: BTreeMap<&str, Option<&[&str]>> = ARROWS.iter().copied().collect();
    for (name, needs) in &workspace {
        let allowed = table.get(name.as_str()).unwrap_or_else(|| {
            panic!("crate {name} is not in the table of arrows: say there what it may depend on")
        });
        for need in needs.iter().filter(|need| workspace.contains_key(*need)) {
            if let Some(allowed) = allowed {
                assert!(
                    allowed.contains(&need.as_str()),
                    "{name} may not depend on {need}"
                );
            }
        }
    }
    for name in table.keys() {
        assert!(
            workspace.contains_key(*name),
            "{name} stands in the table but not in the workspace"
        );
    }
    // Without this the table would also hold for crates that do not use each other at all.
    assert!(workspace["waybill-log"].contains("waybill-core"));
    assert!(workspace["waybill"].contains("waybill-gateway"));
    assert!(workspace["waybill"].contains("waybill-replay"));
}

#[test]
fn core_has_no_runtime_and_no_database_below_it() {
    let text = cargo(&[
        "tree",
        "-p",
        "waybill-core",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let text = String::from_utf8(text).expect("names are UTF-8");
    let tree: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(
        tree.contains("waybill-core") && tree.contains("bincode"),
        "not a tree of core: {text}"
    );
    let found: Vec<&&str> = NOT_IN_CORE
        .iter()
        .filter(|name| tree.contains(**name))
        .collect();
    assert!(
        found.is_empty(),
        "core must stay pure, yet these stand below it: {found:?}"
    );
}
