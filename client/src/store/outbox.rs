//! Messages that wait to be sent. Each has its key before it is tried for the first time, and keeps it until the server has
//! answered: so it is sent once, however often it is tried.

use rusqlite::{OptionalExtension, Row};
use waybill_core::codec;
use waybill_core::wire::Outgoing;

use super::error::StoreError;
use super::{Store, signed};
use crate::message::lane;

/// Most messages that wait, or were refused and not discarded.
pub const OUTBOX_MESSAGES: u32 = 10_000;

/// A message in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its key, which is also its clientMsgID.
    pub key: String,
    /// When it was put there: milliseconds since 1970, by this device's clock.
    pub made: u64,
    /// What is to be sent.
    pub message: Outgoing,
    /// Why the server will not have it; `None` while it is still to be sent.
    pub refusal: Option<String>,
}

impl Store {
    /// Puts a message into the outbox. When it returns, the message is on the disk. A second message with the same key is the
    /// same one, if it says the same. Its number orders it among the others.
    ///
    /// # Errors
    /// When the outbox is full, the key stands for another message, or the store cannot be written.
    pub fn enqueue(&self, message: &Outgoing, now: u64) -> Result<u64, StoreError> {
        let key = &message.key;
        let bytes = codec::encode(message);
        let known: Option<(i64, Vec<u8>)> = self
            .connection
            .prepare_cached("SELECT id, message FROM outbox WHERE key = ?1")?
            .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((id, known)) = known {
            if known != bytes {
                return Err(StoreError::KeyTaken(key.clone()));
            }
            // One that was refused is tried again.
            self.durably(|connection| {
                Ok(connection.execute("UPDATE outbox SET refusal = NULL WHERE id = ?1", [id])?)
            })?;
            return Ok(id.cast_unsigned());
        }
        let count: u32 = self
            .connection
            .query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?;
        if count >= OUTBOX_MESSAGES {
            return Err(StoreError::OutboxFull(count));
        }
        let made = signed(now)?;
        self.durably(|connection| {
            connection
                .prepare_cached("INSERT INTO outbox (key, made, message) VALUES (?1, ?2, ?3)")?
                .execute((key, made, &bytes))?;
            Ok(connection.last_insert_rowid().cast_unsigned())
        })
    }

    /// The messages that are still to be sent, by their numbers, ascending, and the lane of each: those of one lane keep their
    /// order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn to_send(&self) -> Result<Vec<(u64, u64)>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, message FROM outbox WHERE refusal IS NULL ORDER BY id")?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, i64>(0)?.cast_unsigned(),
                row.get::<_, Vec<u8>>(1)?,
            ))
        })?;
        rows.map(|row| {
            let (id, bytes) = row?;
            Ok((id, lane(&decoded(&bytes)?)))
        })
        .collect()
    }

    /// A message that is still to be sent.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn outgoing(&self, id: u64) -> Result<Option<Outgoing>, StoreError> {
        let bytes: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT message FROM outbox WHERE id = ?1 AND refusal IS NULL")?
            .query_row([signed(id)?], |row| row.get(0))
            .optional()?;
        bytes.map(|bytes| decoded(&bytes)).transpose()
    }

    /// A message was sent: it leaves the outbox. The answer says whether it was still there.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn sent(&self, id: u64) -> Result<bool, StoreError> {
        let deleted = self
            .connection
            .prepare_cached("DELETE FROM outbox WHERE id = ?1")?
            .execute([signed(id)?])?;
        Ok(deleted > 0)
    }

    /// The server will not have a message: it stays, with the reason, until it is discarded or put in again. Its key; `None`
    /// when there is no such message.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn refused(&self, id: u64, reason: &str) -> Result<Option<String>, StoreError> {
        let sql = "UPDATE outbox SET refusal = ?2 WHERE id = ?1 RETURNING key";
        let mut update = self.connection.prepare_cached(sql)?;
        let key = update.query_row((signed(id)?, reason), |row| row.get(0));
        Ok(key.optional()?)
    }

    /// Takes a refused message out. One that may still be sent stays; the answer says whether there was one to take out.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn discard(&self, key: &str) -> Result<bool, StoreError> {
        let deleted = self
            .connection
            .prepare_cached("DELETE FROM outbox WHERE key = ?1 AND refusal IS NOT NULL")?
            .execute([key])?;
        Ok(deleted > 0)
    }

    /// What is in the outbox, in its order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn outbox(&self) -> Result<Vec<Waiting>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT key, made, message, refusal FROM outbox ORDER BY id")?;
        let rows = statement.query_map([], waiting)?;
        rows.map(|row| row?).collect()
    }
}

fn waiting(row: &Row<'_>) -> rusqlite::Result<Result<Waiting, StoreError>> {
    let bytes: Vec<u8> = row.get(2)?;
    let (key, made, refusal) = (row.get(0)?, row.get::<_, i64>(1)?, row.get(3)?);
    Ok(decoded(&bytes).map(|message| Waiting {
        key,
        made: made.cast_unsigned(),
        message,
        refusal,
    }))
}

fn decoded(bytes: &[u8]) -> Result<Outgoing, StoreError> {
    codec::decode(bytes).map_err(|error| StoreError::Value(error.to_string()))
}
