//! Following a log by long polls, one after another on one connection.

use super::http::{self, Gone, Http};
use super::session::{Ask, Entry, Got, NotNow, name_of};

/// How long a poll waits, in seconds.
const WAIT: u64 = 20;

/// Most entries of a page.
const LIMIT: u64 = 100;

/// A connection for polls.
pub struct Poll {
    http: Http,
    path: String,
    epoch: String,
    after: u64,
}

impl Poll {
    pub(super) async fn open(ask: &Ask, after: u64) -> Result<Self, NotNow> {
        let http = Http::connect(ask.http, &ask.token).await;
        Ok(Self {
            http: http.map_err(|Gone| NotNow::Silent)?,
            path: format!(
                "/v1/users/{}/log?wait={WAIT}&limit={LIMIT}&epoch={}",
                ask.user, ask.epoch
            ),
            epoch: ask.epoch.to_string(),
            after,
        })
    }

    pub(super) async fn next(&mut self) -> Got {
        self.page().await.unwrap_or(Got::Gone)
    }

    async fn page(&mut self) -> Result<Got, Gone> {
        let path = format!("{}&after={}", self.path, self.after);
        let response = self.http.ask("GET", &path, "*/*", String::new()).await?;
        let status = response.status().as_u16();
        let retry = response.headers().get("retry-after");
        let retry = retry.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let page = http::json(response).await?;
        if status == 503 {
            return Ok(Got::Bye(name_of(&page), retry.unwrap_or(0) * 1_000));
        }
        assert_eq!(status, 200, "{path}: {page}");
        assert_eq!(page["epoch"], self.epoch.as_str(), "{path}");
        let entries = page["entries"].as_array().expect("entries");
        let entries: Vec<_> = entries.iter().map(Entry::read).collect();
        Ok(match entries.last() {
            Some(last) => {
                self.after = last.seq;
                Got::Entries(entries)
            }
            None => Got::Nothing,
        })
    }
}
