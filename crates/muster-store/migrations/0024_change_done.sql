-- The evaluation that dealt with a change; 0: none has. Kept for a while, for what another server has in memory.
ALTER TABLE device_change ADD COLUMN done BIGINT NOT NULL DEFAULT 0;
CREATE INDEX device_change_done ON device_change (done, id);
