-- Deployments that are held, ended, tried again or rolled out in phases, their steps on each device, and alerts.
ALTER TABLE deployment ADD COLUMN paused BIGINT;
-- Where it is paused and nobody stands here, the site did it.
ALTER TABLE deployment ADD COLUMN paused_by TEXT;
ALTER TABLE deployment ADD COLUMN pause_reason TEXT;
ALTER TABLE deployment ADD COLUMN cancelled BIGINT;
-- The phase that began last, 0: none yet. NULL: it has no phases.
ALTER TABLE deployment ADD COLUMN phase BIGINT;
CREATE INDEX deployment_phased ON deployment (phase, deleted);
ALTER TABLE deployment_device ADD COLUMN attempt BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment_device ADD COLUMN phase BIGINT;
CREATE INDEX deployment_device_total ON deployment_device (deployment, state, withdrawn, phase);

-- The policy body of each attempt after the first.
CREATE TABLE deployment_attempt (
    deployment TEXT NOT NULL REFERENCES deployment (id),
    attempt BIGINT NOT NULL,
    policy_body TEXT NOT NULL REFERENCES policy_body (hash),
    policy_size BIGINT NOT NULL,
    PRIMARY KEY (deployment, attempt)
);

-- The definition is JSON. forgiven: failures that an administrator saw when the deployment went on.
CREATE TABLE deployment_phase (
    deployment TEXT NOT NULL REFERENCES deployment (id),
    phase BIGINT NOT NULL,
    definition TEXT NOT NULL,
    begun BIGINT,
    begun_by TEXT,
    forgiven BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (deployment, phase)
);

-- When it happened by the clock of the device, and when it was received by that of the site.
CREATE TABLE deployment_event (
    id {serial},
    deployment TEXT NOT NULL REFERENCES deployment (id),
    device TEXT NOT NULL REFERENCES device (id),
    happened BIGINT NOT NULL,
    received BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    exit_code BIGINT,
    waits TEXT,
    starts BIGINT,
    output TEXT NOT NULL,
    attempt BIGINT NOT NULL
);
CREATE INDEX deployment_event_device ON deployment_event (device, deployment, id);
CREATE INDEX deployment_event_received ON deployment_event (received, id);

-- The kind and the subject, while it is not closed. So there is one of each.
CREATE TABLE alert (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    live TEXT UNIQUE,
    severity BIGINT NOT NULL,
    text TEXT NOT NULL,
    devices BIGINT NOT NULL,
    opened BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    acknowledged BIGINT,
    acknowledged_by TEXT,
    closed BIGINT
);
CREATE INDEX alert_opened ON alert (opened, id);
CREATE INDEX alert_closed ON alert (closed, id);

CREATE TABLE alert_device (
    alert TEXT NOT NULL REFERENCES alert (id),
    device TEXT NOT NULL REFERENCES device (id),
    PRIMARY KEY (alert, device)
);

CREATE VIEW v_DeploymentSummary AS SELECT
    p.id AS AssignmentID,
    p.name AS DeploymentName,
    a.name AS SoftwareName,
    a.version AS SoftwareVersion,
    p.target_collection AS CollectionID,
    p.action AS DeploymentAction,
    p.purpose AS DeploymentPurpose,
    p.available AS DeploymentTime,
    p.deadline AS EnforcementDeadline,
    p.paused AS Paused,
    p.deleted AS Deleted,
    COUNT(t.device) AS NumberTotal,
    COUNT(CASE WHEN t.state = 'succeeded' THEN 1 END) AS NumberSuccess,
    COUNT(CASE WHEN t.state = 'failed' THEN 1 END) AS NumberErrors,
    COUNT(CASE WHEN t.state IN ('waiting', 'downloading', 'installing') THEN 1 END) AS NumberInProgress,
    COUNT(CASE WHEN t.state = 'targeted' THEN 1 END) AS NumberUnknown,
    COUNT(CASE WHEN t.state = 'requirements_not_met' THEN 1 END) AS NumberOther
FROM deployment p JOIN application a ON a.hash = p.application
LEFT JOIN deployment_device t ON t.deployment = p.id
    AND (t.withdrawn IS NULL OR t.state IN ('succeeded', 'failed', 'requirements_not_met'))
GROUP BY p.id, p.name, a.name, a.version, p.target_collection, p.action, p.purpose, p.available, p.deadline, p.paused, p.deleted;
