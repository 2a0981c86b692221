-- Queries that administrators keep: the question, and who asks.
CREATE TABLE saved_query (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    language TEXT NOT NULL,
    query TEXT NOT NULL,
    comment TEXT NOT NULL,
    owner TEXT NOT NULL,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    revision BIGINT NOT NULL
);
