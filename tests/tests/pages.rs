//! The pages for callers: what they print to be typed is run as it stands, against the real program.

use std::path::Path;
use std::process::Command;

use waybill_tests::harness::Server;

/// The code blocks of one language, in order.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let lead = format!("\n```{language}\n");
    let rest = page.split(lead.as_str()).skip(1);
    rest.map(|rest| rest.split("\n```").next().unwrap_or_default().to_owned())
        .collect()
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    std::fs::read_to_string(path).expect("the page")
}

/// Runs a program on a text, and gives what it printed.
fn run(program: &str, flag: &str, text: &str, server: &Server) -> String {
    let output = Command::new(program)
        .args([flag, text])
        .env("WAYBILL", format!("http://{}", server.http()))
        .env("TOKEN", server.admin_token())
        .output()
        .expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{printed}\n{complained}");
    assert!(
        !printed.contains("urn:waybill:problem:"),
        "{text}\n{printed}"
    );
    printed
}

#[test]
fn the_examples_for_business_systems_run_as_they_stand() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path());
    for name in ["business.md", "business.zh.md"] {
        let page = page(name);
        let shell = blocks(&page, "sh");
        assert!(shell.len() >= 6, "{name}");
        // The first says where the server of `make run` is; this one is elsewhere. The others share a shell.
        let (where_, examples) = shell.split_first().expect("blocks");
        assert!(where_.contains("WAYBILL=") && where_.contains("TOKEN="));
        let text = format!("set -eu\n{}", examples.join("\necho; sleep 0.3\n"));
        let printed = run("bash", "-c", &text, &server);
        for expected in [
            "serverMsgID",
            "\"task\"",
            "\"members\":3",
            "\"delivered\":3",
            "\"state\":\"durable\"",
            "\"recalled\"",
        ] {
            assert!(
                printed.contains(expected),
                "{name}: {expected} is missing in\n{printed}"
            );
        }
        for python in blocks(&page, "python") {
            let printed = run("python3", "-c", &python, &server);
            assert!(printed.contains("'unread': "), "{printed}");
        }
    }
    server.stop();
}
