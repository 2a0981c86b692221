-- Directories in which is looked for systems, users and groups: what an administrator wants of each, and how far it is. Where it is and
-- with what the site binds there stands in a file of the server.
CREATE TABLE discovery_source (
    name TEXT NOT NULL PRIMARY KEY,
    settings TEXT NOT NULL,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    asked TEXT,
    claimed BIGINT NOT NULL,
    reached TEXT,
    resume TEXT,
    full_ended BIGINT,
    delta_ended BIGINT,
    failed BIGINT,
    error TEXT,
    seen BIGINT NOT NULL,
    altered BIGINT NOT NULL,
    refused BIGINT NOT NULL
);

-- Resources whose groups have to be computed again.
CREATE TABLE resource_regroup (
    resource_id BIGINT NOT NULL PRIMARY KEY
);
