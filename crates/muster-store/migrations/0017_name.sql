-- A device is known again by its name, in whatever letters it is written.
CREATE INDEX device_name_lower ON device (lower(name));
