-- Collections: devices in groups, by rules.
CREATE TABLE collection (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL UNIQUE,
    comment TEXT NOT NULL,
    limiting TEXT REFERENCES collection (id),
    built_in BIGINT NOT NULL,
    protected BIGINT NOT NULL,
    incremental BIGINT NOT NULL,
    schedule TEXT NOT NULL,
    next_evaluation BIGINT,
    pending BIGINT NOT NULL,
    member_count BIGINT NOT NULL,
    members_changed BIGINT,
    evaluated BIGINT,
    evaluation_took BIGINT NOT NULL,
    evaluation_error TEXT,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE INDEX collection_limiting ON collection (limiting);
CREATE INDEX collection_pending ON collection (pending);
CREATE INDEX collection_next ON collection (next_evaluation);

-- One of resource_id, query and source, as the kind says.
CREATE TABLE collection_rule (
    id {serial},
    collection TEXT NOT NULL REFERENCES collection (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    resource_id BIGINT,
    query TEXT,
    source TEXT REFERENCES collection (id)
);
CREATE INDEX collection_rule_collection ON collection_rule (collection, id);
CREATE INDEX collection_rule_source ON collection_rule (source);

CREATE TABLE collection_member (
    collection TEXT NOT NULL REFERENCES collection (id),
    resource_id BIGINT NOT NULL,
    PRIMARY KEY (collection, resource_id)
);
CREATE INDEX collection_member_resource ON collection_member (resource_id, collection);

-- Whoever changes rules or members takes this row first: two writers follow each other, and an evaluation that began before a
-- change is not written after it.
CREATE TABLE collection_state (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    rules BIGINT NOT NULL,
    members BIGINT NOT NULL,
    last_number BIGINT NOT NULL
);
INSERT INTO collection_state (id, rules, members, last_number) VALUES (1, 1, 1, 0);

-- What changed on which device, until every collection has looked. The classes are a JSON list.
CREATE TABLE device_change (
    id {serial},
    device TEXT NOT NULL REFERENCES device (id),
    classes TEXT NOT NULL
);

INSERT INTO collection (id, kind, name, comment, limiting, built_in, protected, incremental, schedule, next_evaluation, pending, member_count, evaluation_took, changed, changed_by, revision) VALUES
    ('SMS00001', 'device', 'All Systems', 'Every device that is not retired.', NULL, 1, 1, 1, '[]', NULL, 1, 0, 0, 0, 'site', 1),
    ('SMS00004', 'user', 'All Users and User Groups', 'Every user and every user group.', NULL, 1, 1, 1, '[]', NULL, 0, 0, 0, 0, 'site', 1);
INSERT INTO collection (id, kind, name, comment, limiting, built_in, protected, incremental, schedule, next_evaluation, pending, member_count, evaluation_took, changed, changed_by, revision) VALUES
    ('SMS00002', 'user', 'All Users', 'Every user.', 'SMS00004', 1, 1, 1, '[]', NULL, 0, 0, 0, 0, 'site', 1),
    ('SMS00003', 'user', 'All User Groups', 'Every user group.', 'SMS00004', 1, 1, 1, '[]', NULL, 0, 0, 0, 0, 'site', 1),
    ('SMSDM001', 'device', 'All Mobile Devices', 'Every device that is managed over the air.', 'SMS00001', 1, 1, 1, '[]', NULL, 0, 0, 0, 0, 'site', 1),
    ('SMSDM003', 'device', 'All Desktop and Server Clients', 'Every device with a client that is not retired.', 'SMS00001', 1, 1, 1, '[]', NULL, 1, 0, 0, 0, 'site', 1),
    ('SMS000US', 'device', 'All Unknown Computers', 'Computers that the site does not know yet.', 'SMS00001', 1, 1, 1, '[]', NULL, 0, 0, 0, 0, 'site', 1);

ALTER TABLE deployment ADD COLUMN target_collection TEXT;
CREATE INDEX deployment_target_collection ON deployment (target_collection, deleted);
ALTER TABLE deployment ADD COLUMN high_impact BIGINT NOT NULL DEFAULT 0;
-- When the device left the collection that the deployment is for.
ALTER TABLE deployment_device ADD COLUMN withdrawn BIGINT;
