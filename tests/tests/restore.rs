//! The operator's way back from a copy: copy, put back, `waybill restore`, start. What was lost is lost and known to be; nothing that it
//! gave out is given out again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use waybill_tests::harness::{Api, Server, back_up, copy, put_back, restore, verify};

/// Messages that are lost, and that come after.
const LOST: u64 = 50;
const NEW: u64 = 20;

/// A notice to a user, with a key.
fn notice(api: &mut Api, to: &str, number: u64) -> Value {
    let content = json!({"notificationName": "OA", "notificationType": 1, "text": number.to_string(), "mixType": 0});
    let body = json!({"to": {"user": to}, "contentType": 1400, "content": content}).to_string();
    let key = format!("key-{number}");
    let sent = api
        .v1("POST", "/v1/messages", Some(&key), body.as_bytes())
        .unwrap();
    assert_eq!(sent.status, 200, "{}", sent.text());
    sent.json()
}

fn seq(sent: &Value) -> u64 {
    sent["receivers"][0]["seq"].as_u64().unwrap()
}

fn id(sent: &Value) -> String {
    sent["serverMsgID"].as_str().unwrap().to_owned()
}

/// The last page of a user's log, from after a seq.
fn page(api: &mut Api, after: u64, epoch: &str) -> (u16, Value) {
    let path = format!("/v1/users/ann/log?after={after}&limit=1000&epoch={epoch}");
    let answer = api.v1("GET", &path, None, b"").unwrap();
    (answer.status, answer.json())
}

/// What OpenIM's v2 clients ask with a seq list.
fn by_seq(api: &mut Api, seqs: &[u64]) -> Vec<Value> {
    let body = json!({
        "reqIdentifier": 1002, "sendID": "ann", "operationID": "op", "seqList": seqs,
    });
    let answer = api
        .v2("/msg/pull_msg_by_seq", None, body.to_string().as_bytes())
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].as_array().unwrap().clone()
}

fn newest_seq(api: &mut Api) -> u64 {
    let body = json!({"reqIdentifier": 1001, "sendID": "ann", "operationID": "op", "msgIncr": 1});
    let answer = api
        .v2("/msg/newest_seq", None, body.to_string().as_bytes())
        .unwrap();
    answer.json()["data"]["maxSeq"].as_u64().unwrap()
}

/// A directory in which a copy was put back: what came before the copy, and what was lost.
struct Disaster {
    directory: tempfile::TempDir,
    kept: Vec<Value>,
    lost: Vec<Value>,
    epoch: String,
}

impl Disaster {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let server = Server::start(&data);
        let mut api = Api::admin(&server);
        let kept: Vec<Value> = (0..30).map(|n| notice(&mut api, "ann", n)).collect();
        let backup = directory.path().join("backup");
        back_up(&server, &backup);
        let lost = (30..30 + LOST)
            .map(|n| notice(&mut api, "ann", n))
            .collect();
        let epoch = api.get("/v1/users/ann/log?after=0")["epoch"]
            .as_str()
            .unwrap()
            .to_owned();
        server.stop();
        put_back(&backup, &data);
        Self {
            directory,
            kept,
            lost,
            epoch,
        }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

#[test]
fn what_was_kept_goes_on_and_what_was_lost_is_never_given_out_again() {
    let disaster = Disaster::new();
    let data = disaster.data();
    let done = restore(&data, &["--json"]).well().json_lines().remove(0);
    assert_eq!(
        (&done["from"], &done["gap"]),
        (&json!(disaster.epoch), &json!(1_000))
    );
    let epoch = done["epoch"].as_str().unwrap().to_owned();
    assert!(epoch.starts_with("0002") && disaster.epoch.starts_with("0001"));

    let server = Server::start(&data);
    let mut api = Api::admin(&server);
    let (last_kept, last_lost) = (seq(&disaster.kept[29]), seq(&disaster.lost[49]));
    assert_eq!(newest_seq(&mut api), last_kept);
    // Ids of what was kept open, those of what was lost do not, and never will.
    let found = |api: &mut Api, id: &str| {
        let path = format!("/v1/messages/{id}");
        api.v1("GET", &path, None, b"").unwrap().status
    };
    let new: Vec<Value> = (0..NEW)
        .map(|n| notice(&mut api, "ann", 1_000 + n))
        .collect();
    assert!(
        disaster
            .kept
            .iter()
            .all(|sent| found(&mut api, &id(sent)) == 200)
    );
    assert!(
        disaster
            .lost
            .iter()
            .all(|sent| found(&mut api, &id(sent)) == 404)
    );
    assert!(new.iter().all(|sent| found(&mut api, &id(sent)) == 200));
    // Every seq is above what the lost history gave, none twice; and so is every id another.
    let seqs: Vec<u64> = new.iter().map(seq).collect();
    assert!(
        seqs.iter()
            .all(|seq| *seq > last_lost && *seq > last_kept + 1_000)
    );
    let all = disaster.kept.iter().chain(&disaster.lost).chain(&new);
    let ids: BTreeSet<String> = all.map(id).collect();
    assert_eq!(ids.len() as u64, 30 + LOST + NEW);
    // A retry of what was kept has its first answer; of what was lost it is a new message.
    assert_eq!(notice(&mut api, "ann", 3), disaster.kept[3]);
    let again = notice(&mut api, "ann", 33);
    assert!(seq(&again) > *seqs.last().unwrap() && id(&again) != id(&disaster.lost[3]));

    // A native client of the lost history is told so, with its epoch or by its cursor.
    let (status, problem) = page(&mut api, last_lost, &disaster.epoch);
    assert_eq!((status, &problem["epoch"]), (409, &json!(epoch)));
    assert!(problem["type"].as_str().unwrap().ends_with("other-epoch"));
    let (status, read) = page(&mut api, last_kept, &epoch);
    assert_eq!((status, &read["epoch"]), (200, &json!(epoch)));
    // One that goes on from what was kept finds its log contiguous: places that were left out, then all that is new.
    let entries: Vec<Value> = api
        .log("ann")
        .split_off(usize::try_from(last_kept).unwrap());
    let (skipped, told) = entries.split_at(1_000);
    for entry in skipped {
        assert_eq!(entry["kind"], 9);
        let fields = entry.as_object().unwrap();
        assert_eq!(fields.len(), 3, "{entry}");
    }
    let of_log: Vec<String> = told.iter().map(id).collect();
    let sent: Vec<String> = new.iter().chain([&again]).map(id).collect();
    assert_eq!(of_log, sent);
    // OpenIM's v2 clients know no epoch: they ask from where they were, and get all that is new.
    let newest = newest_seq(&mut api);
    let missing: Vec<u64> = (last_lost + 1..=newest).collect();
    let mut messages = Vec::new();
    for part in missing.chunks(500) {
        messages.extend(by_seq(&mut api, part));
    }
    assert!(
        messages
            .iter()
            .map(|m| m["seq"].as_u64().unwrap())
            .eq(missing)
    );
    messages.retain(|message| message["serverMsgID"].is_string());
    assert!(messages.iter().map(id).eq(sent));
    server.stop();
    verify(&data, disaster.directory.path());
    // Made anew from the ledger, it shows the same.
    std::fs::remove_dir_all(data.join("views")).unwrap();
    let server = Server::start(&data);
    let mut api = Api::admin(&server);
    assert_eq!(newest_seq(&mut api), newest);
    assert_eq!(
        api.log("ann")
            .split_off(usize::try_from(last_kept).unwrap()),
        entries
    );
    server.stop();
    verify(&data, disaster.directory.path());
}

#[test]
fn what_must_not_be_restored_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let none = restore(&directory.path().join("none"), &[]);
    assert_eq!(none.code, Some(4), "{none:?}");
    assert!(none.stderr.contains("holds no ledger"), "{none:?}");
    assert!(!directory.path().join("none").exists());

    let disaster = Disaster::new();
    let data = disaster.data();
    let missing = data.join("no-such-file");
    let missing = missing.to_str().unwrap();
    for (more, code, says) in [
        (&["--gap", "0"][..], 2, "0 is not in"),
        (&["--gap", "1000001"], 2, "1000001 is not in"),
        (&["--number", "1"], 2, "does not come after"),
        (&["--erasures", missing], 2, "there is no such file"),
    ] {
        let refused = restore(&data, more);
        assert_eq!(refused.code, Some(code), "{refused:?}");
        assert!(refused.stderr.contains(says), "{refused:?}");
    }
    // The tail file of what was lost, beside the ledger of the copy: that would hide the loss.
    let own = std::fs::read(data.join("tail")).unwrap();
    std::fs::copy(
        disaster.directory.path().join("broken/tail"),
        data.join("tail"),
    )
    .unwrap();
    let newer = restore(&data, &[]);
    assert_eq!(newer.code, Some(4), "{newer:?}");
    assert!(newer.stderr.contains("records are missing"), "{newer:?}");
    std::fs::write(data.join("tail"), own).unwrap();

    let server = Server::start(&data);
    let in_use = restore(&data, &[]);
    assert_eq!(in_use.code, Some(4), "{in_use:?}");
    assert!(in_use.stderr.contains("is in use"), "{in_use:?}");
    // Without a restore it is the history that the copy was of: nobody can tell.
    let page = Api::admin(&server).get("/v1/users/ann/log?after=0");
    assert_eq!(page["epoch"], json!(disaster.epoch));
    server.stop();

    let told = restore(&data, &["--gap", "7", "--number", "3"]).well();
    assert!(
        told.stdout.contains("epoch      ") || told.stdout.contains("is           epoch 0003"),
        "{told:?}"
    );
    assert!(told.stdout.contains("leaves out 14 places"), "{told:?}");
    verify(&data, disaster.directory.path());
}

/// A profile that was replaced is erased; the register, kept apart from the data, says so to a copy from before.
#[test]
fn what_was_erased_since_the_copy_is_erased_again() {
    let directory = tempfile::tempdir().unwrap();
    let (data, register) = (
        directory.path().join("data"),
        directory.path().join("register"),
    );
    let config = format!("[restore]\nerasures = {:?}\n", register.to_str().unwrap());
    let server = Server::start_with(&data, &config);
    let mut api = Api::admin(&server);
    let register_user = |api: &mut Api, path: &str, body: Value| {
        let answer = api.v2(path, None, body.to_string().as_bytes()).unwrap();
        assert_eq!(answer.json()["errCode"], 0, "{}", answer.text());
    };
    let secret = server.secret("openim.secret");
    register_user(
        &mut api,
        "/auth/user_register",
        json!({"secret": secret, "platform": 1, "userID": "zoe", "nickname": "former name", "operationID": "op"}),
    );
    server.stop();
    copy(&data, &directory.path().join("backup"));
    let server = Server::start_with(&data, &config);
    let mut api = Api::admin(&server);
    register_user(
        &mut api,
        "/user/update_user_info",
        json!({"userID": "zoe", "nickname": "new name", "operationID": "op"}),
    );
    server.stop();
    assert_eq!(
        std::fs::read_to_string(&register).unwrap().lines().count(),
        1
    );
    std::fs::remove_dir_all(&data).unwrap();
    copy(&directory.path().join("backup"), &data);
    let file = directory.path().join("waybill.toml");
    std::fs::write(&file, &config).unwrap();
    let done = restore(&data, &["--json", "--config", file.to_str().unwrap()]);
    let done = done.well().json_lines().remove(0);
    assert_eq!(done["erasures"], json!({"again": 1, "known": 0, "lost": 0}));
    verify(&data, directory.path());
    let server = Server::start_with(&data, &config);
    let mut api = Api::admin(&server);
    let body = json!({"userIDList": ["zoe"], "operationID": "op"}).to_string();
    let shown = api
        .v2("/user/get_users_info", None, body.as_bytes())
        .unwrap();
    assert!(!shown.text().contains("former name"), "{}", shown.text());
    server.stop();
}
