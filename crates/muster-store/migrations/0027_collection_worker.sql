-- Which server evaluates collections, where several work on one database, and the sign that it is alive.
ALTER TABLE collection_state ADD COLUMN worker TEXT NOT NULL DEFAULT '';
ALTER TABLE collection_state ADD COLUMN beat BIGINT NOT NULL DEFAULT 0;
