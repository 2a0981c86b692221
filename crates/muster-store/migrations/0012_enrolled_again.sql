-- The request of a machine that is a device already; NULL: both machines spoke as the device.
ALTER TABLE conflict ADD COLUMN enrolment TEXT;
CREATE INDEX conflict_enrolment ON conflict (enrolment, decision);
