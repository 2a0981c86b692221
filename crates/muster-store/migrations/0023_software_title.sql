-- Software titles: what the rows of software are, worked out once for each row, and on how many devices.
CREATE TABLE software_title (
    id {serial},
    product TEXT NOT NULL,
    publisher TEXT NOT NULL,
    devices BIGINT NOT NULL DEFAULT 0,
    UNIQUE (product, publisher)
);
CREATE INDEX software_title_devices ON software_title (devices, id);

CREATE TABLE software_version (
    id {serial},
    title BIGINT NOT NULL REFERENCES software_title (id),
    version TEXT NOT NULL,
    scheme TEXT NOT NULL,
    devices BIGINT NOT NULL DEFAULT 0,
    UNIQUE (title, version, scheme)
);

-- `rules`: a number of the rules by which the row was looked at.
CREATE TABLE software_row (
    class TEXT NOT NULL,
    row_id BIGINT NOT NULL,
    version BIGINT NOT NULL REFERENCES software_version (id),
    architecture TEXT NOT NULL,
    language TEXT NOT NULL,
    rules BIGINT NOT NULL,
    PRIMARY KEY (class, row_id)
);

-- As in Configuration Manager: what is installed, under its normalised name.
CREATE VIEW v_GS_INSTALLED_SOFTWARE_CATEGORIZED AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."SoftwareCode" AS SoftwareCode0,
    r."ProductName" AS ProductName0,
    r."ProductVersion" AS ProductVersion0,
    r."Publisher" AS Publisher0,
    t.product AS NormalizedName,
    t.publisher AS NormalizedPublisher,
    v.version AS NormalizedVersion
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_installed_software r ON r.row_id = CAST(e.value AS BIGINT)
JOIN software_row n ON n.class = s.class AND n.row_id = r.row_id
JOIN software_version v ON v.id = n.version JOIN software_title t ON t.id = v.title
WHERE s.class = 'INSTALLED_SOFTWARE';

CREATE VIEW v_SoftwareTitle AS SELECT
    t.id AS TitleID, t.product AS Product0, t.publisher AS Publisher0, t.devices AS TitleDevices,
    v.version AS Version0, v.devices AS VersionDevices
FROM software_title t JOIN software_version v ON v.title = t.id;
CREATE INDEX software_row_version ON software_row (version);
