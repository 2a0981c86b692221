//! Discovery in a real Active Directory: computers, users and groups, what changes, and who must not be believed.

use muster_model::{
    api::{DirectorySettings, DiscoveryRun, DiscoverySource, QueryRun, ResourceKind, ResourceQuery},
    inventory::Value,
    time::MINUTE,
};
use muster_server::directory::Directories;
use muster_site::{discovery_run, discovery_set, discovery_show, query_run, resource_list, testing::TestSite};
use muster_tests::samba::{ADMINISTRATOR_PASSWORD, BASE, Domain, REALM, USER_PASSWORD};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

fn describe(dir: &Path, name: &str, server: &str, ca: &Path, bind: &str, password: &str) {
    let (file, secret) = (dir.join(format!("{name}.toml")), dir.join(format!("{name}.password")));
    let text = format!(
        "server = \"{server}\"\nauthorities = \"{}\"\nbind = \"{bind}\"\npassword_file = \"{name}.password\"\n",
        ca.display()
    );
    fs::write(file, text).unwrap();
    fs::write(&secret, password).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
}

fn wanted() -> DirectorySettings {
    DirectorySettings { enabled: true, containers: vec![format!("OU=Berlin,{BASE}")], ..DirectorySettings::default() }
}

async fn read(test: &TestSite, directories: &Directories, name: &str, full: bool) -> DiscoverySource {
    test.sources.pass(MINUTE);
    discovery_run(&test.full(), &test.site, name, DiscoveryRun { full }).await.unwrap();
    assert!(directories.step(&test.site).await.unwrap());
    discovery_show(&test.full(), &test.site, name).await.unwrap()
}

async fn asked(test: &TestSite, query: &str) -> Vec<String> {
    let request = QueryRun { query: query.to_owned(), limit: 100, utc_offset_minutes: 0 };
    let result = query_run(&test.full(), &test.site, request).await.unwrap();
    let shown = |value: Option<Value>| match value {
        Some(Value::Text(text)) => text,
        other => format!("{other:?}"),
    };
    let mut rows: Vec<String> =
        result.rows.into_iter().map(|row| row.into_iter().map(shown).collect::<Vec<_>>().join("|")).collect();
    rows.sort();
    rows
}

async fn names(test: &TestSite, kind: ResourceKind) -> Vec<String> {
    let query = ResourceQuery { kind: Some(kind), limit: 500, ..ResourceQuery::default() };
    let page = resource_list(&test.full(), &test.site, query).await.unwrap();
    page.items.into_iter().filter(|one| one.gone.is_none()).map(|one| one.name).collect()
}

fn make(domain: &Domain) {
    let unit = |name: &str| format!("dn: OU={name},{BASE}\nchangetype: add\nobjectClass: organizationalUnit\n\n");
    domain.modify(&format!("{}{}", unit("Berlin"), unit("Elsewhere"))).unwrap();
    let berlin = "--userou=OU=Berlin";
    domain
        .samba_tool(&[
            "user",
            "create",
            "ada",
            USER_PASSWORD,
            berlin,
            "--given-name=Ada",
            "--surname=Lovelace",
            "--mail-address=ada@lab.example",
            "--department=Engines",
        ])
        .unwrap();
    domain.samba_tool(&["user", "create", "eve", USER_PASSWORD, "--userou=OU=Elsewhere"]).unwrap();
    domain.samba_tool(&["computer", "create", "PC1", &format!("--computerou=OU=Berlin,{BASE}")]).unwrap();
    domain.samba_tool(&["computer", "create", "PC2", &format!("--computerou=OU=Berlin,{BASE}")]).unwrap();
    for group in ["Kiosks", "Machines"] {
        domain.samba_tool(&["group", "add", group, "--groupou=OU=Berlin"]).unwrap();
    }
    domain.group_add("Machines", "Kiosks").unwrap();
    domain.group_add("Kiosks", "PC1$").unwrap();
    domain.group_add("Kiosks", "ada").unwrap();
}

#[tokio::test]
async fn a_directory_is_read_in_full_and_by_what_changed() {
    let Some(domain) = Domain::start().await.unwrap() else { return };
    make(&domain);
    let test = TestSite::new().await;
    let temp = tempfile::tempdir().unwrap();
    let directories = Directories::new(temp.path());
    let bind = format!("Administrator@{REALM}");
    let at = domain.address();
    describe(temp.path(), "lab", &format!("ldaps://{at}"), &domain.ca(), &bind, ADMINISTRATOR_PASSWORD);
    discovery_set(&test.full(), &test.site, "lab", wanted()).await.unwrap();
    let done = read(&test, &directories, "lab", true).await;
    assert_eq!((done.error.as_deref(), done.refused), (None, 0), "{done:?}");

    // Only what is below the container, under the names that Configuration Manager gives.
    assert_eq!(names(&test, ResourceKind::System).await, ["PC1", "PC2"]);
    assert_eq!(names(&test, ResourceKind::User).await, ["LAB\\ada (Ada Lovelace)"]);
    assert_eq!(names(&test, ResourceKind::Group).await, ["LAB\\Kiosks", "LAB\\Machines"]);
    let unit = "select Name from SMS_R_System where SystemOUName = \"lab.example/berlin\"";
    assert_eq!(asked(&test, unit).await, ["PC1", "PC2"]);
    let group = |name: &str| format!("select Name from SMS_R_System where SystemGroupName = \"LAB\\\\{name}\"");
    assert_eq!(asked(&test, &group("Kiosks")).await, ["PC1"]);
    assert_eq!(asked(&test, &group("Machines")).await, ["PC1"], "through a group in a group");
    let ada = "select UniqueUserName, Mail, Department from SMS_R_User where UserGroupName = \"LAB\\\\Machines\"";
    assert_eq!(asked(&test, ada).await, ["LAB\\ada|ada@lab.example|Engines"]);
    let groups = "select UniqueUsergroupName from SMS_R_UserGroup where ActiveDirectoryOrganizationalUnit = \"LAB.EXAMPLE/BERLIN\"";
    assert_eq!(asked(&test, groups).await, ["LAB\\Kiosks", "LAB\\Machines"]);
    let agent = "select Name from SMS_R_System where AgentName = \"SMS_AD_SYSTEM_DISCOVERY_AGENT\" and Client = 0";
    assert_eq!(asked(&test, agent).await, ["PC1", "PC2"]);

    // Nothing changed: nothing is altered.
    let done = read(&test, &directories, "lab", false).await;
    assert_eq!((done.error.as_deref(), done.altered), (None, 0), "{done:?}");

    // A rename, a change of groups, a new user and a deletion, all by the delta.
    domain
        .modify(&format!("dn: CN=ada,OU=Berlin,{BASE}\nchangetype: modrdn\nnewrdn: CN=ada king\ndeleteoldrdn: 1\n\n"))
        .or_else(|_| {
            domain.modify(&format!(
                "dn: CN=Ada Lovelace,OU=Berlin,{BASE}\nchangetype: modrdn\nnewrdn: CN=ada king\ndeleteoldrdn: 1\n\n"
            ))
        })
        .unwrap();
    domain
        .modify(&format!(
            "dn: CN=ada king,OU=Berlin,{BASE}\nchangetype: modify\nreplace: displayName\ndisplayName: Ada King\n"
        ))
        .unwrap();
    domain.samba_tool(&["group", "removemembers", "Kiosks", "PC1$"]).unwrap();
    domain.group_add("Kiosks", "PC2$").unwrap();
    domain.samba_tool(&["computer", "delete", "PC1"]).unwrap();
    let done = read(&test, &directories, "lab", false).await;
    assert_eq!(done.error, None, "{done:?}");
    assert_eq!(names(&test, ResourceKind::User).await, ["LAB\\ada (Ada King)"]);
    assert_eq!(names(&test, ResourceKind::System).await, ["PC2"], "what was deleted is gone");
    assert_eq!(asked(&test, &group("Machines")).await, ["PC2"]);

    // A full run comes to the same, and finds what was moved away.
    domain.samba_tool(&["user", "move", "ada", &format!("OU=Elsewhere,{BASE}")]).unwrap();
    let done = read(&test, &directories, "lab", true).await;
    assert_eq!(done.error, None);
    assert!(names(&test, ResourceKind::User).await.is_empty(), "it is not where it is looked for");
    assert_eq!(names(&test, ResourceKind::System).await, ["PC2"]);
    assert_eq!(asked(&test, &group("Machines")).await, ["PC2"]);
    strangers(&test, &domain, &directories, temp.path()).await;
}

/// Whoever is not vouched for, and whoever does not know the password, gets nothing and gives nothing.
async fn strangers(test: &TestSite, domain: &Domain, directories: &Directories, dir: &Path) {
    let at = domain.address();
    let bind = format!("Administrator@{REALM}");
    describe(dir, "starttls", &format!("ldap://{at}"), &domain.ca(), &bind, ADMINISTRATOR_PASSWORD);
    discovery_set(&test.full(), &test.site, "starttls", wanted()).await.unwrap();
    assert_eq!(read(test, directories, "starttls", true).await.error, None);
    describe(dir, "wrong", &format!("ldaps://{at}"), &other_ca(domain), &bind, ADMINISTRATOR_PASSWORD);
    discovery_set(&test.full(), &test.site, "wrong", wanted()).await.unwrap();
    let error = read(test, directories, "wrong", true).await.error.unwrap();
    assert!(error.contains("is not trusted"), "{error}");
    describe(dir, "guess", &format!("ldaps://{at}"), &domain.ca(), &bind, "guess");
    discovery_set(&test.full(), &test.site, "guess", wanted()).await.unwrap();
    let error = read(test, directories, "guess", true).await.error.unwrap();
    assert!(error.contains("refuses name or password"), "{error}");
    let nowhere = DirectorySettings { containers: vec![format!("OU=Nowhere,{BASE}")], ..wanted() };
    describe(dir, "nowhere", &format!("ldaps://{at}"), &domain.ca(), &bind, ADMINISTRATOR_PASSWORD);
    discovery_set(&test.full(), &test.site, "nowhere", nowhere).await.unwrap();
    let error = read(test, directories, "nowhere", true).await.error.unwrap();
    assert!(error.contains("there is no OU=Nowhere"), "{error}");
}

/// An authority of the same name that did not sign the controller's certificate.
fn other_ca(domain: &Domain) -> std::path::PathBuf {
    let (ca, key) = (domain.path("other-ca.pem"), domain.path("other-ca.key"));
    let mut command = std::process::Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7"]);
    command.args(["-subj", "/CN=Lab directory CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
    let done = command.arg("-keyout").arg(&key).arg("-out").arg(&ca).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    ca
}
