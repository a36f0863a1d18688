-- Records: the row's number is the version of the write that made it. AUTOINCREMENT, so that no
-- number comes twice even when the newest row is gone. A deletion is a row without a value, until
-- every watch has seen it.
CREATE TABLE record (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    key     TEXT NOT NULL UNIQUE,
    value   BLOB
) STRICT;
CREATE INDEX record_deleted ON record (version) WHERE value IS NULL;

-- Single numbers: `forgotten`, the newest deletion whose row is gone; `entries`, the version of the
-- newest write to any entry.
CREATE TABLE number (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO number VALUES ('forgotten', 0), ('entries', 0);

-- Queues: `ready_at` is when a message may be delivered, be it after a delay or a lease.
CREATE TABLE message (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    queue        TEXT NOT NULL,
    body         BLOB NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    attempts_max INTEGER NOT NULL,
    leased       INTEGER NOT NULL DEFAULT 0,
    pushed_at    INTEGER NOT NULL,
    ready_at     INTEGER NOT NULL,
    dead_at      INTEGER
) STRICT;
CREATE INDEX message_ready ON message (queue, ready_at, id) WHERE dead_at IS NULL;
CREATE INDEX message_dead ON message (queue, id) WHERE dead_at IS NOT NULL;

CREATE TABLE message_name (
    queue      TEXT NOT NULL,
    name       TEXT NOT NULL,
    id         INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_name_expires ON message_name (expires_at);

-- How many messages a queue has, kept by the triggers so that no statement can forget to.
CREATE TABLE queue (
    name    TEXT PRIMARY KEY,
    waiting INTEGER NOT NULL DEFAULT 0,
    dead    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    INSERT INTO queue (name, waiting, dead)
        VALUES (new.queue, new.dead_at IS NULL, new.dead_at IS NOT NULL)
        ON CONFLICT (name) DO UPDATE
            SET waiting = waiting + excluded.waiting, dead = dead + excluded.dead;
END;
CREATE TRIGGER message_taken AFTER DELETE ON message BEGIN
    UPDATE queue
        SET waiting = waiting - (old.dead_at IS NULL), dead = dead - (old.dead_at IS NOT NULL)
        WHERE name = old.queue;
    DELETE FROM queue WHERE name = old.queue AND waiting = 0 AND dead = 0;
END;
CREATE TRIGGER message_turned AFTER UPDATE OF dead_at ON message
    WHEN (old.dead_at IS NULL) <> (new.dead_at IS NULL) BEGIN
    UPDATE queue
        SET waiting = waiting + (new.dead_at IS NULL) - (old.dead_at IS NULL),
            dead = dead + (old.dead_at IS NULL) - (new.dead_at IS NULL)
        WHERE name = new.queue;
END;

-- Key-value: entries of a bucket, and how much a bucket holds.
CREATE TABLE entry (
    bucket  TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   BLOB NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (bucket, key)
) STRICT;
CREATE TABLE bucket (
    name    TEXT PRIMARY KEY,
    entries INTEGER NOT NULL DEFAULT 0,
    bytes   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TRIGGER entry_added AFTER INSERT ON entry BEGIN
    INSERT INTO bucket (name, entries, bytes)
        VALUES (new.bucket, 1, octet_length(new.key) + octet_length(new.value))
        ON CONFLICT (name) DO UPDATE
            SET entries = entries + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER entry_changed AFTER UPDATE OF value ON entry BEGIN
    UPDATE bucket SET bytes = bytes + octet_length(new.value) - octet_length(old.value)
        WHERE name = new.bucket;
END;
CREATE TRIGGER entry_taken AFTER DELETE ON entry BEGIN
    UPDATE bucket
        SET entries = entries - 1,
            bytes = bytes - octet_length(old.key) - octet_length(old.value)
        WHERE name = old.bucket;
    DELETE FROM bucket WHERE name = old.bucket AND entries = 0;
END;
