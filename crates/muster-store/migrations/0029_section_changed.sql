-- Which sections of a class changed lately, for the removal of rows that nobody has.
CREATE INDEX device_section_changed ON device_section (class, changed);
