ALTER TABLE assignment ADD COLUMN trust_version BIGINT NOT NULL DEFAULT 0;

ALTER TABLE assignment ADD COLUMN confirmed BIGINT;

CREATE INDEX assignment_trust ON assignment (trust_version, confirmed);
