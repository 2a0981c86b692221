//! Tickets of a real domain controller: our client gets them, our acceptor takes or refuses them.

use muster_model::{enrol::DeviceClaims, id::Hash, time::UnixMillis};
use muster_tests::{
    fleet::clock,
    samba::{self, Domain},
};
use muster_trust::{
    PrivateKey,
    kerberos::{Acceptor, Account, Client, KerberosError, Keytab, Session, binding},
};
use std::path::Path;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const SERVICE: &str = "muster/site.example";

fn keytab(path: &Path) -> Keytab {
    Keytab::read(&std::fs::read(path).unwrap()).unwrap()
}

async fn carried(domain: &Domain, message: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(domain.kdc()).await.unwrap();
    stream.write_u32(u32::try_from(message.len()).unwrap()).await.unwrap();
    stream.write_all(message).await.unwrap();
    let mut reply = vec![0; stream.read_u32().await.unwrap() as usize];
    stream.read_exact(&mut reply).await.unwrap();
    reply
}

async fn ticket(domain: &Domain, client: &Client, service: &str) -> Result<Session, KerberosError> {
    let exchange = client.sign_in(clock::now())?;
    let session = client.signed_in(&exchange, &carried(domain, &exchange.message).await)?;
    let exchange = session.ask(service, clock::now())?;
    session.asked(&exchange, service, &carried(domain, &exchange.message).await)
}

fn bound(exporter: u8, key: &PrivateKey) -> Hash {
    let claims = DeviceClaims {
        host_name: "pc1".to_owned(),
        operating_system: "x".to_owned(),
        agent_version: "1".to_owned(),
        hardware_id: Hash([1; 32]),
    };
    binding(&Hash([exporter; 32]), SERVICE, key.public(), &claims)
}

// proves S3
#[tokio::test]
async fn a_computers_ticket_is_taken_for_its_connection_and_nobody_elses() {
    let Some(domain) = Domain::start().await.unwrap() else { return };
    let computers = domain.computer_create("PC1").unwrap();
    let computer = Client::of(&keytab(&computers)).unwrap();
    let group = domain.group_create("Clients").unwrap();
    domain.group_add("Clients", "PC1$").unwrap();
    let services = domain.service_create("svc", SERVICE).unwrap();
    let keys = keytab(&services);
    let other_keys = keytab(&domain.service_create("other", "muster/other.example").unwrap());
    domain.user_create("carl").unwrap();
    assert!(domain.computer_create_as("nobody", "ROGUE").is_err());
    let rogue = Client::of(&keytab(&domain.computer_create_as("carl", "ROGUE").unwrap())).unwrap();
    let person = Client::named(&keytab(&domain.keytab("carl").unwrap()), samba::REALM, "carl");

    let acceptor = Acceptor { keytabs: std::slice::from_ref(&keys), realm: samba::REALM, service: SERVICE };
    let key = PrivateKey::generate().unwrap();
    let here = bound(1, &key);
    let session = ticket(&domain, &computer, SERVICE).await.unwrap();
    let now = clock::now();
    let proof = session.prove(&here, now).unwrap();
    let account: Account = acceptor.accept(&proof, &here, now).unwrap();
    assert_eq!((account.realm.as_str(), account.name.as_str(), account.computer()), (samba::REALM, "PC1$", "PC1"));
    assert_eq!(account.sid, domain.sid("PC1$").unwrap());
    assert!(account.groups.contains(&group), "{account:?}");

    assert!(domain.attribute("PC1$", "memberOf").unwrap().starts_with("CN=Clients,"));

    // Another connection, another key, another time, another service, another realm.
    let refused = |bound: &Hash, now: UnixMillis| acceptor.accept(&proof, bound, now).unwrap_err();
    assert_eq!(refused(&bound(2, &key), now), KerberosError::Binding);
    assert_eq!(refused(&bound(1, &PrivateKey::generate().unwrap()), now), KerberosError::Binding);
    assert_eq!(refused(&here, now.plus(301_000)), KerberosError::Skew);
    assert_eq!(refused(&here, now.plus(24 * 3_600_000)), KerberosError::Expired);
    assert_eq!(refused(&here, now.plus(-3_600_000)), KerberosError::NotYet);
    let elsewhere = Acceptor { realm: "OTHER.EXAMPLE", ..acceptor };
    assert_eq!(elsewhere.accept(&proof, &here, now).unwrap_err(), KerberosError::Service);
    let foreign = ticket(&domain, &computer, "muster/other.example").await.unwrap().prove(&here, now).unwrap();
    assert_eq!(acceptor.accept(&foreign, &here, now).unwrap_err(), KerberosError::Service);
    let wrong_key =
        Acceptor { keytabs: std::slice::from_ref(&other_keys), realm: samba::REALM, service: "muster/other.example" };
    assert!(wrong_key.accept(&foreign, &here, now).is_ok());
    assert_eq!(wrong_key.accept(&proof, &here, now).unwrap_err(), KerberosError::Service);

    // A computer of a user is a computer, and in no group that an administrator made.
    let proof = ticket(&domain, &rogue, SERVICE).await.unwrap().prove(&here, now).unwrap();
    let account = acceptor.accept(&proof, &here, now).unwrap();
    assert_eq!(account.name, "ROGUE$");
    assert!(!account.groups.contains(&group));
    let proof = ticket(&domain, &person.unwrap(), SERVICE).await.unwrap().prove(&here, now).unwrap();
    assert_eq!(acceptor.accept(&proof, &here, now).unwrap_err(), KerberosError::NotAComputer);

    // The tools that everybody has see the same domain, and nothing of it is left.
    let tool = |program: &str| {
        let mut command = std::process::Command::new(program);
        command.env("KRB5_CONFIG", domain.krb5_conf()).env("KRB5CCNAME", domain.path("cache"));
        command
    };
    let got = tool("kinit").arg("-kt").arg(&computers).arg(format!("PC1$@{}", samba::REALM)).output().unwrap();
    assert!(got.status.success(), "{got:?}");
    let got = tool("kvno").arg("-k").arg(&services).arg(SERVICE).output().unwrap();
    assert!(got.status.success(), "{got:?}");
    let mut search = domain.run("ldapsearch");
    let found = search.args(["-x", "-H", "ldap://127.0.0.1", "-s", "base", "-b", ""]).output().unwrap();
    assert!(String::from_utf8_lossy(&found.stdout).contains(samba::BASE), "{found:?}");
    let place = domain.path("");
    drop(domain);
    assert!(!place.exists());
}
