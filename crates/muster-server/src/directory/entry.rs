//! From an object of an Active Directory to a record, under the names and in the forms that Configuration Manager gives.

use muster_model::{
    api::ResourceKind,
    discovery::{DirectoryObject, DiscoveryRecord, Fact, Facts, plain},
    ldap::Entry,
    limits::{DIRECTORY_GROUPS, DISCOVERY_VALUE_BYTES, DISCOVERY_VALUES},
    time::{DAY, UnixMillis},
};
use uuid::Uuid;

/// Milliseconds from 1601, where the directory's clock begins, to 1970.
const EPOCH: i64 = 11_644_473_600_000;
/// `groupType`: a group that rights can be given to.
const SECURITY: i64 = 1 << 31;

/// What all objects of a domain have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Domain {
    /// `LAB`.
    pub(super) short: String,
    /// `LAB.EXAMPLE`.
    pub(super) full: String,
}

/// What is read of an object.
pub(super) const fn attributes(kind: ResourceKind) -> &'static [&'static str] {
    match kind {
        ResourceKind::System => &[
            "objectGUID",
            "objectSid",
            "sAMAccountName",
            "cn",
            "dNSHostName",
            "operatingSystem",
            "operatingSystemVersion",
            "userAccountControl",
            "primaryGroupID",
            "lastLogonTimestamp",
            "pwdLastSet",
            "memberOf",
        ],
        ResourceKind::User => &[
            "objectGUID",
            "objectSid",
            "sAMAccountName",
            "cn",
            "displayName",
            "givenName",
            "mail",
            "department",
            "title",
            "company",
            "division",
            "manager",
            "l",
            "st",
            "co",
            "physicalDeliveryOfficeName",
            "telephoneNumber",
            "mobile",
            "description",
            "employeeID",
            "employeeType",
            "userPrincipalName",
            "userAccountControl",
            "primaryGroupID",
            "memberOf",
        ],
        ResourceKind::Group => &["objectGUID", "objectSid", "sAMAccountName", "cn", "groupType", "memberOf"],
    }
}

/// The facts of one record, as they come together.
#[derive(Default)]
struct Building(Facts);

impl Building {
    fn text(&mut self, name: &str, value: &str) {
        let value = plain(value, DISCOVERY_VALUE_BYTES);
        if !value.is_empty() {
            self.0.insert(name.to_owned(), Fact::Text(value));
        }
    }

    fn copy(&mut self, entry: &Entry, pairs: &[(&str, &str)]) {
        for (from, to) in pairs {
            self.text(to, entry.text(from).unwrap_or_default());
        }
    }

    fn number(&mut self, name: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), Fact::Number(value));
        }
    }

    fn list(&mut self, name: &str, values: Vec<String>) {
        let values: Vec<String> = values
            .into_iter()
            .map(|value| plain(&value, DISCOVERY_VALUE_BYTES))
            .filter(|value| !value.is_empty())
            .take(DISCOVERY_VALUES)
            .collect();
        if !values.is_empty() {
            self.0.insert(name.to_owned(), Fact::List(values));
        }
    }
}

/// Which systems are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stale {
    pub(super) logon_days: u32,
    pub(super) password_days: u32,
}

impl Stale {
    /// Whether a computer has been away for too long. What the directory does not say is no reason.
    fn leaves_out(self, entry: &Entry, now: UnixMillis) -> bool {
        let older = |name: &str, days: u32| {
            days > 0
                && moment(entry, name)
                    .is_some_and(|last| now.since(UnixMillis(last)) > i64::from(days).saturating_mul(DAY))
        };
        older("lastLogonTimestamp", self.logon_days) || older("pwdLastSet", self.password_days)
    }
}

/// By what an object is known again, whatever it is called and wherever it is moved.
pub(super) fn identity(entry: &Entry) -> Option<String> {
    let bytes: [u8; 16] = entry.values("objectGUID").first()?.as_slice().try_into().ok()?;
    Some(format!("ad:{}", Uuid::from_bytes_le(bytes).hyphenated()))
}

/// The object; `None`: it is none that is wanted.
pub(super) fn object(
    kind: ResourceKind,
    source: &str,
    domain: &Domain,
    stale: Stale,
    entry: &Entry,
    now: UnixMillis,
) -> Option<DirectoryObject> {
    let account = plain(entry.text("sAMAccountName")?, 255);
    let identity = identity(entry)?;
    let sid = sid(entry.values("objectSid").first()?)?;
    let mut facts = Building::default();
    facts.text("SID", &sid);
    facts.text("DistinguishedName", &entry.name);
    facts.text("FullDomainName", &domain.full);
    let name = match kind {
        ResourceKind::System if stale.leaves_out(entry, now) => return None,
        ResourceKind::System => system(&mut facts, domain, &account, entry),
        ResourceKind::User => user(&mut facts, domain, &account, entry),
        ResourceKind::Group if number(entry, "groupType").is_some_and(|kind| kind & SECURITY == 0) => return None,
        ResourceKind::Group => group(&mut facts, domain, &account, entry),
    };
    let primary_group =
        number(entry, "primaryGroupID").and_then(|primary| Some(format!("{}-{primary}", sid.rsplit_once('-')?.0)));
    let groups = entry.values("memberOf").iter().take(DIRECTORY_GROUPS);
    let groups =
        groups.filter_map(|name| String::from_utf8(name.clone()).ok()).map(|name| plain(&name, DISCOVERY_VALUE_BYTES));
    let record = DiscoveryRecord {
        method: muster_site::directory_method(kind),
        kind,
        identity,
        source: source.to_owned(),
        name: plain(&name, 255),
        found: now,
        facts: facts.0,
    };
    Some(DirectoryObject { record, groups: groups.collect(), primary_group })
}

fn system(facts: &mut Building, domain: &Domain, account: &str, entry: &Entry) -> String {
    let name = account.trim_end_matches('$').to_owned();
    facts.text("NetbiosName", &name);
    facts.text("ResourceDomainORWorkgroup", &domain.short);
    facts.number("UserAccountControl", number(entry, "userAccountControl"));
    facts.number("PrimaryGroupID", number(entry, "primaryGroupID"));
    facts.number("LastLogonTimestamp", moment(entry, "lastLogonTimestamp"));
    let system = entry.text("operatingSystem").unwrap_or_default();
    let version = entry.text("operatingSystemVersion").unwrap_or_default();
    facts.text("OperatingSystemNameandVersion", &system_name(system, version));
    // `10.0 (19045)` is build 10.0.19045.
    if let Some((main, build)) = version.split_once(" (") {
        facts.text("Build", &format!("{main}.{}", build.trim_end_matches(')')));
    }
    facts.list("ResourceNames", entry.text("dNSHostName").map(str::to_owned).into_iter().collect());
    facts.list("SystemOUName", units(domain, &entry.name));
    facts.list("SystemContainerName", containers(domain, &entry.name));
    name
}

/// Administrators' queries know Windows as `Microsoft Windows NT Workstation 10.0` and `... Advanced Server 10.0`.
fn system_name(system: &str, version: &str) -> String {
    if !system.starts_with("Windows") {
        return format!("{system} {version}");
    }
    let kind = if system.contains("Server") { "Advanced Server" } else { "Workstation" };
    format!("Microsoft Windows NT {kind} {}", version.split(' ').next().unwrap_or_default())
}

fn user(facts: &mut Building, domain: &Domain, account: &str, entry: &Entry) -> String {
    let unique = format!("{}\\{account}", domain.short);
    let full = entry.text("displayName").or_else(|| entry.text("cn")).unwrap_or_default();
    facts.text("UserName", account);
    facts.text("SAMAccountName", account);
    facts.text("UniqueUserName", &unique);
    facts.text("WindowsNTDomain", &domain.short);
    facts.text("NetworkOperatingSystem", "Windows NT");
    facts.text("FullUserName", full);
    facts.number("UserAccountControl", number(entry, "userAccountControl"));
    facts.number("PrimaryGroupID", number(entry, "primaryGroupID"));
    facts.copy(
        entry,
        &[
            ("displayName", "DisplayName"),
            ("givenName", "GivenName"),
            ("mail", "Mail"),
            ("department", "Department"),
            ("title", "Title"),
            ("company", "Company"),
            ("division", "Division"),
            ("manager", "Manager"),
            ("l", "City"),
            ("st", "State"),
            ("co", "Country"),
            ("physicalDeliveryOfficeName", "PhysicalDeliveryOfficeName"),
            ("telephoneNumber", "TelephoneNumber"),
            ("mobile", "MobileNumber"),
            ("description", "Description"),
            ("employeeID", "EmployeeID"),
            ("employeeType", "EmployeeType"),
            ("userPrincipalName", "UserPrincipalName"),
        ],
    );
    facts.list("UserOUName", units(domain, &entry.name));
    facts.list("UserContainerName", containers(domain, &entry.name));
    if full.is_empty() { unique } else { format!("{unique} ({full})") }
}

fn group(facts: &mut Building, domain: &Domain, account: &str, entry: &Entry) -> String {
    let unique = format!("{}\\{account}", domain.short);
    facts.text("UsergroupName", account);
    facts.text("UniqueUsergroupName", &unique);
    facts.text("WindowsNTDomain", &domain.short);
    facts.text("NetworkOperatingSystem", "Windows NT");
    facts.text("ActiveDirectoryDomain", &domain.full);
    if let Some(unit) = units(domain, &entry.name).pop() {
        facts.text("ActiveDirectoryOrganizationalUnit", &unit);
    }
    unique
}

fn number(entry: &Entry, name: &str) -> Option<i64> {
    // What does not fit into 32 bits is written as a negative number.
    entry.text(name)?.parse::<i64>().ok().filter(|number| number.unsigned_abs() <= 1 << 32).map(|n| n & 0xffff_ffff)
}

/// A moment of the directory: hundreds of nanoseconds since 1601; 0: never.
fn moment(entry: &Entry, name: &str) -> Option<i64> {
    let ticks: i64 = entry.text(name)?.parse().ok()?;
    // Later than the year 9999 is no moment: so the directory writes "never".
    (1..2_650_467_743_990_000_000).contains(&ticks).then(|| ticks / 10_000 - EPOCH)
}

/// A security identifier as text.
fn sid(bytes: &[u8]) -> Option<String> {
    let (head, subs) = bytes.split_at_checked(8)?;
    if head[0] != 1 || usize::from(head[1]) * 4 != subs.len() || head[1] > 15 || head[1] == 0 {
        return None;
    }
    let authority = head[2..].iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    let subs = subs.chunks_exact(4).map(|sub| u32::from_le_bytes([sub[0], sub[1], sub[2], sub[3]]));
    Some(subs.fold(format!("S-1-{authority}"), |text, sub| format!("{text}-{sub}")))
}

/// The parts of a distinguished name, the object itself first: attribute and value, without escapes.
fn parts(name: &str) -> Vec<(String, String)> {
    let (mut parts, mut part, mut characters) = (Vec::new(), String::new(), name.chars().peekable());
    let mut ended = Vec::new();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                let Some(next) = characters.next() else { break };
                let low = characters.peek().and_then(|low| low.to_digit(16));
                match (next.to_digit(16), low) {
                    // A byte in hexadecimal digits; only those of ASCII are put back.
                    (Some(high), Some(low)) => {
                        characters.next();
                        part.push(char::from_u32(high * 16 + low).filter(char::is_ascii).unwrap_or('\u{fffd}'));
                    }
                    _ => part.push(next),
                }
            }
            ',' => ended.push(std::mem::take(&mut part)),
            other => part.push(other),
        }
    }
    ended.push(part);
    for part in ended {
        if let Some((attribute, value)) = part.split_once('=') {
            parts.push((attribute.trim().to_ascii_uppercase(), value.to_owned()));
        }
    }
    parts
}

/// The organisational units around an object, from the outermost: `LAB.EXAMPLE/BERLIN`, `LAB.EXAMPLE/BERLIN/KIOSKS`.
fn units(domain: &Domain, name: &str) -> Vec<String> {
    let mut path = domain.full.clone();
    let units = parts(name).into_iter().skip(1).filter(|(attribute, _)| attribute == "OU").map(|(_, value)| value);
    let units: Vec<String> = units.collect();
    units
        .into_iter()
        .rev()
        .map(|unit| {
            path = format!("{path}/{}", unit.to_uppercase());
            path.clone()
        })
        .collect()
}

/// The container around an object, where it is in none of the units: `LAB\COMPUTERS`.
fn containers(domain: &Domain, name: &str) -> Vec<String> {
    let parts = parts(name);
    let around = parts.get(1).filter(|(attribute, _)| attribute == "CN");
    around.map(|(_, value)| format!("{}\\{}", domain.short, value.to_uppercase())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> Domain {
        Domain { short: "LAB".to_owned(), full: "LAB.EXAMPLE".to_owned() }
    }

    fn entry(name: &str, more: &[(&str, &[u8])]) -> Entry {
        let sid =
            [&[1, 5, 0, 0, 0, 0, 0, 5][..], &[21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 81, 4, 0, 0]].concat();
        let mut attributes: Vec<(String, Vec<Vec<u8>>)> =
            vec![("objectGUID".to_owned(), vec![(0..16).collect()]), ("objectSid".to_owned(), vec![sid])];
        attributes.extend(more.iter().map(|(name, value)| ((*name).to_owned(), vec![value.to_vec()])));
        Entry { name: name.to_owned(), attributes }
    }

    fn of(kind: ResourceKind, entry: &Entry) -> Option<DirectoryObject> {
        object(kind, "lab", &domain(), Stale { logon_days: 90, password_days: 0 }, entry, UnixMillis(1_790_000_000_000))
    }

    fn text<'a>(object: &'a DirectoryObject, name: &str) -> &'a str {
        match object.record.facts.get(name) {
            Some(Fact::Text(text)) => text,
            _ => "",
        }
    }

    #[test]
    fn a_computer_is_as_configuration_manager_would_have_it() {
        let name = "CN=PC1,OU=Kiosks\\, loud,OU=Berlin,DC=lab,DC=example";
        let pc = entry(
            name,
            &[
                ("sAMAccountName", b"PC1$"),
                ("operatingSystem", b"Windows 10 Pro"),
                ("operatingSystemVersion", b"10.0 (19045)"),
                ("userAccountControl", b"4096"),
                ("primaryGroupID", b"515"),
                ("lastLogonTimestamp", b"134344735990000000"),
                ("memberOf", b"CN=Kiosks,DC=lab,DC=example"),
            ],
        );
        let found = of(ResourceKind::System, &pc).unwrap();
        assert_eq!(found.record.check(), Ok(()));
        assert_eq!(found.record.identity, "ad:03020100-0504-0706-0809-0a0b0c0d0e0f");
        assert_eq!((found.record.name.as_str(), text(&found, "SID")), ("PC1", "S-1-5-21-1-2-3-1105"));
        assert_eq!(found.primary_group.as_deref(), Some("S-1-5-21-1-2-3-515"));
        assert_eq!(text(&found, "OperatingSystemNameandVersion"), "Microsoft Windows NT Workstation 10.0");
        assert_eq!(text(&found, "Build"), "10.0.19045");
        assert_eq!(found.groups, ["CN=Kiosks,DC=lab,DC=example"]);
        let units = ["LAB.EXAMPLE/BERLIN", "LAB.EXAMPLE/BERLIN/KIOSKS, LOUD"].map(str::to_owned);
        assert_eq!(found.record.facts["SystemOUName"], Fact::List(units.into()));
        // Away for a year.
        let mut old = pc.clone();
        old.attributes.push(("x".to_owned(), vec![]));
        old.attributes.iter_mut().find(|(name, _)| name == "lastLogonTimestamp").unwrap().1 =
            vec![b"133700000000000000".to_vec()];
        assert_eq!(of(ResourceKind::System, &old), None);
    }

    #[test]
    fn a_user_and_a_group_have_their_names() {
        let ada = entry(
            "CN=Ada,CN=Users,DC=lab,DC=example",
            &[("sAMAccountName", b"ada"), ("displayName", b"Ada Lovelace"), ("mail", b"ada@lab.example")],
        );
        let found = of(ResourceKind::User, &ada).unwrap();
        assert_eq!(found.record.name, "LAB\\ada (Ada Lovelace)");
        assert_eq!((text(&found, "UniqueUserName"), text(&found, "Mail")), ("LAB\\ada", "ada@lab.example"));
        assert_eq!(found.record.facts["UserContainerName"], Fact::List(vec!["LAB\\USERS".to_owned()]));
        let security = entry("CN=G,DC=lab", &[("sAMAccountName", b"G"), ("groupType", b"-2147483646")]);
        assert_eq!(of(ResourceKind::Group, &security).unwrap().record.name, "LAB\\G");
        let letters = entry("CN=G,DC=lab", &[("sAMAccountName", b"G"), ("groupType", b"2")]);
        assert_eq!(of(ResourceKind::Group, &letters), None, "nobody gives it rights");
    }

    #[test]
    fn what_is_of_another_type_is_no_object() {
        for (name, odd) in [
            ("objectGUID", &b"short"[..]),
            ("objectGUID", &[0; 17]),
            ("objectSid", b"S-1-5"),
            ("objectSid", &[1, 255, 0, 0, 0, 0, 0, 5]),
            ("sAMAccountName", &[0xff, 0xfe]),
        ] {
            let mut pc = entry("CN=PC1", &[("sAMAccountName", b"PC1$")]);
            assert!(of(ResourceKind::System, &pc).is_some());
            pc.attributes.iter_mut().find(|(found, _)| found == name).unwrap().1 = vec![odd.to_vec()];
            assert_eq!(of(ResourceKind::System, &pc), None, "{name}");
        }
        let odd = entry(
            "CN=a\\",
            &[
                ("sAMAccountName", b"PC\n1$"),
                ("userAccountControl", b"99999999999999999999"),
                ("lastLogonTimestamp", b"9223372036854775807"),
                ("operatingSystemVersion", &[b'x'; 5_000]),
            ],
        );
        let found = of(ResourceKind::System, &odd).unwrap();
        assert_eq!(found.record.check(), Ok(()), "{:?}", found.record);
        assert!(!found.record.facts.contains_key("LastLogonTimestamp"));
    }
}
