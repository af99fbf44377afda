//! Following a log as a stream of server-sent events, read as the WHATWG HTML standard has it.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::http::{self, Gone, Http};
use super::session::{Ask, Entry, Got, NotNow, name_of};

/// A stream of events.
pub struct Events {
    body: Incoming,
    /// What was read and is no whole event.
    unread: Vec<u8>,
    epoch: String,
    /// The connection.
    _http: Http,
}

impl Events {
    pub(super) async fn open(ask: &Ask, after: u64) -> Result<Self, NotNow> {
        let silent = |Gone| NotNow::Silent;
        let mut http = Http::connect(ask.http, &ask.token).await.map_err(silent)?;
        let path = format!(
            "/v1/users/{}/log?after={after}&device={}&epoch={}",
            ask.user, ask.device, ask.epoch
        );
        let response = http.ask("GET", &path, "text/event-stream", String::new());
        let response = response.await.map_err(silent)?;
        if response.status() != 200 {
            let problem = http::json(response).await.map_err(silent)?;
            return Err(NotNow::Refused(name_of(&problem), 0));
        }
        Ok(Self {
            body: response.into_body(),
            unread: Vec::new(),
            epoch: ask.epoch.to_string(),
            _http: http,
        })
    }

    pub(super) async fn next(&mut self) -> Got {
        loop {
            if let Some(event) = self.event() {
                return self.meet(&event);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.unread.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) | None => return Got::Gone,
            }
        }
    }

    /// The next whole event: its lines.
    fn event(&mut self) -> Option<String> {
        let end = self.unread.windows(2).position(|two| two == b"\n\n")?;
        let event: Vec<u8> = self.unread.drain(..end + 2).collect();
        Some(String::from_utf8(event).expect("events are UTF-8"))
    }

    fn meet(&self, event: &str) -> Got {
        let (mut id, mut name, mut data) = ("", "", String::new());
        for line in event.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => id = value,
                "event" => name = value,
                "data" => data.push_str(value),
                "" | "retry" => {}
                other => panic!("an unknown field: {other}"),
            }
        }
        if data.is_empty() {
            return Got::Nothing;
        }
        let data: Value = serde_json::from_str(&data).expect("JSON");
        match name {
            "welcome" => {
                assert_eq!(data["epoch"], self.epoch.as_str());
                Got::Nothing
            }
            "entry" => {
                let entry = Entry::read(&data);
                assert_eq!(id, entry.seq.to_string(), "the id is the seq");
                Got::Entries(vec![entry])
            }
            "bye" => bye(&data),
            other => panic!("{other}: {data}"),
        }
    }
}

/// A goodbye, as it is written in JSON.
pub(super) fn bye(data: &Value) -> Got {
    let name = data["name"].as_str().expect("a name").to_owned();
    Got::Bye(name, data["retryAfterMs"].as_u64().expect("a time"))
}
