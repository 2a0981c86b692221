-- The end of a device's key. It outlives every certificate of it, and the record of how they were revoked.
ALTER TABLE device ADD COLUMN key_revoked BIGINT;
UPDATE device SET key_revoked = (SELECT r.revoked FROM revoked_certificate r WHERE r.serial = device.certificate_serial AND r.reason <> 'certificate_hold') WHERE state <> 'retired';
