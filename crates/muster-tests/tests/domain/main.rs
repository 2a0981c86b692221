//! Tests against a real Active Directory.

use muster_tests::samba::{self, Domain};
use std::process::Command;

#[tokio::test]
async fn a_domain_is_made_used_and_gone() {
    let Some(domain) = Domain::start().await.unwrap() else { return };
    let keytab = domain.computer_create("PC1").unwrap();
    let group = domain.group_create("Clients").unwrap();
    domain.group_add("Clients", "PC1$").unwrap();
    assert!(domain.attribute("PC1$", "memberOf").unwrap().starts_with("CN=Clients,"), "{group}");
    domain.user_create("carl").unwrap();
    assert!(domain.computer_create_as("nobody", "ROGUE").is_err());
    domain.computer_create_as("carl", "ROGUE").unwrap();
    let service = domain.service_create("svc", "muster/site.example").unwrap();

    let cache = domain.path("cache");
    let tool = |program: &str| {
        let mut command = Command::new(program);
        command.env("KRB5_CONFIG", domain.krb5_conf()).env("KRB5CCNAME", &cache);
        command
    };
    let ticket = tool("kinit").arg("-kt").arg(&keytab).arg(format!("PC1$@{}", samba::REALM)).output().unwrap();
    assert!(ticket.status.success(), "{ticket:?}");
    let ticket = tool("kvno").arg("-k").arg(&service).arg("muster/site.example").output().unwrap();
    assert!(ticket.status.success(), "{ticket:?}");
    let name = domain.path("");
    let found =
        domain.run("ldapsearch").args(["-x", "-H", "ldap://127.0.0.1", "-s", "base", "-b", ""]).output().unwrap();
    assert!(String::from_utf8_lossy(&found.stdout).contains(samba::BASE), "{found:?}");
    drop(domain);
    assert!(!name.exists());
}
