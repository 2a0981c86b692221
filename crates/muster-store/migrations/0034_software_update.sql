-- Software updates that the tools of devices offer: counted now and then, and since when the site knows of each.
CREATE TABLE software_update (
    id {serial},
    package TEXT NOT NULL,
    architecture TEXT NOT NULL,
    version TEXT NOT NULL,
    tool TEXT NOT NULL,
    origin TEXT NOT NULL,
    security BIGINT NOT NULL,
    devices BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    superseded_by TEXT,
    UNIQUE (package, architecture, version, tool)
);
CREATE INDEX software_update_devices ON software_update (devices, id);
