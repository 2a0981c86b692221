-- Client settings: the default for all (the number zero, at the place 0), custom ones for collections, and what each was before.
-- Definitions and collections of a version are JSON.
CREATE TABLE client_settings (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    comment TEXT NOT NULL,
    place BIGINT NOT NULL,
    definition TEXT NOT NULL,
    version BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL
);

CREATE TABLE client_settings_collection (
    settings TEXT NOT NULL REFERENCES client_settings (id),
    collection TEXT NOT NULL REFERENCES collection (id),
    PRIMARY KEY (settings, collection)
);
CREATE INDEX client_settings_collection_collection ON client_settings_collection (collection);

CREATE TABLE client_settings_version (
    settings TEXT NOT NULL,
    version BIGINT NOT NULL,
    name TEXT NOT NULL,
    comment TEXT NOT NULL,
    place BIGINT NOT NULL,
    definition TEXT NOT NULL,
    collections TEXT NOT NULL,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    PRIMARY KEY (settings, version)
);

-- What was set for all devices so far is the default from now on.
INSERT INTO client_settings (id, name, comment, place, definition, version, changed, changed_by)
SELECT '00000000-0000-0000-0000-000000000000', 'Default', '', 0, value, 1, 0, 'an earlier version of Muster'
FROM setting WHERE name = 'client_settings';
INSERT INTO client_settings_version (settings, version, name, comment, place, definition, collections, changed, changed_by)
SELECT id, version, name, comment, place, definition, '[]', changed, changed_by FROM client_settings;
DELETE FROM setting WHERE name = 'client_settings';
