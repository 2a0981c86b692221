-- Chunk lists of content files: bytes of the list, and of the file with its chunks compressed where it is kept in that form too.
CREATE TABLE content_chunks (
    hash TEXT NOT NULL PRIMARY KEY REFERENCES content (hash),
    chunks BIGINT NOT NULL,
    list BIGINT NOT NULL,
    packed BIGINT,
    created BIGINT NOT NULL
);
