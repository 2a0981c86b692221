-- Clients that serve content to others of their network: where the site saw them, and what they have.
CREATE TABLE content_peer (
    device TEXT NOT NULL PRIMARY KEY REFERENCES device (id),
    address TEXT NOT NULL,
    port BIGINT NOT NULL,
    network TEXT NOT NULL,
    announced BIGINT NOT NULL
);
CREATE INDEX content_peer_announced ON content_peer (announced);

CREATE TABLE content_peer_file (
    content TEXT NOT NULL,
    network TEXT NOT NULL,
    device TEXT NOT NULL REFERENCES content_peer (device),
    PRIMARY KEY (content, network, device)
);
CREATE INDEX content_peer_file_device ON content_peer_file (device);
