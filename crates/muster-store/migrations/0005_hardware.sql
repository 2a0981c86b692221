CREATE TABLE hardware (
    id TEXT NOT NULL PRIMARY KEY,
    standing TEXT NOT NULL,
    note TEXT NOT NULL,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL
);
CREATE INDEX hardware_changed ON hardware (changed, id);

CREATE TABLE attestation (
    enrolment TEXT NOT NULL PRIMARY KEY REFERENCES enrolment (id),
    hardware TEXT NOT NULL,
    vouched_by TEXT NOT NULL,
    verified BIGINT NOT NULL,
    endorsement_certificate {bytes},
    endorsement_key {bytes} NOT NULL,
    attestation_key {bytes} NOT NULL,
    device_key {bytes} NOT NULL,
    statement {bytes} NOT NULL,
    signature {bytes} NOT NULL,
    nonce TEXT NOT NULL,
    exporter TEXT NOT NULL
);

ALTER TABLE enrolment ADD COLUMN hardware TEXT;

ALTER TABLE device ADD COLUMN hardware TEXT;
CREATE INDEX device_attested ON device (hardware, id);
CREATE UNIQUE INDEX device_attested_active ON device (hardware) WHERE state = 'active';
