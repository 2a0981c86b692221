-- What is known of how clients are: when each gave which sign of life, and what its own checks found. The checks are JSON.
CREATE TABLE client_status (
    device TEXT NOT NULL PRIMARY KEY REFERENCES device (id),
    policy_request BIGINT NOT NULL DEFAULT 0,
    heartbeat BIGINT NOT NULL DEFAULT 0,
    status_message BIGINT NOT NULL DEFAULT 0,
    live_channel BIGINT NOT NULL DEFAULT 0,
    checked BIGINT,
    verdict TEXT NOT NULL DEFAULT 'unknown',
    failed BIGINT NOT NULL DEFAULT 0,
    remedied BIGINT NOT NULL DEFAULT 0,
    remediates BIGINT NOT NULL DEFAULT 0,
    checks TEXT NOT NULL DEFAULT '[]'
);

-- Of a collection that is gone the row goes with the next look: a collection must not stay because of it.
CREATE TABLE client_status_threshold (
    collection TEXT NOT NULL PRIMARY KEY,
    active_percent BIGINT,
    healthy_percent BIGINT,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL
);

-- The counts of each day, of a collection or, where it is empty, of the site.
CREATE TABLE client_status_day (
    collection TEXT NOT NULL,
    day BIGINT NOT NULL,
    devices BIGINT NOT NULL,
    active BIGINT NOT NULL,
    passed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    remedied BIGINT NOT NULL,
    PRIMARY KEY (collection, day)
);
CREATE INDEX client_status_day_day ON client_status_day (day);
