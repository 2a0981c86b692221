-- The account of a computer's domain that a request proved.
CREATE TABLE domain_account (
    enrolment TEXT NOT NULL PRIMARY KEY REFERENCES enrolment (id),
    realm TEXT NOT NULL,
    account TEXT NOT NULL,
    sid TEXT NOT NULL,
    group_sid TEXT,
    verified BIGINT NOT NULL
);

-- Its security identifier, which two active devices never share.
ALTER TABLE enrolment ADD COLUMN account TEXT;
ALTER TABLE device ADD COLUMN account TEXT;
CREATE INDEX device_account ON device (account, id);
CREATE UNIQUE INDEX device_account_active ON device (account) WHERE state = 'active';

-- Serial numbers that the site expects.
CREATE TABLE expected_serial (
    serial TEXT NOT NULL PRIMARY KEY,
    note TEXT NOT NULL,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL
);
CREATE INDEX expected_serial_changed ON expected_serial (changed, serial);

-- What a request states, and why it was approved without an administrator or was not.
ALTER TABLE enrolment ADD COLUMN serial TEXT;
ALTER TABLE enrolment ADD COLUMN verdict TEXT;

-- The serial number of the one machine that a token was made for.
ALTER TABLE token ADD COLUMN serial TEXT;
