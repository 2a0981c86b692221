-- Where devices are, and which management points are near there.
CREATE TABLE boundary (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL
);
CREATE INDEX boundary_name ON boundary (name, id);

-- The management points are a JSON list of addresses.
CREATE TABLE boundary_group (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    management_points TEXT NOT NULL,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL
);
CREATE INDEX boundary_group_name ON boundary_group (name, id);

CREATE TABLE boundary_group_member (
    boundary_group TEXT NOT NULL REFERENCES boundary_group (id),
    boundary TEXT NOT NULL REFERENCES boundary (id),
    PRIMARY KEY (boundary_group, boundary)
);
CREATE INDEX boundary_group_member_boundary ON boundary_group_member (boundary, boundary_group);

-- What a device said last of where it is, and where that came from. The addresses are a JSON list.
CREATE TABLE device_network (
    device TEXT NOT NULL PRIMARY KEY REFERENCES device (id),
    seen_address TEXT NOT NULL,
    addresses TEXT NOT NULL,
    directory_site TEXT,
    reported BIGINT NOT NULL
);
