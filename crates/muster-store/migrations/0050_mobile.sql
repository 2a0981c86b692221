-- Devices that are managed by foreign protocols, the tokens that let them in, and their certificates: one at work for each key and class.
CREATE TABLE mobile_device (
    id TEXT NOT NULL PRIMARY KEY,
    class TEXT NOT NULL,
    owner TEXT NOT NULL,
    created BIGINT NOT NULL,
    blocked BIGINT,
    blocked_reason TEXT
);
CREATE INDEX mobile_device_owner ON mobile_device (owner, blocked);
CREATE INDEX mobile_device_created ON mobile_device (created, id);

CREATE TABLE mobile_token (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    class TEXT NOT NULL,
    owner TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    used_by TEXT,
    revoked BIGINT
);
CREATE INDEX mobile_token_created ON mobile_token (created, id);

CREATE TABLE mobile_certificate (
    serial TEXT NOT NULL PRIMARY KEY,
    device TEXT NOT NULL REFERENCES mobile_device (id),
    class TEXT NOT NULL,
    key_id TEXT NOT NULL,
    issued BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    ended BIGINT,
    certificate {bytes} NOT NULL
);
CREATE UNIQUE INDEX mobile_certificate_key ON mobile_certificate (key_id, class) WHERE ended IS NULL;
CREATE UNIQUE INDEX mobile_certificate_active ON mobile_certificate (device) WHERE ended IS NULL;
CREATE INDEX mobile_certificate_device ON mobile_certificate (device, issued);
CREATE INDEX mobile_certificate_expires ON mobile_certificate (expires);
