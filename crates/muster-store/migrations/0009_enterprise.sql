-- CAs of the enterprise whose client certificates count, and where their revocation lists are.
CREATE TABLE issuer (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    certificate {bytes} NOT NULL,
    expires BIGINT NOT NULL,
    criteria TEXT NOT NULL,
    list_url TEXT NOT NULL,
    grace_hours BIGINT NOT NULL,
    added BIGINT NOT NULL,
    added_by TEXT NOT NULL,
    tried BIGINT,
    failure TEXT
);

-- The newest revocation list of each that was taken. It outlives its issuer: one that is added again must not go back to an older.
CREATE TABLE issuer_list (
    issuer TEXT NOT NULL PRIMARY KEY,
    number TEXT NOT NULL,
    signed BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    list {bytes} NOT NULL
);

-- The one certificate of the enterprise that each request, and the device that it became, talks with. Both have one id.
CREATE TABLE enterprise_certificate (
    owner TEXT NOT NULL PRIMARY KEY REFERENCES enrolment (id),
    fingerprint TEXT NOT NULL,
    issuer TEXT NOT NULL,
    serial TEXT NOT NULL,
    subject TEXT NOT NULL,
    named TEXT NOT NULL,
    key TEXT NOT NULL,
    expires BIGINT NOT NULL,
    mapped BIGINT NOT NULL
);
CREATE INDEX enterprise_certificate_fingerprint ON enterprise_certificate (fingerprint);
CREATE INDEX enterprise_certificate_key ON enterprise_certificate (key);
CREATE INDEX enterprise_certificate_named ON enterprise_certificate (named);
CREATE INDEX enterprise_certificate_issuer ON enterprise_certificate (issuer, serial);

-- Which issuing CA a certificate is of, so that each lists and answers for its own. Empty: from before this was noted.
ALTER TABLE issued_certificate ADD COLUMN issuer TEXT NOT NULL DEFAULT '';
