//! The sample application: one small file, put in its place by `/usr/bin/install`. Signed here, with the administrator's key.

use crate::place::Place;
use muster_cli::{CliError, Client, author, files, profile::ProfileDir};
use muster_model::{
    application::{Application, Command, ContentFile, Detection, Platform},
    id::{ApplicationId, Hash},
};

const GREETING: &str = "\
This file was brought by Muster: signed by its author, deployed by an administrator, fetched, verified and installed by the
agent of this machine, which then looked whether it is really here, and reported it.
";

/// The sample as it is signed. The place where the file goes is inside the quickstart's own directory.
fn described(place: &Place, content: ContentFile, id: ApplicationId) -> Result<Application, CliError> {
    let installed = place.path("installed/hello.txt").display().to_string();
    let hash = content.hash;
    let name = "Hello from Muster".parse().map_err(|_| CliError::Usage("the sample has no name".to_owned()))?;
    Ok(Application {
        id,
        name,
        version: "1.0".to_owned(),
        platform: Platform::Linux,
        content: vec![content],
        install: Command {
            program: "/usr/bin/install".to_owned(),
            arguments: ["-D", "-m", "0644", "content/hello.txt", &installed].map(str::to_owned).to_vec(),
            success_codes: vec![0],
        },
        detection: Detection::File { path: installed, hash: Some(hash) },
        secrets: Vec::new(),
        collector: None,
        uninstall: None,
        repair: None,
        requirements: Vec::new(),
        return_codes: Vec::new(),
        retries: None,
        dependencies: Vec::new(),
        supersedes: Vec::new(),
        type_name: None,
        types: Vec::new(),
        parameters: Vec::new(),
        max_run_seconds: 60,
    })
}

/// Writes, signs, uploads and adds the sample; its hash.
pub(crate) async fn add(place: &Place, profile: &ProfileDir, client: &Client) -> Result<Hash, CliError> {
    let file = place.path("sample/hello.txt");
    std::fs::write(&file, GREETING).map_err(|e| CliError::file(&file, e))?;
    let (hash, size) = author::hash_file(&file)?;
    let name = "hello.txt".parse().map_err(|e| CliError::file(&file, e))?;
    let content = ContentFile { name, hash, size };
    let mut random = [0; 16];
    muster_trust::random(&mut random).map_err(|e| CliError::file(&file, e))?;
    let id = ApplicationId(uuid::Builder::from_random_bytes(random).into_uuid());
    let application = described(place, content.clone(), id)?;
    let signed = author::sign(&application, &profile.author_key()?)?;
    files::write_private(&place.path("sample/hello.signed"), &signed, false)?;
    if !client.content_show(&content).await? {
        client.content_upload(&content, &file, |_| {}).await?;
    }
    Ok(client.application_create(signed).await?.hash)
}
