//! `waybill pull --follow`: a user's log kept in step by the client library, and printed as it comes.

use waybill_client::{Client, Config, Event, Events, Trust};
use waybill_core::id::Seq;

use super::pull::{fingerprint, print_entry};
use crate::args::Pull;
use crate::http::Api;
use crate::output::{Failure, REFUSED, Reader, USAGE};

/// Entries that may wait in memory to be printed.
const ROOM: u64 = 2_000;

/// Follows a log until nobody reads it any more.
pub async fn follow(args: &Pull, api: &Api) -> Result<(), Failure> {
    let mut config = Config::new(&args.user, api.token())
        .log_of_another()
        .http(api.base())
        .begin_after(Seq(args.after));
    if args.quic {
        let trust = Trust::Pinned(fingerprint(args)?);
        config = config.quic(args.quic_server.to_string(), trust);
    }
    config = match &args.store {
        Some(file) => config.store(file),
        None => config.room(ROOM),
    };
    let client = Client::open(config).await.map_err(Failure::with(USAGE))?;
    let (mut events, mut log) = (client.events(), client.follow(Seq(args.after)));
    let mut reached = false;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Online(_)) => reached = true,
                // Who was never there will not come by waiting.
                Some(Event::Offline { error, .. }) if !reached => {
                    return Err(Failure::new(REFUSED, error));
                }
                Some(Event::Missing { until, .. }) => {
                    eprintln!("entries up to {until} are no longer there");
                }
                Some(Event::Ended(end)) => return Err(Failure::new(REFUSED, end)),
                Some(_) => {}
                None => return Ok(()),
            },
            entries = log.next() => {
                let Some(entries) = entries.map_err(Failure::with(REFUSED))? else {
                    return ended(&mut events).await;
                };
                for entry in &entries {
                    if print_entry(args, entry.json())? == Reader::Gone {
                        client.close().await;
                        return Ok(());
                    }
                }
                if let (None, Some(last)) = (&args.store, entries.last()) {
                    client.forget(last.seq).await.map_err(Failure::with(REFUSED))?;
                }
            }
        }
    }
}

/// Why nothing more comes.
async fn ended(events: &mut Events) -> Result<(), Failure> {
    while let Some(event) = events.next().await {
        if let Event::Ended(end) = event {
            return Err(Failure::new(REFUSED, end));
        }
    }
    Ok(())
}
