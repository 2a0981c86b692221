-- Resources: whatever has a number, whether a client runs on it or not. A client's own row says only that it is there; what it attests
-- stands with the device.
CREATE TABLE resource (
    resource_id BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    device TEXT,
    name TEXT NOT NULL,
    search TEXT NOT NULL,
    created BIGINT NOT NULL,
    gone BIGINT,
    conflict BIGINT NOT NULL,
    "NetbiosName" TEXT,
    "ResourceDomainORWorkgroup" TEXT,
    "FullDomainName" TEXT,
    "DistinguishedName" TEXT,
    "SID" TEXT,
    "OperatingSystemNameandVersion" TEXT,
    "Build" TEXT,
    "CPUType" TEXT,
    "SMBIOSGUID" TEXT,
    "ADSiteName" TEXT,
    "LastLogonUserName" TEXT,
    "LastLogonUserDomain" TEXT,
    "LastLogonTimestamp" BIGINT,
    "IsVirtualMachine" BIGINT,
    "UserAccountControl" BIGINT,
    "PrimaryGroupID" BIGINT,
    "Description" TEXT,
    "UserName" TEXT,
    "UniqueUserName" TEXT,
    "WindowsNTDomain" TEXT,
    "NetworkOperatingSystem" TEXT,
    "FullUserName" TEXT,
    "DisplayName" TEXT,
    "GivenName" TEXT,
    "Mail" TEXT,
    "Department" TEXT,
    "Title" TEXT,
    "Company" TEXT,
    "Division" TEXT,
    "Manager" TEXT,
    "City" TEXT,
    "State" TEXT,
    "Country" TEXT,
    "PhysicalDeliveryOfficeName" TEXT,
    "TelephoneNumber" TEXT,
    "MobileNumber" TEXT,
    "EmployeeID" TEXT,
    "EmployeeType" TEXT,
    "UserPrincipalName" TEXT,
    "SAMAccountName" TEXT,
    "UsergroupName" TEXT,
    "UniqueUsergroupName" TEXT,
    "ActiveDirectoryDomain" TEXT,
    "ActiveDirectoryOrganizationalUnit" TEXT
);
CREATE UNIQUE INDEX resource_device ON resource (device);
CREATE INDEX resource_kind ON resource (kind, resource_id);
CREATE INDEX resource_name ON resource ("DistinguishedName");
CREATE INDEX resource_sid ON resource ("SID");
INSERT INTO resource (resource_id, kind, device, name, search, created, conflict)
    SELECT resource_id, 'system', id, '', '', enrolled, 0 FROM device;
INSERT INTO resource_number (kind, next, past) VALUES ('user', 2063597568, 2080374784), ('group', 2080374784, 2097152000);

-- What a resource has several of.
CREATE TABLE resource_value (
    resource_id BIGINT NOT NULL REFERENCES resource (resource_id),
    attribute TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (resource_id, attribute, value)
);
CREATE INDEX resource_value_value ON resource_value (attribute, value);

-- What one method said last of a resource. The facts are a JSON object.
CREATE TABLE discovery_record (
    id {serial},
    method TEXT NOT NULL,
    identity TEXT NOT NULL,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    resource_id BIGINT NOT NULL REFERENCES resource (resource_id),
    name TEXT NOT NULL,
    sid TEXT,
    first_found BIGINT NOT NULL,
    found BIGINT NOT NULL,
    gone BIGINT,
    facts TEXT NOT NULL,
    UNIQUE (method, identity)
);
CREATE INDEX discovery_record_identity ON discovery_record (identity);
CREATE INDEX discovery_record_resource ON discovery_record (resource_id);
CREATE INDEX discovery_record_source ON discovery_record (source, method, found);
CREATE INDEX discovery_record_sid ON discovery_record (sid);
CREATE INDEX discovery_record_found ON discovery_record (found);

-- Groups: who is in one directly, and what follows from groups in groups.
CREATE TABLE resource_member (
    group_id BIGINT NOT NULL REFERENCES resource (resource_id),
    member_id BIGINT NOT NULL REFERENCES resource (resource_id),
    PRIMARY KEY (group_id, member_id)
);
CREATE INDEX resource_member_member ON resource_member (member_id);
CREATE TABLE resource_group (
    resource_id BIGINT NOT NULL REFERENCES resource (resource_id),
    group_id BIGINT NOT NULL REFERENCES resource (resource_id),
    PRIMARY KEY (resource_id, group_id)
);
CREATE INDEX resource_group_group ON resource_group (group_id);

-- A change may be of a resource on which no client runs. What waited in the list is looked at as a whole.
DROP TABLE device_change;
CREATE TABLE device_change (
    id {serial},
    device TEXT REFERENCES device (id),
    resource_id BIGINT,
    classes TEXT NOT NULL
);
UPDATE collection SET pending = pending + 1;

DROP VIEW v_R_System;
-- Every system but clients that left for good. A client says of itself what it knows; a directory adds what only it knows.
CREATE VIEW v_R_System AS SELECT
    x.resource_id AS ResourceID,
    CAST(5 AS BIGINT) AS ResourceType,
    COALESCE(d.name, x.name) AS Name0,
    COALESCE(d.name, x."NetbiosName", x.name) AS Netbios_Name0,
    d.id AS SMS_Unique_Identifier0,
    CASE WHEN d.id IS NULL THEN CAST(0 AS BIGINT) ELSE CAST(1 AS BIGINT) END AS Client0,
    CASE WHEN d.id IS NULL THEN CAST(NULL AS BIGINT) ELSE CAST(1 AS BIGINT) END AS Client_Type0,
    d.agent_version AS Client_Version0,
    COALESCE(d.operating_system, x."OperatingSystemNameandVersion") AS Operating_System_Name_and0,
    COALESCE(d.enrolled, x.created) AS Creation_Date0,
    d.hardware_id AS Hardware_ID0,
    CAST(0 AS BIGINT) AS Decommissioned0,
    CAST(0 AS BIGINT) AS Unknown0,
    CASE WHEN d.state = 'blocked' THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS Is_Blocked0,
    -- The machine enrolled again: the same hardware under the same name, later.
    CASE WHEN EXISTS (SELECT 1 FROM device n WHERE n.hardware_id = d.hardware_id AND n.name = d.name
        AND n.state <> 'retired' AND n.resource_id > d.resource_id)
        THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS Obsolete0,
    CASE WHEN d.id IS NULL OR EXISTS (SELECT 1 FROM device n WHERE n.hardware_id = d.hardware_id AND n.name = d.name
        AND n.state <> 'retired' AND n.resource_id > d.resource_id)
        THEN CAST(0 AS BIGINT) ELSE CAST(1 AS BIGINT) END AS Active0,
    -- What the domain vouched for, else what the device says.
    COALESCE((SELECT a.realm FROM domain_account a WHERE a.enrolment = d.id AND d.account IS NOT NULL),
        (SELECT MIN(r."Domain") FROM device_section s CROSS JOIN {each_row_id} JOIN inv_computer_system r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'COMPUTER_SYSTEM'),
        x."ResourceDomainORWorkgroup") AS Resource_Domain_OR_Workgr0,
    COALESCE((SELECT n.directory_site FROM device_network n WHERE n.device = d.id), x."ADSiteName") AS AD_Site_Name0,
    COALESCE((SELECT MIN(r."UUID") FROM device_section s CROSS JOIN {each_row_id} JOIN inv_computer_system_product r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'COMPUTER_SYSTEM_PRODUCT'), x."SMBIOSGUID") AS SMBIOS_GUID0,
    COALESCE((SELECT MIN(r."Version") FROM device_section s CROSS JOIN {each_row_id} JOIN inv_operating_system r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'OPERATING_SYSTEM'), x."Build") AS Build01,
    COALESCE((SELECT MIN(r."SystemType") FROM device_section s CROSS JOIN {each_row_id} JOIN inv_computer_system r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'COMPUTER_SYSTEM'), x."CPUType") AS CPUType0,
    -- By the name that each hypervisor gives its machines; NULL where no model is known.
    COALESCE((SELECT MAX(CASE
        WHEN r."Model" IS NULL THEN NULL
        WHEN r."Model" IN ('Virtual Machine', 'VirtualBox', 'KVM', 'HVM domU', 'Bochs', 'BHYVE', 'Google Compute Engine')
            OR substr(r."Model", 1, 6) = 'VMware' OR substr(r."Model", 1, 11) = 'Standard PC'
            OR r."Manufacturer" IN ('QEMU', 'Xen', 'innotek GmbH', 'Parallels Software International Inc.', 'Amazon EC2')
        THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END)
        FROM device_section s CROSS JOIN {each_row_id} JOIN inv_computer_system r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'COMPUTER_SYSTEM'), x."IsVirtualMachine") AS Is_Virtual_Machine0,
    COALESCE((SELECT r."SystemConsoleUser" FROM device_section s CROSS JOIN {each_row_id} JOIN inv_system_console_user r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'SYSTEM_CONSOLE_USER'
        ORDER BY COALESCE(r."LastConsoleUse", 0) DESC, r."SystemConsoleUser" LIMIT 1), x."LastLogonUserName") AS User_Name0,
    x."LastLogonUserDomain" AS User_Domain0,
    x."LastLogonTimestamp" AS Last_Logon_Timestamp0,
    x."DistinguishedName" AS Distinguished_Name0,
    x."FullDomainName" AS Full_Domain_Name0,
    x."SID" AS SID0,
    x."PrimaryGroupID" AS Primary_Group_ID0,
    x."UserAccountControl" AS User_Account_Control0
FROM resource x LEFT JOIN device d ON d.id = x.device
WHERE x.kind = 'system' AND (d.state <> 'retired' OR (x.device IS NULL AND x.gone IS NULL));

DROP VIEW v_RA_System_IPAddresses;
CREATE VIEW v_RA_System_IPAddresses AS
    SELECT d.resource_id AS ResourceID, v.value AS IP_Addresses0
    FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
    JOIN inv_network_adapter_configuration r ON r.row_id = CAST(e.value AS BIGINT) CROSS JOIN {each_value}r."IPAddress"{as_v}
    WHERE s.class = 'NETWORK_ADAPTER_CONFIGURATION'
    UNION
    SELECT d.resource_id, CASE WHEN v.value LIKE '%/%' THEN rtrim(rtrim(v.value, '0123456789'), '/') ELSE v.value END
    FROM device d JOIN device_network n ON n.device = d.id CROSS JOIN {each_value}n.addresses{as_v}
    UNION
    SELECT v.resource_id, v.value FROM resource_value v WHERE v.attribute = 'IPAddresses';
DROP VIEW v_RA_System_MACAddresses;
CREATE VIEW v_RA_System_MACAddresses AS
    SELECT d.resource_id AS ResourceID, r."MACAddress" AS MAC_Addresses0
    FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
    JOIN inv_network_adapter r ON r.row_id = CAST(e.value AS BIGINT)
    WHERE s.class = 'NETWORK_ADAPTER' AND r."MACAddress" IS NOT NULL
    UNION
    SELECT d.resource_id, r."MACAddress"
    FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
    JOIN inv_network_adapter_configuration r ON r.row_id = CAST(e.value AS BIGINT)
    WHERE s.class = 'NETWORK_ADAPTER_CONFIGURATION' AND r."MACAddress" IS NOT NULL
    UNION
    SELECT v.resource_id, v.value FROM resource_value v WHERE v.attribute = 'MACAddresses';
DROP VIEW v_RA_System_ResourceNames;
CREATE VIEW v_RA_System_ResourceNames AS
    SELECT d.resource_id AS ResourceID, d.name AS Resource_Names0 FROM device d
    UNION
    SELECT d.resource_id, r."DNSHostName" || '.' || r."DNSDomain"
    FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
    JOIN inv_network_adapter_configuration r ON r.row_id = CAST(e.value AS BIGINT)
    WHERE s.class = 'NETWORK_ADAPTER_CONFIGURATION' AND r."DNSHostName" IS NOT NULL AND r."DNSDomain" IS NOT NULL
    UNION
    SELECT v.resource_id, v.value FROM resource_value v WHERE v.attribute = 'ResourceNames';
CREATE VIEW v_RA_System_IPSubnets AS
    SELECT v.resource_id AS ResourceID, v.value AS IP_Subnets0 FROM resource_value v WHERE v.attribute = 'IPSubnets';
CREATE VIEW v_RA_System_IPv6Addresses AS
    SELECT v.resource_id AS ResourceID, v.value AS IPv6_Addresses0 FROM resource_value v WHERE v.attribute = 'IPv6Addresses';
CREATE VIEW v_RA_System_IPv6Prefixes AS
    SELECT v.resource_id AS ResourceID, v.value AS IPv6_Prefixes0 FROM resource_value v WHERE v.attribute = 'IPv6Prefixes';
CREATE VIEW v_RA_System_SystemRoles AS
    SELECT v.resource_id AS ResourceID, v.value AS System_Roles0 FROM resource_value v WHERE v.attribute = 'SystemRoles';
CREATE VIEW v_RA_System_SystemOUName AS
    SELECT v.resource_id AS ResourceID, v.value AS System_OU_Name0 FROM resource_value v WHERE v.attribute = 'SystemOUName';
CREATE VIEW v_RA_System_SystemContainerName AS
    SELECT v.resource_id AS ResourceID, v.value AS System_Container_Name0 FROM resource_value v WHERE v.attribute = 'SystemContainerName';
CREATE VIEW v_RA_User_UserOUName AS
    SELECT v.resource_id AS ResourceID, v.value AS User_OU_Name0 FROM resource_value v WHERE v.attribute = 'UserOUName';
CREATE VIEW v_RA_User_UserContainerName AS
    SELECT v.resource_id AS ResourceID, v.value AS User_Container_Name0 FROM resource_value v WHERE v.attribute = 'UserContainerName';
CREATE VIEW v_RA_System_SystemGroupName AS
    SELECT m.resource_id AS ResourceID, g.name AS System_Group_Name0 FROM resource_group m JOIN resource g ON g.resource_id = m.group_id
    JOIN resource x ON x.resource_id = m.resource_id WHERE x.kind = 'system' AND g.gone IS NULL;
CREATE VIEW v_RA_System_SecurityGroupName AS
    SELECT m.resource_id AS ResourceID, g.name AS Security_Group_Name0 FROM resource_group m JOIN resource g ON g.resource_id = m.group_id
    JOIN resource x ON x.resource_id = m.resource_id WHERE x.kind = 'system' AND g.gone IS NULL;
CREATE VIEW v_RA_User_UserGroupName AS
    SELECT m.resource_id AS ResourceID, g.name AS User_Group_Name0 FROM resource_group m JOIN resource g ON g.resource_id = m.group_id
    JOIN resource x ON x.resource_id = m.resource_id WHERE x.kind = 'user' AND g.gone IS NULL;
CREATE VIEW v_RA_User_SecurityGroupName AS
    SELECT m.resource_id AS ResourceID, g.name AS Security_Group_Name0 FROM resource_group m JOIN resource g ON g.resource_id = m.group_id
    JOIN resource x ON x.resource_id = m.resource_id WHERE x.kind = 'user' AND g.gone IS NULL;

CREATE VIEW v_R_User AS SELECT
    x.resource_id AS ResourceID,
    CAST(4 AS BIGINT) AS ResourceType,
    x.name AS Name0,
    x.created AS Creation_Date0,
    x."UserName" AS User_Name0,
    x."UniqueUserName" AS Unique_User_Name0,
    x."WindowsNTDomain" AS Windows_NT_Domain0,
    x."FullUserName" AS Full_User_Name0,
    x."FullDomainName" AS Full_Domain_Name0,
    x."DisplayName" AS Display_Name0,
    x."GivenName" AS Given_Name0,
    x."Mail" AS Mail0,
    x."Department" AS Department0,
    x."Title" AS Title0,
    x."Company" AS Company0,
    x."Division" AS Division0,
    x."Manager" AS Manager0,
    x."City" AS City0,
    x."State" AS State0,
    x."Country" AS Country0,
    x."PhysicalDeliveryOfficeName" AS Physical_Delivery_Office_Nam0,
    x."TelephoneNumber" AS Telephone_Number0,
    x."MobileNumber" AS Mobile_Number0,
    x."Description" AS Description0,
    x."EmployeeID" AS Employee_ID0,
    x."EmployeeType" AS Employee_Type0,
    x."UserPrincipalName" AS User_Principal_Name0,
    x."SAMAccountName" AS SAM_Account_Name0,
    x."DistinguishedName" AS Distinguished_Name0,
    x."SID" AS SID0,
    x."PrimaryGroupID" AS Primary_Group_ID0,
    x."UserAccountControl" AS User_Account_Control0,
    x."NetworkOperatingSystem" AS Network_Operating_System0
FROM resource x WHERE x.kind = 'user' AND x.gone IS NULL;
CREATE VIEW v_R_UserGroup AS SELECT
    x.resource_id AS ResourceID,
    CAST(3 AS BIGINT) AS ResourceType,
    x.name AS Name0,
    x.created AS Creation_Date0,
    x."UsergroupName" AS Usergroup_Name0,
    x."UniqueUsergroupName" AS Unique_Usergroup_Name0,
    x."WindowsNTDomain" AS Windows_NT_Domain0,
    x."ActiveDirectoryDomain" AS Active_Directory_Domain0,
    x."ActiveDirectoryOrganizationalUnit" AS Active_Directory_Organizatio0,
    x."NetworkOperatingSystem" AS Network_Operating_System0,
    x."DistinguishedName" AS Distinguished_Name0,
    x."FullDomainName" AS Full_Domain_Name0,
    x."SID" AS SID0
FROM resource x WHERE x.kind = 'group' AND x.gone IS NULL;

-- Which method found a resource, and when.
DROP VIEW v_AgentDiscoveries;
CREATE VIEW v_AgentDiscoveries AS
    SELECT d.resource_id AS ResourceID, 'MP_ClientRegistration' AS AgentName, d.enrolled AS AgentTime, t.code AS AgentSite
    FROM device d CROSS JOIN site t
    UNION ALL
    SELECT d.resource_id, 'Heartbeat Discovery', d.last_seen, t.code FROM device d CROSS JOIN site t WHERE d.last_seen > 0
    AND NOT EXISTS (SELECT 1 FROM discovery_record r WHERE r.resource_id = d.resource_id AND r.method = 'heartbeat')
    UNION ALL
    SELECT r.resource_id, CASE r.method WHEN 'heartbeat' THEN 'Heartbeat Discovery'
        WHEN 'active_directory_system' THEN 'SMS_AD_SYSTEM_DISCOVERY_AGENT'
        WHEN 'active_directory_user' THEN 'SMS_AD_USER_DISCOVERY_AGENT'
        WHEN 'active_directory_group' THEN 'SMS_AD_SECURITY_GROUP_DISCOVERY_AGENT'
        ELSE 'SMS_NETWORK_DISCOVERY' END, r.found, t.code
    FROM discovery_record r CROSS JOIN site t WHERE r.gone IS NULL;
