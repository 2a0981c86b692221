-- How the section of a device changed, backwards: what must be taken from the state after it, and added to it, for the one before.
-- `since` is when the state before it began; NULL: there was no section. `added` and `removed` are JSON lists of row ids; a section
-- that begins has neither.
CREATE TABLE section_change (
    id {serial},
    device TEXT NOT NULL REFERENCES device (id),
    class TEXT NOT NULL,
    happened BIGINT NOT NULL,
    since BIGINT,
    added TEXT NOT NULL,
    removed TEXT NOT NULL,
    added_count BIGINT NOT NULL,
    removed_count BIGINT NOT NULL
);
CREATE INDEX section_change_device ON section_change (device, class, id);
