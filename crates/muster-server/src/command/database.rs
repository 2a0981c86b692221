//! `musterd database`: the database looked at, brought up to date, and moved into another one. The server stands still meanwhile,
//! except for the look.

use super::{runtime, say};
use crate::{clock::System, config, layout::Layout, serve};
use muster_site::{
    Ctx, SiteError,
    identity::database::{Copied, Finding, Progress, Role, Stage, Standing},
    site::Sources,
};
use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

/// Time between two lines of progress.
const EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(super) struct At {
    /// The site's directory.
    #[arg(long, env = "MUSTERD_DIR", default_value = "/var/lib/musterd", value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum DatabaseCommand {
    /// Bring the schema to this version, as `musterd serve` does when it starts.
    Migrate(Migrate),
    /// Hold the schema against this version, column for column, and look whether what is stored is whole. Ends with 1 when it is not.
    Check(At),
    /// Make the role of PostgreSQL as which administrators' SQL is asked, and give it the views for reports; or say who can.
    Reader(At),
    /// Copy the stopped site into another, empty database, and compare every row. The site stays where it is until you change its
    /// configuration.
    Copy(CopyTo),
}

#[derive(Debug, clap::Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    at: At,
    /// Only say what would be done.
    #[arg(long)]
    what_if: bool,
    /// Also while other programs work on the database.
    #[arg(long)]
    with_others: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct CopyTo {
    #[command(flatten)]
    at: At,
    /// The empty database: `postgres://user@host/database` or `sqlite:<path>`. A password stands in the file that PGPASSFILE names.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Empty a target in which a copy was begun and not finished, and begin anew. You are asked.
    #[arg(long)]
    again: bool,
    /// Do not ask.
    #[arg(long, requires = "again")]
    yes: bool,
}

pub(super) fn run(command: &DatabaseCommand) -> Result<ExitCode, String> {
    match command {
        DatabaseCommand::Migrate(args) => migrate(args),
        DatabaseCommand::Check(at) => check(at),
        DatabaseCommand::Reader(at) => reader(at),
        DatabaseCommand::Copy(args) => copy(args),
    }
}

/// A refusal as one sentence.
fn sentence(error: SiteError) -> String {
    match error {
        SiteError::Refused(problem) => problem.detail.trim_end_matches('.').to_owned(),
        other => other.to_string(),
    }
}

/// The directory of the site, and where its database is. One that is a file and not there is not made by looking for it.
fn place(at: &At) -> Result<(Layout, String), String> {
    let config = config::load(&at.dir).map_err(|error| error.to_string())?;
    let layout = Layout::new(&at.dir);
    let url = layout.database(&config.site.database);
    match url.strip_prefix("sqlite:").map(|rest| PathBuf::from(rest.split('?').next().unwrap_or(rest))) {
        Some(file) if !file.exists() => Err(format!("{} is not there; restore it from a backup", file.display())),
        _ => Ok((layout, url)),
    }
}

fn context() -> Ctx {
    Ctx::site(System.now())
}

fn migrate(args: &Migrate) -> Result<ExitCode, String> {
    let (layout, url) = place(&args.at)?;
    let runtime = runtime()?;
    let found = runtime.block_on(muster_site::database_show(&context(), &url)).map_err(sentence)?;
    if let Some(version) = found.too_new {
        return Err(format!(
            "the database has schema {version}, which this program does not know; start a newer Muster"
        ));
    }
    let newest = found.newest.map_or_else(|| "no schema".to_owned(), |version| format!("schema {version}"));
    if found.pending.is_empty() && !found.views {
        say(&format!("The database has {newest}, as this version wants it; there is nothing to do."));
        return Ok(ExitCode::SUCCESS);
    }
    if args.what_if {
        say(&format!("The database has {newest}. It would be done:"));
        for step in &found.pending {
            say(&format!("{:>6}  {}", step.version, step.what));
        }
        if found.views {
            say(" views  those of the inventory classes are made anew");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let _lock = serve::lock(&layout).map_err(|error| error.to_string())?;
    let ctx = context();
    let done = muster_site::database_migrate(&ctx, &url, args.with_others);
    let done = runtime.block_on(done).map_err(sentence)?;
    say(&format!("The database had {newest}. Done:"));
    for step in &done.pending {
        say(&format!("{:>6}  {}", step.version, step.what));
    }
    if done.views {
        say(" views  those of the inventory classes were made anew");
    }
    Ok(ExitCode::SUCCESS)
}

fn check(at: &At) -> Result<ExitCode, String> {
    let (_, url) = place(at)?;
    let findings = runtime()?.block_on(muster_site::database_check(&context(), &url)).map_err(sentence)?;
    for Finding { serious, what, next } in &findings {
        say(&format!("{}  {what}\n      {next}", if *serious { "FAIL" } else { "note" }));
    }
    let failed = findings.iter().filter(|finding| finding.serious).count();
    if failed > 0 {
        say(&format!("{failed} failed, {} to know", findings.len() - failed));
        return Ok(ExitCode::FAILURE);
    }
    say("The schema is this version's, column for column, and what is stored is whole.");
    Ok(ExitCode::SUCCESS)
}

fn reader(at: &At) -> Result<ExitCode, String> {
    let (_, url) = place(at)?;
    match runtime()?.block_on(muster_site::database_reader(&context(), &url)).map_err(sentence)? {
        Role::None => {
            say("SQLite has no roles: SQL is asked on a connection that can only read, and there is nothing to do.")
        }
        Role::There(name) => {
            say(&format!("SQL is asked as {name}, which may read the views for reports and nothing else."))
        }
        Role::Ask(statements) => {
            say("The site's own role may not make another one. Let somebody who may say this in the site's database:");
            statements.iter().for_each(|statement| say(&format!("  {statement};")));
            say("Then run this again.");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn copy(args: &CopyTo) -> Result<ExitCode, String> {
    if config::has_password(&args.to) {
        return Err(
            "a password in --to can be seen by everyone on this machine: leave it out, and write it into a file that \
             PGPASSFILE names (host:port:database:user:password, mode 0600)"
                .to_owned(),
        );
    }
    let (layout, from) = place(&args.at)?;
    let to = layout.database(&args.to);
    let _lock = serve::lock(&layout).map_err(|error| error.to_string())?;
    let runtime = runtime()?;
    if args.again {
        let standing = runtime.block_on(muster_site::database_standing(&context(), &to)).map_err(sentence)?;
        if let Standing::Half(source) = standing {
            say(&format!("{to} holds a copy from {source} that was not finished. All of it is removed."));
            agreed(args.yes)?;
        }
    }
    let mut meter = Meter::new(Instant::now());
    let mut watch = |progress: Progress<'_>| meter.show(&progress, Instant::now());
    let copied = runtime.block_on(muster_site::database_copy(&context(), &from, &to, args.again, &mut watch));
    let copied =
        copied.map_err(|error| format!("{}; nothing of the site's configuration was changed", sentence(error)))?;
    report(&args.at.dir, &args.to, &copied);
    Ok(ExitCode::SUCCESS)
}

fn report(dir: &Path, to: &str, copied: &[Copied]) {
    let rows: u64 = copied.iter().map(|table| table.rows).sum();
    for table in copied.iter().filter(|table| table.rows > 0) {
        say(&format!("{:>10} rows  {}  {}", table.rows, &table.digest.to_string()[..16], table.table));
    }
    say(&format!("{rows} rows of {} tables were copied, read again on both sides, and are the same.", copied.len()));
    let file = dir.join(config::FILE);
    say(&format!(
        "Now write `database = \"{to}\"` into [site] of {}, run `musterd doctor`, and start the server. Keep the old database until you \
         are sure; no server starts on it any more.",
        file.display()
    ));
}

fn agreed(yes: bool) -> Result<(), String> {
    if yes {
        return Ok(());
    }
    let mut input = std::io::stdin();
    if !input.is_terminal() {
        return Err("there is nobody to ask; say --yes when you mean it".to_owned());
    }
    drop(write!(std::io::stdout(), "Type yes to go on: "));
    drop(std::io::stdout().flush());
    let mut answer = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(&mut input), &mut answer)
        .map_err(|error| error.to_string())?;
    if answer.trim() == "yes" { Ok(()) } else { Err("nothing was changed".to_owned()) }
}

/// Lines of progress: what, how much, how long it still takes.
struct Meter {
    stage: Option<Stage>,
    began: Instant,
    shown: Option<Instant>,
}

impl Meter {
    fn new(now: Instant) -> Self {
        Self { stage: None, began: now, shown: None }
    }

    fn show(&mut self, progress: &Progress<'_>, now: Instant) {
        if self.stage != Some(progress.stage) {
            *self = Self { stage: Some(progress.stage), began: now, shown: None };
        }
        let last = progress.tables.0 == progress.tables.1;
        if !last && self.shown.is_some_and(|shown| now < shown + EVERY) {
            return;
        }
        self.shown = Some(now);
        say(&line(progress, now - self.began));
    }
}

fn line(progress: &Progress<'_>, spent: Duration) -> String {
    let ((tables, all), (rows, total)) = (progress.tables, progress.rows);
    let what = match progress.stage {
        Stage::Copy => "Copying  ",
        Stage::Verify => "Comparing",
    };
    let left = match u32::try_from(rows.max(1)).ok().zip(u32::try_from(total.saturating_sub(rows)).ok()) {
        Some((done, rest)) if rows > 0 => (spent / done).saturating_mul(rest).as_secs(),
        _ => 0,
    };
    format!("{what} {tables:>4}/{all} tables  {rows:>10}/{total} rows  about {left} s left  {}", progress.table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_follows_from_the_rows() {
        let progress = Progress { stage: Stage::Copy, table: "device", tables: (3, 9), rows: (1_000, 4_000) };
        let text = line(&progress, Duration::from_secs(10));
        assert!(
            text.contains("3/9 tables") && text.contains("1000/4000 rows") && text.contains("about 30 s left"),
            "{text}"
        );
        let none = Progress { rows: (0, 0), ..progress };
        assert!(line(&none, Duration::ZERO).contains("about 0 s left"));
    }
}
