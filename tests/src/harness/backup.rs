//! An operator's copy of a server's data: taken while it runs, put back, and declared to be another history.

use std::path::{Path, PathBuf};

use super::http::Http;
use super::program::{Ran, run, waybill};
use super::server::Server;

/// Copies a directory as `cp -a` does: secrets stay their owner's.
///
/// # Panics
/// When it cannot be copied.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory can be made");
    let mode = std::fs::metadata(from).expect("a directory").permissions();
    std::fs::set_permissions(to, mode).expect("a mode can be set");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry of a directory");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).expect("a file can be copied");
        }
    }
}

/// Copies a running server's data and its secrets, as the operations manual has it.
///
/// # Panics
/// When no copy is to be had.
pub fn back_up(server: &Server, to: &Path) {
    let headers = [("Content-Type", "application/json")];
    let taken = Http::new(server.ops()).request("POST", "/snapshot", &headers, b"");
    let taken = taken.expect("an answer");
    assert_eq!(taken.status, 200, "{}", taken.text());
    let taken = PathBuf::from(taken.json()["path"].as_str().expect("a path"));
    copy(&taken, to);
    copy(&server.data().join("secrets"), &to.join("secrets"));
}

/// Puts a copy in the place of the data of a server that is not running, which lie beside them as `broken` then.
///
/// # Panics
/// When it cannot be done.
pub fn put_back(backup: &Path, data: &Path) {
    std::fs::rename(data, data.with_file_name("broken")).expect("a directory can be renamed");
    copy(backup, data);
}

/// `waybill restore` of a directory, with more flags.
///
/// # Panics
/// When it cannot be started, or does not end.
pub fn restore(data: &Path, more: &[&str]) -> Ran {
    let mut command = waybill();
    command.arg("restore").arg("--data").arg(data).args(more);
    run(&mut command)
}
