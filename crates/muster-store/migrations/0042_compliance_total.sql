-- Devices of each deployment of a baseline by state, and of each of its settings, counted as they change: the parts are too many to be counted whenever somebody looks.
CREATE TABLE compliance_total (
    deployment TEXT NOT NULL REFERENCES baseline_deployment (id),
    state TEXT NOT NULL,
    devices BIGINT NOT NULL,
    alerts BIGINT NOT NULL,
    PRIMARY KEY (deployment, state)
);
INSERT INTO compliance_total (deployment, state, devices, alerts)
    SELECT t.deployment, t.state, COUNT(*), CAST(SUM(CASE WHEN t.severity >= p.alert_from THEN 1 ELSE 0 END) AS BIGINT)
    FROM compliance_device t JOIN baseline_deployment p ON p.id = t.deployment WHERE t.withdrawn IS NULL
    GROUP BY t.deployment, t.state;

CREATE TABLE compliance_setting_total (
    deployment TEXT NOT NULL REFERENCES baseline_deployment (id),
    setting BIGINT NOT NULL,
    state TEXT NOT NULL,
    devices BIGINT NOT NULL,
    PRIMARY KEY (deployment, setting, state)
);
INSERT INTO compliance_setting_total (deployment, setting, state, devices)
    SELECT s.deployment, s.setting, s.state, COUNT(*) FROM compliance_setting s
    JOIN compliance_device t ON t.deployment = s.deployment AND t.device = s.device
    WHERE t.withdrawn IS NULL GROUP BY s.deployment, s.setting, s.state;

-- Deployments that are over still show what they were of.
ALTER TABLE baseline ADD COLUMN deleted BIGINT;
