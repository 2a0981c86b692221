CREATE TABLE issued_certificate (
    serial TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    device TEXT REFERENCES device (id),
    issued BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX issued_certificate_device ON issued_certificate (device, issued);
CREATE INDEX issued_certificate_issued ON issued_certificate (issued, serial);
CREATE INDEX issued_certificate_expires ON issued_certificate (expires);

CREATE TABLE revoked_certificate (
    serial TEXT NOT NULL PRIMARY KEY REFERENCES issued_certificate (serial),
    device TEXT REFERENCES device (id),
    reason TEXT NOT NULL,
    revoked BIGINT NOT NULL,
    revoked_by TEXT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX revoked_certificate_device ON revoked_certificate (device, reason);
CREATE INDEX revoked_certificate_expires ON revoked_certificate (expires);

CREATE TABLE revocation_change (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL
);
INSERT INTO revocation_change (id, number) VALUES (1, 1);

CREATE TABLE revocation_list (
    issuer TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    covers BIGINT NOT NULL,
    signed BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    list {bytes} NOT NULL
);

INSERT INTO issued_certificate (serial, kind, device, issued, expires)
    SELECT certificate_serial, 'client', id, enrolled, certificate_expires FROM device;
INSERT INTO issued_certificate (serial, kind, device, issued, expires)
    SELECT previous_serial, 'client', id, enrolled, certificate_expires FROM device WHERE previous_serial IS NOT NULL;
INSERT INTO revoked_certificate (serial, device, reason, revoked, revoked_by, expires)
    SELECT c.serial, c.device, CASE d.state WHEN 'blocked' THEN 'certificate_hold' ELSE 'cessation_of_operation' END,
    d.enrolled, 'site', c.expires FROM issued_certificate c JOIN device d ON d.id = c.device WHERE d.state IN ('blocked', 'retired');
