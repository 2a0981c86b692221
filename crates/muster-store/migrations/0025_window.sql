-- Maintenance windows of collections. The definition is JSON.
CREATE TABLE maintenance_window (
    id TEXT NOT NULL PRIMARY KEY,
    collection TEXT NOT NULL REFERENCES collection (id),
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE (collection, name)
);

ALTER TABLE deployment ADD COLUMN outside_windows BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment ADD COLUMN software_update BIGINT NOT NULL DEFAULT 0;
-- Of one that waits: until when, as its client knows, and what for.
ALTER TABLE deployment_device ADD COLUMN starts BIGINT;
ALTER TABLE deployment_device ADD COLUMN waits TEXT;
