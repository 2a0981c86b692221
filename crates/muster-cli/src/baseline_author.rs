//! What an author of a configuration baseline does, on the author's own machine: write it down, sign it. The site has no part in it.

use crate::{CliError, files};
use muster_model::{Signed, baseline::Baseline, id::BaselineId, id::Hash, limits::Limits};
use muster_trust::{PrivateKey, envelope, sha256};
use serde_json::Value;
use std::path::Path;

/// In a description, the name of a file beside it whose text takes the place.
const FILES: [(&str, &str); 2] = [("text_file", "text"), ("content_file", "content")];

/// Reads a description: TOML, or JSON where the file's name ends in `.json`. Also whether it has an id of its own; `new_id` is that of a
/// new baseline.
///
/// # Errors
/// [`CliError::File`] with the place of the mistake.
pub fn read(path: &Path, new_id: BaselineId) -> Result<(Baseline, bool), CliError> {
    let text = files::read_text(path)?;
    let wrong = |error: String| CliError::file(path, error.trim_end().to_owned());
    let mut value: Value = match path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
        true => serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?,
        false => toml::from_str(&text).map_err(|error| wrong(error.to_string()))?,
    };
    bring(&mut value, path.parent().unwrap_or(Path::new("")))?;
    let known = value.get("id").is_some();
    if let (Value::Object(fields), false) = (&mut value, known) {
        fields.insert("id".to_owned(), Value::String(new_id.to_string()));
    }
    let baseline: Baseline = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
    baseline.check().map_err(|error| wrong(error.to_string()))?;
    Ok((baseline, known))
}

/// Puts the texts of files where they are named.
fn bring(value: &mut Value, base: &Path) -> Result<(), CliError> {
    match value {
        Value::Object(fields) => {
            for (from, to) in FILES {
                if let Some(Value::String(name)) = fields.remove(from) {
                    fields.insert(to.to_owned(), Value::String(files::read_text(&base.join(name))?));
                }
            }
            fields.values_mut().try_for_each(|value| bring(value, base))
        }
        Value::Array(list) => list.iter_mut().try_for_each(|value| bring(value, base)),
        _ => Ok(()),
    }
}

/// A baseline as it is signed: the object that the site distributes.
///
/// # Errors
/// [`CliError::Usage`] when it breaks its own rules or is too large.
pub fn sign(baseline: &Baseline, key: &PrivateKey) -> Result<Vec<u8>, CliError> {
    baseline.check().map_err(|e| CliError::Usage(e.to_string()))?;
    let payload = serde_json::to_vec(baseline).map_err(|e| CliError::Usage(e.to_string()))?;
    let signed = envelope::sign(&[key], Baseline::TYPE, payload).map_err(|e| CliError::Usage(e.to_string()))?;
    if signed.len() > Limits::default().object_bytes {
        return Err(CliError::Usage("the baseline is too large to be one signed object; make two of it".to_owned()));
    }
    Ok(signed)
}

/// Adds the signature of a second author.
///
/// # Errors
/// [`CliError::Usage`].
pub fn cosign(signed: &[u8], key: &PrivateKey) -> Result<Vec<u8>, CliError> {
    envelope::add_signature(signed, key, Baseline::TYPE).map_err(|e| CliError::Usage(e.to_string()))
}

/// What a signed object says, believed by nobody: for looking at it. The hash is the name that the site will give it.
///
/// # Errors
/// [`CliError::File`].
pub fn look(path: &Path) -> Result<(Vec<u8>, Hash, Baseline), CliError> {
    let signed = files::read_small(path)?;
    let payload = envelope::unverified_payload(&signed).map_err(|e| CliError::file(path, e))?;
    let baseline: Baseline = serde_json::from_slice(&payload).map_err(|e| CliError::file(path, e))?;
    baseline.check().map_err(|e| CliError::file(path, e))?;
    let hash = sha256(&signed);
    Ok((signed, hash, baseline))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
name = "Servers"
version = "1.0"
platform = "linux"

[[items]]
name = "SSH"
description = "Nobody signs in as root."

[[items.settings]]
name = "Root"
severity = "critical"
discovery = { kind = "file", path = "/etc/ssh/sshd_config", read = { kind = "key", key = "PermitRootLogin" } }
rules = [{ kind = "one_of", values = ["no", "prohibit-password"] }]

[[items.settings]]
name = "Script"
value_type = "integer"
discovery = { kind = "script", script = { interpreter = "sh", text_file = "look.sh", parameters = [{ name = "most", value = 3 }] } }
rules = [{ kind = "between", least = "0", most = "3" }]
remediation = { kind = "command", command = { program = "/bin/true" } }
"#;

    fn id() -> BaselineId {
        "0192f0c1-7a3b-7c4d-8e5f-0123456789ab".parse().unwrap()
    }

    fn written(manifest: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("baseline.toml");
        std::fs::write(&path, manifest).unwrap();
        std::fs::write(dir.path().join("look.sh"), "echo $1\n").unwrap();
        (dir, path)
    }

    #[test]
    fn a_description_becomes_what_is_signed() {
        let (dir, path) = written(MANIFEST);
        let (baseline, known) = read(&path, id()).unwrap();
        assert!(!known && baseline.runs() && baseline.remediates() && baseline.settings().count() == 2);
        let (a, b) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let signed = cosign(&sign(&baseline, &a).unwrap(), &b).unwrap();
        let trusted = |id: &Hash| [a.public(), b.public()].into_iter().find(|k| k.id() == *id).cloned();
        assert_eq!(*envelope::open_json::<Baseline>(&signed, 2, trusted).unwrap().value(), baseline);
        let file = dir.path().join("baseline.cose");
        std::fs::write(&file, &signed).unwrap();
        assert_eq!(look(&file).unwrap().2, baseline);
    }

    #[test]
    fn a_wrong_description_says_what_is_wrong() {
        for (change, says) in [
            (("kind = \"key\"", "kind = \"magic\""), "magic"),
            (("/etc/ssh/sshd_config", "etc/x"), "SSH / Root"),
            (("least = \"0\"", "least = \"few\""), "type"),
            (("look.sh", "gone.sh"), "gone.sh"),
            (("interpreter = \"sh\"", "interpreter = \"/bin/sh\""), "/bin/sh"),
            (("version = \"1.0\"", "version = \"\""), "version"),
            (("platform", "shell"), "shell"),
        ] {
            let (_dir, path) = written(&MANIFEST.replace(change.0, change.1));
            let error = read(&path, id()).unwrap_err().to_string();
            assert!(error.contains(says), "{change:?}: {error}");
        }
    }
}
