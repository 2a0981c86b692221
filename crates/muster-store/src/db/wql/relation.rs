//! Where the rows of a class are: a view or a select, and which column an attribute is. A class that nobody fills has no rows.

use muster_model::wql::{
    check::Field,
    schema::{Class, Role, Shape},
};

/// What stands in FROM; `{now}` is this moment. `None`: no rows.
pub(super) fn relation(class: &Class) -> Option<String> {
    match &class.role {
        Role::System => Some("v_R_System".to_owned()),
        // The name is the catalogue's, which takes nothing that is more than a name.
        Role::Inventory(name) => is_name(name).then(|| format!("v_GS_{name}")),
        Role::Other => derived(&class.name).map(str::to_owned),
        Role::Members => Some(members(None)),
        Role::MembersOf(id) => Some(members(Some(id))),
        Role::User => Some("v_R_User".to_owned()),
        Role::UserGroup => Some("v_R_UserGroup".to_owned()),
        Role::UnknownSystem => None,
    }
}

/// What a catalogue names has these letters only; nothing else becomes a part of a statement.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Members of one collection, or of all. An id has letters and digits only.
fn members(id: Option<&str>) -> String {
    let id = id.map(|id| id.chars().filter(char::is_ascii_alphanumeric).collect::<String>());
    let of = id.map(|id| format!(" AND m.collection = '{id}'")).unwrap_or_default();
    format!(
        "(SELECT m.collection AS CollectionID0, s.ResourceID AS ResourceID, s.ResourceID AS MachineID0, s.ResourceType AS ResourceType0, \
         s.Name0 AS Name0, s.SMS_Unique_Identifier0 AS SMSID0, s.Resource_Domain_OR_Workgr0 AS Domain0, s.Client0 AS IsClient0, \
         s.Client_Type0 AS ClientType0, s.Client_Version0 AS ClientVersion0, s.Active0 AS IsActive0, s.Obsolete0 AS IsObsolete0, \
         s.Is_Blocked0 AS IsBlocked0, s.Is_Virtual_Machine0 AS IsVirtualMachine0, s.AD_Site_Name0 AS ADSiteName0, \
         s.Operating_System_Name_and0 AS DeviceOS0, s.Client0 AS IsApproved0, s.Client0 AS IsAssigned0, \
         CAST(0 AS BIGINT) AS IsDecommissioned0, t.code AS SiteCode0, \
         CASE WHEN EXISTS (SELECT 1 FROM collection_rule r WHERE r.collection = m.collection AND r.resource_id = m.resource_id) \
         THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS IsDirect0 \
         FROM collection_member m JOIN v_R_System s ON s.ResourceID = m.resource_id CROSS JOIN site t WHERE true{of} \
         UNION ALL SELECT m.collection, x.resource_id, x.resource_id, \
         CASE WHEN x.kind = 'user' THEN CAST(4 AS BIGINT) ELSE CAST(3 AS BIGINT) END, x.name, NULL, x.\"WindowsNTDomain\", \
         CAST(0 AS BIGINT), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, CAST(0 AS BIGINT), CAST(0 AS BIGINT), \
         CAST(0 AS BIGINT), t.code, \
         CASE WHEN EXISTS (SELECT 1 FROM collection_rule r WHERE r.collection = m.collection AND r.resource_id = m.resource_id) \
         THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END \
         FROM collection_member m JOIN resource x ON x.resource_id = m.resource_id AND x.kind <> 'system' \
         CROSS JOIN site t WHERE true{of})"
    )
}

/// Classes that the site makes of what it knows of each device.
fn derived(name: &str) -> Option<&'static str> {
    Some(match name {
        "SMS_G_System_SYSTEM" => {
            "(SELECT s.ResourceID AS ResourceID, s.Creation_Date0 AS TimeStamp, s.Name0 AS Name0, \
             s.Resource_Domain_OR_Workgr0 AS Domain0, s.SMS_Unique_Identifier0 AS SMSID0, s.CPUType0 AS SystemType0 \
             FROM v_R_System s WHERE s.Client0 = 1)"
        }
        "SMS_G_System_WORKSTATION_STATUS" => {
            "(SELECT d.resource_id AS ResourceID, d.last_inventory AS TimeStamp, d.last_inventory AS LastHardwareScan0 \
             FROM device d WHERE d.last_inventory IS NOT NULL AND d.state <> 'retired')"
        }
        // Active is who was in contact, or sent inventory, within a week.
        "SMS_G_System_CH_ClientSummary" | "SMS_CH_Summary" => {
            "(SELECT d.resource_id AS ResourceID, NULLIF(d.last_seen, 0) AS TimeStamp, d.name AS Name0, \
             CASE WHEN d.last_seen >= {now} - 604800000 THEN 1 ELSE 0 END AS ClientActiveStatus0, \
             CASE WHEN d.last_seen >= {now} - 604800000 THEN 1 ELSE 0 END AS IsActiveDDR0, \
             CASE WHEN d.last_seen >= {now} - 604800000 THEN 1 ELSE 0 END AS IsActivePolicyRequest0, \
             CASE WHEN d.last_inventory >= {now} - 604800000 THEN 1 ELSE 0 END AS IsActiveHW0, \
             NULLIF(d.last_seen, 0) AS LastActiveTime0, NULLIF(d.last_seen, 0) AS LastDDR0, \
             NULLIF(d.last_seen, 0) AS LastOnline0, NULLIF(d.last_seen, 0) AS LastPolicyRequest0, \
             d.last_inventory AS LastHW0 FROM device d WHERE d.state <> 'retired')"
        }
        _ => return None,
    })
}

/// The column of an attribute with one value, or of a list. `None`: nobody says it.
pub(super) fn column(field: &Field) -> Option<String> {
    let name = field.attribute.name.as_str();
    let relation = relation(&field.class)?;
    if matches!(name, "ResourceID" | "TimeStamp") {
        return Some(name.to_owned());
    }
    match &field.class.role {
        Role::System => system(name).map(str::to_owned),
        Role::User => user(name).map(str::to_owned),
        Role::UserGroup => user_group(name).map(str::to_owned),
        // What Configuration Manager numbers its rows by; there is no such column.
        Role::Inventory(_) if matches!(name, "GroupID" | "RevisionID") => None,
        Role::Inventory(_) => is_name(name).then(|| format!("{name}0")),
        _ => Some(format!("{name}0")).filter(|column| relation.contains(&format!(" AS {column}"))),
    }
}

fn system(attribute: &str) -> Option<&'static str> {
    Some(match attribute {
        "ResourceType" => "ResourceType",
        "Active" => "Active0",
        "ADSiteName" => "AD_Site_Name0",
        "Build" | "Build01" => "Build01",
        "Client" => "Client0",
        "ClientType" => "Client_Type0",
        "ClientVersion" => "Client_Version0",
        "CPUType" => "CPUType0",
        "CreationDate" => "Creation_Date0",
        "Decommissioned" => "Decommissioned0",
        "DistinguishedName" => "Distinguished_Name0",
        "FullDomainName" => "Full_Domain_Name0",
        "HardwareID" => "Hardware_ID0",
        "IsVirtualMachine" => "Is_Virtual_Machine0",
        "LastLogonTimestamp" => "Last_Logon_Timestamp0",
        "LastLogonUserDomain" => "User_Domain0",
        "LastLogonUserName" => "User_Name0",
        "Name" => "Name0",
        "NetbiosName" => "Netbios_Name0",
        "Obsolete" => "Obsolete0",
        "OperatingSystemNameandVersion" => "Operating_System_Name_and0",
        "PrimaryGroupID" => "Primary_Group_ID0",
        "ResourceDomainORWorkgroup" => "Resource_Domain_OR_Workgr0",
        "SID" => "SID0",
        "SMBIOSGUID" => "SMBIOS_GUID0",
        "SMSUniqueIdentifier" => "SMS_Unique_Identifier0",
        "Unknown" => "Unknown0",
        "UserAccountControl" => "User_Account_Control0",
        _ => return None,
    })
}

fn user(attribute: &str) -> Option<&'static str> {
    Some(match attribute {
        "ResourceType" => "ResourceType",
        "Name" => "Name0",
        "CreationDate" => "Creation_Date0",
        "UserName" => "User_Name0",
        "UniqueUserName" => "Unique_User_Name0",
        "WindowsNTDomain" => "Windows_NT_Domain0",
        "FullUserName" => "Full_User_Name0",
        "FullDomainName" => "Full_Domain_Name0",
        "DisplayName" => "Display_Name0",
        "GivenName" => "Given_Name0",
        "Mail" => "Mail0",
        "Department" => "Department0",
        "Title" => "Title0",
        "Company" => "Company0",
        "Division" => "Division0",
        "Manager" => "Manager0",
        "City" => "City0",
        "State" => "State0",
        "Country" => "Country0",
        "PhysicalDeliveryOfficeName" => "Physical_Delivery_Office_Nam0",
        "TelephoneNumber" => "Telephone_Number0",
        "MobileNumber" => "Mobile_Number0",
        "Description" => "Description0",
        "EmployeeID" => "Employee_ID0",
        "EmployeeType" => "Employee_Type0",
        "UserPrincipalName" => "User_Principal_Name0",
        "SAMAccountName" => "SAM_Account_Name0",
        "DistinguishedName" => "Distinguished_Name0",
        "SID" => "SID0",
        "PrimaryGroupID" => "Primary_Group_ID0",
        "UserAccountControl" => "User_Account_Control0",
        "NetworkOperatingSystem" => "Network_Operating_System0",
        _ => return None,
    })
}

fn user_group(attribute: &str) -> Option<&'static str> {
    Some(match attribute {
        "ResourceType" => "ResourceType",
        "Name" => "Name0",
        "CreationDate" => "Creation_Date0",
        "UsergroupName" => "Usergroup_Name0",
        "UniqueUsergroupName" => "Unique_Usergroup_Name0",
        "WindowsNTDomain" => "Windows_NT_Domain0",
        "ActiveDirectoryDomain" => "Active_Directory_Domain0",
        "ActiveDirectoryOrganizationalUnit" => "Active_Directory_Organizatio0",
        "NetworkOperatingSystem" => "Network_Operating_System0",
        "DistinguishedName" => "Distinguished_Name0",
        "FullDomainName" => "Full_Domain_Name0",
        "SID" => "SID0",
        _ => return None,
    })
}

/// The view with the values of an attribute of a resource that has several, and their column.
pub(super) fn several(field: &Field) -> Option<(&'static str, &'static str)> {
    if field.attribute.shape != Shape::Many {
        return None;
    }
    match (&field.class.role, field.attribute.name.as_str()) {
        (Role::System | Role::User | Role::UserGroup, "AgentName") => Some(("v_AgentDiscoveries", "AgentName")),
        (Role::System | Role::User | Role::UserGroup, "AgentSite") => Some(("v_AgentDiscoveries", "AgentSite")),
        (Role::System | Role::User | Role::UserGroup, "AgentTime") => Some(("v_AgentDiscoveries", "AgentTime")),
        (Role::System, name) => several_of_system(name),
        (Role::User, "SecurityGroupName") => Some(("v_RA_User_SecurityGroupName", "Security_Group_Name0")),
        (Role::User, "UserContainerName") => Some(("v_RA_User_UserContainerName", "User_Container_Name0")),
        (Role::User, "UserGroupName") => Some(("v_RA_User_UserGroupName", "User_Group_Name0")),
        (Role::User, "UserOUName") => Some(("v_RA_User_UserOUName", "User_OU_Name0")),
        _ => None,
    }
}

fn several_of_system(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "IPAddresses" => ("v_RA_System_IPAddresses", "IP_Addresses0"),
        "IPSubnets" => ("v_RA_System_IPSubnets", "IP_Subnets0"),
        "IPv6Addresses" => ("v_RA_System_IPv6Addresses", "IPv6_Addresses0"),
        "IPv6Prefixes" => ("v_RA_System_IPv6Prefixes", "IPv6_Prefixes0"),
        "MACAddresses" => ("v_RA_System_MACAddresses", "MAC_Addresses0"),
        "ResourceNames" => ("v_RA_System_ResourceNames", "Resource_Names0"),
        "SecurityGroupName" => ("v_RA_System_SecurityGroupName", "Security_Group_Name0"),
        "SMSAssignedSites" => ("v_RA_System_SMSAssignedSites", "SMS_Assigned_Sites0"),
        "SMSInstalledSites" => ("v_RA_System_SMSInstalledSites", "SMS_Installed_Sites0"),
        "SystemContainerName" => ("v_RA_System_SystemContainerName", "System_Container_Name0"),
        "SystemGroupName" => ("v_RA_System_SystemGroupName", "System_Group_Name0"),
        "SystemOUName" => ("v_RA_System_SystemOUName", "System_OU_Name0"),
        "SystemRoles" => ("v_RA_System_SystemRoles", "System_Roles0"),
        _ => return None,
    })
}
