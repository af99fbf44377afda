//! Following a log by a tail over QUIC, with the product's own client.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};
use waybill_client::{Connection, Connector, Error, Identity, Page, Tail, Trust};
use waybill_core::id::Seq;

use super::session::{Ask, Entry, Got, NotNow, SOON};
use crate::harness::Message;

/// The platform that a device says it is: 2, Android.
const PLATFORM: u8 = 2;

/// After so long without anything the device reports its cursor again. A server that was restarted answers with a reset; one
/// that was killed says nothing over UDP by itself.
const QUIET: Duration = Duration::from_secs(1);

/// A connection with one tail.
pub struct Follow {
    connection: Connection,
    tail: Tail,
    /// The last seq that came.
    after: u64,
}

impl Follow {
    pub(super) async fn open(ask: &Ask, after: u64) -> Result<Self, NotNow> {
        let opened = async {
            let connector = Connector::on(([127, 0, 0, 1], 0).into(), Trust::Pinned(ask.pin))?;
            let identity = Identity::new(&*ask.token).device(&ask.device, PLATFORM);
            let connection = connector.connect(ask.quic, "localhost", &identity).await?;
            let epoch = connection.welcome().epoch.to_string();
            assert_eq!(epoch, *ask.epoch, "the history of the server");
            let tail = connection.tail("", Seq(after)).await?;
            Ok(Self {
                connection,
                tail,
                after,
            })
        };
        opened.await.map_err(|error| match bye(error) {
            Got::Bye(name, retry) => NotNow::Refused(name, retry),
            _ => NotNow::Silent,
        })
    }

    pub(super) async fn next(&mut self) -> Got {
        loop {
            tokio::select! {
                page = self.tail.next() => return match page {
                    Ok(page) => self.took(page),
                    Err(error) => bye(error),
                },
                () = sleep(QUIET) => {}
            }
            if let Err(got) = self.report(self.after).await {
                return got;
            }
        }
    }

    fn took(&mut self, page: Page) -> Got {
        assert!(!page.entries.is_empty(), "a page of a tail is never empty");
        let entries = page.entries.iter().map(|entry| {
            let message = entry.as_message().expect("an entry").expect("a message");
            let content: Value = serde_json::from_slice(&message.content).expect("JSON");
            Entry {
                seq: entry.seq.0,
                id: hex::encode(message.server_msg_id),
                number: Message::number_in(&content).expect("a message of this test"),
            }
        });
        let entries: Vec<_> = entries.collect();
        self.after = entries.last().map_or(self.after, |last| last.seq);
        Got::Entries(entries)
    }

    pub(super) async fn acknowledge(&mut self, seq: u64) {
        // That the connection is gone is found out by the next one who listens.
        let _ = self.report(seq).await;
    }

    async fn report(&mut self, seq: u64) -> Result<(), Got> {
        match timeout(SOON, self.connection.acknowledge(Seq(seq))).await {
            Ok(Ok(cursor)) => {
                assert_eq!(cursor.0, seq, "the cursor of a device");
                Ok(())
            }
            Ok(Err(error)) => Err(bye(error)),
            Err(_) => Err(Got::Gone),
        }
    }
}

fn bye(error: Error) -> Got {
    match error {
        Error::Ended {
            code,
            retry_after_ms,
            ..
        } => Got::Bye(name(code), retry_after_ms.into()),
        Error::Refused(failure) => Got::Bye(name(failure.code), failure.retry_after_ms.into()),
        Error::Lost(_) => Got::Gone,
        other => panic!("{other}"),
    }
}

fn name(code: waybill_core::wire::Code) -> String {
    let info = code.info();
    info.map_or_else(|| code.to_string(), |info| info.name.to_owned())
}
