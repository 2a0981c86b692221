//! Foreign inventories: taken from the device that is connected, into classes of their own.

use crate::client::{Outbox, full, inventory, package, row};
use muster_model::{api::PageQuery, catalogue::foreign, inventory::Value, problem::Code, report::Channel, time::HOUR};
use muster_site::{device_block, device_show, foreign_submit, inventory_show, quarantine_list, testing::TestSite};

const XML: &str = "application/xml";
const PAGE: PageQuery = PageQuery { offset: 0, limit: 500 };

fn document(content: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<REQUEST><CONTENT><VERSIONCLIENT>FusionInventory-Agent_v2.6\
         </VERSIONCLIENT>{content}</CONTENT><DEVICEID>pc-2026</DEVICEID><QUERY>INVENTORY</QUERY></REQUEST>"
    )
    .into_bytes()
}

#[tokio::test]
async fn a_foreign_inventory_stands_beside_the_agents_and_never_in_its_place() {
    // proves S1
    for test in TestSite::all().await {
        let (device, other) = (test.enrol("alpha").await, test.enrol("beta").await);
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(inventory(vec![full("INSTALLED_SOFTWARE", &[package("openssl", "3.0.17")])]));
        outbox.send(&test, &device).await.unwrap();
        let before = device_show(&test.full(), &test.site, device.id).await.unwrap();
        test.sources.pass(HOUR);
        // The document names another device: it does not count, and what it says of software is not the agent's.
        let text = document(
            "<SOFTWARES><NAME>openssl</NAME><VERSION>1.0.1</VERSION></SOFTWARES><HARDWARE><NAME>beta</NAME></HARDWARE>\
             <INSTALLED_SOFTWARE><SoftwareCode>openssl</SoftwareCode></INSTALLED_SOFTWARE>",
        );
        for _ in 0..2 {
            let taken = foreign_submit(&test.device(&device), &test.site, XML, text.clone()).await.unwrap();
            assert!(taken.contains("<REPLY>"), "{taken}");
        }
        let shown = inventory_show(&test.full(), &test.site, device.id, "INSTALLED_SOFTWARE", PAGE).await.unwrap();
        assert_eq!(shown.rows, [package("openssl", "3.0.17")]);
        let shown = inventory_show(&test.full(), &test.site, device.id, "FOREIGN_SOFTWARE", PAGE).await.unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        let agent = text("FusionInventory-Agent");
        assert_eq!(shown.rows, [row(&[("Name", text("openssl")), ("Version", text("1.0.1")), ("Source", agent)])]);
        let none = inventory_show(&test.full(), &test.site, other.id, "FOREIGN_SOFTWARE", PAGE).await.unwrap_err();
        assert_eq!(none.code(), Code::NotFound);
        let after = device_show(&test.full(), &test.site, device.id).await.unwrap();
        assert_eq!(after.device.last_inventory, before.device.last_inventory, "the agent said nothing new");
        // The other way round: an agent cannot say what a foreign collector says.
        let classes = foreign().iter().map(|class| full(&class.class.name, &[])).collect::<Vec<_>>();
        let count = classes.len();
        outbox.push(inventory(classes));
        let answer = outbox.send(&test, &device).await.unwrap();
        assert_eq!(answer.quarantined.len(), count);
        assert!(answer.resync.is_empty());
        let shown = inventory_show(&test.full(), &test.site, device.id, "FOREIGN_SOFTWARE", PAGE).await.unwrap();
        assert_eq!(shown.total, 1);
    }
}

#[tokio::test]
async fn what_a_collector_says_no_more_is_gone_and_what_another_said_stays() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let by = |name: &str, content: &str| {
            let text = String::from_utf8(document(content)).unwrap();
            text.replace("FusionInventory-Agent_v2.6", name).into_bytes()
        };
        let submit = async |text: Vec<u8>| {
            foreign_submit(&test.device(&device), &test.site, XML, text).await.unwrap();
            let shown = inventory_show(&test.full(), &test.site, device.id, "FOREIGN_SOFTWARE", PAGE).await.unwrap();
            test.sources.pass(HOUR);
            shown.total
        };
        let computer = "<HARDWARE><NAME>pc</NAME></HARDWARE>";
        let both = format!("{computer}<SOFTWARES><NAME>openssl</NAME><VERSION>1.0.1</VERSION></SOFTWARES>");
        assert_eq!(submit(by("FusionInventory-Agent_v2.6", &both)).await, 1);
        assert_eq!(submit(by("GLPI-Agent_v1.9", computer)).await, 1, "another collector knows nothing of it");
        // A newer version is the same collector.
        assert_eq!(submit(by("FusionInventory-Agent_v2.7", computer)).await, 0);
        assert_eq!(submit(by("FusionInventory-Agent_v2.7", &both)).await, 1);
    }
}

#[tokio::test]
async fn what_is_hostile_is_put_aside_and_who_is_blocked_says_nothing() {
    // proves S1
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let prolog = b"<REQUEST><DEVICEID>x</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>".to_vec();
        let asked = foreign_submit(&test.device(&device), &test.site, XML, prolog.clone()).await.unwrap();
        assert!(asked.contains("<PROLOG_FREQ>24</PROLOG_FREQ>"), "{asked}");
        let refused =
            foreign_submit(&test.device(&device), &test.site, "text/plain", prolog.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::UnsupportedMediaType);
        let many = document(&"<BIOS/>".repeat(20_001));
        let wide = document(&format!("<BIOS>{}</BIOS>", "<A/>".repeat(100_000)));
        let hostile = [
            (b"<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><REQUEST/>".to_vec(), Code::Malformed),
            (document("<BIOS><SSN>&b;</SSN></BIOS>"), Code::Malformed),
            (many, Code::TooLarge),
            (wide, Code::TooLarge),
            (b"not XML".to_vec(), Code::Malformed),
        ];
        for (text, code) in hostile {
            let refused = foreign_submit(&test.device(&device), &test.site, XML, text).await.unwrap_err();
            assert_eq!(refused.code(), code, "{refused}");
        }
        assert_eq!(quarantine_list(&test.full(), &test.site, PAGE).await.unwrap().total, 5);
        assert!(device_show(&test.full(), &test.site, device.id).await.unwrap().classes.is_empty());
        for ctx in [test.full(), test.anonymous()] {
            let refused = foreign_submit(&ctx, &test.site, XML, prolog.clone()).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated);
        }
        device_block(&test.full(), &test.site, device.id, crate::reason("lost"), None).await.unwrap();
        let text = document("<HARDWARE><NAME>x</NAME></HARDWARE>");
        let refused = foreign_submit(&test.device(&device), &test.site, XML, text).await.unwrap_err();
        assert_eq!(refused.code(), Code::DeviceNotActive);
    }
}
