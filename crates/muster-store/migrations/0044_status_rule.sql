-- Status filter rules, what they send to targets, counts of status messages by hour, and who is told of alerts.
-- When a message goes, where a rule says so.
ALTER TABLE message ADD COLUMN expires BIGINT;
CREATE INDEX message_expires ON message (expires);
-- Part, severity and type follow from the kind.
CREATE INDEX message_kind ON message (message, id);

-- version changes with each change of a rule: whoever stores messages has the rules of that version in memory.
CREATE TABLE status_rule_state (
    id BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
);
INSERT INTO status_rule_state (id, version) VALUES (1, 1);

-- The definition is JSON. used: how often it acted in the hour; granted: how often of what was last asked for.
CREATE TABLE status_rule (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    place BIGINT NOT NULL,
    definition TEXT NOT NULL,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    matched BIGINT NOT NULL DEFAULT 0,
    fired BIGINT NOT NULL DEFAULT 0,
    dropped BIGINT NOT NULL DEFAULT 0,
    last BIGINT,
    hour BIGINT NOT NULL DEFAULT 0,
    used BIGINT NOT NULL DEFAULT 0,
    granted BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX status_rule_place ON status_rule (place, id);

-- The message is JSON, without the name of its device.
CREATE TABLE status_action (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    target TEXT NOT NULL,
    device TEXT REFERENCES device (id),
    state TEXT NOT NULL,
    created BIGINT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    due BIGINT NOT NULL,
    ended BIGINT,
    outcome TEXT NOT NULL DEFAULT '',
    text TEXT NOT NULL,
    content TEXT NOT NULL
);
CREATE INDEX status_action_due ON status_action (state, target, due, id);
CREATE INDEX status_action_ended ON status_action (ended, id);

-- Bounded by parts, severities and the hours that are kept.
CREATE TABLE status_hour (
    hour BIGINT NOT NULL,
    component TEXT NOT NULL,
    severity BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    PRIMARY KEY (hour, component, severity)
);

CREATE TABLE status_threshold (
    component TEXT NOT NULL PRIMARY KEY,
    warning BIGINT,
    critical BIGINT
);

ALTER TABLE alert ADD COLUMN postponed BIGINT;
ALTER TABLE alert ADD COLUMN closed_by TEXT;

-- The definition is JSON.
CREATE TABLE subscription (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    definition TEXT NOT NULL,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL
);
