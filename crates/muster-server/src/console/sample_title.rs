//! Sample data of software titles.

use super::sample::Flavour;
use muster_model::api::{SoftwareTitle, SoftwareVersion, TitleDetail};

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
