//! The request of the article that the project began with, sent to the running program as it stands: answered as the
//! original answers, pulled byte for byte over HTTP and QUIC, and never doubled by a retry.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};
use waybill_tests::harness::article::{RECEIVER, REQUEST, WithContent, content, with_content};
use waybill_tests::harness::{ADMIN, Api, Response, Server, run, verify, waybill};

/// Both addresses of the same call: the article's, and the one of later versions.
const PATHS: [&str; 2] = ["/manager/send_msg", "/msg/manage_send_msg"];

/// The contents of a log as the server wrote them, over HTTP.
fn contents_by_http(api: &mut Api, user: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        entries: Vec<WithContent<'a>>,
    }
    let page = api.page(user, 0).unwrap().text();
    let page: Page<'_> = serde_json::from_str(&page).unwrap();
    page.entries
        .iter()
        .map(|entry| entry.content.get().to_owned())
        .collect()
}

/// The same over QUIC.
fn contents_by_quic(server: &Server, user: &str) -> Vec<String> {
    let page = server.connect_quic().pull(user, 0, 1_000).unwrap();
    let content = |entry: &waybill_client::Entry| {
        let message = entry.as_message().unwrap().unwrap();
        String::from_utf8(message.content).unwrap()
    };
    page.entries.iter().map(content).collect()
}

/// The data of an answer that is, byte for byte, in the original's envelope.
fn sent(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    let answer = response.json();
    let data = &answer["data"];
    let envelope = format!(
        r#"{{"errCode":0,"errMsg":"","data":{{"serverMsgID":{},"clientMsgID":{},"sendTime":{}}}}}"#,
        data["serverMsgID"], data["clientMsgID"], data["sendTime"]
    );
    assert_eq!(response.text(), envelope);
    let id = data["serverMsgID"].as_str().unwrap();
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    assert!(!data["clientMsgID"].as_str().unwrap().is_empty());
    assert!(
        data["sendTime"].as_u64().unwrap() > 1_600_000_000_000,
        "milliseconds"
    );
    data.clone()
}

#[test]
fn the_articles_request_arrives_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let mut admin = Api::admin(&server);
    for (count, path) in (1..).zip(PATHS) {
        let answer = sent(&admin.v2(path, None, REQUEST.as_bytes()).unwrap());
        let log = admin.log(RECEIVER);
        assert_eq!(log.len(), count, "each call without a key is a message");
        let entry = log.last().unwrap();
        for (field, expected) in [
            ("serverMsgID", &answer["serverMsgID"]),
            ("clientMsgID", &answer["clientMsgID"]),
            ("time", &answer["sendTime"]),
            ("sender", &json!(ADMIN)),
            ("contentType", &json!(1400)),
            ("notificationType", &json!(1)),
            ("senderNickname", &json!("系统通知2")),
            ("senderFaceURL", &json!("http://www.head.com")),
            ("senderPlatformID", &json!(2)),
            (
                "conversation",
                &json!({"kind": "notification", "peer": ADMIN}),
            ),
            ("conversationSeq", &json!(count)),
        ] {
            assert_eq!(entry[field], *expected, "{field} of {entry}");
        }
        assert_eq!(entry["offlinePush"]["title"], "admin revoke your message");
    }
    let expected = vec![content(REQUEST); 2];
    assert!(expected[0].contains(r#""externalUrl":"""#) && expected[0].contains('\n'));
    assert_eq!(contents_by_http(&mut admin, RECEIVER), expected);
    assert_eq!(contents_by_quic(&server, RECEIVER), expected);

    // The receiver himself, with a token of his own.
    let mut receiver = Api::new(server.http(), admin.token_of(RECEIVER));
    assert_eq!(contents_by_http(&mut receiver, RECEIVER), expected);
    server.stop();
    verify(&data, directory.path());

    let server = Server::start(&data);
    assert_eq!(
        contents_by_quic(&server, RECEIVER),
        expected,
        "after a restart"
    );
}

#[test]
fn links_and_unknown_keys_are_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut admin = Api::admin(&server);
    // Everything that a decoder and an encoder would write in another way.
    let hard = r#"{ "notificationName":"公文\u7ba1理", "notificationType": 1.0e0,"text":"<b>&amp;</b>",
        "externalUrl" : "https:\/\/oa.example\/doc?id=7&x=<y>#\u00e9" , "zeta":1,"alpha":
        {"big":12345678901234567890123,"float":1.10,"tiny":-0.0e-3,"deep":[ [ {"k" : null} ] , true]},
        "mixType":0,"EXTERNALURL":"other case","":"no name","😀":"\ud83d\ude00" }"#;
    let mut expected = Vec::new();
    for path in PATHS {
        sent(&admin.v2(path, None, with_content(hard).as_bytes()).unwrap());
        expected.push(hard.to_owned());
    }
    let body = format!(
        r#"{{"to":{{"user":"{RECEIVER}"}},"contentType":1400,"content":{hard},"clientMsgID":"c1"}}"#
    );
    let response = admin
        .v1("POST", "/v1/messages", None, body.as_bytes())
        .unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    expected.push(hard.to_owned());
    assert_eq!(contents_by_http(&mut admin, RECEIVER), expected);
    assert_eq!(contents_by_quic(&server, RECEIVER), expected);
}

#[test]
fn a_retry_with_its_key_is_answered_with_the_first_answer() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut admin = Api::admin(&server);
    let first = admin
        .v2(PATHS[0], Some("key-1"), REQUEST.as_bytes())
        .unwrap();
    sent(&first);
    let with_id = REQUEST.replacen('{', r#"{"clientMsgID":"client-1","#, 1);
    let second = admin.v2(PATHS[1], None, with_id.as_bytes()).unwrap();
    assert_eq!(sent(&second)["clientMsgID"], "client-1");
    // A trace id is no part of the message: it may differ.
    let traced = REQUEST.replace("operationID111", "operationID112");
    for path in PATHS {
        for (key, body, answer) in [
            (Some("key-1"), REQUEST, &first),
            (Some("\"key-1\""), traced.as_str(), &first),
            (None, with_id.as_str(), &second),
        ] {
            let again = admin.v2(path, key, body.as_bytes()).unwrap();
            assert_eq!(
                (again.status, again.text()),
                (200, answer.text()),
                "{path} {key:?}"
            );
        }
    }
    assert_eq!(admin.log(RECEIVER).len(), 2);
    // An operationID is no key: callers repeat one constant text.
    sent(&admin.v2(PATHS[0], None, REQUEST.as_bytes()).unwrap());
    assert_eq!(admin.log(RECEIVER).len(), 3);
}

#[test]
fn an_account_may_have_its_operation_ids_taken_as_keys() {
    let directory = tempfile::tempdir().unwrap();
    let config =
        format!("[openim]\nmanagers = [{{ id = {ADMIN:?}, operation_id_is_key = true }}]\n");
    let server = Server::start_with(directory.path(), &config);
    let mut admin = Api::admin(&server);
    let first = admin.v2(PATHS[0], None, REQUEST.as_bytes()).unwrap();
    sent(&first);
    let again = admin.v2(PATHS[0], None, REQUEST.as_bytes()).unwrap();
    assert_eq!(again.text(), first.text());
    assert_eq!(admin.log(RECEIVER).len(), 1);
}

#[test]
fn the_printed_curl_line_works_as_printed() {
    let directory = tempfile::tempdir().unwrap();
    // A place that a shell reads otherwise unless it is quoted.
    the_curl_line_works(&Server::start(&directory.path().join("it's here")));

    // A relative place with a blank in it: the line is used elsewhere.
    let here = std::env::current_dir().unwrap();
    let mut relative: PathBuf = here.components().skip(1).map(|_| "..").collect();
    relative.extend(directory.path().components().skip(1));
    relative.push("a place");
    assert!(relative.is_relative());
    the_curl_line_works(&Server::start(&relative));
}

/// Runs the line in a shell that stands elsewhere.
fn the_curl_line_works(server: &Server) {
    let line = server.printed("curl ");
    let mut shell = Command::new("sh");
    let ran = run(shell.arg("-c").arg(&line).current_dir("/")).well();
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    let id = answer
        .pointer("/data/serverMsgID")
        .or(answer.get("serverMsgID"));
    let id = id.unwrap_or_else(|| panic!("{line}\n{answer}"));
    assert!(
        answer.get("errCode").is_none_or(|code| code == 0),
        "{answer}"
    );
    let mut admin = Api::admin(server);
    let message = admin.get(&format!("/v1/messages/{}", id.as_str().unwrap()));
    let receiver = message["receivers"][0]["user"].as_str().unwrap();
    assert_eq!(admin.log(receiver).len(), 1);
}

#[test]
fn users_register_and_log_in_as_with_the_original() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut anybody = Api::new(server.http(), "");
    let secret = server.secret("openim.secret");
    let register = json!({
        "secret": secret, "platform": 2, "userID": RECEIVER, "nickname": "张三",
        "operationID": "register",
    });
    let registered = anybody.v2("/auth/user_register", None, register.to_string().as_bytes());
    let registered = registered.unwrap().json();
    assert_eq!(registered["errCode"], 0, "{registered}");
    let login = json!({
        "secret": secret, "platform": 2, "userID": RECEIVER, "operationID": "login",
    });
    let login = anybody
        .v2("/auth/user_token", None, login.to_string().as_bytes())
        .unwrap()
        .json();
    assert_eq!(login["data"]["userID"], RECEIVER, "{login}");
    sent(
        &Api::admin(&server)
            .v2(PATHS[0], None, REQUEST.as_bytes())
            .unwrap(),
    );
    for answer in [registered, login] {
        let token = answer["data"]["token"].as_str().unwrap();
        let mut receiver = Api::new(server.http(), token);
        assert_eq!(receiver.log(RECEIVER).len(), 1);
        let parsed = receiver
            .v2("/auth/parse_token", None, br#"{"operationID":"parse"}"#)
            .unwrap();
        assert!(parsed.json()["data"]["ExpireTimeSeconds"].as_u64().unwrap() > 1_600_000_000);
    }
}

#[test]
fn a_tail_and_a_long_poll_bring_what_comes() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut admin = Api::admin(&server);
    admin.send_text("ann", "first");
    let quic = server.connect_quic();
    let mut tail = quic.tail("ann", 0).unwrap();
    assert_eq!(quic.next(&mut tail).unwrap().entries.len(), 1);
    let address = server.http();
    let token = admin.token_of("ann");
    let poll = std::thread::spawn(move || {
        // Longer than any test waits: the answer comes because the log grows.
        Api::new(address, token).get("/v1/users/ann/log?after=1&wait=60")
    });
    let mut follow = waybill();
    follow.args([
        "pull", "--json", "--follow", "--user", "ann", "--after", "1",
    ]);
    follow
        .args(["--server", &format!("http://{address}"), "--data"])
        .arg(server.data());
    let mut follow = follow.stderr(Stdio::inherit()).spawn().unwrap();
    let second = admin.send_text("ann", "second");
    let page = quic.next(&mut tail).unwrap();
    assert_eq!(page.entries[0].seq.0, 2);
    let polled = poll.join().unwrap();
    assert_eq!(polled["entries"][0]["serverMsgID"], second["serverMsgID"]);
    let mut line = String::new();
    let mut printed = std::io::BufReader::new(follow.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut printed, &mut line).unwrap();
    let entry: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(entry["serverMsgID"], second["serverMsgID"]);
    follow.kill().unwrap();
    follow.wait().unwrap();
    std::io::stdout().flush().unwrap();
}
