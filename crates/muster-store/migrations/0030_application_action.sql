-- What a deployment does, who begins it, and the other applications that it takes along.
ALTER TABLE deployment ADD COLUMN action TEXT NOT NULL DEFAULT 'install';
ALTER TABLE deployment ADD COLUMN purpose TEXT NOT NULL DEFAULT 'required';

CREATE TABLE deployment_related (
    deployment TEXT NOT NULL REFERENCES deployment (id),
    place BIGINT NOT NULL,
    application TEXT NOT NULL REFERENCES application (hash),
    size BIGINT NOT NULL,
    relation TEXT NOT NULL,
    PRIMARY KEY (deployment, place)
);
CREATE INDEX deployment_related_application ON deployment_related (application);
CREATE INDEX application_id ON application (id);
-- Of one that succeeded: the device has to be restarted. Of one that was undone since it succeeded: so it says.
ALTER TABLE deployment_device ADD COLUMN restart BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment_device ADD COLUMN undone BIGINT NOT NULL DEFAULT 0;
