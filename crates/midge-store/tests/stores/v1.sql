-- What a store of schema 1 held; see tests/it/stores.rs. This file never changes.
PRAGMA application_id = 1296647239;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE bucket (
    name    TEXT PRIMARY KEY,
    entries INTEGER NOT NULL DEFAULT 0,
    bytes   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO "bucket" VALUES('shop/carts',2,21);
CREATE TABLE entry (
    bucket  TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   BLOB NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (bucket, key)
) STRICT;
INSERT INTO "entry" VALUES('shop/carts','Cart 7',CAST('three apples' AS BLOB),1);
INSERT INTO "entry" VALUES('shop/carts','n',CAST('41' AS BLOB),2);
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
INSERT INTO "message" VALUES(1,'orders',CAST('one' AS BLOB),0,5,0,1795360185920,1795360185920,NULL);
INSERT INTO "message" VALUES(2,'orders',CAST('late' AS BLOB),0,5,0,1795360185920,1797088185920,NULL);
INSERT INTO "message" VALUES(3,'orders.dead',CAST('dead' AS BLOB),1,1,0,1795360185921,1795360185921,1795360185921);
CREATE TABLE message_name (
    queue      TEXT NOT NULL,
    name       TEXT NOT NULL,
    id         INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "message_name" VALUES('orders','Order 7',1,1795360305920);
CREATE TABLE number (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "number" VALUES('entries',2);
INSERT INTO "number" VALUES('forgotten',0);
CREATE TABLE queue (
    name    TEXT PRIMARY KEY,
    waiting INTEGER NOT NULL DEFAULT 0,
    dead    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO "queue" VALUES('orders',2,0);
INSERT INTO "queue" VALUES('orders.dead',0,1);
CREATE TABLE record (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    key     TEXT NOT NULL UNIQUE,
    value   BLOB
) STRICT;
INSERT INTO "record" VALUES(1,'component.shop.d39ad56a4c032330cab88e5277b39bdad5e1adae6bb74e355543ff2d80960121',CAST('{"namespace":"shop","digest":"sha256:d39ad56a4c032330cab88e5277b39bdad5e1adae6bb74e355543ff2d80960121","size_bytes":14,"uploaded_at":"2026-11-22T14:00:00.000Z","uploaded_by":"ci"}' AS BLOB));
INSERT INTO "record" VALUES(2,'claim.shop.bcdef63cb4c87bd46638f53cb8ed31d9866361dd9a43d7e94fecf5fdf23714af',CAST('{"namespace":"shop","function":"checkout","route":"GET /checkout/{id}"}' AS BLOB));
INSERT INTO "record" VALUES(3,'revision.shop.checkout.0000000001',CAST('{"revision":{"namespace":"shop","function":"checkout","number":"r1","digest":"sha256:d39ad56a4c032330cab88e5277b39bdad5e1adae6bb74e355543ff2d80960121","grants":{"env":{},"dirs":[],"http":[],"tcp":[],"udp":[],"dns":[],"listen":[],"secrets":[],"clock":"coarse","tmp_bytes":null},"limits":{"memory_bytes":"128MiB","cpu":"2s","time":"10s","concurrency":200,"queue":1000,"queue_time":"10s","request_body_bytes":"10MiB","response_body_bytes":"1GiB","log_bytes":"256KiB","log_rate_bytes":"1MiB","outbound_calls":50,"outbound_bytes":"100MiB","sockets":16,"weight":100},"routes":["GET /checkout/{id}"]},"component_bytes":14,"created_at":"2026-11-22T14:00:00.000Z","created_by":"ci","message":"first"}' AS BLOB));
INSERT INTO "record" VALUES(4,'function.shop.checkout',CAST('{"namespace":"shop","function":"checkout","traffic":{"shares":[{"revision":"r1","weight":100}]},"revisions":["r1"],"next":"r2","keep":10,"previous":null,"created_at":"2026-11-22T14:00:00.000Z","updated_at":"2026-11-22T14:00:00.000Z"}' AS BLOB));
INSERT INTO "record" VALUES(5,'namespace.shop',CAST('{"name":"shop","created_at":"2026-11-22T14:00:00.000Z","quota":{"functions":20000,"component_bytes":"64GiB","secrets":1000,"tokens":1000}}' AS BLOB));
INSERT INTO "record" VALUES(6,'secret.shop.stripe_k=e=y',CAST('{"namespace":"shop","name":"STRIPE_Key","sealed":{"key_id":"9a2db2e23f1504cd","nonce":"73936ec264c652094fffc28f45b92efbf90aabeb787e010f","ciphertext":"f1047eee1bb2cfd4af35be306a2c15e86f65891ccf7bdf"},"generation":1,"updated_at":"2026-11-22T14:00:00.000Z","updated_by":"admin"}' AS BLOB));
INSERT INTO "record" VALUES(7,'token.4f9a',CAST('{"id":"4f9a","name":"ci","role":"deployer","namespace":"shop","hash":"0707070707070707070707070707070707070707070707070707070707070707","policy":null,"created_at":"2026-11-22T14:00:00.000Z","expires_at":null,"revoked_at":null,"last_used_at":"2026-11-22T14:00:00.000Z"}' AS BLOB));
INSERT INTO "record" VALUES(8,'audit.shop.fe655555-ffff-8fff-7fff-fffffffffffe',CAST('{"id":"019aaaaa-0000-7000-8000-000000000001","at":"2026-11-22T14:00:00.000Z","actor":{"token":"4f9a","name":"ci"},"from":"127.0.0.1","request_id":"req-1","action":"deploy","namespace":"shop","subject":"checkout","outcome":{"refused":"widens"},"detail":{"grants":1}}' AS BLOB));
INSERT INTO "record" VALUES(9,'idempotency.4f9a.244cf825d65c1c4e8ee725c6b95546126c6221db26f6d1ef1b69fdc29c95b802',CAST('{"request_hash":"sha256:1f58b9145b24d108d7ac38887338b3ea3229833b9c1e418250343f907bfd1047","answer":{"status":201,"body":"{}"},"expires_at":"2026-11-22T14:00:00.000Z"}' AS BLOB));
INSERT INTO "record" VALUES(11,'namespace.gone',NULL);
CREATE INDEX record_deleted ON record (version) WHERE value IS NULL;
CREATE INDEX message_ready ON message (queue, ready_at, id) WHERE dead_at IS NULL;
CREATE INDEX message_dead ON message (queue, id) WHERE dead_at IS NOT NULL;
CREATE INDEX message_name_expires ON message_name (expires_at);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('record',11);
INSERT INTO "sqlite_sequence" VALUES('message',3);
COMMIT;
