use std::io::Write;

use super::*;

fn load(file: &str, environment: &[(&str, &str)], overrides: Overrides) -> Result<Config, String> {
    let mut on_disk = tempfile::NamedTempFile::new().unwrap();
    on_disk.write_all(file.as_bytes()).unwrap();
    let environment = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::load(Some(on_disk.path()), environment, overrides).map_err(|error| error.to_string())
}

fn refused(file: &str, environment: &[(&str, &str)]) -> String {
    match load(file, environment, Overrides::default()) {
        Ok(_) => panic!("was accepted: {file} {environment:?}"),
        Err(text) => text,
    }
}

#[test]
fn the_defaults_are_usable_and_listen_on_loopback_only() {
    let config = Config::load(None, [], Overrides::default()).unwrap();
    let ports: Vec<_> = config.listen.http.iter().map(SocketAddr::port).collect();
    assert_eq!(ports, [10_002, 10_000]);
    assert_eq!(config.listen.quic.port(), 10_003);
    assert_eq!(config.listen.ops.port(), 9_464);
    let all = config
        .listen
        .http
        .iter()
        .chain([&config.listen.quic, &config.listen.ops]);
    assert!(all.into_iter().all(|address| address.ip().is_loopback()));
    assert_eq!(config.openim.managers[0].id, "openIM123456");
    assert!(config.openim.secret.is_none() && config.openim.access_secret.is_none());
    assert_eq!(config.unknown_receiver, UnknownReceiver::Accept);
}

#[test]
fn flags_outrank_the_environment_which_outranks_the_file() {
    let file = r#"
        data = "/from/file"
        memory_mib = 300
        unknown_receiver = "refuse"
        push.title = "from file"
        [listen]
        http = "127.0.0.1:1"
        quic = "127.0.0.1:2"
        [limits]
        page_entries = 10
    "#;
    let environment = [
        ("WAYBILL_DATA", "/from/environment"),
        ("WAYBILL_LISTEN_HTTP", "127.0.0.1:3, [::1]:4"),
        ("WAYBILL_LIMITS_PAGE_ENTRIES", "20"),
        ("WAYBILL_TOKEN", "belongs to the client commands"),
        ("PATH", "/bin"),
    ];
    let overrides = Overrides {
        data: Some("/from/flag".into()),
        ..Overrides::default()
    };
    let config = load(file, &environment, overrides).unwrap();
    assert_eq!(config.data, PathBuf::from("/from/flag"));
    assert_eq!(config.memory_mib, 300);
    assert_eq!(
        config.listen.http,
        ["127.0.0.1:3", "[::1]:4"].map(|text| text.parse().unwrap())
    );
    assert_eq!(config.listen.quic.port(), 2);
    assert_eq!(config.limits.page_entries, 20);
    assert_eq!(config.unknown_receiver, UnknownReceiver::Refuse);
    assert_eq!(config.push_title, "from file");
}

#[test]
fn an_http_flag_leaves_only_its_address() {
    let overrides = Overrides {
        http: vec!["0.0.0.0:8080".parse().unwrap()],
        ..Overrides::default()
    };
    let config = load(
        "listen.http = [\"127.0.0.1:1\", \"127.0.0.1:2\"]",
        &[],
        overrides,
    )
    .unwrap();
    assert_eq!(config.listen.http, ["0.0.0.0:8080".parse().unwrap()]);
}

#[test]
fn managers_and_secrets_are_read_from_file_and_environment() {
    let file = r#"
        [openim]
        access_secret = "0123456789abcdef0123456789abcdef"
        access_secret_old = "fedcba9876543210fedcba9876543210"
        access_secret_old_until = 2027-01-31
        managers = [{ id = "oa", nickname = "OA", face = "http://f" }, { id = "hr", operation_id_is_key = true }]
    "#;
    let config = load(file, &[], Overrides::default()).unwrap();
    assert_eq!(config.openim.access_secret_old_until, Some(1_801_353_600));
    assert_eq!(config.manager("oa").unwrap().nickname, "OA");
    assert!(config.manager("hr").unwrap().operation_id_is_key);
    assert!(config.manager("openIM123456").is_none());
    assert!(
        !format!("{config:?}").contains("0123456789abcdef"),
        "secrets are not printed"
    );

    let environment = [("WAYBILL_OPENIM_MANAGERS", r#"[{ id = "from-env" }]"#)];
    let config = load(file, &environment, Overrides::default()).unwrap();
    assert!(config.manager("from-env").is_some() && config.manager("oa").is_none());
}

#[test]
fn every_problem_is_reported_at_once_with_its_key() {
    let file = r#"
        colour = "red"
        memory_mib = "much"
        [listen]
        http = ["nowhere"]
        [limits]
        http_body_bytes = 9000000
        frobs = 1
        [openim]
        secret = "short"
        managers = [{ id = "" }, { id = "a" }, { id = "a" }]
    "#;
    let text = refused(
        file,
        &[("WAYBILL_COLOR", "red"), ("WAYBILL_RECOVERY_MIB", "x")],
    );
    for expected in [
        "colour: is not known",
        "memory_mib: must be a whole number from 192",
        "listen.http: must be an address",
        "limits.http_body_bytes: must be a whole number from 4096 to 8388608",
        "limits.frobs: is not known",
        "openim.secret: must have 16 to 32 characters",
        "the id \"\" is empty",
        "the id \"a\" is there twice",
        "environment variable WAYBILL_COLOR: is not known",
        "environment variable WAYBILL_RECOVERY_MIB: recovery.mib: must be a whole number",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in {text}");
    }
}

#[test]
fn bad_values_are_refused() {
    let table = [
        ("unknown_receiver = \"maybe\"", "unknown_receiver"),
        ("listen.http = []", "at least one address"),
        (
            "listen.http = [\"127.0.0.1:5\", \"127.0.0.1:5\"]",
            "named twice",
        ),
        ("listen.ops = \"127.0.0.1:10002\"", "named twice"),
        ("tls.cert = \"c.pem\"", "tls.key: must be set too"),
        ("tls.key = \"k.pem\"", "tls.cert: must be set too"),
        ("openim.managers = []", "at least one account"),
        (
            "openim.managers = [{ id = \"a\", colour = 1 }]",
            "colour: is not known",
        ),
        ("openim.managers = [{ id = 1 }]", "id: must be a text"),
        (
            "openim.access_secret = \"open_im_server\"",
            "must have 32 to 1024 bytes",
        ),
        (
            "openim.access_secret_old_until = 2027-01-31",
            "access_secret_old: must be set too",
        ),
        (
            "openim.access_secret_old = \"0123456789abcdef0123456789abcdef\"",
            "access_secret_old_until: must be set too",
        ),
        (
            "openim.access_secret_old_until = \"soon\"",
            "must be a date",
        ),
        ("openim.token_days = 0", "from 1 to 36500"),
        (
            "memory_mib = 192\nrecovery.mib = 49",
            "a quarter of memory_mib",
        ),
        ("log = \"=,=\"", "is no filter"),
        (
            "push.title = \"a\\nb\"",
            "push.title: holds a control character",
        ),
        (
            "openim.managers = [{ id = \"a\", nickname = \"\\u202e\" }]",
            "nickname holds a character that turns",
        ),
        (
            "openim.managers = [{ id = \"a\", face = \"javascript:1\" }]",
            "face is no link of http or https",
        ),
        ("data = 5", "data: must be a text"),
        (
            "openim.secret.deeper = 1",
            "openim.secret.deeper: is not known",
        ),
    ];
    for (file, expected) in table {
        let text = refused(file, &[]);
        assert!(text.contains(expected), "{file}: {text}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_refused_without_quoting_it() {
    let text = refused("a = 1\nopenim.secret = \"canary-secret\" oops", &[]);
    assert!(
        text.contains("line 2") && !text.contains("canary"),
        "{text}"
    );
    let missing = Config::load(Some(Path::new("no/such/file")), [], Overrides::default());
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("no/such/file: cannot be read")
    );
}

#[test]
fn every_key_has_a_variable_of_its_own() {
    let help = help();
    let variables: std::collections::HashSet<_> = help.iter().map(|h| h.variable.clone()).collect();
    assert_eq!(variables.len(), help.len());
    for entry in &help {
        assert_eq!(keys::of_variable(&entry.variable).unwrap().0, entry.key);
        assert!(!entry.text.is_empty());
    }
}
