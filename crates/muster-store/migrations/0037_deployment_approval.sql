-- Deployments under the rule of the trust bundle: how many devices may ever get each, and who approved that. held: it waits. withdrawn: what was signed until then
-- counts no more.
CREATE TABLE deployment_approval (
    deployment TEXT NOT NULL PRIMARY KEY REFERENCES deployment (id),
    reach BIGINT NOT NULL,
    held BIGINT NOT NULL,
    body TEXT REFERENCES policy_body (hash),
    body_size BIGINT,
    signer TEXT,
    sent_by TEXT,
    issued BIGINT,
    expires BIGINT,
    withdrawn BIGINT
);
