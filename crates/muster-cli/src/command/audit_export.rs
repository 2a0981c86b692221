//! `muster audit export` and `muster audit verify --export`: the audit log in files that are written once, and the site held against them.

use super::Context;
use crate::{CliError, client::ClientError, when};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{AuditSegment, AuditSegmentQuery},
    audit::{AuditHead, ENTRIES, Exported, HEAD, SignedHead},
    id::Hash,
    problem::Code,
};
use muster_trust::{PublicKey, chain, envelope, sha256};
use serde::Serialize;
use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
};

/// Bytes of one file of an export at most: the most entries of the most bytes.
const FILE_BYTES: u64 = 64 << 20;

/// What a check of an export came to.
#[derive(Debug, Serialize)]
struct Checked {
    files: usize,
    entries: u64,
    head: Hash,
    /// Files whose key is not a policy key of the site's trust bundle now.
    earlier_keys: usize,
}

/// What was exported.
#[derive(Debug, Serialize)]
struct Written {
    entries: u64,
    last: u64,
}

fn exported(directory: &Path) -> Result<Vec<Exported>, CliError> {
    let fail = |error| CliError::file(directory, error);
    let names = fs::read_dir(directory).map_err(fail)?;
    let names = names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_, std::io::Error>>().map_err(fail)?;
    Ok(Exported::all(&names))
}

pub(super) async fn export(ctx: &Context, directory: &Path) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let mut at = exported(directory)?.pop().unwrap_or(Exported::NOTHING);
    let mut entries = 0;
    loop {
        let wanted = AuditSegmentQuery { after: at.last, head: at.head };
        let Some(segment) = client.audit_segment(&wanted).await.map_err(altered)? else { break };
        let about = &segment.about;
        entries += about.last + 1 - about.first;
        at = Exported { first: about.first, last: about.last, head: about.head };
        write(directory, &at.stem(), &segment)?;
    }
    ctx.out.value(&Written { entries, last: at.last }, |written| match written.entries {
        0 => format!("Nothing is new; the export goes to entry {}.", written.last),
        entries => format!("{entries} entries were written; the export goes to entry {}.", written.last),
    })
}

/// What the site says when its log is not the exported one is bad news, not a refusal.
fn altered(error: ClientError) -> CliError {
    match error {
        ClientError::Refused(problem) if problem.code == Code::Conflict => CliError::Found(problem.detail),
        error => error.into(),
    }
}

fn write(directory: &Path, stem: &str, segment: &AuditSegment) -> Result<(), CliError> {
    let once = |name: &str, bytes: &[u8]| {
        let path = directory.join(format!("{stem}.{name}"));
        let made = File::options().write(true).create_new(true).open(&path);
        let done = made.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        done.map_err(|error| CliError::file(&path, error))
    };
    once(ENTRIES, segment.lines.as_bytes())?;
    let AuditSegment { about, signed, key, .. } = segment.clone();
    let head = serde_json::to_vec(&SignedHead { about, signed, key });
    once(HEAD, &head.map_err(|error| CliError::Usage(error.to_string()))?)
}

fn found(name: &str, what: &str) -> CliError {
    CliError::Found(format!("{name} {what}"))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_end(&mut bytes));
    read.map_err(|error| CliError::file(path, error))?;
    Ok(bytes)
}

/// A file that is as its signed head says, which follows the one before: its lines, what is said of it, and whose signature it is.
fn file(directory: &Path, of: Exported, before: Exported) -> Result<(Vec<u8>, AuditHead, Hash), CliError> {
    let (stem, head) = (of.stem(), directory.join(format!("{}.{HEAD}", of.stem())));
    let signed: SignedHead = serde_json::from_slice(&read(&head)?)
        .map_err(|error| found(&stem, &format!("has no head that can be read: {error}")))?;
    let decoded = |text: &str| BASE64.decode(text).map_err(|_| found(&stem, "has a head that is not base64"));
    let key = PublicKey::from_spki(&decoded(&signed.key)?).map_err(|_| found(&stem, "has no key"))?;
    let id = key.id();
    let opened = envelope::open1_json::<AuditHead>(&decoded(&signed.signed)?, |_| Some(key));
    let about = opened.map_err(|error| found(&stem, &format!("has a wrong signature: {error}")))?.into_value();
    let named = Exported { first: about.first, last: about.last, head: about.head };
    if named != of || about != signed.about {
        return Err(found(&stem, "is not the file that its head is of"));
    }
    if about.first != before.last + 1 || about.previous != before.head {
        return Err(found(&stem, &format!("does not follow entry {}: a file is missing", before.last)));
    }
    let lines = read(&directory.join(format!("{stem}.{ENTRIES}")))?;
    let heads = lines.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line));
    if sha256(&lines) != about.digest || heads.fold(about.previous, chain) != about.head {
        return Err(found(&stem, "was altered after it was signed"));
    }
    Ok((lines, about, id))
}

pub(super) async fn verify(ctx: &Context, directory: &Path) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let trust = client.trust_show().await?;
    let is_policy = |id: &Hash| trust.keys.iter().any(|key| key.purpose == "policy" && key.key == *id);
    let mut checked = Checked { files: 0, entries: 0, head: Hash::ZERO, earlier_keys: 0 };
    let mut before = Exported::NOTHING;
    for of in exported(directory)? {
        let (lines, about, key) = file(directory, of, before)?;
        if trust.revoked.contains(&key) {
            return Err(found(&of.stem(), "is signed by a key that is revoked"));
        }
        checked.earlier_keys += usize::from(!is_policy(&key));
        // What the site has there now; it may have more by now.
        let dated = |what: &str| {
            CliError::Found(format!(
                "the audit log of the site was altered between {} and {}: {what}",
                when::full(about.time),
                when::full(ctx.now)
            ))
        };
        let (mut at, mut rest) = (before, &lines[..]);
        while !rest.is_empty() {
            let wanted = AuditSegmentQuery { after: at.last, head: at.head };
            let segment = match client.audit_segment(&wanted).await {
                Ok(Some(segment)) => segment,
                Ok(None) => return Err(dated(&format!("entry {} is gone", at.last + 1))),
                Err(ClientError::Refused(problem)) if problem.code == Code::Conflict => {
                    return Err(dated(&problem.detail));
                }
                Err(error) => return Err(error.into()),
            };
            for line in segment.lines.as_bytes().split_inclusive(|byte| *byte == b'\n') {
                if rest.is_empty() {
                    break;
                }
                let number = at.last + 1;
                rest = rest.strip_prefix(line).ok_or_else(|| dated(&format!("entry {number} is another one")))?;
                let entry = line.strip_suffix(b"\n").unwrap_or(line);
                at = Exported { first: number, last: number, head: chain(at.head, entry) };
            }
        }
        before = of;
        (checked.files, checked.entries, checked.head) = (checked.files + 1, of.last, of.head);
    }
    ctx.out.value(&checked, |checked| {
        let earlier = match checked.earlier_keys {
            0 => String::new(),
            files => format!(" {files} file(s) are signed by keys that are no policy keys of the site now."),
        };
        let Checked { files, entries, head, .. } = checked;
        format!(
            "{files} file(s) with {entries} entries are whole, and the site has the same; the head is {head}.{earlier}"
        )
    })
}
