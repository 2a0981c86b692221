-- What administrators, or the site where nobody stands in acted_by, did to a deployment: on all of its devices, on one, or on those of a phase.
CREATE TABLE deployment_act (
    id {serial},
    deployment TEXT NOT NULL REFERENCES deployment (id),
    device TEXT REFERENCES device (id),
    phase BIGINT,
    happened BIGINT NOT NULL,
    act TEXT NOT NULL,
    acted_by TEXT,
    reason TEXT NOT NULL
);
CREATE INDEX deployment_act_deployment ON deployment_act (deployment, happened, id);
CREATE INDEX deployment_act_happened ON deployment_act (happened, id);
