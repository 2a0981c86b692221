//! Reading the configuration: the file, then the environment, each value where it belongs or an error that names it.

use super::Config;
use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use std::path::{Path, PathBuf};

/// Name of the configuration file inside the site's directory.
pub const FILE: &str = "musterd.toml";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there.
    #[error("there is no {}; make a site with `musterd init --dir {}`, or name its directory with --dir", .0.display(), .0.parent().unwrap_or(.0).display())]
    Missing(PathBuf),
    /// The file or a variable does not say what it must; one sentence for each.
    #[error("the configuration is not usable: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

/// Reads the configuration of the site in `dir`. Variables win over the file: `MUSTERD_LISTEN__ADMIN` is `listen.admin`.
///
/// # Errors
/// See [`ConfigError`].
pub fn load(dir: &Path) -> Result<Config, ConfigError> {
    let path = dir.join(FILE);
    if !path.is_file() {
        return Err(ConfigError::Missing(path));
    }
    read(&Figment::from(Toml::file_exact(&path)).merge(Env::prefixed("MUSTERD_").ignore(&["dir"]).split("__")))
}

fn read(figment: &Figment) -> Result<Config, ConfigError> {
    figment.extract().map_err(|errors| {
        let sentence = |error: figment::Error| {
            let place = error.metadata.as_ref().and_then(|m| m.source.as_ref()).map(|s| format!(" (in {s})"));
            format!("{}{}", error, place.unwrap_or_default()).replace('\n', " ")
        };
        ConfigError::Invalid(errors.into_iter().map(sentence).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[site]\ncode = \"ABC\"\nname = \"Main site\"\n";

    fn of(text: &str) -> Result<Config, String> {
        read(&Figment::from(Toml::string(text))).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let config = of(LEAST).unwrap();
        assert_eq!(config, Config::new("ABC".parse().unwrap(), "Main site".parse().unwrap()));
    }

    #[test]
    fn a_wrong_or_unknown_key_is_named() {
        for (text, named) in [
            ("[listen]\nadmn = \"127.0.0.1:1\"\n", "admn"),
            ("[listen]\nadmin = \"127.0.0.1\"\n", "admin"),
            ("[http]\nheader_seconds = -1\n", "header_seconds"),
            ("[limits]\napi_byte = 1\n", "api_byte"),
            ("[tls]\nverify = false\n", "tls"),
        ] {
            let error = of(&format!("{LEAST}{text}")).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        assert!(of("[site]\ncode = \"abc\"\nname = \"x\"\n").unwrap_err().contains("three characters"));
    }

    #[test]
    fn a_site_that_is_not_there_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path()).unwrap_err();
        assert!(error.to_string().contains("musterd init"), "{error}");
    }
}
