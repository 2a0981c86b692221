//! What an author does, on the author's own machine: describe an application, hash its files, sign. The site has no part in it.

use crate::{CliError, files};
use muster_model::{
    Signed,
    application::{
        Application, Collector, Command, ContentFile, DependencyGroup, DeploymentType, Detection, FileName, Parameter,
        Platform, Requirement, Retries, ReturnCode, Superseded,
    },
    id::{ApplicationId, Hash, Name},
    limits::Limits,
};
use muster_trust::{PrivateKey, PublicKey, Sha256, envelope, sha256};
use serde::Deserialize;
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// What an author writes: TOML, or JSON where the file's name ends in `.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Stays the same over all versions. Absent: this is a new application.
    pub id: Option<ApplicationId>,
    /// The name that people see.
    pub name: Name,
    /// The version that people see.
    pub version: String,
    /// Which systems it is for.
    pub platform: Platform,
    /// Seconds that the install command may run. Default: 7,200, as in Configuration Manager.
    #[serde(default = "two_hours")]
    pub max_run_seconds: u32,
    /// How it is installed.
    pub install: Command,
    /// How it is removed.
    #[serde(default)]
    pub uninstall: Option<Command>,
    /// How it is repaired.
    #[serde(default)]
    pub repair: Option<Command>,
    /// How to tell whether it is there.
    pub detection: ManifestDetection,
    /// What a device must meet: each with a name and a WQL query over its own inventory.
    #[serde(default)]
    pub requirements: Vec<Requirement>,
    /// What exit codes mean, where it is not what is usual.
    #[serde(default)]
    pub return_codes: Vec<ReturnCode>,
    /// How often a command that failed is run again.
    #[serde(default)]
    pub retries: Option<Retries>,
    /// Applications that must be there first: of each group, one.
    #[serde(default)]
    pub dependencies: Vec<DependencyGroup>,
    /// Applications that it replaces.
    #[serde(default)]
    pub supersedes: Vec<Superseded>,
    /// Names of secrets that the install command gets: `secret/<name>` among its arguments is the path of a file.
    #[serde(default)]
    pub secrets: Vec<FileName>,
    /// A program that says rows of an administrator's class.
    #[serde(default)]
    pub collector: Option<Collector>,
    /// The files, relative to the manifest.
    #[serde(default)]
    pub files: Vec<ManifestFile>,
    /// With several deployment types: the name of the one above, which is the first.
    #[serde(default)]
    pub type_name: Option<Name>,
    /// The other deployment types, in the order in which a device looks at them.
    #[serde(default)]
    pub types: Vec<ManifestType>,
    /// What a deployment may say to its commands.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
}

/// A further deployment type in a manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestType {
    /// Its name.
    pub name: Name,
    /// Which systems it is for.
    pub platform: Platform,
    /// What a device must meet so that it is this one.
    #[serde(default)]
    pub requirements: Vec<Requirement>,
    /// How it is installed.
    pub install: Command,
    /// How it is removed.
    #[serde(default)]
    pub uninstall: Option<Command>,
    /// How it is repaired.
    #[serde(default)]
    pub repair: Option<Command>,
    /// How to tell whether it is there.
    pub detection: ManifestDetection,
    /// What exit codes mean, where it is not what is usual.
    #[serde(default)]
    pub return_codes: Vec<ReturnCode>,
    /// Seconds that its commands may run. Default: 7,200.
    #[serde(default = "two_hours")]
    pub max_run_seconds: u32,
    /// Its files, relative to the manifest.
    #[serde(default)]
    pub files: Vec<ManifestFile>,
}

impl ManifestType {
    fn signed(&self, path: &Path) -> Result<DeploymentType, CliError> {
        let base = path.parent().unwrap_or(Path::new(""));
        let content = self.files.iter().map(|file| file.hashed(base)).collect::<Result<Vec<_>, _>>()?;
        Ok(DeploymentType {
            name: self.name.clone(),
            platform: self.platform,
            requirements: self.requirements.clone(),
            install: self.install.clone(),
            uninstall: self.uninstall.clone(),
            repair: self.repair.clone(),
            detection: self.detection.signed(path, &content)?,
            return_codes: self.return_codes.clone(),
            max_run_seconds: self.max_run_seconds,
            content,
        })
    }
}

impl ManifestDetection {
    /// As it is signed: a content file is named by its hash.
    fn signed(&self, path: &Path, content: &[ContentFile]) -> Result<Detection, CliError> {
        match self {
            Self::Plain(detection) => Ok(detection.clone()),
            Self::SameAs(SameAs { kind: FileKind::File, path: place, content: name }) => {
                let found = content.iter().find(|file| file.name == *name).ok_or_else(|| {
                    CliError::file(path, format!("detection.content names {:?}, which is not in files", name.as_str()))
                })?;
                Ok(Detection::File { path: place.clone(), hash: Some(found.hash) })
            }
        }
    }
}

const fn two_hours() -> u32 {
    7_200
}

/// A file in a manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Where it is, relative to the manifest.
    pub path: PathBuf,
    /// Its name on the client. Default: the last part of the path.
    pub name: Option<FileName>,
}

/// A detection rule in a manifest: as signed, or one that names a content file instead of its hash.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ManifestDetection {
    /// `kind = "file"` with `content`: the file is there with the bytes of that content file.
    SameAs(SameAs),
    /// As it is signed.
    Plain(Detection),
}

/// A file that must have the bytes of a content file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SameAs {
    kind: FileKind,
    path: String,
    content: FileName,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FileKind {
    File,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`CliError::File`] with the place of the mistake.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let text = files::read_text(path)?;
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            return serde_json::from_str(&text).map_err(|e| CliError::file(path, e));
        }
        toml::from_str(&text).map_err(|e| CliError::file(path, e.to_string().trim_end()))
    }

    /// The application: every file hashed, every rule checked. `new_id` is the id of a new application.
    ///
    /// # Errors
    /// [`CliError::File`].
    pub fn application(&self, path: &Path, new_id: ApplicationId) -> Result<Application, CliError> {
        let base = path.parent().unwrap_or(Path::new(""));
        let content = self.files.iter().map(|file| file.hashed(base)).collect::<Result<Vec<_>, _>>()?;
        let detection = self.detection.signed(path, &content)?;
        let application = Application {
            id: self.id.unwrap_or(new_id),
            name: self.name.clone(),
            version: self.version.clone(),
            platform: self.platform,
            content,
            install: self.install.clone(),
            uninstall: self.uninstall.clone(),
            repair: self.repair.clone(),
            detection,
            secrets: self.secrets.clone(),
            collector: self.collector.clone(),
            requirements: self.requirements.clone(),
            return_codes: self.return_codes.clone(),
            retries: self.retries,
            dependencies: self.dependencies.clone(),
            supersedes: self.supersedes.clone(),
            type_name: self.type_name.clone(),
            types: self.types.iter().map(|kind| kind.signed(path)).collect::<Result<_, _>>()?,
            parameters: self.parameters.clone(),
            max_run_seconds: self.max_run_seconds,
        };
        application.check().map_err(|e| CliError::file(path, e))?;
        Ok(application)
    }
}

impl ManifestFile {
    fn hashed(&self, base: &Path) -> Result<ContentFile, CliError> {
        let path = base.join(&self.path);
        let name = match &self.name {
            Some(name) => name.clone(),
            None => path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default()
                .parse()
                .map_err(|e| CliError::file(&path, e))?,
        };
        let (hash, size) = hash_file(&path)?;
        Ok(ContentFile { name, hash, size })
    }
}

/// SHA-256 and length of a file, read as a stream.
///
/// # Errors
/// [`CliError::File`].
pub fn hash_file(path: &Path) -> Result<(Hash, u64), CliError> {
    let mut file = std::fs::File::open(path).map_err(|e| CliError::file(path, e))?;
    let (mut digest, mut piece, mut size) = (Sha256::default(), vec![0; 1 << 20], 0_u64);
    loop {
        let read = file.read(&mut piece).map_err(|e| CliError::file(path, e))?;
        if read == 0 {
            return Ok((digest.finish(), size));
        }
        digest.update(&piece[..read]);
        size += read as u64;
    }
}

/// An application as it is signed: the object that the site distributes.
///
/// # Errors
/// [`CliError::Usage`] when it breaks its own rules or is too large.
pub fn sign(application: &Application, key: &PrivateKey) -> Result<Vec<u8>, CliError> {
    application.check().map_err(|e| CliError::Usage(e.to_string()))?;
    let payload = serde_json::to_vec(application).map_err(|e| CliError::Usage(e.to_string()))?;
    let signed = envelope::sign(&[key], Application::TYPE, payload).map_err(|e| CliError::Usage(e.to_string()))?;
    if signed.len() > Limits::default().object_bytes {
        return Err(CliError::Usage("the application is too large to be one signed object".to_owned()));
    }
    Ok(signed)
}

/// Adds the signature of a second author.
///
/// # Errors
/// [`CliError::Usage`].
pub fn cosign(signed: &[u8], key: &PrivateKey) -> Result<Vec<u8>, CliError> {
    envelope::add_signature(signed, key, Application::TYPE).map_err(|e| CliError::Usage(e.to_string()))
}

/// What a signed object says, believed by nobody: for looking at it. The hash is the name that the site will give it.
///
/// # Errors
/// [`CliError::File`].
pub fn look(path: &Path) -> Result<(Vec<u8>, Hash, Application), CliError> {
    let signed = files::read_small(path)?;
    let payload = envelope::unverified_payload(&signed).map_err(|e| CliError::file(path, e))?;
    let application: Application = serde_json::from_slice(&payload).map_err(|e| CliError::file(path, e))?;
    application.check().map_err(|e| CliError::file(path, e))?;
    let hash = sha256(&signed);
    Ok((signed, hash, application))
}

/// What an author signed, verified: the site only carried it.
///
/// # Errors
/// [`CliError::Found`] when it is another object, or this author did not sign it.
pub fn verified(signed: &[u8], hash: &Hash, author: &PublicKey) -> Result<Application, CliError> {
    let by = |id: &Hash| (*id == author.id()).then(|| author.clone());
    let opened = envelope::open_json::<Application>(signed, 1, by).ok().filter(|_| sha256(signed) == *hash);
    opened.map(muster_trust::Verified::into_value).ok_or_else(|| {
        CliError::Found(format!(
            "the application {hash} is not signed with the key {}; secrets are sealed by an author of the application itself",
            author.id()
        ))
    })
}

/// Finds the files of an application: under their names in a directory, else any file there with the same bytes.
///
/// # Errors
/// [`CliError::File`] naming the first that is not found.
pub fn find_content(application: &Application, places: &[PathBuf]) -> Result<Vec<(ContentFile, PathBuf)>, CliError> {
    let mut candidates = Vec::new();
    for place in places {
        if place.is_dir() {
            let entries = std::fs::read_dir(place).map_err(|e| CliError::file(place, e))?;
            candidates.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.is_file()));
        } else {
            candidates.push(place.clone());
        }
    }
    let size = |path: &PathBuf| std::fs::metadata(path).map(|data| data.len()).ok();
    application
        .files()
        .map(|file| {
            let named = |path: &PathBuf| path.file_name().is_some_and(|name| name == file.name.as_str());
            let mut fitting: Vec<_> = candidates.iter().filter(|path| size(path) == Some(file.size)).collect();
            fitting.sort_by_key(|path| !named(path));
            let found = fitting.into_iter().find(|path| hash_file(path).is_ok_and(|(hash, _)| hash == file.hash));
            found.map(|path| (file.clone(), path.clone())).ok_or_else(|| {
                CliError::file(
                    file.name.as_str(),
                    format!("no file with SHA-256 {} was found; say where with --content", file.hash),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        name = "Hello"
        version = "1.0"
        platform = "linux"
        install = { program = "/bin/sh", arguments = ["content/install.sh"] }
        detection = { kind = "file", path = "/opt/hello/hello.txt", content = "hello.txt" }
        files = [{ path = "src/install.sh" }, { path = "src/greeting", name = "hello.txt" }]
    "#;

    fn written(manifest: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("src")).unwrap();
        std::fs::write(dir.path().join("src/install.sh"), "exit 0\n").unwrap();
        std::fs::write(dir.path().join("src/greeting"), "hello\n").unwrap();
        let path = dir.path().join("app.toml");
        std::fs::write(&path, manifest).unwrap();
        (dir, path)
    }

    fn id() -> ApplicationId {
        "0192f0c1-7a3b-7c4d-8e5f-0123456789ab".parse().unwrap()
    }

    #[test]
    fn a_manifest_becomes_what_is_signed() {
        let (dir, path) = written(MANIFEST);
        let application = Manifest::read(&path).unwrap().application(&path, id()).unwrap();
        assert_eq!(application.install.success_codes, [0]);
        assert_eq!(application.content[1].name.as_str(), "hello.txt");
        assert_eq!(application.content[1].hash, sha256(b"hello\n"));
        let Detection::File { hash, .. } = &application.detection else { unreachable!() };
        assert_eq!(*hash, Some(sha256(b"hello\n")));

        let (author, second) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let signed = cosign(&sign(&application, &author).unwrap(), &second).unwrap();
        let trusted = |id: &Hash| [&author, &second].iter().map(|k| k.public()).find(|k| k.id() == *id).cloned();
        let opened = envelope::open_json::<Application>(&signed, 2, trusted).unwrap();
        assert_eq!(*opened.value(), application);

        let file = dir.path().join("app.signed");
        std::fs::write(&file, &signed).unwrap();
        assert_eq!(look(&file).unwrap().2, application);
        let found = find_content(&application, &[dir.path().join("src")]).unwrap();
        assert!(found[1].1.ends_with("src/greeting"), "found by its bytes: {found:?}");
        let error = find_content(&application, &[dir.path().to_owned()]).unwrap_err();
        assert!(error.to_string().contains("--content"), "{error}");
    }

    #[test]
    fn what_an_application_needs_and_replaces_is_signed() {
        let more = r#"
        uninstall = { program = "/bin/rm", arguments = ["/opt/hello/hello.txt"] }
        repair = { program = "/bin/true" }
        return_codes = [{ code = 5, meaning = "retry" }]
        retries = { count = 3, wait_seconds = 60 }
        supersedes = [{ application = "0192f0c1-7a3b-7c4d-8e5f-0123456789ac", uninstall = true }]
        [[requirements]]
        name = "4 GB of memory"
        query = "select * from SMS_G_System_X86_PC_MEMORY where TotalPhysicalMemory >= 4000000"
        [[dependencies]]
        any = [{ application = "0192f0c1-7a3b-7c4d-8e5f-0123456789ad", version = "2.1" }]
        "#;
        let (_dir, path) = written(&format!("{MANIFEST}{more}"));
        let application = Manifest::read(&path).unwrap().application(&path, id()).unwrap();
        assert_eq!(application.uninstall.unwrap().program, "/bin/rm");
        assert_eq!((application.requirements.len(), application.dependencies.len()), (1, 1));
        let (_dir, path) = written(&format!("{MANIFEST}{}", more.replace("select *", "selekt *")));
        let error = Manifest::read(&path).and_then(|m| m.application(&path, id())).unwrap_err().to_string();
        assert!(error.contains("4 GB of memory"), "{error}");
    }

    #[test]
    fn a_wrong_manifest_says_what_is_wrong() {
        for (change, says) in [
            (("content = \"hello.txt\"", "content = \"other\""), "not in files"),
            (("content/install.sh", "content/missing"), "must name a file"),
            (("/bin/sh", "sh"), "absolute path"),
            (("version = \"1.0\"", "version = \"\""), "version"),
            (("platform = \"linux\"", "platform = \"linux\"\nshell = \"rm\""), "shell"),
            (("src/greeting", "src/gone"), "src/gone"),
            (("name = \"hello.txt\"", "name = \"../x\""), "file name"),
            (("\"/opt/hello/hello.txt\"", "\"/opt/../x\""), "absolute"),
        ] {
            let (_dir, path) = written(&MANIFEST.replace(change.0, change.1));
            let error = Manifest::read(&path).and_then(|m| m.application(&path, id())).unwrap_err().to_string();
            assert!(error.contains(says), "{change:?}: {error}");
        }
    }

    #[test]
    fn a_manifest_has_several_types_and_parameters() {
        let manifest = format!(
            "type_name = \"package\"\n{MANIFEST}\n{}",
            r#"
            [[types]]
            name = "portable"
            platform = "linux"
            install = { program = "content/run" }
            detection = { kind = "file", path = "/opt/run", content = "run" }
            files = [{ path = "src/install.sh", name = "run" }]

            [[parameters]]
            name = "port"
            type = { kind = "integer", least = 1, most = 9 }
            way = "environment"
            default = 8
        "#
        );
        let (_dir, path) = written(&manifest);
        let application = Manifest::read(&path).unwrap().application(&path, id()).unwrap();
        assert_eq!(application.type_names().collect::<Vec<_>>(), ["package", "portable"]);
        assert_eq!(
            application.types[0].detection,
            Detection::File { path: "/opt/run".into(), hash: Some(sha256(b"exit 0\n")) }
        );
        assert_eq!(application.types[0].max_run_seconds, 7_200);
        assert_eq!(application.parameters[0].name.variable(), "MUSTER_VALUE_PORT");
        let secret = manifest.replace(r#"{ kind = "integer", least = 1, most = 9 }"#, r#"{ kind = "secret" }"#);
        let (_dir, path) = written(&secret);
        let refused = Manifest::read(&path).unwrap().application(&path, id()).unwrap_err().to_string();
        assert!(refused.contains("a secret is no parameter"), "{refused}");
    }
}
