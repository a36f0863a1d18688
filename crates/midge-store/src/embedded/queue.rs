//! Queues in SQLite.
//!
//! One row a message. `ready_at` says when it may be delivered next, after a delay or a lease
//! alike; the number of its delivery is what a lease is known by, so one that ran out and was
//! given to somebody else cannot end the other's.
//!
//! **Invariant:** `attempts` grows in the same transaction that gives the message out, so no
//! delivery goes uncounted, whatever crashes after it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use midge_model::Timestamp;
use rusqlite::{Connection, Row, params};

use super::database::Database;
use super::sql::{self, doing};
use crate::{
    DEAD_MAX, DEDUP_WINDOW, DELAY_MAX, DeadLetter, Depth, Key, LEASE_MESSAGES_MAX, Lease,
    LeaseError, Leased, Message, MessageId, Nacked, PushError, Pushed, QUEUE_MESSAGES_MAX, Queue,
    StoreError,
};

/// The queues of an open store.
#[derive(Debug)]
pub(super) struct EmbeddedQueue {
    database: Arc<Database>,
}

impl EmbeddedQueue {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    fn after(&self, time: Duration) -> Timestamp {
        self.database.now().plus(time.min(DELAY_MAX))
    }
}

#[async_trait]
impl Queue for EmbeddedQueue {
    async fn push(&self, queue: &Key, message: Message) -> Result<Pushed, PushError> {
        message.check()?;
        let now = self.database.now();
        let queue = queue.clone();
        let push = move |connection: &Connection| push(connection, &queue, &message, now);
        self.database.write(push).await
    }

    async fn lease(
        &self,
        queue: &Key,
        max: usize,
        time: Duration,
    ) -> Result<Vec<Leased>, StoreError> {
        let (now, until) = (self.database.now(), self.after(time));
        let max = max.min(LEASE_MESSAGES_MAX);
        let queue = queue.clone();
        let lease = move |connection: &Connection| {
            bury_run_out(connection, &queue, now)
                .and_then(|()| lease(connection, &queue, max, (now, until)))
                .map_err(doing("lease messages"))
        };
        self.database.write(lease).await
    }

    async fn ack(&self, lease: &Lease) -> Result<(), LeaseError> {
        let sql = "DELETE FROM message WHERE id = ?1 AND queue = ?2 AND attempts = ?3 \
                   AND leased AND ready_at > ?4 AND dead_at IS NULL";
        let (lease, now) = (lease.clone(), self.database.now());
        let ack = move |connection: &Connection| {
            let held = params![
                id(lease.id),
                lease.queue.as_str(),
                lease.attempt,
                sql::moment(now)
            ];
            let taken = sql::execute(connection, sql, held).map_err(doing("ack a message"))?;
            held_or_lost(taken, &lease)
        };
        self.database.write(ack).await
    }

    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<Nacked, LeaseError> {
        let (lease, now) = (lease.clone(), self.database.now());
        let ready_at = self.after(delay);
        let nack = move |connection: &Connection| {
            let held = params![
                id(lease.id),
                lease.queue.as_str(),
                lease.attempt,
                sql::moment(now),
                sql::moment(ready_at)
            ];
            let sql = "UPDATE message SET leased = 0, ready_at = ?5, \
                           dead_at = iif(attempts >= attempts_max, ?4, NULL) \
                       WHERE id = ?1 AND queue = ?2 AND attempts = ?3 \
                       AND leased AND ready_at > ?4 AND dead_at IS NULL";
            let nacked = sql::execute(connection, sql, held).map_err(doing("nack a message"))?;
            held_or_lost(nacked, &lease)?;
            let is_dead = "SELECT dead_at IS NOT NULL FROM message WHERE id = ?1";
            let is_dead = sql::first(connection, is_dead, [id(lease.id)], |row| row.get(0))
                .map_err(doing("nack a message"))?;
            if is_dead != Some(true) {
                return Ok(Nacked::Again);
            }
            trim_dead(connection, &lease.queue).map_err(doing("trim dead letters"))?;
            Ok(Nacked::Dead)
        };
        self.database.write(nack).await
    }

    async fn extend(&self, lease: &Lease, time: Duration) -> Result<Timestamp, LeaseError> {
        let (lease, now) = (lease.clone(), self.database.now());
        let until = self.after(time);
        let extend = move |connection: &Connection| {
            let held = params![
                id(lease.id),
                lease.queue.as_str(),
                lease.attempt,
                sql::moment(now),
                sql::moment(until)
            ];
            let sql = "UPDATE message SET ready_at = ?5 \
                       WHERE id = ?1 AND queue = ?2 AND attempts = ?3 \
                       AND leased AND ready_at > ?4 AND dead_at IS NULL";
            let extended = sql::execute(connection, sql, held).map_err(doing("extend a lease"))?;
            held_or_lost(extended, &lease)?;
            Ok(until)
        };
        self.database.write(extend).await
    }

    async fn dead(
        &self,
        queue: &Key,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let queue = queue.clone();
        let after = after.map_or(0, id);
        let limit = sql::limit(limit.min(LEASE_MESSAGES_MAX));
        let list = move |connection: &mut Connection| {
            let sql = "SELECT id, body, attempts, pushed_at, dead_at FROM message \
                       WHERE queue = ?1 AND dead_at IS NOT NULL AND id > ?2 ORDER BY id LIMIT ?3";
            sql::all(
                connection,
                sql,
                params![queue.as_str(), after, limit],
                dead_letter,
            )
        };
        self.database.read("list dead letters", list).await
    }

    async fn requeue(&self, queue: &Key, letter: MessageId) -> Result<bool, StoreError> {
        let (queue, now) = (queue.clone(), self.database.now());
        let requeue = move |connection: &Connection| {
            let sql = "UPDATE message SET dead_at = NULL, attempts = 0, leased = 0, ready_at = ?3 \
                       WHERE id = ?1 AND queue = ?2 AND dead_at IS NOT NULL";
            let params = params![id(letter), queue.as_str(), sql::moment(now)];
            let requeued =
                sql::execute(connection, sql, params).map_err(doing("requeue a dead letter"))?;
            Ok(requeued > 0)
        };
        self.database.write(requeue).await
    }

    async fn purge(&self, queue: &Key) -> Result<u64, StoreError> {
        let queue = queue.clone();
        let purge = move |connection: &Connection| {
            let taken = sql::execute(
                connection,
                "DELETE FROM message WHERE queue = ?1",
                [queue.as_str()],
            )
            .map_err(doing("purge a queue"))?;
            Ok(u64::try_from(taken).unwrap_or(u64::MAX))
        };
        self.database.write(purge).await
    }

    async fn depth(&self, queue: &Key) -> Result<Depth, StoreError> {
        let (queue, now) = (queue.clone(), self.database.now());
        let read = move |connection: &mut Connection| depth(connection, &queue, now);
        self.database.read("count messages", read).await
    }
}

fn push(
    connection: &Connection,
    queue: &Key,
    message: &Message,
    now: Timestamp,
) -> Result<Pushed, PushError> {
    let step = || doing("push a message");
    if let Some(name) = &message.dedup {
        sql::execute(
            connection,
            "DELETE FROM message_name WHERE expires_at <= ?1",
            [sql::moment(now)],
        )
        .map_err(step())?;
        let sql = "SELECT id FROM message_name WHERE queue = ?1 AND name = ?2";
        let earlier = sql::first(connection, sql, [queue.as_str(), name], |row| row.get(0));
        if let Some(earlier) = earlier.map_err(step())? {
            let id = MessageId::new(sql::from_sql(earlier));
            let duplicate = true;
            return Ok(Pushed { id, duplicate });
        }
    }
    let sql = "SELECT waiting FROM queue WHERE name = ?1";
    let waiting = sql::first(connection, sql, [queue.as_str()], |row| row.get(0));
    if sql::from_sql(waiting.map_err(step())?.unwrap_or(0)) >= QUEUE_MESSAGES_MAX {
        let queue = queue.clone();
        return Err(PushError::Full { queue });
    }
    let ready_at = now.plus(message.delay.min(DELAY_MAX));
    sql::execute(
        connection,
        "INSERT INTO message (queue, body, attempts_max, pushed_at, ready_at) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            queue.as_str(),
            &*message.body,
            message.attempts_max,
            sql::moment(now),
            sql::moment(ready_at)
        ],
    )
    .map_err(step())?;
    let id = connection.last_insert_rowid();
    if let Some(name) = &message.dedup {
        sql::execute(
            connection,
            "INSERT INTO message_name (queue, name, id, expires_at) VALUES (?1, ?2, ?3, ?4)",
            params![
                queue.as_str(),
                name,
                id,
                sql::moment(now.plus(DEDUP_WINDOW))
            ],
        )
        .map_err(step())?;
    }
    let id = MessageId::new(sql::from_sql(id));
    let duplicate = false;
    Ok(Pushed { id, duplicate })
}

/// Turns messages whose last lease ran out into dead letters.
fn bury_run_out(connection: &Connection, queue: &Key, now: Timestamp) -> rusqlite::Result<()> {
    let buried = sql::execute(
        connection,
        "UPDATE message SET dead_at = ?2, leased = 0 \
         WHERE queue = ?1 AND dead_at IS NULL AND ready_at <= ?2 AND attempts >= attempts_max",
        params![queue.as_str(), sql::moment(now)],
    )?;
    if buried > 0 {
        trim_dead(connection, queue)?;
    }
    Ok(())
}

fn lease(
    connection: &Connection,
    queue: &Key,
    max: usize,
    (now, until): (Timestamp, Timestamp),
) -> rusqlite::Result<Vec<Leased>> {
    // The subquery is read to its end before any row changes.
    let sql = "UPDATE message SET attempts = attempts + 1, leased = 1, ready_at = ?3 \
               WHERE id IN (SELECT id FROM message WHERE queue = ?1 AND dead_at IS NULL \
                            AND ready_at <= ?2 ORDER BY ready_at, id LIMIT ?4) \
               RETURNING id, body, attempts, attempts_max, pushed_at";
    let params = params![
        queue.as_str(),
        sql::moment(now),
        sql::moment(until),
        sql::limit(max)
    ];
    let mut leased = sql::all(connection, sql, params, |row| {
        let attempt = row.get(2)?;
        Ok(Leased {
            lease: Lease {
                queue: queue.clone(),
                id: message_id(row)?,
                attempt,
            },
            body: sql::bytes(row, 1)?,
            attempt,
            attempts_max: row.get(3)?,
            pushed_at: sql::timestamp(row, 4)?,
            until,
        })
    })?;
    leased.sort_by_key(|leased| leased.lease.id);
    Ok(leased)
}

/// Makes room for the newest dead letters.
fn trim_dead(connection: &Connection, queue: &Key) -> rusqlite::Result<()> {
    let sql = "SELECT dead FROM queue WHERE name = ?1";
    let dead = sql::first(connection, sql, [queue.as_str()], |row| row.get(0))?;
    let too_many = sql::from_sql(dead.unwrap_or(0)).saturating_sub(DEAD_MAX);
    if too_many == 0 {
        return Ok(());
    }
    tracing::warn!(%queue, too_many, "oldest dead letters dropped");
    sql::execute(
        connection,
        "DELETE FROM message WHERE id IN (SELECT id FROM message \
         WHERE queue = ?1 AND dead_at IS NOT NULL ORDER BY id LIMIT ?2)",
        params![queue.as_str(), sql::to_sql(too_many)],
    )?;
    Ok(())
}

fn depth(connection: &Connection, queue: &Key, now: Timestamp) -> rusqlite::Result<Depth> {
    let sql = "SELECT count(*) FILTER (WHERE dead_at IS NULL AND ready_at <= ?2), \
                      count(*) FILTER (WHERE dead_at IS NULL AND ready_at > ?2 AND NOT leased), \
                      count(*) FILTER (WHERE dead_at IS NULL AND ready_at > ?2 AND leased), \
                      count(*) FILTER (WHERE dead_at IS NOT NULL) \
               FROM message WHERE queue = ?1";
    let read = |row: &Row<'_>| {
        let count = |column| row.get(column).map(sql::from_sql);
        Ok(Depth {
            ready: count(0)?,
            delayed: count(1)?,
            leased: count(2)?,
            dead: count(3)?,
        })
    };
    let depth = sql::first(
        connection,
        sql,
        params![queue.as_str(), sql::moment(now)],
        read,
    )?;
    Ok(depth.unwrap_or_default())
}

fn dead_letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        id: message_id(row)?,
        body: sql::bytes(row, 1)?,
        attempts: row.get(2)?,
        pushed_at: sql::timestamp(row, 3)?,
        dead_at: sql::timestamp(row, 4)?,
    })
}

fn held_or_lost(rows_count: usize, lease: &Lease) -> Result<(), LeaseError> {
    if rows_count > 0 {
        return Ok(());
    }
    Err(LeaseError::Lost {
        queue: lease.queue.clone(),
        id: lease.id,
    })
}

fn id(message: MessageId) -> i64 {
    sql::to_sql(message.get())
}

fn message_id(row: &Row<'_>) -> rusqlite::Result<MessageId> {
    row.get(0).map(sql::from_sql).map(MessageId::new)
}
