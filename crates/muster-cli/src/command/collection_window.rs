//! `muster collection window`: when the members of a collection may be worked on.

use super::{Context, ask::confirm, find};
use crate::{CliError, Client, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::CollectionWindow,
    id::{CollectionId, Name},
    schedule::Recurrence,
    window::{MaintenanceWindow, WallTime, WindowKind},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the maintenance windows of a collection
    List {
        /// Id or name of the collection
        collection: String,
    },
    /// Give a collection a maintenance window; its members keep to it
    Add {
        /// Id or name of the collection
        collection: String,
        #[command(flatten)]
        window: Wanted,
    },
    /// Put another definition in the place of a window's
    Update {
        /// Id or name of the collection
        collection: String,
        /// Id or name of the window
        window: String,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Delete a window; members that have no other one may be worked on at any time
    Delete {
        /// Id or name of the collection
        collection: String,
        /// Id or name of the window
        window: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// What people call it
    #[arg(long)]
    name: Name,
    /// From when on, and at which time of the day: 2026-12-01T01:00
    #[arg(long, value_name = "TIME")]
    start: WallTime,
    /// How long it is open, in minutes: 5 to 1440
    #[arg(long, default_value_t = 180)]
    minutes: u32,
    /// The start is UTC; else it is the local time of each device
    #[arg(long)]
    utc: bool,
    /// What it is for: general (all deployments), or updates (software updates alone)
    #[arg(long, default_value = "general")]
    kind: WindowKind,
    #[command(flatten)]
    again: Again,
    /// With --weekly: every so many weeks, 1 to 4
    #[arg(long, default_value_t = 1, requires = "weekly")]
    weeks: u8,
    /// With --monthly or --monthly-weekday: every so many months, 1 to 12
    #[arg(long, default_value_t = 1, conflicts_with_all = ["weekly", "daily"])]
    months: u8,
    /// With --monthly-weekday: so many days after it, 0 to 4
    #[arg(long, default_value_t = 0, requires = "monthly_weekday")]
    offset: u8,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct Again {
    /// Again every day, or every so many days; without any of these: once
    #[arg(long, value_name = "DAYS", num_args = 0..=1, default_missing_value = "1")]
    daily: Option<u8>,
    /// Again every week on this day: sunday, monday, ...
    #[arg(long, value_name = "DAY", value_parser = parse_weekday)]
    weekly: Option<u8>,
    /// Again every month on this day: 1 to 31, or last
    #[arg(long, value_name = "DAY", value_parser = parse_date)]
    monthly: Option<u8>,
    /// Again every month on this day of the week: second-tuesday, last-friday, ...
    #[arg(long, value_name = "WHICH-DAY", value_parser = parse_which)]
    monthly_weekday: Option<(u8, u8)>,
}

const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const WHICH: [&str; 5] = ["last", "first", "second", "third", "fourth"];

fn place(words: &[&str], text: &str) -> Option<u8> {
    words.iter().position(|word| word.eq_ignore_ascii_case(text)).and_then(|at| u8::try_from(at).ok())
}

fn parse_weekday(text: &str) -> Result<u8, String> {
    place(&DAYS, text).map(|at| at + 1).ok_or_else(|| format!("{text:?} is not one of {}", DAYS.join(", ")))
}

fn parse_date(text: &str) -> Result<u8, String> {
    let day = if text.eq_ignore_ascii_case("last") { Some(0) } else { text.parse().ok().filter(|day| *day > 0) };
    day.filter(|day| *day <= 31).ok_or_else(|| format!("{text:?} is not a day of a month: 1 to 31, or last"))
}

fn parse_which(text: &str) -> Result<(u8, u8), String> {
    let parts = text.split_once('-').and_then(|(which, day)| Some((place(&WHICH, which)?, place(&DAYS, day)? + 1)));
    parts.ok_or_else(|| format!("{text:?} is not like second-tuesday or last-friday"))
}

impl Wanted {
    fn window(self) -> MaintenanceWindow {
        let Again { daily, weekly, monthly, monthly_weekday } = self.again;
        let every = match (daily, weekly, monthly, monthly_weekday) {
            (Some(days), ..) => Recurrence::Interval { days, hours: 0, minutes: 0 },
            (_, Some(day), ..) => Recurrence::Weekly { day, weeks: self.weeks },
            (_, _, Some(day), _) => Recurrence::MonthlyByDate { day, months: self.months },
            (.., Some((week, day))) => {
                Recurrence::MonthlyByWeekday { day, week, months: self.months, offset: self.offset }
            }
            (None, None, None, None) => Recurrence::Once,
        };
        let Self { name, kind, start, minutes, utc, .. } = self;
        MaintenanceWindow { name, kind, start, every, minutes, utc }
    }
}

/// The window with that id, or the one with that name.
async fn window(client: &Client, id: CollectionId, word: &str) -> Result<CollectionWindow, CliError> {
    let windows = client.collection_window_list(id).await?;
    let found = windows.into_iter().find(|window| window.id.to_string() == word || window.window.name.as_str() == word);
    found.ok_or_else(|| {
        CliError::Usage(format!(
            "the collection has no window {word:?}; `muster collection window list {id}` shows all"
        ))
    })
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context, client: &Client) -> Result<(), CliError> {
        match self {
            Self::List { collection } => {
                let id = find::collection(client, &collection).await?;
                ctx.out.value(&client.collection_window_list(id).await?, |windows| listed(ctx, windows))
            }
            Self::Add { collection, window } => {
                let id = find::collection(client, &collection).await?;
                let added = client.collection_window_add(id, &window.window()).await?;
                ctx.out.value(&added, |added| format!("{} ({}) opens {}.", added.window.name, added.id, added.sentence))
            }
            Self::Update { collection, window: word, wanted } => {
                let id = find::collection(client, &collection).await?;
                let seen = window(client, id, &word).await?;
                let wanted = wanted.window();
                let done = client.collection_window_update(id, seen.id, &wanted, Some(seen.revision)).await?;
                ctx.out.value(&done, |done| format!("{} ({}) opens {}.", done.window.name, done.id, done.sentence))
            }
            Self::Delete { collection, window: word } => {
                let id = find::collection(client, &collection).await?;
                let seen = window(client, id, &word).await?;
                confirm(
                    ctx,
                    &format!(
                        "The window {}, {}, goes.\nMembers that have no other window may be worked on at any time, and start at once what they wait for.",
                        seen.window.name, seen.sentence
                    ),
                )?;
                client.collection_window_delete(id, seen.id).await?;
                ctx.out.value(&seen, |seen| format!("{} is deleted.", seen.window.name))
            }
        }
    }
}

fn listed(ctx: &Context, windows: &[CollectionWindow]) -> String {
    let row = |w: &CollectionWindow| {
        [
            w.id.to_string(),
            w.window.name.to_string(),
            w.window.kind.to_string(),
            w.sentence.clone(),
            w.next.map_or_else(|| "never again".to_owned(), |next| next.to_string()),
            format!("{}, {}", w.changed_by, when::human(ctx.now, w.changed)),
        ]
    };
    let table = output::table(["ID", "NAME", "KIND", "OPENS", "NEXT", "CHANGED"], windows.iter().map(row));
    output::listed(&table, windows.len(), windows.len() as u64, 0, "No windows: members may be worked on at any time.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        wanted: Wanted,
    }

    fn every(words: &str) -> Result<Recurrence, String> {
        let line = ["x", "--name", "Night", "--start", "2026-12-01T01:00"].into_iter().chain(words.split_whitespace());
        Line::try_parse_from(line).map(|line| line.wanted.window().every).map_err(|error| error.to_string())
    }

    #[test]
    fn words_become_a_recurrence() {
        let interval = |days| Recurrence::Interval { days, hours: 0, minutes: 0 };
        let weekday = |week, day, months, offset| Recurrence::MonthlyByWeekday { day, week, months, offset };
        for (words, expected) in [
            ("", Recurrence::Once),
            ("--daily", interval(1)),
            ("--daily 3", interval(3)),
            ("--weekly sunday --weeks 2", Recurrence::Weekly { day: 1, weeks: 2 }),
            ("--monthly last", Recurrence::MonthlyByDate { day: 0, months: 1 }),
            ("--monthly 31 --months 3", Recurrence::MonthlyByDate { day: 31, months: 3 }),
            ("--monthly-weekday second-Tuesday --offset 1", weekday(2, 3, 1, 1)),
            ("--monthly-weekday last-friday", weekday(0, 6, 1, 0)),
        ] {
            assert_eq!(every(words), Ok(expected), "{words}");
        }
        for odd in
            ["--daily --weekly sunday", "--weekly 1", "--monthly 0", "--monthly-weekday fifth-monday", "--offset 1"]
        {
            assert!(every(odd).is_err(), "{odd}");
        }
    }
}
