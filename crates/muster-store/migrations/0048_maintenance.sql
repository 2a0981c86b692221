-- Maintenance tasks as administrators set them; a task without a row is as it comes.
CREATE TABLE maintenance_task (
    name TEXT NOT NULL PRIMARY KEY,
    enabled BIGINT NOT NULL,
    keep_days BIGINT NOT NULL,
    every_days BIGINT NOT NULL,
    hours TEXT NOT NULL,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL
);
-- One that has not ended is at most one of each task. holder, held: which process works on it, and until when the others leave it alone.
CREATE TABLE maintenance_run (
    id {serial},
    task TEXT NOT NULL,
    began BIGINT NOT NULL,
    ended BIGINT,
    live TEXT UNIQUE,
    cutoff BIGINT NOT NULL,
    removed BIGINT NOT NULL DEFAULT 0,
    pieces BIGINT NOT NULL DEFAULT 0,
    longest BIGINT NOT NULL DEFAULT 0,
    asked_by TEXT,
    holder TEXT NOT NULL DEFAULT '',
    held BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX maintenance_run_task ON maintenance_run (task, id);
-- The last entry of the audit log that was removed: the chain goes on from its head.
CREATE TABLE audit_base (
    id BIGINT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    head {bytes} NOT NULL
);
