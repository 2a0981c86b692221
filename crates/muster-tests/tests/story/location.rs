//! Service location with the real programs: what the site prints is what a real Active Directory finds, and a machine that comes into
//! another network uses the point that is near there.

use crate::harness::{Site, run};
use muster_tests::samba::{self, Domain};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn configure(site: &Site, agent: &str, location: &serde_json::Value) {
    let config = serde_json::json!({ "location": location });
    std::fs::write(site.path(agent).join("agent.json"), config.to_string()).unwrap();
}

async fn records(site: &Site, arguments: &[&str]) -> String {
    let dir = site.path("site").display().to_string();
    let ran = run("musterd", &[&["location", "records", "--dir", &dir], arguments].concat()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.out
}

#[tokio::test]
async fn what_the_site_prints_is_found_in_a_real_domain_and_only_there() {
    // proves S12: service connection points in Active Directory (Samba), over LDAPS and StartTLS, with a bind; an ordinary user of
    // the domain cannot add one.
    let Some(domain) = Domain::start().await.unwrap() else { return };
    let site = Site::start().await;
    let container = format!("CN=System Management,CN=System,{}", samba::BASE);
    domain.modify(&format!("dn: {container}\nchangetype: add\nobjectClass: container\n")).unwrap();
    let ldif = records(&site, &["--base", &container]).await;
    domain.user_create("reader").unwrap();
    assert!(domain.add_as("reader", samba::USER_PASSWORD, &ldif).is_err(), "an ordinary user must not publish");
    domain.modify(&ldif).unwrap();

    let (device, mut agent) = site.managed("agent").await;
    agent.kill().await.unwrap();
    let password = site.path("ldap.password");
    std::fs::write(&password, samba::USER_PASSWORD).unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let bind = serde_json::json!({ "name": format!("reader@{}", samba::REALM), "password_file": password });
    for scheme in ["ldaps", "ldap"] {
        let server = format!("{scheme}://{}", domain.address());
        let mut directory = serde_json::json!({ "server": server, "base": container, "authorities": domain.ca() });
        configure(&site, "agent", &serde_json::json!({ "directory": directory }));
        let anonymous = site.agent("agent", &["locate", "--json"]).await.json();
        assert_eq!(anonymous["points"], serde_json::json!([]), "Active Directory shows nothing to nobody");
        directory["bind"] = bind.clone();
        configure(&site, "agent", &serde_json::json!({ "directory": directory }));
        let found = site.agent("agent", &["locate", "--json"]).await.json();
        assert_eq!(found["errors"], serde_json::json!([]), "{found}");
        let point = &found["points"][0];
        assert_eq!(point["source"], format!("serviceConnectionPoint in the directory {server}"), "{found}");
        assert_eq!(point["verdict"], "it is a management point of the site", "{found}");
        assert_eq!(found["points"].as_array().unwrap().len(), 1);
    }

    // Somebody with the right to write poisons the object: it is refused, and the administrator hears of it.
    let name = format!("CN=muster-mp-TST,{container}");
    let false_point = samba::CONTROLLER.replace("dc1", "evil");
    let poison = format!(
        "dn: {name}\nchangetype: modify\nreplace: serviceBindingInformation\nserviceBindingInformation: https://{}:636\n",
        domain.address()
    );
    assert!(!poison.contains(&false_point));
    domain.modify(&poison).unwrap();

    // The directory knows by its subnets in which site this machine is; the longest says it.
    let near = domain.near_address().to_string();
    let wide = format!("{}.0.0.0/8", near.split('.').next().unwrap());
    for (name, subnet) in [("Europe", wide), ("Berlin", format!("{near}/32"))] {
        domain.samba_tool(&["sites", "create", name]).unwrap();
        domain.samba_tool(&["sites", "subnet", "create", &subnet, name]).unwrap();
    }
    let server = format!("ldaps://{}", domain.address());
    let directory = serde_json::json!({
        "server": server, "base": container, "authorities": domain.ca(), "bind": bind, "sites": true
    });
    configure(&site, "agent", &serde_json::json!({ "directory": directory }));
    let mut agent = site.agent_run("agent");
    site.until("the site of the directory", async |client| {
        let shown = client.device_show(device.parse().unwrap()).await?.value;
        Ok(shown.location.and_then(|at| at.directory_site).filter(|name| name == "Berlin"))
    })
    .await;
    let said = site
        .until("the report of the false point", async |client| {
            let query = muster_model::api::MessageQuery { limit: 50, ..Default::default() };
            let page = client.message_list(&query).await?;
            Ok(page.items.into_iter().find(|message| message.id == "point_refused").map(|message| message.text))
        })
        .await;
    let address = format!("{}:636", domain.address());
    assert!(
        said.starts_with(&format!("A false management point at {address}, named by serviceConnectionPoint")),
        "{said}"
    );
    assert!(said.contains("was refused:"), "{said}");
    let shown = site.muster(&["message", "list"]).await.out;
    assert!(shown.contains("A false management point at"), "{shown}");
    agent.kill().await.unwrap();
}

/// Runs the test of this name again, in a network namespace of its own. `false`: this is that run.
fn went_into_a_namespace(test: &str) -> bool {
    const INSIDE: &str = "MUSTER_TEST_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let probe = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).output();
    if !probe.as_ref().is_ok_and(|probe| probe.status.success()) {
        muster_tests::skip::loudly("a story in a network of its own", &format!("unshare --net: {probe:?}"));
        return true;
    }
    let ran = Command::new("unshare")
        .args(["--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    true
}

fn ip(arguments: &[&str]) {
    let ran = Command::new("ip").args(arguments).output().unwrap();
    assert!(ran.status.success(), "ip {arguments:?}: {ran:?}");
}

#[test]
fn a_machine_in_another_network_uses_the_point_that_is_near_there() {
    // proves S12: the kernel says that the network changed; the site finds the boundary group and signs the order; the client obeys.
    if went_into_a_namespace("location::a_machine_in_another_network_uses_the_point_that_is_near_there") {
        return;
    }
    ip(&["link", "set", "lo", "up"]);
    ip(&["link", "add", "office", "type", "veth", "peer", "name", "switch"]);
    ip(&["link", "set", "office", "up"]);
    ip(&["link", "set", "switch", "up"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(moved());
}

async fn moved() {
    let site = Site::start().await;
    let here = site.muster(&["site", "show", "--json"]).await.json();
    let own = here["management_points"][0].as_str().unwrap().to_owned();
    // Another name for the same server, which its certificate has too.
    let near = own.replace("127.0.0.1", "localhost");
    assert_ne!(own, near);
    let wanted = ["boundary", "add", "--name", "Office", "--kind", "ip_subnet", "--value", "10.77.0.0/24", "--json"];
    let boundary = site.muster(&wanted).await.json()["id"].as_str().unwrap().to_owned();
    let wanted = ["boundary-group", "add", "--name", "Office", "--boundary", &boundary, "--management-point", &near];
    assert_eq!(site.muster(&wanted).await.code, Some(0));
    let (device, mut agent) = site.managed("agent").await;
    let shown = site.muster(&["device", "show", &device, "--json"]).await.json();
    assert!(shown["location"]["groups"].as_array().is_none_or(Vec::is_empty), "{shown}");

    ip(&["address", "add", "10.77.0.5/24", "dev", "office"]);
    site.until("the device in its group", async |client| {
        let location = client.device_show(device.parse().unwrap()).await?.value.location;
        Ok(location.filter(|at| at.groups.iter().any(|group| group.as_str() == "Office")))
    })
    .await;
    let policy = site
        .until("the policy with the order", async |_| {
            let policy = site.agent("agent", &["policy", "show"]).await.json();
            let bodies = policy["assignment"]["bodies"].as_array().unwrap().clone();
            Ok(bodies.iter().any(|body| body["kind"] == "location").then_some(policy))
        })
        .await;
    assert_eq!(policy["management_points"], serde_json::json!([[near], [own]]), "{policy}");
    let log = site.log("agent");
    assert!(log.contains("this machine is in another network"), "{log}");
    agent.kill().await.unwrap();
}
