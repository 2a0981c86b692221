-- The number by which Configuration Manager's queries and reports know a resource. Given once, never again to another one.
CREATE TABLE resource_number (
    kind TEXT NOT NULL PRIMARY KEY,
    next BIGINT NOT NULL,
    past BIGINT NOT NULL,
    CHECK (next <= past)
);
INSERT INTO resource_number (kind, next, past) SELECT 'system', 16777217 + COUNT(*), 2046820352 FROM device;

ALTER TABLE device ADD COLUMN resource_id BIGINT;
UPDATE device SET resource_id = n.number FROM
    (SELECT id, 16777216 + ROW_NUMBER() OVER (ORDER BY enrolled, id) AS number FROM device) AS n WHERE n.id = device.id;
CREATE UNIQUE INDEX device_resource ON device (resource_id);

CREATE INDEX device_section_class ON device_section (class, device);

-- Every device but those that left for good. What nobody tells the site is NULL: discovery in a directory will.
CREATE VIEW v_R_System AS SELECT
    d.resource_id AS ResourceID,
    CAST(5 AS BIGINT) AS ResourceType,
    d.name AS Name0,
    d.name AS Netbios_Name0,
    d.id AS SMS_Unique_Identifier0,
    CAST(1 AS BIGINT) AS Client0,
    CAST(1 AS BIGINT) AS Client_Type0,
    d.agent_version AS Client_Version0,
    d.operating_system AS Operating_System_Name_and0,
    d.enrolled AS Creation_Date0,
    d.hardware_id AS Hardware_ID0,
    CAST(0 AS BIGINT) AS Decommissioned0,
    CAST(0 AS BIGINT) AS Unknown0,
    CASE WHEN d.state = 'blocked' THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS Is_Blocked0,
    -- The machine enrolled again: the same hardware under the same name, later.
    CASE WHEN EXISTS (SELECT 1 FROM device n WHERE n.hardware_id = d.hardware_id AND n.name = d.name
        AND n.state <> 'retired' AND n.resource_id > d.resource_id)
        THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS Obsolete0,
    CASE WHEN EXISTS (SELECT 1 FROM device n WHERE n.hardware_id = d.hardware_id AND n.name = d.name
        AND n.state <> 'retired' AND n.resource_id > d.resource_id)
        THEN CAST(0 AS BIGINT) ELSE CAST(1 AS BIGINT) END AS Active0,
    -- What the domain vouched for, else what the device says.
    COALESCE((SELECT a.realm FROM domain_account a WHERE a.enrolment = d.id AND d.account IS NOT NULL),
        (SELECT MIN(r."Domain") FROM device_section s CROSS JOIN {each_row_id} JOIN inv_computer_system r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'COMPUTER_SYSTEM'))
        AS Resource_Domain_OR_Workgr0,
    (SELECT n.directory_site FROM device_network n WHERE n.device = d.id) AS AD_Site_Name0,
    (SELECT MIN(r."UUID") FROM device_section s CROSS JOIN {each_row_id} JOIN inv_computer_system_product r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'COMPUTER_SYSTEM_PRODUCT')
        AS SMBIOS_GUID0,
    (SELECT MIN(r."Version") FROM device_section s CROSS JOIN {each_row_id} JOIN inv_operating_system r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'OPERATING_SYSTEM')
        AS Build01,
    (SELECT MIN(r."SystemType") FROM device_section s CROSS JOIN {each_row_id} JOIN inv_computer_system r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'COMPUTER_SYSTEM')
        AS CPUType0,
    -- By the name that each hypervisor gives its machines; NULL where no model is known.
    (SELECT MAX(CASE
        WHEN r."Model" IS NULL THEN NULL
        WHEN r."Model" IN ('Virtual Machine', 'VirtualBox', 'KVM', 'HVM domU', 'Bochs', 'BHYVE', 'Google Compute Engine')
            OR substr(r."Model", 1, 6) = 'VMware' OR substr(r."Model", 1, 11) = 'Standard PC'
            OR r."Manufacturer" IN ('QEMU', 'Xen', 'innotek GmbH', 'Parallels Software International Inc.', 'Amazon EC2')
        THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END)
        FROM device_section s CROSS JOIN {each_row_id} JOIN inv_computer_system r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'COMPUTER_SYSTEM')
        AS Is_Virtual_Machine0,
    (SELECT r."SystemConsoleUser" FROM device_section s CROSS JOIN {each_row_id} JOIN inv_system_console_user r
        ON r.row_id = CAST(e.value AS BIGINT) WHERE s.device = d.id AND s.class = 'SYSTEM_CONSOLE_USER'
        ORDER BY COALESCE(r."LastConsoleUse", 0) DESC, r."SystemConsoleUser" LIMIT 1)
        AS User_Name0
FROM device d WHERE d.state <> 'retired';

-- What a system has several of: one row each.
CREATE VIEW v_RA_System_IPAddresses AS
    SELECT d.resource_id AS ResourceID, v.value AS IP_Addresses0
    FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
    JOIN inv_network_adapter_configuration r ON r.row_id = CAST(e.value AS BIGINT) CROSS JOIN {each_value}r."IPAddress"{as_v}
    WHERE s.class = 'NETWORK_ADAPTER_CONFIGURATION'
    UNION
    SELECT d.resource_id, CASE WHEN v.value LIKE '%/%' THEN rtrim(rtrim(v.value, '0123456789'), '/') ELSE v.value END
    FROM device d JOIN device_network n ON n.device = d.id CROSS JOIN {each_value}n.addresses{as_v};
CREATE VIEW v_RA_System_MACAddresses AS
    SELECT d.resource_id AS ResourceID, r."MACAddress" AS MAC_Addresses0
    FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
    JOIN inv_network_adapter r ON r.row_id = CAST(e.value AS BIGINT)
    WHERE s.class = 'NETWORK_ADAPTER' AND r."MACAddress" IS NOT NULL
    UNION
    SELECT d.resource_id, r."MACAddress"
    FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
    JOIN inv_network_adapter_configuration r ON r.row_id = CAST(e.value AS BIGINT)
    WHERE s.class = 'NETWORK_ADAPTER_CONFIGURATION' AND r."MACAddress" IS NOT NULL;
CREATE VIEW v_RA_System_ResourceNames AS
    SELECT d.resource_id AS ResourceID, d.name AS Resource_Names0 FROM device d
    UNION
    SELECT d.resource_id, r."DNSHostName" || '.' || r."DNSDomain"
    FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
    JOIN inv_network_adapter_configuration r ON r.row_id = CAST(e.value AS BIGINT)
    WHERE s.class = 'NETWORK_ADAPTER_CONFIGURATION' AND r."DNSHostName" IS NOT NULL AND r."DNSDomain" IS NOT NULL;
CREATE VIEW v_RA_System_SMSAssignedSites AS
    SELECT d.resource_id AS ResourceID, t.code AS SMS_Assigned_Sites0 FROM device d CROSS JOIN site t;
CREATE VIEW v_RA_System_SMSInstalledSites AS
    SELECT d.resource_id AS ResourceID, t.code AS SMS_Installed_Sites0 FROM device d CROSS JOIN site t;
CREATE VIEW v_AgentDiscoveries AS
    SELECT d.resource_id AS ResourceID, 'MP_ClientRegistration' AS AgentName, d.enrolled AS AgentTime, t.code AS AgentSite
    FROM device d CROSS JOIN site t
    UNION ALL
    SELECT d.resource_id, 'Heartbeat Discovery', d.last_seen, t.code FROM device d CROSS JOIN site t WHERE d.last_seen > 0;

-- The views of the inventory classes, made from the catalogue: they name a device by its number.
DROP VIEW v_GS_COMPUTER_SYSTEM;
CREATE VIEW v_GS_COMPUTER_SYSTEM AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."Name" AS Name0,
    r."AdminPasswordStatus" AS AdminPasswordStatus0,
    r."AutomaticResetBootOption" AS AutomaticResetBootOption0,
    r."AutomaticResetCapability" AS AutomaticResetCapability0,
    r."BootOptionOnLimit" AS BootOptionOnLimit0,
    r."BootOptionOnWatchDog" AS BootOptionOnWatchDog0,
    r."BootROMSupported" AS BootROMSupported0,
    r."BootupState" AS BootupState0,
    r."Caption" AS Caption0,
    r."ChassisBootupState" AS ChassisBootupState0,
    r."CurrentTimeZone" AS CurrentTimeZone0,
    r."DaylightInEffect" AS DaylightInEffect0,
    r."Description" AS Description0,
    r."Domain" AS Domain0,
    r."DomainRole" AS DomainRole0,
    r."FrontPanelResetStatus" AS FrontPanelResetStatus0,
    r."InfraredSupported" AS InfraredSupported0,
    r."InitialLoadInfo" AS InitialLoadInfo0,
    r."InstallDate" AS InstallDate0,
    r."KeyboardPasswordStatus" AS KeyboardPasswordStatus0,
    r."LastLoadInfo" AS LastLoadInfo0,
    r."Manufacturer" AS Manufacturer0,
    r."Model" AS Model0,
    r."NameFormat" AS NameFormat0,
    r."NetworkServerModeEnabled" AS NetworkServerModeEnabled0,
    r."NumberOfProcessors" AS NumberOfProcessors0,
    r."OEMLogoBitmap" AS OEMLogoBitmap0,
    r."OEMStringArray" AS OEMStringArray0,
    r."PauseAfterReset" AS PauseAfterReset0,
    r."PowerManagementCapabilities" AS PowerManagementCapabilities0,
    r."PowerManagementSupported" AS PowerManagementSupported0,
    r."PowerOnPasswordStatus" AS PowerOnPasswordStatus0,
    r."PowerState" AS PowerState0,
    r."PowerSupplyState" AS PowerSupplyState0,
    r."PrimaryOwnerContact" AS PrimaryOwnerContact0,
    r."PrimaryOwnerName" AS PrimaryOwnerName0,
    r."ResetCapability" AS ResetCapability0,
    r."ResetCount" AS ResetCount0,
    r."ResetLimit" AS ResetLimit0,
    r."Roles" AS Roles0,
    r."Status" AS Status0,
    r."SupportContactDescription" AS SupportContactDescription0,
    r."SystemStartupDelay" AS SystemStartupDelay0,
    r."SystemStartupOptions" AS SystemStartupOptions0,
    r."SystemStartupSetting" AS SystemStartupSetting0,
    r."SystemType" AS SystemType0,
    r."ThermalState" AS ThermalState0,
    r."TotalPhysicalMemory" AS TotalPhysicalMemory0,
    r."UserName" AS UserName0,
    r."WakeUpType" AS WakeUpType0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_computer_system r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'COMPUTER_SYSTEM';

DROP VIEW v_GS_COMPUTER_SYSTEM_PRODUCT;
CREATE VIEW v_GS_COMPUTER_SYSTEM_PRODUCT AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."IdentifyingNumber" AS IdentifyingNumber0,
    r."Name" AS Name0,
    r."Version" AS Version0,
    r."Caption" AS Caption0,
    r."Description" AS Description0,
    r."SKUNumber" AS SKUNumber0,
    r."UUID" AS UUID0,
    r."Vendor" AS Vendor0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_computer_system_product r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'COMPUTER_SYSTEM_PRODUCT';

DROP VIEW v_GS_DISK;
CREATE VIEW v_GS_DISK AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."DeviceID" AS DeviceID0,
    r."Availability" AS Availability0,
    r."BytesPerSector" AS BytesPerSector0,
    r."Capabilities" AS Capabilities0,
    r."CapabilityDescriptions" AS CapabilityDescriptions0,
    r."Caption" AS Caption0,
    r."CompressionMethod" AS CompressionMethod0,
    r."ConfigManagerErrorCode" AS ConfigManagerErrorCode0,
    r."ConfigManagerUserConfig" AS ConfigManagerUserConfig0,
    r."DefaultBlockSize" AS DefaultBlockSize0,
    r."Description" AS Description0,
    r."ErrorCleared" AS ErrorCleared0,
    r."ErrorDescription" AS ErrorDescription0,
    r."ErrorMethodology" AS ErrorMethodology0,
    r."Index" AS Index0,
    r."InstallDate" AS InstallDate0,
    r."InterfaceType" AS InterfaceType0,
    r."LastErrorCode" AS LastErrorCode0,
    r."Manufacturer" AS Manufacturer0,
    r."MaxBlockSize" AS MaxBlockSize0,
    r."MaxMediaSize" AS MaxMediaSize0,
    r."MediaLoaded" AS MediaLoaded0,
    r."MediaType" AS MediaType0,
    r."MinBlockSize" AS MinBlockSize0,
    r."Model" AS Model0,
    r."Name" AS Name0,
    r."NeedsCleaning" AS NeedsCleaning0,
    r."NumberOfMediaSupported" AS NumberOfMediaSupported0,
    r."Partitions" AS Partitions0,
    r."PNPDeviceID" AS PNPDeviceID0,
    r."PowerManagementCapabilities" AS PowerManagementCapabilities0,
    r."PowerManagementSupported" AS PowerManagementSupported0,
    r."SCSIBus" AS SCSIBus0,
    r."SCSILogicalUnit" AS SCSILogicalUnit0,
    r."SCSIPort" AS SCSIPort0,
    r."SCSITargetId" AS SCSITargetId0,
    r."SectorsPerTrack" AS SectorsPerTrack0,
    r."Size" AS Size0,
    r."Status" AS Status0,
    r."StatusInfo" AS StatusInfo0,
    r."SystemName" AS SystemName0,
    r."TotalCylinders" AS TotalCylinders0,
    r."TotalHeads" AS TotalHeads0,
    r."TotalSectors" AS TotalSectors0,
    r."TotalTracks" AS TotalTracks0,
    r."TracksPerCylinder" AS TracksPerCylinder0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_disk r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'DISK';

DROP VIEW v_GS_INSTALLED_SOFTWARE;
CREATE VIEW v_GS_INSTALLED_SOFTWARE AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."SoftwareCode" AS SoftwareCode0,
    r."ARPDisplayName" AS ARPDisplayName0,
    r."ChannelCode" AS ChannelCode0,
    r."ChannelID" AS ChannelID0,
    r."CM_DSLID" AS CM_DSLID0,
    r."EvidenceSource" AS EvidenceSource0,
    r."InstallDate" AS InstallDate0,
    r."InstallDirectoryValidation" AS InstallDirectoryValidation0,
    r."InstalledLocation" AS InstalledLocation0,
    r."InstallSource" AS InstallSource0,
    r."InstallType" AS InstallType0,
    r."Language" AS Language0,
    r."LocalPackage" AS LocalPackage0,
    r."MPC" AS MPC0,
    r."OsComponent" AS OsComponent0,
    r."PackageCode" AS PackageCode0,
    r."ProductID" AS ProductID0,
    r."ProductName" AS ProductName0,
    r."ProductVersion" AS ProductVersion0,
    r."Publisher" AS Publisher0,
    r."RegisteredUser" AS RegisteredUser0,
    r."ServicePack" AS ServicePack0,
    r."SoftwarePropertiesHash" AS SoftwarePropertiesHash0,
    r."SoftwarePropertiesHashEx" AS SoftwarePropertiesHashEx0,
    r."UninstallString" AS UninstallString0,
    r."UpgradeCode" AS UpgradeCode0,
    r."VersionMajor" AS VersionMajor0,
    r."VersionMinor" AS VersionMinor0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_installed_software r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'INSTALLED_SOFTWARE';

DROP VIEW v_GS_LOGICAL_DISK;
CREATE VIEW v_GS_LOGICAL_DISK AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."DeviceID" AS DeviceID0,
    r."Access" AS Access0,
    r."Availability" AS Availability0,
    r."BlockSize" AS BlockSize0,
    r."Caption" AS Caption0,
    r."Compressed" AS Compressed0,
    r."ConfigManagerErrorCode" AS ConfigManagerErrorCode0,
    r."ConfigManagerUserConfig" AS ConfigManagerUserConfig0,
    r."Description" AS Description0,
    r."DriveType" AS DriveType0,
    r."ErrorCleared" AS ErrorCleared0,
    r."ErrorDescription" AS ErrorDescription0,
    r."ErrorMethodology" AS ErrorMethodology0,
    r."FileSystem" AS FileSystem0,
    r."FreeSpace" AS FreeSpace0,
    r."InstallDate" AS InstallDate0,
    r."LastErrorCode" AS LastErrorCode0,
    r."MaximumComponentLength" AS MaximumComponentLength0,
    r."MediaType" AS MediaType0,
    r."Name" AS Name0,
    r."NumberOfBlocks" AS NumberOfBlocks0,
    r."PNPDeviceID" AS PNPDeviceID0,
    r."PowerManagementCapabilities" AS PowerManagementCapabilities0,
    r."PowerManagementSupported" AS PowerManagementSupported0,
    r."ProviderName" AS ProviderName0,
    r."Purpose" AS Purpose0,
    r."Size" AS Size0,
    r."Status" AS Status0,
    r."StatusInfo" AS StatusInfo0,
    r."SupportsFileBasedCompression" AS SupportsFileBasedCompression0,
    r."SystemName" AS SystemName0,
    r."VolumeName" AS VolumeName0,
    r."VolumeSerialNumber" AS VolumeSerialNumber0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_logical_disk r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'LOGICAL_DISK';

DROP VIEW v_GS_NETWORK_ADAPTER;
CREATE VIEW v_GS_NETWORK_ADAPTER AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."DeviceID" AS DeviceID0,
    r."AdapterType" AS AdapterType0,
    r."AutoSense" AS AutoSense0,
    r."Availability" AS Availability0,
    r."Caption" AS Caption0,
    r."ConfigManagerErrorCode" AS ConfigManagerErrorCode0,
    r."ConfigManagerUserConfig" AS ConfigManagerUserConfig0,
    r."Description" AS Description0,
    r."ErrorCleared" AS ErrorCleared0,
    r."ErrorDescription" AS ErrorDescription0,
    r."Index" AS Index0,
    r."InstallDate" AS InstallDate0,
    r."Installed" AS Installed0,
    r."LastErrorCode" AS LastErrorCode0,
    r."MACAddress" AS MACAddress0,
    r."Manufacturer" AS Manufacturer0,
    r."MaxNumberControlled" AS MaxNumberControlled0,
    r."MaxSpeed" AS MaxSpeed0,
    r."Name" AS Name0,
    r."NetworkAddresses" AS NetworkAddresses0,
    r."PermanentAddress" AS PermanentAddress0,
    r."PNPDeviceID" AS PNPDeviceID0,
    r."PowerManagementCapabilities" AS PowerManagementCapabilities0,
    r."PowerManagementSupported" AS PowerManagementSupported0,
    r."ProductName" AS ProductName0,
    r."ServiceName" AS ServiceName0,
    r."Speed" AS Speed0,
    r."Status" AS Status0,
    r."StatusInfo" AS StatusInfo0,
    r."SystemName" AS SystemName0,
    r."TimeOfLastReset" AS TimeOfLastReset0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_network_adapter r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'NETWORK_ADAPTER';

DROP VIEW v_GS_NETWORK_ADAPTER_CONFIGURATION;
CREATE VIEW v_GS_NETWORK_ADAPTER_CONFIGURATION AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."Index" AS Index0,
    r."ArpAlwaysSourceRoute" AS ArpAlwaysSourceRoute0,
    r."ArpUseEtherSNAP" AS ArpUseEtherSNAP0,
    r."Caption" AS Caption0,
    r."DatabasePath" AS DatabasePath0,
    r."DeadGWDetectEnabled" AS DeadGWDetectEnabled0,
    r."DefaultIPGateway" AS DefaultIPGateway0,
    r."DefaultTOS" AS DefaultTOS0,
    r."DefaultTTL" AS DefaultTTL0,
    r."Description" AS Description0,
    r."DHCPEnabled" AS DHCPEnabled0,
    r."DHCPLeaseExpires" AS DHCPLeaseExpires0,
    r."DHCPLeaseObtained" AS DHCPLeaseObtained0,
    r."DHCPServer" AS DHCPServer0,
    r."DNSDomain" AS DNSDomain0,
    r."DNSDomainSuffixSearchOrder" AS DNSDomainSuffixSearchOrder0,
    r."DNSEnabledForWINSResolution" AS DNSEnabledForWINSResolution0,
    r."DNSHostName" AS DNSHostName0,
    r."DNSServerSearchOrder" AS DNSServerSearchOrder0,
    r."DomainDNSRegistrationEnabled" AS DomainDNSRegistrationEnabled0,
    r."ForwardBufferMemory" AS ForwardBufferMemory0,
    r."FullDNSRegistrationEnabled" AS FullDNSRegistrationEnabled0,
    r."GatewayCostMetric" AS GatewayCostMetric0,
    r."IGMPLevel" AS IGMPLevel0,
    r."IPAddress" AS IPAddress0,
    r."IPConnectionMetric" AS IPConnectionMetric0,
    r."IPEnabled" AS IPEnabled0,
    r."IPFilterSecurityEnabled" AS IPFilterSecurityEnabled0,
    r."IPPortSecurityEnabled" AS IPPortSecurityEnabled0,
    r."IPSecPermitIPProtocols" AS IPSecPermitIPProtocols0,
    r."IPSecPermitTCPPorts" AS IPSecPermitTCPPorts0,
    r."IPSecPermitUDPPorts" AS IPSecPermitUDPPorts0,
    r."IPSubnet" AS IPSubnet0,
    r."IPUseZeroBroadcast" AS IPUseZeroBroadcast0,
    r."IPXAddress" AS IPXAddress0,
    r."IPXEnabled" AS IPXEnabled0,
    r."IPXFrameType" AS IPXFrameType0,
    r."IPXMediaType" AS IPXMediaType0,
    r."IPXNetworkNumber" AS IPXNetworkNumber0,
    r."IPXVirtualNetNumber" AS IPXVirtualNetNumber0,
    r."KeepAliveInterval" AS KeepAliveInterval0,
    r."KeepAliveTime" AS KeepAliveTime0,
    r."MACAddress" AS MACAddress0,
    r."MTU" AS MTU0,
    r."NumForwardPackets" AS NumForwardPackets0,
    r."PMTUBHDetectEnabled" AS PMTUBHDetectEnabled0,
    r."PMTUDiscoveryEnabled" AS PMTUDiscoveryEnabled0,
    r."ServiceName" AS ServiceName0,
    r."SettingID" AS SettingID0,
    r."TcpipNetbiosOptions" AS TcpipNetbiosOptions0,
    r."TcpMaxConnectRetransmissions" AS TcpMaxConnectRetransmissions0,
    r."TcpMaxDataRetransmissions" AS TcpMaxDataRetransmissions0,
    r."TcpNumConnections" AS TcpNumConnections0,
    r."TcpUseRFC1122UrgentPointer" AS TcpUseRFC1122UrgentPointer0,
    r."TcpWindowSize" AS TcpWindowSize0,
    r."WINSEnableLMHostsLookup" AS WINSEnableLMHostsLookup0,
    r."WINSHostLookupFile" AS WINSHostLookupFile0,
    r."WINSPrimaryServer" AS WINSPrimaryServer0,
    r."WINSScopeID" AS WINSScopeID0,
    r."WINSSecondaryServer" AS WINSSecondaryServer0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_network_adapter_configuration r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'NETWORK_ADAPTER_CONFIGURATION';

DROP VIEW v_GS_OPERATING_SYSTEM;
CREATE VIEW v_GS_OPERATING_SYSTEM AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."Name" AS Name0,
    r."BootDevice" AS BootDevice0,
    r."BuildNumber" AS BuildNumber0,
    r."BuildType" AS BuildType0,
    r."Caption" AS Caption0,
    r."CodeSet" AS CodeSet0,
    r."CountryCode" AS CountryCode0,
    r."CSDVersion" AS CSDVersion0,
    r."CurrentTimeZone" AS CurrentTimeZone0,
    r."Debug" AS Debug0,
    r."Description" AS Description0,
    r."Distributed" AS Distributed0,
    r."ForegroundApplicationBoost" AS ForegroundApplicationBoost0,
    r."FreePhysicalMemory" AS FreePhysicalMemory0,
    r."FreeSpaceInPagingFiles" AS FreeSpaceInPagingFiles0,
    r."FreeVirtualMemory" AS FreeVirtualMemory0,
    r."InstallDate" AS InstallDate0,
    r."LastBootUpTime" AS LastBootUpTime0,
    r."LocalDateTime" AS LocalDateTime0,
    r."Locale" AS Locale0,
    r."Manufacturer" AS Manufacturer0,
    r."MaxNumberOfProcesses" AS MaxNumberOfProcesses0,
    r."MaxProcessMemorySize" AS MaxProcessMemorySize0,
    r."MUILanguages" AS MUILanguages0,
    r."NumberOfLicensedUsers" AS NumberOfLicensedUsers0,
    r."NumberOfProcesses" AS NumberOfProcesses0,
    r."NumberOfUsers" AS NumberOfUsers0,
    r."OperatingSystemSKU" AS OperatingSystemSKU0,
    r."Organization" AS Organization0,
    r."OSArchitecture" AS OSArchitecture0,
    r."OSLanguage" AS OSLanguage0,
    r."OSProductSuite" AS OSProductSuite0,
    r."OSType" AS OSType0,
    r."OtherTypeDescription" AS OtherTypeDescription0,
    r."PlusProductID" AS PlusProductID0,
    r."PlusVersionNumber" AS PlusVersionNumber0,
    r."Primary" AS Primary0,
    r."ProductType" AS ProductType0,
    r."RegisteredUser" AS RegisteredUser0,
    r."SerialNumber" AS SerialNumber0,
    r."ServicePackMajorVersion" AS ServicePackMajorVersion0,
    r."ServicePackMinorVersion" AS ServicePackMinorVersion0,
    r."SizeStoredInPagingFiles" AS SizeStoredInPagingFiles0,
    r."Status" AS Status0,
    r."SystemDevice" AS SystemDevice0,
    r."SystemDirectory" AS SystemDirectory0,
    r."TotalSwapSpaceSize" AS TotalSwapSpaceSize0,
    r."TotalVirtualMemorySize" AS TotalVirtualMemorySize0,
    r."TotalVisibleMemorySize" AS TotalVisibleMemorySize0,
    r."Version" AS Version0,
    r."WindowsDirectory" AS WindowsDirectory0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_operating_system r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'OPERATING_SYSTEM';

DROP VIEW v_GS_PARTITION;
CREATE VIEW v_GS_PARTITION AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."DeviceID" AS DeviceID0,
    r."Access" AS Access0,
    r."Availability" AS Availability0,
    r."BlockSize" AS BlockSize0,
    r."Bootable" AS Bootable0,
    r."BootPartition" AS BootPartition0,
    r."Caption" AS Caption0,
    r."ConfigManagerErrorCode" AS ConfigManagerErrorCode0,
    r."ConfigManagerUserConfig" AS ConfigManagerUserConfig0,
    r."Description" AS Description0,
    r."DiskIndex" AS DiskIndex0,
    r."ErrorCleared" AS ErrorCleared0,
    r."ErrorDescription" AS ErrorDescription0,
    r."ErrorMethodology" AS ErrorMethodology0,
    r."HiddenSectors" AS HiddenSectors0,
    r."Index" AS Index0,
    r."InstallDate" AS InstallDate0,
    r."LastErrorCode" AS LastErrorCode0,
    r."Name" AS Name0,
    r."NumberOfBlocks" AS NumberOfBlocks0,
    r."PNPDeviceID" AS PNPDeviceID0,
    r."PowerManagementCapabilities" AS PowerManagementCapabilities0,
    r."PowerManagementSupported" AS PowerManagementSupported0,
    r."PrimaryPartition" AS PrimaryPartition0,
    r."Purpose" AS Purpose0,
    r."RewritePartition" AS RewritePartition0,
    r."Size" AS Size0,
    r."StartingOffset" AS StartingOffset0,
    r."Status" AS Status0,
    r."StatusInfo" AS StatusInfo0,
    r."SystemName" AS SystemName0,
    r."Type" AS Type0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_partition r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'PARTITION';

DROP VIEW v_GS_PC_BIOS;
CREATE VIEW v_GS_PC_BIOS AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."Name" AS Name0,
    r."SoftwareElementID" AS SoftwareElementID0,
    r."SoftwareElementState" AS SoftwareElementState0,
    r."TargetOperatingSystem" AS TargetOperatingSystem0,
    r."Version" AS Version0,
    r."BiosCharacteristics" AS BiosCharacteristics0,
    r."BIOSVersion" AS BIOSVersion0,
    r."BuildNumber" AS BuildNumber0,
    r."Caption" AS Caption0,
    r."CodeSet" AS CodeSet0,
    r."CurrentLanguage" AS CurrentLanguage0,
    r."Description" AS Description0,
    r."IdentificationCode" AS IdentificationCode0,
    r."InstallableLanguages" AS InstallableLanguages0,
    r."InstallDate" AS InstallDate0,
    r."LanguageEdition" AS LanguageEdition0,
    r."ListOfLanguages" AS ListOfLanguages0,
    r."Manufacturer" AS Manufacturer0,
    r."OtherTargetOS" AS OtherTargetOS0,
    r."PrimaryBIOS" AS PrimaryBIOS0,
    r."ReleaseDate" AS ReleaseDate0,
    r."SerialNumber" AS SerialNumber0,
    r."SMBIOSBIOSVersion" AS SMBIOSBIOSVersion0,
    r."SMBIOSMajorVersion" AS SMBIOSMajorVersion0,
    r."SMBIOSMinorVersion" AS SMBIOSMinorVersion0,
    r."SMBIOSPresent" AS SMBIOSPresent0,
    r."Status" AS Status0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_pc_bios r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'PC_BIOS';

DROP VIEW v_GS_PROCESSOR;
CREATE VIEW v_GS_PROCESSOR AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."DeviceID" AS DeviceID0,
    r."AddressWidth" AS AddressWidth0,
    r."Architecture" AS Architecture0,
    r."Availability" AS Availability0,
    r."BrandID" AS BrandID0,
    r."Caption" AS Caption0,
    r."ConfigManagerErrorCode" AS ConfigManagerErrorCode0,
    r."ConfigManagerUserConfig" AS ConfigManagerUserConfig0,
    r."CPUHash" AS CPUHash0,
    r."CPUKey" AS CPUKey0,
    r."CpuStatus" AS CpuStatus0,
    r."CurrentClockSpeed" AS CurrentClockSpeed0,
    r."CurrentVoltage" AS CurrentVoltage0,
    r."DataWidth" AS DataWidth0,
    r."Description" AS Description0,
    r."ErrorCleared" AS ErrorCleared0,
    r."ErrorDescription" AS ErrorDescription0,
    r."ExtClock" AS ExtClock0,
    r."Family" AS Family0,
    r."InstallDate" AS InstallDate0,
    r."Is64Bit" AS Is64Bit0,
    r."IsHyperthreadCapable" AS IsHyperthreadCapable0,
    r."IsHyperthreadEnabled" AS IsHyperthreadEnabled0,
    r."IsMobile" AS IsMobile0,
    r."IsTrustedExecutionCapable" AS IsTrustedExecutionCapable0,
    r."IsVitualizationCapable" AS IsVitualizationCapable0,
    r."L2CacheSize" AS L2CacheSize0,
    r."L2CacheSpeed" AS L2CacheSpeed0,
    r."L3CacheSize" AS L3CacheSize0,
    r."L3CacheSpeed" AS L3CacheSpeed0,
    r."LastErrorCode" AS LastErrorCode0,
    r."Level" AS Level0,
    r."LoadPercentage" AS LoadPercentage0,
    r."Manufacturer" AS Manufacturer0,
    r."MaxClockSpeed" AS MaxClockSpeed0,
    r."Name" AS Name0,
    r."NormSpeed" AS NormSpeed0,
    r."NumberOfCores" AS NumberOfCores0,
    r."NumberOfLogicalProcessors" AS NumberOfLogicalProcessors0,
    r."OtherFamilyDescription" AS OtherFamilyDescription0,
    r."PartOfDomain" AS PartOfDomain0,
    r."PCache" AS PCache0,
    r."PNPDeviceID" AS PNPDeviceID0,
    r."PowerManagementCapabilities" AS PowerManagementCapabilities0,
    r."PowerManagementSupported" AS PowerManagementSupported0,
    r."ProcessorId" AS ProcessorId0,
    r."ProcessorType" AS ProcessorType0,
    r."Revision" AS Revision0,
    r."Role" AS Role0,
    r."SocketDesignation" AS SocketDesignation0,
    r."Status" AS Status0,
    r."StatusInfo" AS StatusInfo0,
    r."Stepping" AS Stepping0,
    r."SystemName" AS SystemName0,
    r."UniqueId" AS UniqueId0,
    r."UpgradeMethod" AS UpgradeMethod0,
    r."Version" AS Version0,
    r."VoltageCaps" AS VoltageCaps0,
    r."Workgroup" AS Workgroup0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_processor r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'PROCESSOR';

DROP VIEW v_GS_SERVICE;
CREATE VIEW v_GS_SERVICE AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."Name" AS Name0,
    r."AcceptPause" AS AcceptPause0,
    r."AcceptStop" AS AcceptStop0,
    r."Caption" AS Caption0,
    r."CheckPoint" AS CheckPoint0,
    r."Description" AS Description0,
    r."DesktopInteract" AS DesktopInteract0,
    r."DisplayName" AS DisplayName0,
    r."ErrorControl" AS ErrorControl0,
    r."ExitCode" AS ExitCode0,
    r."InstallDate" AS InstallDate0,
    r."PathName" AS PathName0,
    r."ProcessId" AS ProcessId0,
    r."ServiceSpecificExitCode" AS ServiceSpecificExitCode0,
    r."ServiceType" AS ServiceType0,
    r."Started" AS Started0,
    r."StartMode" AS StartMode0,
    r."StartName" AS StartName0,
    r."State" AS State0,
    r."Status" AS Status0,
    r."SystemName" AS SystemName0,
    r."TagId" AS TagId0,
    r."WaitHint" AS WaitHint0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_service r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'SERVICE';

DROP VIEW v_GS_SYSTEM_CONSOLE_USER;
CREATE VIEW v_GS_SYSTEM_CONSOLE_USER AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."SystemConsoleUser" AS SystemConsoleUser0,
    r."LastConsoleUse" AS LastConsoleUse0,
    r."NumberOfConsoleLogons" AS NumberOfConsoleLogons0,
    r."TotalUserConsoleMinutes" AS TotalUserConsoleMinutes0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_system_console_user r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'SYSTEM_CONSOLE_USER';

DROP VIEW v_GS_SYSTEM_ENCLOSURE;
CREATE VIEW v_GS_SYSTEM_ENCLOSURE AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."Tag" AS Tag0,
    r."AudibleAlarm" AS AudibleAlarm0,
    r."BreachDescription" AS BreachDescription0,
    r."CableManagementStrategy" AS CableManagementStrategy0,
    r."Caption" AS Caption0,
    r."ChassisTypes" AS ChassisTypes0,
    r."CurrentRequiredOrProduced" AS CurrentRequiredOrProduced0,
    r."Description" AS Description0,
    r."HeatGeneration" AS HeatGeneration0,
    r."HotSwappable" AS HotSwappable0,
    r."InstallDate" AS InstallDate0,
    r."LockPresent" AS LockPresent0,
    r."Manufacturer" AS Manufacturer0,
    r."Model" AS Model0,
    r."Name" AS Name0,
    r."NumberOfPowerCords" AS NumberOfPowerCords0,
    r."OtherIdentifyingInfo" AS OtherIdentifyingInfo0,
    r."PartNumber" AS PartNumber0,
    r."PoweredOn" AS PoweredOn0,
    r."Removable" AS Removable0,
    r."Replaceable" AS Replaceable0,
    r."SecurityBreach" AS SecurityBreach0,
    r."SecurityStatus" AS SecurityStatus0,
    r."SerialNumber" AS SerialNumber0,
    r."ServiceDescriptions" AS ServiceDescriptions0,
    r."ServicePhilosophy" AS ServicePhilosophy0,
    r."SKU" AS SKU0,
    r."SMBIOSAssetTag" AS SMBIOSAssetTag0,
    r."Status" AS Status0,
    r."TypeDescriptions" AS TypeDescriptions0,
    r."Version" AS Version0,
    r."VisibleAlarm" AS VisibleAlarm0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_system_enclosure r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'SYSTEM_ENCLOSURE';

DROP VIEW v_GS_X86_PC_MEMORY;
CREATE VIEW v_GS_X86_PC_MEMORY AS SELECT
    d.resource_id AS ResourceID,
    s.changed AS TimeStamp,
    r."Name" AS Name0,
    r."AvailableVirtualMemory" AS AvailableVirtualMemory0,
    r."TotalPageFileSpace" AS TotalPageFileSpace0,
    r."TotalPhysicalMemory" AS TotalPhysicalMemory0,
    r."TotalVirtualMemory" AS TotalVirtualMemory0
FROM device d JOIN device_section s ON s.device = d.id CROSS JOIN {each_row_id}
JOIN inv_x86_pc_memory r ON r.row_id = CAST(e.value AS BIGINT)
WHERE s.class = 'X86_PC_MEMORY';

