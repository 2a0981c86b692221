-- Users may put deployments off, and rules propose groups of updates.
-- How often, for how many minutes at a time, and how many minutes after the deadline. NULL: they may not.
ALTER TABLE deployment ADD COLUMN defer_times BIGINT;
ALTER TABLE deployment ADD COLUMN defer_minutes BIGINT;
ALTER TABLE deployment ADD COLUMN defer_grace BIGINT;
ALTER TABLE deployment_device ADD COLUMN deferred BIGINT NOT NULL DEFAULT 0;

-- The definition is JSON. due: when it is looked at next.
CREATE TABLE update_rule (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    definition TEXT NOT NULL,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    due BIGINT NOT NULL,
    looked BIGINT,
    -- The draft that waits for a signature, as JSON, and since when.
    draft TEXT,
    drafted BIGINT,
    changes BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX update_rule_due ON update_rule (due);
