CREATE TABLE site (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    revision BIGINT NOT NULL
);

CREATE TABLE trust_bundle (
    version BIGINT NOT NULL PRIMARY KEY,
    expires BIGINT NOT NULL,
    envelope {bytes} NOT NULL
);

CREATE TABLE admin (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    key_id TEXT NOT NULL UNIQUE,
    spki {bytes} NOT NULL,
    created BIGINT NOT NULL,
    disabled BIGINT
);

CREATE TABLE sign_in (
    hash TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX sign_in_expires ON sign_in (expires);

CREATE TABLE session (
    hash TEXT NOT NULL PRIMARY KEY,
    admin TEXT NOT NULL REFERENCES admin (id),
    kind TEXT NOT NULL,
    csrf TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT NOT NULL
);
CREATE INDEX session_expires ON session (expires);

CREATE TABLE token (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    used_by TEXT,
    revoked BIGINT
);
CREATE INDEX token_created ON token (created, id);

CREATE TABLE enrolment (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    token TEXT NOT NULL REFERENCES token (id),
    key_id TEXT NOT NULL,
    spki {bytes} NOT NULL,
    host_name TEXT NOT NULL,
    operating_system TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    hardware_id TEXT NOT NULL,
    address TEXT NOT NULL,
    assignment {bytes} NOT NULL,
    created BIGINT NOT NULL,
    decided BIGINT,
    decided_by TEXT,
    device TEXT
);
CREATE INDEX enrolment_state ON enrolment (state, created, id);
CREATE INDEX enrolment_created ON enrolment (created, id);
CREATE INDEX enrolment_key ON enrolment (key_id, created);

CREATE TABLE device (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    operating_system TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    search TEXT NOT NULL,
    key_id TEXT NOT NULL UNIQUE,
    spki {bytes} NOT NULL,
    hardware_id TEXT NOT NULL,
    certificate_serial TEXT NOT NULL,
    previous_serial TEXT,
    certificate_expires BIGINT NOT NULL,
    certificate {bytes} NOT NULL,
    enrolled BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    last_inventory BIGINT,
    block_reason TEXT,
    revision BIGINT NOT NULL
);
CREATE INDEX device_name ON device (name, id);
CREATE INDEX device_state ON device (state, name, id);
CREATE INDEX device_os ON device (operating_system, id, state);
CREATE INDEX device_seen ON device (last_seen, id);
CREATE INDEX device_enrolled ON device (enrolled, id);
CREATE INDEX device_search ON device (search, id);
CREATE INDEX device_hardware ON device (hardware_id, state);

CREATE TABLE assignment (
    device TEXT NOT NULL PRIMARY KEY REFERENCES device (id),
    version BIGINT NOT NULL,
    issued BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    bodies TEXT NOT NULL,
    envelope {bytes} NOT NULL
);
CREATE INDEX assignment_issued ON assignment (issued);

CREATE TABLE policy_body (
    hash TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    bytes {bytes} NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE job (
    id {serial},
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    due BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    UNIQUE (kind, subject)
);
CREATE INDEX job_due ON job (due, id);

CREATE TABLE channel (
    device TEXT NOT NULL REFERENCES device (id),
    channel TEXT NOT NULL,
    last BIGINT NOT NULL,
    head {bytes} NOT NULL,
    PRIMARY KEY (device, channel)
);

CREATE TABLE message (
    id {serial},
    device TEXT NOT NULL REFERENCES device (id),
    happened BIGINT NOT NULL,
    received BIGINT NOT NULL,
    component TEXT NOT NULL,
    message TEXT NOT NULL,
    severity BIGINT NOT NULL,
    value_list TEXT NOT NULL
);
CREATE INDEX message_device ON message (device, id);
CREATE INDEX message_severity ON message (severity, id);

CREATE TABLE quarantine (
    id {serial},
    device TEXT NOT NULL REFERENCES device (id),
    received BIGINT NOT NULL,
    channel TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    class TEXT,
    reason TEXT NOT NULL,
    excerpt TEXT NOT NULL
);
CREATE INDEX quarantine_device ON quarantine (device, id);

CREATE TABLE report_hour (
    hour BIGINT NOT NULL PRIMARY KEY,
    reports BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    quarantined BIGINT NOT NULL
);

CREATE TABLE device_section (
    device TEXT NOT NULL REFERENCES device (id),
    class TEXT NOT NULL,
    digest TEXT NOT NULL,
    row_ids TEXT NOT NULL,
    row_count BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (device, class)
);

CREATE TABLE device_unread (
    device TEXT NOT NULL REFERENCES device (id),
    class TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (device, class)
);

CREATE TABLE content (
    hash TEXT NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE application (
    hash TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    object {bytes} NOT NULL,
    authors TEXT NOT NULL,
    content_size BIGINT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX application_name ON application (name, created);

CREATE TABLE application_content (
    application TEXT NOT NULL REFERENCES application (hash),
    content TEXT NOT NULL REFERENCES content (hash),
    PRIMARY KEY (application, content)
);
CREATE INDEX application_content_content ON application_content (content);

CREATE TABLE deployment (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    application TEXT NOT NULL REFERENCES application (hash),
    target_device TEXT REFERENCES device (id),
    available BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    application_size BIGINT NOT NULL,
    policy_body TEXT NOT NULL REFERENCES policy_body (hash),
    policy_size BIGINT NOT NULL,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    deleted BIGINT,
    revision BIGINT NOT NULL
);
CREATE INDEX deployment_created ON deployment (created, id);
CREATE INDEX deployment_application ON deployment (application);
CREATE INDEX deployment_target ON deployment (target_device, deleted);

CREATE TABLE deployment_device (
    deployment TEXT NOT NULL REFERENCES deployment (id),
    device TEXT NOT NULL REFERENCES device (id),
    state TEXT NOT NULL,
    reason TEXT,
    exit_code BIGINT,
    output TEXT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (deployment, device)
);
CREATE INDEX deployment_device_state ON deployment_device (deployment, state, device);
CREATE INDEX deployment_device_device ON deployment_device (device);

CREATE TABLE timeline (
    id {serial},
    device TEXT NOT NULL REFERENCES device (id),
    happened BIGINT NOT NULL,
    kind TEXT NOT NULL,
    severity BIGINT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX timeline_device ON timeline (device, id);

CREATE TABLE audit (
    number BIGINT NOT NULL PRIMARY KEY,
    happened BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL,
    head {bytes} NOT NULL
);

CREATE TABLE audit_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL,
    head {bytes} NOT NULL
);
