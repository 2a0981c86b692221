//! Style, script and pictures of the console: part of the program, at addresses that change with their bytes.

use axum::{
    extract::Path,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};

/// One file.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const STYLE: Asset =
    Asset { name: "console.css", kind: "text/css; charset=utf-8", bytes: include_bytes!("../../assets/console.css") };
const SCRIPT: Asset = Asset {
    name: "console.js",
    kind: "text/javascript; charset=utf-8",
    bytes: include_bytes!("../../assets/console.js"),
};
const HTMX: Asset = Asset {
    name: "htmx.js",
    kind: "text/javascript; charset=utf-8",
    bytes: include_bytes!("../../assets/vendor/htmx-2.0.11.min.js"),
};
const ICON: Asset = Asset { name: "icon.svg", kind: "image/svg+xml", bytes: include_bytes!("../../assets/icon.svg") };
const LICENCES: Asset = Asset {
    name: "licences.txt",
    kind: "text/plain; charset=utf-8",
    bytes: include_bytes!("../../assets/vendor/htmx-LICENSE.txt"),
};

const ALL: [&Asset; 5] = [&STYLE, &SCRIPT, &HTMX, &ICON, &LICENCES];

impl Asset {
    /// A number that changes with the bytes (FNV-1a). It keeps caches right; nothing trusts it.
    fn version(&self) -> u64 {
        self.bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
    }

    fn address(&self) -> String {
        format!("/assets/{:016x}/{}", self.version(), self.name)
    }
}

/// The addresses that pages name.
#[derive(Debug, Clone)]
pub(crate) struct Assets {
    /// The style sheet.
    pub(crate) style: String,
    /// The console's own script.
    pub(crate) script: String,
    /// htmx.
    pub(crate) htmx: String,
    /// The site's icon.
    pub(crate) icon: String,
    /// Licences of what was not written here.
    pub(crate) licences: String,
}

impl Assets {
    /// The addresses as the program's own bytes give them; computed once.
    pub(crate) fn get() -> &'static Self {
        static ASSETS: std::sync::OnceLock<Assets> = std::sync::OnceLock::new();
        ASSETS.get_or_init(|| Self {
            style: STYLE.address(),
            script: SCRIPT.address(),
            htmx: HTMX.address(),
            icon: ICON.address(),
            licences: LICENCES.address(),
        })
    }
}

/// `GET /assets/{version}/{name}`: a file of the console, to be kept for a year; other versions than this program's are not there.
pub(crate) async fn asset_show(Path((version, name)): Path<(String, String)>) -> Response {
    let wanted = ALL.into_iter().find(|a| a.name == name && format!("{:016x}", a.version()) == version);
    let Some(asset) = wanted else { return StatusCode::NOT_FOUND.into_response() };
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, asset.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_change_with_the_bytes() {
        let one = Asset { name: "a", kind: "", bytes: b"one" };
        let two = Asset { name: "a", kind: "", bytes: b"two" };
        assert_ne!(one.address(), two.address());
        assert!(Assets::get().style.starts_with("/assets/") && Assets::get().style.ends_with("/console.css"));
    }

    #[test]
    fn nothing_vendored_goes_without_its_licence() {
        assert!(std::str::from_utf8(LICENCES.bytes).unwrap().contains("Zero-Clause BSD"));
    }
}
