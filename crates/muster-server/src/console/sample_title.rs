//! Sample data of software titles.

use super::sample::{Flavour, NOW};
use muster_model::{
    api::{Count, ModelCount, SoftwareTitle, SoftwareUpdate, SoftwareVersion, Spread, TitleDetail},
    time::MINUTE,
};

fn title(sample: Flavour, id: u64, product: &str, publisher: &str, devices: u64) -> SoftwareTitle {
    SoftwareTitle { id, product: sample.text(product), publisher: sample.text(publisher), devices, versions: 4 }
}

pub(super) fn titles(sample: Flavour) -> Vec<SoftwareTitle> {
    if sample == Flavour::Empty {
        return vec![];
    }
    vec![
        title(sample, 7, "Mozilla Firefox", "Mozilla", 98_211),
        title(sample, 8, "OpenSSL", "OpenSSL", 61_002),
        title(sample, 9, "VLC media player", "VideoLAN", 12),
    ]
}

pub(super) fn title_detail(sample: Flavour) -> TitleDetail {
    let version = |version: &str, devices| SoftwareVersion { version: sample.text(version), devices };
    let versions = match sample {
        Flavour::Empty => vec![],
        _ => vec![version("118.0.1", 60_100), version("115.3.1esr-1~deb12u1", 38_000), version("3.6", 1)],
    };
    TitleDetail { title: title(sample, 7, "Mozilla Firefox", "Mozilla", 98_211), versions }
}

/// What is how frequent.
pub(super) fn spread(sample: Flavour) -> Spread {
    let models = [("Dell Inc.", "OptiPlex 7010", 402), ("LENOVO", "ThinkPad T14 Gen 5", 317), ("QEMU", "", 141)];
    let makers = [("Dell Inc.", 466), ("LENOVO", 390), ("QEMU", 141)];
    let model = |(maker, model, count): (&str, &str, u64)| ModelCount {
        manufacturer: sample.text(maker),
        model: sample.text(model),
        count,
    };
    Spread {
        models: models.map(model).into(),
        manufacturers: makers.map(|(label, count)| Count { label: sample.text(label), count }).into(),
        software: titles(sample),
        restart_pending: 14,
        unknown: 3,
        counted: NOW.plus(-MINUTE),
    }
}

/// Updates that devices miss.
pub(super) fn updates(sample: Flavour) -> Vec<SoftwareUpdate> {
    if sample == Flavour::Empty {
        return vec![];
    }
    let update = |id, package: &str, security, later: Option<&str>| SoftwareUpdate {
        id,
        package: sample.text(package),
        architecture: "amd64".to_owned(),
        version: sample.text("3.0.17-1~deb12u2"),
        tool: "apt".to_owned(),
        origin: sample.text("Debian-Security:12/stable-security"),
        security,
        devices: 61_002 / id,
        first_seen: NOW.plus(-MINUTE),
        superseded_by: later.map(|later| sample.text(later)),
    };
    vec![update(1, "openssl", true, None), update(2, "bash", false, Some("5.2.15-2+b13"))]
}
