-- Two machines that look like one device. Hardware ids are empty where they are not known.
CREATE TABLE conflict (
    id TEXT NOT NULL PRIMARY KEY,
    device TEXT NOT NULL REFERENCES device (id),
    kind TEXT NOT NULL,
    found BIGINT NOT NULL,
    first_address TEXT NOT NULL,
    first_name TEXT NOT NULL,
    first_hardware TEXT NOT NULL,
    second_address TEXT NOT NULL,
    second_name TEXT NOT NULL,
    second_hardware TEXT NOT NULL,
    decision TEXT,
    decided BIGINT,
    decided_by TEXT,
    reason TEXT
);
CREATE INDEX conflict_found ON conflict (found, id);
CREATE INDEX conflict_device ON conflict (device, decided);
CREATE INDEX conflict_hardware ON conflict (second_hardware, decision);

-- Where the last report of each channel came from: one of the two machines, when another one turns up.
ALTER TABLE channel ADD COLUMN address TEXT NOT NULL DEFAULT '';
-- The heads after the last messages, cut; NULL: not known.
ALTER TABLE channel ADD COLUMN recent {bytes};
