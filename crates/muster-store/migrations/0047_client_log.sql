-- Where the logs of clients stand, and pieces of them that administrators asked for.
-- said: by the client's clock. era: grows where a client's log went back; the heads of earlier ones stay as evidence. The last alteration, by the site's clock.
CREATE TABLE client_log (
    device TEXT NOT NULL PRIMARY KEY REFERENCES device (id),
    era BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    head {bytes} NOT NULL,
    first BIGINT NOT NULL,
    said BIGINT NOT NULL,
    received BIGINT NOT NULL,
    fault TEXT,
    fault_sequence BIGINT,
    fault_from BIGINT,
    fault_until BIGINT
);
CREATE TABLE client_log_anchor (
    device TEXT NOT NULL REFERENCES device (id),
    era BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    head {bytes} NOT NULL,
    said BIGINT NOT NULL,
    received BIGINT NOT NULL,
    PRIMARY KEY (device, era, sequence)
);
-- received NULL: it is awaited. verdict: JSON. lines: zstd of the lines as they came.
CREATE TABLE client_log_piece (
    id TEXT NOT NULL PRIMARY KEY,
    device TEXT NOT NULL REFERENCES device (id),
    since BIGINT,
    most BIGINT NOT NULL,
    asked BIGINT NOT NULL,
    asked_by TEXT NOT NULL,
    received BIGINT,
    first BIGINT,
    last BIGINT,
    verdict TEXT,
    bytes BIGINT NOT NULL DEFAULT 0,
    lines {bytes}
);
CREATE INDEX client_log_piece_device ON client_log_piece (device, asked);
CREATE INDEX client_log_piece_asked ON client_log_piece (asked);
