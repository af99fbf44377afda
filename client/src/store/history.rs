//! Writing a log: entries with their cursor, snapshots, and the change from one history to another.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use waybill_core::id::{Epoch, Seq};

use super::error::StoreError;
use super::{Position, SNAPSHOT_CONVERSATIONS, Store, schema, signed};
use crate::log_entry::LogEntry;

/// A list of conversations as of a place of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Of which history.
    pub epoch: Epoch,
    /// As of which entry.
    pub seq: Seq,
    /// The conversations as JSON.
    pub conversations: Vec<String>,
}

pub(super) fn position(connection: &Connection) -> Result<(Position, Seq), StoreError> {
    let sql = "SELECT epoch, cursor, forgotten, next_epoch, next_cursor, generation FROM meta";
    let (epoch, cursor, forgotten, next, next_cursor, generation) =
        connection.query_row(sql, [], |row| {
            Ok((
                row.get::<_, Option<[u8; 16]>>(0)?,
                row.get::<_, i64>(1)?.cast_unsigned(),
                row.get::<_, i64>(2)?.cast_unsigned(),
                row.get::<_, Option<[u8; 16]>>(3)?,
                row.get::<_, i64>(4)?.cast_unsigned(),
                row.get::<_, i64>(5)?.cast_unsigned(),
            ))
        })?;
    let building = next.is_some();
    let position = Position {
        epoch: next.or(epoch).map(Epoch),
        cursor: Seq(if building { next_cursor } else { cursor }),
        forgotten: Seq(if building { 0 } else { forgotten }),
        building,
        generation,
    };
    Ok((position, Seq(cursor)))
}

impl Store {
    /// Stores entries of the history that is being fetched, and moves the cursor with them, in one transaction. Entries that
    /// are there already are passed over. `head` is the last entry that the server has: when a history that is not shown yet
    /// reaches it, it takes the place of the old one.
    ///
    /// # Errors
    /// When the entries do not follow the cursor, or the store cannot be written. Nothing is stored then.
    pub fn append(&mut self, head: Seq, entries: &[LogEntry]) -> Result<Position, StoreError> {
        let mut cursor = self.position.cursor.0;
        let building = self.position.building;
        self.change(|transaction| {
            let sql = if building {
                "INSERT INTO next_entries (seq, kind, time, json) VALUES (?1, ?2, ?3, ?4)"
            } else {
                "INSERT INTO entries (seq, kind, time, json) VALUES (?1, ?2, ?3, ?4)"
            };
            let mut insert = transaction.prepare_cached(sql)?;
            for entry in entries {
                if entry.seq.0 <= cursor {
                    continue;
                }
                if entry.seq.0 != cursor + 1 {
                    return Err(StoreError::Gap {
                        last: cursor,
                        found: entry.seq.0,
                    });
                }
                insert.execute((
                    signed(entry.seq.0)?,
                    entry.kind,
                    signed(entry.time.0)?,
                    entry.json(),
                ))?;
                cursor = entry.seq.0;
            }
            drop(insert);
            set_cursor(transaction, building, cursor)?;
            finish(transaction, building, cursor, head)
        })
    }

    /// Lets an empty store begin after an entry, as if those before it had been forgotten. One that has begun stays as it is.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn begin_after(&mut self, after: Seq) -> Result<(), StoreError> {
        let Position { epoch, cursor, .. } = self.position;
        if epoch.is_some() || cursor.0 > 0 {
            return Ok(());
        }
        self.change(|transaction| {
            let sql = "UPDATE meta SET cursor = ?1, forgotten = ?1";
            transaction.execute(sql, [signed(after.0)?])?;
            Ok(())
        })
        .map(|_| ())
    }

    /// Takes note of which history it is. The first one is simply named; another one is fetched anew from its beginning, while
    /// the old one stays to be read until the new one has come as far as `head`. One that ends before the cursor is
    /// another one in any case.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn begin(&mut self, epoch: Epoch, head: Seq) -> Result<Position, StoreError> {
        let Position {
            epoch: known,
            cursor,
            building,
            ..
        } = self.position;
        self.change(|transaction| {
            if !building && known.is_none() && cursor <= head {
                transaction.execute("UPDATE meta SET epoch = ?1", [epoch.0])?;
                return Ok(());
            }
            schema::clear_next(transaction)?;
            transaction.execute(
                "UPDATE meta SET next_epoch = ?1, next_cursor = 0",
                [epoch.0],
            )?;
            finish(transaction, true, 0, head)
        })
    }

    /// Goes on from a snapshot, because the server no longer has the entries between the cursor and there.
    ///
    /// # Errors
    /// When the snapshot lies before the cursor, or the store cannot be written.
    pub fn skip(&mut self, head: Seq, snapshot: &Snapshot) -> Result<Position, StoreError> {
        let Position {
            cursor, building, ..
        } = self.position;
        if snapshot.seq < cursor {
            return Err(StoreError::Value(format!(
                "a snapshot of {} before {cursor}",
                snapshot.seq
            )));
        }
        self.change(|transaction| {
            let prefix = if building { "next_" } else { "" };
            if snapshot.seq > cursor {
                transaction.execute(
                    &format!("INSERT OR REPLACE INTO {prefix}gaps (after, until) VALUES (?1, ?2)"),
                    (signed(cursor.0)?, signed(snapshot.seq.0)?),
                )?;
            }
            transaction.execute(&format!("DELETE FROM {prefix}conversations"), [])?;
            let mut insert = transaction.prepare(&format!(
                "INSERT INTO {prefix}conversations (place, json) VALUES (?1, ?2)"
            ))?;
            for (place, json) in (0..SNAPSHOT_CONVERSATIONS).zip(&snapshot.conversations) {
                insert.execute((place, json))?;
            }
            drop(insert);
            set_cursor(transaction, building, snapshot.seq.0)?;
            finish(transaction, building, snapshot.seq.0, head)
        })
    }

    /// Deletes the entries up to a seq from this device. The server's log and the cursor stay as they are.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget(&mut self, until: Seq) -> Result<Position, StoreError> {
        let until = signed(until.min(self.shown).0)?;
        self.change(|transaction| {
            transaction.execute("DELETE FROM entries WHERE seq <= ?1", [until])?;
            transaction.execute("UPDATE meta SET forgotten = max(forgotten, ?1)", [until])?;
            Ok(())
        })
    }

    /// One transaction. What it did to the position is known when it has been committed, and only then.
    fn change(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<Position, StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        write(&transaction)?;
        let (position, shown) = position(&transaction)?;
        transaction.commit()?;
        (self.position, self.shown) = (position, shown);
        Ok(position)
    }
}

fn set_cursor(
    transaction: &Transaction<'_>,
    building: bool,
    cursor: u64,
) -> Result<(), StoreError> {
    let sql = if building {
        "UPDATE meta SET next_cursor = ?1"
    } else {
        "UPDATE meta SET cursor = ?1"
    };
    transaction
        .prepare_cached(sql)?
        .execute([signed(cursor)?])?;
    Ok(())
}

/// Shows the history that was being fetched, when it is complete.
fn finish(
    transaction: &Transaction<'_>,
    building: bool,
    cursor: u64,
    head: Seq,
) -> Result<(), StoreError> {
    if !building || cursor < head.0 {
        return Ok(());
    }
    schema::swap(transaction)?;
    transaction.execute(
        "UPDATE meta SET epoch = next_epoch, cursor = next_cursor, forgotten = 0,
            next_epoch = NULL, next_cursor = 0, generation = generation + 1",
        [],
    )?;
    Ok(())
}
