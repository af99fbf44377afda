//! What a WebSocket and a long poll say alike, as JSON: the ends of a log, its pages, and messages to be sent.

use serde::Deserialize;
use serde_json::value::RawValue;
use waybill_core::id::{Epoch, Seq};
use waybill_core::wire::{Code, Failure, Outgoing};

use crate::error::Error;
use crate::log_entry::LogEntry;
use crate::message::body;
use crate::sync::{Batch, Reached};

/// What a server said that cannot be read.
pub(super) fn wrong(error: serde_json::Error) -> Error {
    Error::Protocol(format!("what the server said cannot be read: {error}"))
}

/// The bytes behind 32 hexadecimal digits.
pub(super) fn epoch(text: &str) -> Result<Epoch, Error> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| Error::Protocol(format!("{text:?} is no epoch")))?;
    Ok(Epoch(bytes))
}

/// The ends of a log, in a page and in the refusals that say that the log is elsewhere.
pub(super) fn reached(json: &[u8]) -> Result<Reached, Error> {
    #[derive(Deserialize)]
    struct Body {
        epoch: String,
        floor: u64,
        head: u64,
    }
    let body: Body = serde_json::from_slice(json).map_err(wrong)?;
    Ok(Reached {
        epoch: epoch(&body.epoch)?,
        floor: Seq(body.floor),
        head: Seq(body.head),
    })
}

/// A page of a log.
pub(super) fn page(json: &[u8]) -> Result<(Reached, Batch), Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        entries: Vec<&'a RawValue>,
    }
    let reached = reached(json)?;
    let Body { entries } = serde_json::from_slice(json).map_err(wrong)?;
    let entries = entries.into_iter().map(|entry| LogEntry::read(entry.get()));
    let batch = Batch {
        epoch: reached.epoch,
        head: reached.head,
        entries: entries
            .collect::<Result<_, _>>()
            .map_err(|error| Error::Protocol(error.to_string()))?,
    };
    Ok((reached, batch))
}

/// A message as the body of `POST /v1/messages`. A content that is no JSON is refused as the server would.
pub(super) fn message(message: &Outgoing) -> Result<Vec<u8>, Error> {
    body(message)
        .map_err(|error| Error::Refused(Failure::new(Code::MALFORMED, format!("content: {error}"))))
}
