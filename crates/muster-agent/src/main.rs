//! `muster-agent`, the client: command line, log, and the two signals that stop it.

use clap::{Args, Parser, Subcommand};
use muster_agent::{
    clock::Clock,
    collect::Collector,
    command, health,
    log::{Layer as Kept, Log},
    notify, run, software,
};
use muster_model::status::Verb;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::sync::watch;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// The client of a Muster site: it enrols this machine, takes its inventory, and applies the signed policy of the site.
#[derive(Debug, Parser)]
#[command(name = "muster-agent", version, propagate_version = true)]
struct Arguments {
    /// Where the client keeps its key, its messages and its policy. Nobody else may reach into it.
    #[arg(long, global = true, env = "MUSTER_AGENT_STATE", default_value = STATE)]
    state: PathBuf,
    /// Where users of this machine ask the running agent for software. Default: /run/muster-agent/software.sock, and nowhere with another
    /// --state.
    #[arg(long, global = true, env = "MUSTER_AGENT_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// What is logged: error, warn, info, debug or trace.
    #[arg(long, global = true, env = "MUSTER_AGENT_LOG", default_value = "info")]
    log: String,
    /// Log lines as JSON.
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask a site to take this machine.
    Enrol {
        /// File with the enrolment token, or - for standard input. Never the token itself.
        #[arg(long, value_name = "FILE")]
        token: PathBuf,
        /// Wait until an administrator has decided.
        #[arg(long)]
        wait: bool,
        /// Forget the site that this machine is enrolled at, with everything that came from it.
        #[arg(long)]
        again: bool,
        /// Talk with a certificate of the enterprise: a PEM file, or a directory of PEM files with certificates and keys. The one
        /// that the site's issuers and criteria admit is chosen, the newest where there are several of one subject.
        #[arg(long, value_name = "PATH")]
        enterprise: Option<PathBuf>,
    },
    /// Run the client until it is stopped.
    Run,
    /// Show what this client is and what it is doing.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check this client now and print what was found; the running agent mends by itself. Exit code 7: something is wrong.
    Health {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take the inventory once and print it as JSON. Nothing is sent.
    Inventory,
    /// Find the site of the anchor in agent.json by the directory and the DNS domain that are configured there.
    Assign {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ask the configured sources for management points now, and see who proves to be one.
    Locate {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Software that is offered to the users of this machine. Needs no privilege.
    #[command(subcommand)]
    Software(SoftwareCommand),
    /// The restart of this machine that comes, and installations that can be put off: shown until it is ended. Needs no privilege.
    Notify(Notify),
    /// Whom this machine believes.
    #[command(subcommand)]
    Trust(TrustCommand),
    /// The policy in force.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Before an image of this machine is taken: remove key, certificate, messages, policy and cache, and show that nothing is left.
    PrepareImage {
        /// Do it: this machine stops being a client of its site.
        #[arg(long)]
        yes: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the version.
    Version,
}

/// The command worked, and what it found is bad news.
const BAD_NEWS: u8 = 7;

/// Where the client keeps its state.
const STATE: &str = "/var/lib/muster-agent";
/// Where users of this machine ask an agent with that state for software.
const SOCKET: &str = "/run/muster-agent/software.sock";

#[derive(Debug, Subcommand)]
enum SoftwareCommand {
    /// Show what is offered, and how it stands.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have it installed now.
    Install(Which),
    /// Have it repaired now.
    Repair(Which),
    /// Have it uninstalled now.
    Uninstall(Which),
}

#[derive(Debug, Args)]
struct Notify {
    /// Show it once.
    #[arg(long)]
    once: bool,
    /// Show it once, as JSON.
    #[arg(long)]
    json: bool,
    /// Put the notice away, until the countdown at most.
    #[arg(long, conflicts_with_all = ["once", "json"])]
    snooze: bool,
    /// Have the machine restarted now.
    #[arg(long, conflicts_with_all = ["once", "json", "snooze"])]
    restart_now: bool,
    /// Put an installation off: its name or deployment.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["once", "json", "snooze", "restart_now"])]
    defer: Option<String>,
}

#[derive(Debug, Args)]
struct Which {
    /// Name, name and version, or id.
    software: String,
    /// Wait for the end.
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Verify the policy in force once more and print it as JSON.
    Show,
}

#[derive(Debug, Subcommand)]
enum TrustCommand {
    /// Leave the site, for one of another hierarchy: pin, keys, policy and messages are removed. Says what it does first.
    Reset {
        /// Do it.
        #[arg(long)]
        yes: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = start_log(&arguments);
    // One thread does everything; a few more, for a moment, do what would hold it up.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_keep_alive(Duration::from_secs(2))
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(execute(arguments, log));
            // A thread that waits for a disk that does not answer is not waited for.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Box::from(error)),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Says everything on standard error, and, where this is the agent itself, in its log.
fn start_log(arguments: &Arguments) -> Option<Log> {
    // Not the filter with regular expressions: it would be a tenth of the program.
    let filter: Targets = arguments.log.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_target(false);
    let log = matches!(arguments.command, Command::Run).then(|| Log::new(Clock::System));
    let kept = log.clone().map(|log| Kept(log).with_filter(filter.clone()));
    let registry = tracing_subscriber::registry().with(kept);
    match arguments.log_json {
        true => registry.with(lines.json().with_filter(filter)).init(),
        false => registry.with(lines.with_filter(filter)).init(),
    }
    log
}

async fn execute(arguments: Arguments, log: Option<Log>) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (state, clock) = (arguments.state, Clock::System);
    match arguments.command {
        Command::Enrol { token, wait, again, enterprise } => {
            command::enrol(&state, &command::How { token, again, wait, enterprise }, &clock).await?;
        }
        Command::Run => {
            let mut held = run::hold(&state)?;
            let usual = (state == Path::new(STATE)).then(|| SOCKET.into());
            held.log = log;
            held.software = arguments.socket.or(usual);
            run::run(held, clock, Collector::this_machine(), stop_signal()?).await?;
        }
        Command::Software(command) => ask(&arguments.socket.unwrap_or_else(|| SOCKET.into()), command)?,
        Command::Notify(how) => show(&arguments.socket.unwrap_or_else(|| SOCKET.into()), &how)?,
        Command::Status { json } => command::status(&state, json, &clock)?,
        Command::Health { json } => {
            if !health::command(&state, &Collector::this_machine(), json, &clock).await? {
                return Ok(ExitCode::from(BAD_NEWS));
            }
        }
        Command::Inventory => command::inventory(&Collector::this_machine(), &clock)?,
        Command::Assign { json } => command::assign(&state, json, &clock).await?,
        Command::Locate { json } => command::locate(&state, json, &clock).await?,
        Command::Trust(TrustCommand::Reset { yes, json }) => command::trust_reset(&state, yes, json)?,
        Command::Policy(PolicyCommand::Show) => command::policy_show(&state, &clock)?,
        Command::PrepareImage { yes, json } => command::prepare_image(&state, yes, json)?,
        Command::Version => {
            use std::io::Write;
            writeln!(std::io::stdout(), "muster-agent {}", env!("CARGO_PKG_VERSION"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(socket: &Path, command: SoftwareCommand) -> Result<(), software::SoftwareError> {
    match command {
        SoftwareCommand::List { json } => software::list(socket, json),
        SoftwareCommand::Install(which) => software::begin(socket, Verb::Install, &which.software, which.wait),
        SoftwareCommand::Repair(which) => software::begin(socket, Verb::Repair, &which.software, which.wait),
        SoftwareCommand::Uninstall(which) => software::begin(socket, Verb::Uninstall, &which.software, which.wait),
    }
}

fn show(socket: &Path, how: &Notify) -> Result<(), notify::NotifyError> {
    match how {
        Notify { defer: Some(word), .. } => notify::defer(socket, word),
        Notify { snooze: true, .. } => notify::snooze(socket),
        Notify { restart_now: true, .. } => notify::restart_now(socket),
        Notify { once: false, json: false, .. } => notify::follow(socket),
        Notify { json, .. } => notify::once(socket, *json),
    }
}

/// Becomes true with the first SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<watch::Receiver<bool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = stop.send(true);
        // Keeps the channel open: a closed one would look like a stop as well, which it is by now.
        stop.closed().await;
    });
    Ok(receiver)
}
