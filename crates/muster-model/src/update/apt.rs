//! What `apt-get --simulate` prints, in the C locale. Its lines are the form that programs are meant to read:
//!
//! ```text
//! Inst NAME [INSTALLED] (CANDIDATE ORIGIN, ORIGIN [ARCHITECTURE]) [...]
//! Remv NAME [INSTALLED] [...]
//! ```

use super::{Change, OddOutput, Simulation, Update, is_name, is_version};

/// Reads the changes of a simulation, none of which may be odd.
///
/// # Errors
/// See [`OddOutput`].
pub fn parse(text: &str) -> Result<Vec<Change>, OddOutput> {
    read(text)?.all()
}

/// Reads the changes of a simulation. A line of another form is passed over and counted.
///
/// # Errors
/// [`OddOutput::TooMany`].
pub fn read(text: &str) -> Result<Simulation, OddOutput> {
    let mut read = Simulation::default();
    for line in text.lines() {
        let change = if let Some(rest) = line.strip_prefix("Inst ") {
            install(rest)
        } else if let Some(rest) = line.strip_prefix("Remv ").or_else(|| line.strip_prefix("Purg ")) {
            name(rest.split(' ').next().unwrap_or_default()).map(|package| Change::Remove { package })
        } else {
            continue;
        };
        read.take(change, line)?;
    }
    Ok(read)
}

/// A name, without the architecture that foreign packages have behind it.
fn name(text: &str) -> Option<String> {
    let name = text.split_once(':').map_or(text, |(name, _)| name);
    is_name(name).then(|| name.to_owned())
}

fn install(rest: &str) -> Option<Change> {
    let (word, rest) = rest.split_once(' ')?;
    let package = name(word)?;
    let (installed, rest) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (installed, rest) = rest.split_once("] ")?;
            (Some(installed.to_owned()), rest)
        }
        None => (None, rest),
    };
    let (candidate, rest) = rest.strip_prefix('(')?.split_once(' ')?;
    // What repositories say of themselves stands in between and may be anything.
    let inside = &rest[..rest.rfind("])")?];
    let (origins, architecture) = match inside.strip_prefix('[') {
        Some(architecture) => ("", architecture),
        None => inside.rsplit_once(" [")?,
    };
    let sound = is_version(candidate) && is_name(architecture) && installed.as_deref().is_none_or(is_version);
    if !sound {
        return None;
    }
    let origins: Vec<String> = origins
        .split(", ")
        .map(|origin| origin.chars().filter(|c| !c.is_control()).take(200).collect::<String>())
        .filter(|origin| !origin.is_empty())
        .take(16)
        .collect();
    let security = origins.iter().any(|origin| is_security(origin));
    Some(Change::Install(Update {
        package,
        architecture: architecture.to_owned(),
        installed,
        candidate: candidate.to_owned(),
        origins,
        security,
    }))
}

/// `Debian-Security:12/stable-security`, `Ubuntu:24.04/noble-security`.
fn is_security(origin: &str) -> bool {
    let (label, rest) = origin.split_once(':').unwrap_or((origin, ""));
    let suite = rest.rsplit_once('/').map_or(rest, |(_, suite)| suite);
    label.ends_with("-Security") || suite.ends_with("-security")
}
