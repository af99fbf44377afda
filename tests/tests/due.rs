//! What is due at a time stands in the views, so a kill forgets none of it: what came due while nobody served is met by the next
//! start, once; what waits longer still waits.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use waybill_tests::harness::{Api, PATIENCE, Server, verify};

/// Of both kinds, so many.
const EACH: usize = 40;

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn body(to: &Value, text: &str, more: &Value) -> Vec<u8> {
    let mut body = json!({
        "to": to, "contentType": 1400,
        "content": { "notificationName": "OA", "notificationType": 1, "text": text },
    });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    body.to_string().into_bytes()
}

/// Sends, and gives the answer.
fn send(api: &mut Api, path: &str, body: &[u8]) -> Value {
    let answer = api.v1("POST", path, None, body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn kinds(log: &[Value], kind: u64) -> usize {
    log.iter().filter(|entry| entry["kind"] == kind).count()
}

#[test]
fn what_comes_due_while_nobody_serves_is_met_once() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let mut api = Api::admin(&server);
    let due = now() + 4_000;
    for number in 0..EACH {
        let text = number.to_string();
        let expires = body(&json!({ "user": "u1" }), &text, &json!({ "expireAt": due }));
        send(&mut api, "/v1/messages", &expires);
        let waits = body(
            &json!({ "users": ["u2"] }),
            &text,
            &json!({ "notBefore": due }),
        );
        send(&mut api, "/v1/tasks", &waits);
    }
    let later = json!({ "notBefore": due + 3_600_000 });
    send(
        &mut api,
        "/v1/tasks",
        &body(&json!({ "users": ["u3"] }), "later", &later),
    );
    assert_eq!(kinds(&api.log("u1"), 1), EACH);
    assert!(
        now() < due,
        "the machine was too slow to have anything to test"
    );
    // Killed before it is due, and, a moment after the next start, while it is being met.
    server.kill();
    while now() <= due {
        std::thread::sleep(Duration::from_millis(20));
    }
    Server::start(&data).kill();
    let server = Server::start(&data);
    let mut api = Api::admin(&server);
    let end = Instant::now() + PATIENCE;
    loop {
        let (expired, released) = (api.log("u1"), api.log("u2"));
        if kinds(&expired, 4) == EACH && kinds(&released, 1) == EACH {
            break;
        }
        assert!(Instant::now() < end, "{expired:?} {released:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Nothing is met twice, and what waits still waits.
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(api.log("u1").len(), 2 * EACH);
    assert_eq!(api.log("u2").len(), EACH);
    assert_eq!(api.log("u3").len(), 0);
    server.stop();
    verify(&data, directory.path());
}
