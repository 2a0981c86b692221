//! `muster maintenance`: what is removed when it has been kept for long enough.

use super::{Context, Part, ask::confirm};
use crate::{CliError, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{MaintenancePreview, MaintenanceRun, MaintenanceSettings, MaintenanceTask, TaskName},
    time::{DAY, UnixMillis},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the maintenance tasks
    List,
    /// Show a task: what it removes, when, and how its latest run went
    Show {
        /// The task, as `list` names it
        task: TaskName,
    },
    /// Change how a task is set; what is not said stays as it is
    Set(Set),
    /// Show what a run would remove now; it removes nothing
    Preview {
        /// The task
        task: TaskName,
        /// As if it were kept for so many days
        #[arg(long, value_name = "DAYS")]
        keep_days: Option<u32>,
    },
    /// Have a task run now, whatever its hours are
    Run {
        /// The task
        task: TaskName,
    },
    /// Show the runs of a task, the latest first
    History {
        /// The task
        task: TaskName,
        #[command(flatten)]
        part: Part,
    },
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// The task
    task: TaskName,
    /// Whether it runs by itself
    #[arg(long)]
    enabled: Option<bool>,
    /// Days for which it keeps what it removes
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// Days between two runs
    #[arg(long, value_name = "DAYS")]
    every_days: Option<u32>,
    /// When it may run, in UTC, like `mon-fri 22:00-04:00`
    #[arg(long, value_name = "HOURS")]
    hours: Option<String>,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        match self {
            Self::List => ctx.out.value(&client.maintenance_list().await?, |all| {
                let rows = all.items.iter().map(|task| row(ctx, task));
                let table = output::table(["TASK", "STATE", "KEPT", "HOURS (UTC)", "LAST", "REMOVED", "NEXT"], rows);
                output::listed(&table, all.items.len(), all.total, all.offset, "No tasks.")
            }),
            Self::Show { task } => ctx.out.value(&client.maintenance_show(task).await?, |task| shown(ctx, task)),
            Self::Set(set) => {
                let less = match set.keep_days {
                    Some(days) => Some(client.maintenance_preview(set.task, Some(days)).await?),
                    None => None,
                };
                if let Some(preview) = less.filter(|preview| preview.rows > 0) {
                    confirm(ctx, &format!("{} They go with the next run.", would(ctx, &preview)))?;
                }
                let Set { task, enabled, keep_days, every_days, hours } = set;
                let wanted = MaintenanceSettings { enabled, keep_days, every_days, hours };
                ctx.out.value(&client.maintenance_set(task, &wanted).await?, |task| shown(ctx, task))
            }
            Self::Preview { task, keep_days } => {
                ctx.out.value(&client.maintenance_preview(task, keep_days).await?, |preview| would(ctx, preview))
            }
            Self::Run { task } => {
                let preview = client.maintenance_preview(task, None).await?;
                confirm(ctx, &format!("{} It does not come back.", would(ctx, &preview)))?;
                ctx.out.value(&client.maintenance_run(task).await?, |task| {
                    format!("{} runs. `muster maintenance history {}` says what it removed.", task.name, task.name)
                })
            }
            Self::History { task, part } => {
                let page = client.maintenance_history(task, &part.query()).await?;
                ctx.out.value(&page, |page| {
                    let rows = page.items.iter().map(|run| run_row(ctx, run));
                    let table =
                        output::table(["BEGAN", "TOOK", "REMOVED", "TRANSACTIONS", "LONGEST", "ASKED BY"], rows);
                    output::listed(&table, page.items.len(), page.total, page.offset, "It has not run yet.")
                })
            }
        }
    }
}

fn row(ctx: &Context, task: &MaintenanceTask) -> [String; 7] {
    let human = |at: Option<UnixMillis>| at.map(|at| when::human(ctx.now, at)).unwrap_or_default();
    [
        task.name.to_string(),
        task.state().to_owned(),
        format!("{} d", task.keep_days),
        if task.continuous { String::new() } else { task.hours.clone() },
        human(task.last.as_ref().map(|run| run.began)),
        task.last.as_ref().map(|run| run.removed.to_string()).unwrap_or_default(),
        human(task.next),
    ]
}

fn shown(ctx: &Context, task: &MaintenanceTask) -> String {
    let both = |at: Option<UnixMillis>| at.map(|at| when::both(ctx.now, at)).unwrap_or_default();
    let last = task.last.as_ref().map(|run| {
        format!("{}; {} removed in {} transactions", when::both(ctx.now, run.began), run.removed, run.pieces)
    });
    let changed = task.changed.zip(task.changed_by.as_ref());
    output::pairs([
        ("Task", task.name.to_string()),
        ("What", task.about.clone()),
        ("State", task.state().to_owned()),
        ("Kept", format!("{} days (as it comes: {})", task.keep_days, task.default_days)),
        ("Runs", if task.continuous { "all the time".to_owned() } else { format!("every {} day(s)", task.every_days) }),
        ("Hours", if task.continuous { String::new() } else { format!("{} (UTC)", task.hours) }),
        ("Last", last.unwrap_or_default()),
        ("Next", both(task.next)),
        ("Set by", changed.map(|(at, by)| format!("{by}, {}", when::human(ctx.now, at))).unwrap_or_default()),
    ])
}

fn would(ctx: &Context, preview: &MaintenancePreview) -> String {
    let oldest = preview.oldest.map(|at| format!(", the oldest {}", when::human(ctx.now, at))).unwrap_or_default();
    let days = ctx.now.since(preview.before) / DAY;
    format!("{}: {} of {} row(s) are older than {days} days{oldest}.", preview.task, preview.rows, preview.total)
}

fn run_row(ctx: &Context, run: &MaintenanceRun) -> [String; 6] {
    let took = run.ended.map_or_else(|| "goes on".to_owned(), |ended| format!("{} s", ended.since(run.began) / 1_000));
    let longest = format!("{}.{} ms", run.longest / 1_000, run.longest % 1_000 / 100);
    [
        when::human(ctx.now, run.began),
        took,
        run.removed.to_string(),
        run.pieces.to_string(),
        longest,
        output::clean(run.asked_by.as_deref().unwrap_or_default()).to_string(),
    ]
}
