-- What the agent keeps. Written by one process, the agent; `status` only reads.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
-- acknowledged, head: where the site is. resume: tell the site that what it lacks before the next message is lost.
-- most: so many messages in one batch (lower after the site said that a batch is too large).
CREATE TABLE channel (
  name TEXT PRIMARY KEY, acknowledged INTEGER NOT NULL, head BLOB NOT NULL, resume INTEGER NOT NULL, most INTEGER NOT NULL
) STRICT;
-- sequence: given when a message is first put into a batch; until then it may be replaced or dropped. low: may be dropped.
CREATE TABLE message (
  id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, sequence INTEGER, kind TEXT NOT NULL, low INTEGER NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX message_sequence ON message (channel, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX message_waiting ON message (channel, kind) WHERE sequence IS NULL;
-- The state of each inventory class (zstd of JSON): as in the last message that has a sequence number, and in the one that waits.
CREATE TABLE section (class TEXT PRIMARY KEY, base BLOB, waiting BLOB) STRICT;
-- changed, until: milliseconds since 1970.
CREATE TABLE deployment (
  id TEXT PRIMARY KEY, application TEXT NOT NULL, state TEXT NOT NULL, reason TEXT, changed INTEGER NOT NULL,
  until INTEGER NOT NULL, attempts INTEGER NOT NULL
) STRICT;
PRAGMA user_version = 1;
