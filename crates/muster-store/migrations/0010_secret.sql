-- The key to which secrets for a device are sealed now, as the device signed it.
CREATE TABLE sealing_key (
    device TEXT NOT NULL PRIMARY KEY REFERENCES device (id),
    key_id TEXT NOT NULL,
    made BIGINT NOT NULL,
    envelope {bytes} NOT NULL
);

-- Secrets, each sealed to one device: ciphertext that only the device opens.
CREATE TABLE sealed_secret (
    device TEXT NOT NULL REFERENCES device (id),
    application TEXT NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    hash TEXT NOT NULL,
    size BIGINT NOT NULL,
    envelope {bytes} NOT NULL,
    PRIMARY KEY (device, application, name)
);
CREATE INDEX sealed_secret_application ON sealed_secret (application, name);
