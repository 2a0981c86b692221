//! Network discovery, passive: what this machine knows already of the network around it. It reads the kernel's table of neighbours and the
//! lease files that the configuration names, and **sends nothing**.

use crate::listen::Stop;
use muster_model::{
    discovery::{Neighbour, plain},
    limits::{LEASES_BYTES, NETWORK_NEIGHBOURS},
};
use muster_site::{Ctx, Site, SiteError};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Time between two questions whether it is time to look.
const LOOK: Duration = Duration::from_secs(30);
/// The kernel's neighbours of IPv4.
const NEIGHBOURS: &str = "/proc/net/arp";

/// Looks for as long as the server runs.
pub(crate) async fn keep_looking(site: Arc<Site>, leases: Vec<PathBuf>, mut stop: Stop) {
    loop {
        tokio::select! {
            () = stop.wait() => return,
            done = look(&site, Path::new(NEIGHBOURS), &leases) => if let Err(error) = done {
                tracing::error!(%error, "What is known of the network could not be kept; trying again.");
            }
        }
        tokio::select! {
            () = stop.wait() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Looks once, where it is time.
async fn look(site: &Site, neighbours: &Path, leases: &[PathBuf]) -> Result<(), SiteError> {
    let ctx = Ctx::site(site.sources.now());
    if !muster_site::network_discovery_due(&ctx, site).await? {
        return Ok(());
    }
    let (neighbours, leases, now) = (neighbours.to_owned(), leases.to_owned(), ctx.now.0 / 1_000);
    let read = tokio::task::spawn_blocking(move || everything(&neighbours, &leases, now)).await;
    let (found, error) = read.unwrap_or_else(|error| (Vec::new(), Some(error.to_string())));
    muster_site::network_discovery_take(&ctx, site, &found, error.as_deref()).await?;
    Ok(())
}

/// What all sources say, and what could not be read. Leases have names, and so come first.
fn everything(neighbours: &Path, leases: &[PathBuf], now: i64) -> (Vec<Neighbour>, Option<String>) {
    let mut by_hardware: BTreeMap<String, Neighbour> = BTreeMap::new();
    let mut errors = BTreeSet::new();
    let files = leases.iter().map(|path| (path.as_path(), true)).chain([(neighbours, false)]);
    for (path, is_lease) in files {
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => {
                errors.insert(format!("{}: {error}", path.display()));
                continue;
            }
        };
        for found in if is_lease { parse_leases(&text, now) } else { parse_neighbours(&text) } {
            if by_hardware.len() < NETWORK_NEIGHBOURS {
                by_hardware.entry(found.hardware.clone()).or_insert(found);
            }
        }
    }
    let errors: Vec<String> = errors.into_iter().collect();
    (by_hardware.into_values().collect(), (!errors.is_empty()).then(|| plain(&errors.join("; "), 500)))
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LEASES_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A hardware address in one spelling; none of a group and not nothing.
fn hardware(text: &str) -> Option<String> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    let bytes = bytes.filter(|bytes| bytes.len() == 6 && bytes[0] & 1 == 0 && bytes.iter().any(|byte| *byte != 0))?;
    Some(bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

fn neighbour(address: &str, of: &str, name: &str) -> Option<Neighbour> {
    let address: IpAddr = address.parse().ok()?;
    let name = plain(name.trim_matches('"'), 255);
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    Some(Neighbour { address, hardware: hardware(of)?, name: named.then_some(name) })
}

/// The kernel's table: address, type, flags, hardware address, mask, device. Only what answered (flag 2) is there.
fn parse_neighbours(text: &str) -> Vec<Neighbour> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, _, flags, of, ..] = words[..] else { return None };
        let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
        if flags & 2 == 0 { None } else { neighbour(address, of, "") }
    };
    text.lines().skip(1).filter_map(line).collect()
}

/// Leases in the form of ISC's server, of Kea's (CSV), or of dnsmasq. The last word about an address counts.
fn parse_leases(text: &str, now: i64) -> Vec<Neighbour> {
    let mut by_address: BTreeMap<IpAddr, Option<Neighbour>> = BTreeMap::new();
    let mut keep = |address: &str, lease: Option<Neighbour>| {
        if let Ok(address) = address.parse() {
            by_address.insert(address, lease);
        }
    };
    if text.starts_with("address,hwaddr,") {
        let names: Vec<&str> = text.lines().next().unwrap_or_default().split(',').collect();
        let at = |name: &str| names.iter().position(|known| *known == name);
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let cell = |name: &str| at(name).and_then(|at| cells.get(at)).copied().unwrap_or_default();
            let holds = cell("state") == "0" && cell("expire").parse().is_ok_and(|end: i64| end > now);
            let name = cell("hostname").trim_end_matches('.');
            keep(cell("address"), holds.then(|| neighbour(cell("address"), cell("hwaddr"), name)).flatten());
        }
    } else if text.contains("lease ") && text.contains('{') {
        for block in text.split("\nlease ").skip(usize::from(!text.starts_with("lease "))) {
            let block = block.strip_prefix("lease ").unwrap_or(block);
            let Some((address, rest)) = block.split_once('{') else { continue };
            let inside = rest.split_once("\n}").map_or(rest, |(inside, _)| inside);
            let value = |name: &str| {
                let line = inside.lines().find_map(|line| line.trim().strip_prefix(name));
                line.map(|value| value.trim().trim_end_matches(';')).unwrap_or_default()
            };
            let holds = value("binding state ") == "active";
            let (of, name) = (value("hardware ethernet "), value("client-hostname "));
            keep(address.trim(), holds.then(|| neighbour(address.trim(), of, name)).flatten());
        }
    } else {
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [end, of, address, name, ..] = words[..] else { continue };
            let holds = end.parse().is_ok_and(|end: i64| end == 0 || end > now);
            keep(address, holds.then(|| neighbour(address, of, if name == "*" { "" } else { name })).flatten());
        }
    }
    by_address.into_values().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{
        api::{NetworkSettings, ResourceQuery},
        time::HOUR,
    };
    use muster_site::{network_discovery_set, network_discovery_show, resource_list, testing::TestSite};

    const ARP: &str = "IP address       HW type     Flags       HW address            Mask     Device\n\
        10.1.2.3         0x1         0x2         52:54:00:00:00:01     *        eth0\n\
        10.1.2.4         0x1         0x0         00:00:00:00:00:00     *        eth0\n\
        10.9.9.9         0x1         0x2         52:54:00:00:00:09     *        eth1\n";
    const ISC: &str = "# a comment\nlease 10.1.2.5 {\n  starts 4 2026/11/26 10:00:00;\n  binding state active;\n  hardware ethernet 52:54:00:00:00:05;\n  client-hostname \"printer\";\n}\n\
        lease 10.1.2.6 {\n  binding state free;\n  hardware ethernet 52:54:00:00:00:06;\n}\n\
        lease 10.1.2.5 {\n  binding state active;\n  hardware ethernet 52:54:00:00:00:05;\n  client-hostname \"printer-2\";\n}\n";
    const KEA: &str = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state\n\
        10.1.2.7,52:54:00:00:00:07,01:52,3600,2000000000,1,0,0,camera.corp.example.,0\n\
        10.1.2.8,52:54:00:00:00:08,01:52,3600,1000000000,1,0,0,old,0\n";
    const DNSMASQ: &str = "2000000000 52:54:00:00:00:0a 10.1.2.10 phone 01:52\n1000 52:54:00:00:00:0b 10.1.2.11 gone *\n0 52:54:00:00:00:0c 10.1.2.12 * *\n";

    fn names(found: Vec<Neighbour>) -> Vec<String> {
        found.into_iter().map(|one| format!("{} {}", one.address, one.name.unwrap_or_default())).collect()
    }

    #[test]
    fn what_holds_now_is_read_in_each_form() {
        let now = 1_790_000_000;
        assert_eq!(names(parse_neighbours(ARP)), ["10.1.2.3 ", "10.9.9.9 "]);
        assert_eq!(names(parse_leases(ISC, now)), ["10.1.2.5 printer-2"]);
        assert_eq!(names(parse_leases(KEA, now)), ["10.1.2.7 camera.corp.example"]);
        assert_eq!(names(parse_leases(DNSMASQ, now)), ["10.1.2.10 phone", "10.1.2.12 "]);
    }

    #[test]
    fn rubbish_is_nothing() {
        for odd in
            ["", "\n\n", "lease {", "lease 10.0.0.1 {\n  hardware ethernet zz;\n", "address,hwaddr,\n,,,\n", "1 2 3 4"]
        {
            assert!(parse_leases(odd, 0).is_empty() && parse_neighbours(odd).is_empty(), "{odd:?}");
        }
        assert_eq!(hardware("ff:ff:ff:ff:ff:ff"), None, "everybody is nobody");
        let odd = neighbour("10.0.0.1", "52:54:00:00:00:01", "\"a b\u{7}<script>\"").unwrap();
        assert_eq!(odd.name, None);
    }

    #[tokio::test]
    async fn it_is_off_until_it_is_set_and_knows_nothing_outside_of_its_ranges() {
        let test = TestSite::new().await;
        let temp = tempfile::tempdir().unwrap();
        let (arp, leases) = (temp.path().join("arp"), temp.path().join("leases"));
        std::fs::write(&arp, ARP).unwrap();
        std::fs::write(&leases, ISC).unwrap();
        let all = || async {
            let query = ResourceQuery { limit: 50, ..ResourceQuery::default() };
            let page = resource_list(&test.full(), &test.site, query).await.unwrap();
            page.items.into_iter().map(|one| one.name).collect::<Vec<_>>()
        };
        look(&test.site, &arp, std::slice::from_ref(&leases)).await.unwrap();
        assert!(all().await.is_empty(), "off by default");
        let settings =
            NetworkSettings { enabled: true, ranges: vec!["10.1.2.0/24".to_owned()], ..NetworkSettings::default() };
        network_discovery_set(&test.full(), &test.site, settings.clone()).await.unwrap();
        look(&test.site, &arp, &[leases.clone(), temp.path().join("none")]).await.unwrap();
        assert_eq!(all().await, ["10.1.2.3", "printer-2"], "10.9.9.9 is in no range");
        let shown = network_discovery_show(&test.full(), &test.site).await.unwrap();
        assert!(shown.seen == 2 && shown.error.unwrap().contains("none"));
        // Not before it is time again.
        std::fs::write(&leases, "").unwrap();
        std::fs::write(&arp, ARP.replace("10.1.2.3 ", "10.1.2.99")).unwrap();
        look(&test.site, &arp, std::slice::from_ref(&leases)).await.unwrap();
        assert_eq!(all().await, ["10.1.2.3", "printer-2"]);
        test.sources.pass(HOUR);
        look(&test.site, &arp, std::slice::from_ref(&leases)).await.unwrap();
        assert_eq!(all().await, ["10.1.2.99", "printer-2"], "the same hardware address is the same thing");
        for odd in ["", "10.0.0.0/33", "corp.example", "10.0.0.9-10.0.0.1"] {
            let odd = NetworkSettings { ranges: vec![odd.to_owned()], ..settings.clone() };
            assert!(network_discovery_set(&test.full(), &test.site, odd).await.is_err());
        }
        assert!(network_discovery_set(&test.analyst(), &test.site, settings).await.is_err());
    }
}
