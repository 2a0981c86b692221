-- Configuration baselines: what authors signed, for whom, and how devices stand to them. The outline is JSON.
CREATE TABLE baseline (
    hash TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    object {bytes} NOT NULL,
    authors TEXT NOT NULL,
    outline TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX baseline_name ON baseline (name, created);

CREATE TABLE baseline_deployment (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    baseline TEXT NOT NULL REFERENCES baseline (hash),
    baseline_size BIGINT NOT NULL,
    target_device TEXT REFERENCES device (id),
    target_collection TEXT,
    every BIGINT,
    remediate BIGINT NOT NULL,
    high_impact BIGINT NOT NULL,
    outside_windows BIGINT NOT NULL,
    alert_from BIGINT,
    policy_body TEXT NOT NULL REFERENCES policy_body (hash),
    policy_size BIGINT NOT NULL,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    deleted BIGINT
);
CREATE INDEX baseline_deployment_created ON baseline_deployment (created, id);
CREATE INDEX baseline_deployment_target ON baseline_deployment (target_device, deleted);

-- severity: the highest of the settings that are not as they should be, 0 to 3.
CREATE TABLE compliance_device (
    deployment TEXT NOT NULL REFERENCES baseline_deployment (id),
    device TEXT NOT NULL REFERENCES device (id),
    state TEXT NOT NULL,
    severity BIGINT,
    reason TEXT,
    waits TEXT,
    starts BIGINT,
    digest TEXT,
    evaluated BIGINT,
    changed BIGINT NOT NULL,
    withdrawn BIGINT,
    PRIMARY KEY (deployment, device)
);
CREATE INDEX compliance_device_state ON compliance_device (deployment, state, device);
CREATE INDEX compliance_device_device ON compliance_device (device);

-- setting: its number in the baseline.
CREATE TABLE compliance_setting (
    deployment TEXT NOT NULL,
    device TEXT NOT NULL,
    setting BIGINT NOT NULL,
    state TEXT NOT NULL,
    value TEXT,
    reason TEXT,
    detail TEXT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (deployment, device, setting),
    FOREIGN KEY (deployment, device) REFERENCES compliance_device (deployment, device)
);
CREATE INDEX compliance_setting_state ON compliance_setting (deployment, setting, state);
