//! The command line: `muster <noun> <verb>`, the nouns and verbs of the API. One file a noun.

mod admin;
mod alert;
mod application;
mod approval;
mod ask;
mod audit;
mod audit_export;
mod baseline;
mod boundary;
mod boundary_group;
mod certificate;
mod class;
mod client_log;
mod client_status;
mod collection;
mod collection_rule;
mod collection_transfer;
mod collection_window;
mod completion;
mod conflict;
mod deployment;
mod deployment_approve;
mod deployment_control;
mod deployment_options;
mod device;
mod device_compliance;
mod discovery;
mod enrolment;
mod find;
mod hardware;
mod history;
mod inventory;
mod issuer;
mod key;
mod maintenance;
mod message;
mod mobile;
mod profile;
mod quarantine;
mod query;
mod resource;
mod secret;
mod serial;
mod session;
mod settings;
mod site;
mod status;
mod title;
mod token;
mod trust;
mod update;
mod update_rule;

use crate::{CliError, Client, output::Output, profile::ProfileDir};
use clap::{Args, Parser, Subcommand};
use muster_model::{api::PageQuery, time::UnixMillis};
use std::path::PathBuf;

/// Heading of what every command takes.
const EVERYWHERE: &str = "Options of every command";

/// Manages the devices of a Muster site.
#[derive(Debug, Parser)]
#[command(name = "muster", version, about = "Manages the devices of a Muster site", long_about = None, after_help = "Exit codes: see `muster help exit-codes`.")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Args)]
#[command(next_help_heading = EVERYWHERE)]
struct Global {
    /// Directory with the profile: site, key and session [default: muster in the configuration directory]
    #[arg(long, global = true, value_name = "DIR", env = "MUSTER_PROFILE_DIR", hide_env_values = true)]
    profile_dir: Option<PathBuf>,
    /// File (mode 0600) with the passphrase of the key, instead of the prompt
    #[arg(long, global = true, value_name = "FILE", env = "MUSTER_PASSPHRASE_FILE", hide_env_values = true)]
    passphrase_file: Option<PathBuf>,
    /// Print the API's JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// Do it without asking
    #[arg(long, short, global = true)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Enrolment tokens: what a client is started with
    #[command(subcommand)]
    Token(token::Verb),
    /// Devices that foreign protocols manage, and their tokens
    #[command(subcommand)]
    Mobile(mobile::Verb),
    /// Requests of devices to be enrolled
    #[command(subcommand)]
    Enrolment(enrolment::Verb),
    /// TPMs: believed, awaited, or never let in
    #[command(subcommand)]
    Hardware(hardware::Verb),
    /// CAs of the enterprise whose client certificates count
    #[command(subcommand)]
    Issuer(issuer::Verb),
    /// Who is approved without being asked about
    #[command(subcommand)]
    Approval(approval::Verb),
    /// Serial numbers that the site expects
    #[command(subcommand)]
    Serial(serial::Verb),
    /// Devices
    #[command(subcommand)]
    Device(device::Verb),
    /// Certificates of devices and of the server
    #[command(subcommand)]
    Certificate(certificate::Verb),
    /// What the site publishes about revoked certificates
    #[command(subcommand)]
    Revocation(certificate::RevocationVerb),
    /// Two machines that look like one device
    #[command(subcommand)]
    Conflict(conflict::Verb),
    /// What is on a device
    #[command(subcommand)]
    Inventory(inventory::Verb),
    /// Inventory classes: what devices can report
    #[command(subcommand)]
    Class(class::Verb),
    /// Software under one name, whatever its packages call it
    #[command(subcommand)]
    Title(title::Verb),
    /// Applications: sign them here, add them to the site
    #[command(subcommand)]
    Application(application::Verb),
    /// Secrets of applications: sealed here, for each device on its own
    #[command(subcommand)]
    Secret(secret::Verb),
    /// Deployments: which devices shall have which application, and when
    #[command(subcommand)]
    Deployment(deployment::Verb),
    /// Alerts: what needs somebody
    #[command(subcommand)]
    Alert(alert::Verb),
    /// Client status: which clients are active, and which are sound
    #[command(subcommand)]
    ClientStatus(client_status::Verb),
    /// Configuration baselines: what settings of devices should be, and which are
    #[command(subcommand)]
    Baseline(baseline::Verb),
    /// Software updates: which of them devices miss
    #[command(subcommand)]
    Update(update::Verb),
    /// Collections: devices in groups, by rules
    #[command(subcommand)]
    Collection(collection::Verb),
    /// Status messages of devices
    #[command(subcommand)]
    Message(message::Verb),
    /// Filter rules for status messages, what they send, and how parts of the agents do
    #[command(subcommand)]
    Status(status::Verb),
    /// What devices sent and the site did not take
    #[command(subcommand)]
    Quarantine(quarantine::Verb),
    /// The audit log
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Administrators
    #[command(subcommand)]
    Admin(admin::Verb),
    /// Boundaries: where devices can be
    #[command(subcommand)]
    Boundary(boundary::Verb),
    /// Boundary groups: which management points are near
    #[command(subcommand)]
    BoundaryGroup(boundary_group::Verb),
    /// Questions in WQL, Configuration Manager's query language
    #[command(subcommand)]
    Query(query::Verb),
    /// Discovery: how resources are found, and for how long what was found is kept
    #[command(subcommand)]
    Discovery(discovery::Verb),
    /// Maintenance: what is removed when it has been kept for long enough
    #[command(subcommand)]
    Maintenance(maintenance::Verb),
    /// Resources: what discovery found, with a client or without
    #[command(subcommand)]
    Resource(resource::Verb),
    /// Client settings
    #[command(subcommand)]
    Settings(settings::Verb),
    /// The site
    #[command(subcommand)]
    Site(site::Verb),
    /// The trust bundle: what is in force, and signing what shall follow
    #[command(subcommand)]
    Trust(trust::Verb),
    /// Print a link that signs a browser in to the console, once
    Console,
    /// Keys of administrators and authors
    #[command(subcommand)]
    Key(key::Verb),
    /// The profile: which site, whom to believe, which key
    #[command(subcommand)]
    Profile(profile::Verb),
    /// Sign in now; other commands do it by themselves
    Login,
    /// End the kept session, at the site and here
    Logout,
    /// Print a completion script for a shell
    Completion(completion::Completion),
    /// What the exit codes mean
    #[command(long_about = crate::error::EXIT_CODES)]
    ExitCodes,
}

/// What every command gets.
struct Context {
    dir: PathBuf,
    passphrase_file: Option<PathBuf>,
    out: Output,
    yes: bool,
    now: UnixMillis,
}

impl Context {
    fn profile(&self) -> Result<ProfileDir, CliError> {
        ProfileDir::read(&self.dir, self.passphrase_file.clone())
    }

    async fn client(&self) -> Result<Client, CliError> {
        self.profile()?.client(self.now).await
    }
}

/// Which part of a list to print.
#[derive(Debug, Clone, Copy, Args)]
struct Part {
    /// Rows to print
    #[arg(long, default_value_t = 50, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Rows to leave out before
    #[arg(long, default_value_t = 0, value_name = "ROWS")]
    offset: u64,
}

impl Part {
    fn query(self) -> PageQuery {
        PageQuery { offset: self.offset, limit: self.limit }
    }
}

impl Cli {
    /// Whether errors shall be JSON too.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.global.json
    }

    /// Does what the command line says. `now` is the time of the whole command.
    ///
    /// # Errors
    /// [`CliError`], with its exit code.
    pub async fn run(self, now: UnixMillis) -> Result<(), CliError> {
        let dir = self.global.profile_dir.or_else(crate::profile::default_dir).ok_or_else(|| {
            CliError::Usage("there is no home directory; say where the profile is with --profile-dir".to_owned())
        })?;
        let out = Output { json: self.global.json };
        let ctx = Context { dir, passphrase_file: self.global.passphrase_file, out, yes: self.global.yes, now };
        match self.noun {
            Noun::Token(verb) => verb.run(&ctx).await,
            Noun::Mobile(verb) => verb.run(&ctx).await,
            Noun::Enrolment(verb) => verb.run(&ctx).await,
            Noun::Hardware(verb) => verb.run(&ctx).await,
            Noun::Issuer(verb) => verb.run(&ctx).await,
            Noun::Approval(verb) => verb.run(&ctx).await,
            Noun::Serial(verb) => verb.run(&ctx).await,
            Noun::Device(verb) => verb.run(&ctx).await,
            Noun::Certificate(verb) => verb.run(&ctx).await,
            Noun::Revocation(verb) => verb.run(&ctx).await,
            Noun::Conflict(verb) => verb.run(&ctx).await,
            Noun::Inventory(verb) => verb.run(&ctx).await,
            Noun::Class(verb) => verb.run(&ctx).await,
            Noun::Title(verb) => verb.run(&ctx).await,
            Noun::Application(verb) => verb.run(&ctx).await,
            Noun::Secret(verb) => verb.run(&ctx).await,
            Noun::Deployment(verb) => verb.run(&ctx).await,
            Noun::Alert(verb) => verb.run(&ctx).await,
            Noun::ClientStatus(verb) => verb.run(&ctx).await,
            Noun::Baseline(verb) => verb.run(&ctx).await,
            Noun::Update(verb) => verb.run(&ctx).await,
            Noun::Collection(verb) => verb.run(&ctx).await,
            Noun::Message(verb) => verb.run(&ctx).await,
            Noun::Status(verb) => verb.run(&ctx).await,
            Noun::Quarantine(verb) => verb.run(&ctx).await,
            Noun::Audit(verb) => verb.run(&ctx).await,
            Noun::Admin(verb) => verb.run(&ctx).await,
            Noun::Boundary(verb) => verb.run(&ctx).await,
            Noun::BoundaryGroup(verb) => verb.run(&ctx).await,
            Noun::Query(verb) => verb.run(&ctx).await,
            Noun::Discovery(verb) => verb.run(&ctx).await,
            Noun::Maintenance(verb) => verb.run(&ctx).await,
            Noun::Resource(verb) => verb.run(&ctx).await,
            Noun::Settings(verb) => verb.run(&ctx).await,
            Noun::Site(verb) => verb.run(&ctx).await,
            Noun::Trust(verb) => verb.run(&ctx).await,
            Noun::Console => session::console(&ctx).await,
            Noun::Key(verb) => verb.run(&ctx),
            Noun::Profile(verb) => verb.run(&ctx),
            Noun::Login => session::login(&ctx).await,
            Noun::Logout => session::logout(&ctx).await,
            Noun::Completion(completion) => completion.run(),
            Noun::ExitCodes => out.line(crate::error::EXIT_CODES),
        }
    }
}

/// The help of every command, one after the other, as committed in `docs/reference/muster.txt`.
#[must_use]
pub fn reference() -> String {
    fn walk(command: &mut clap::Command, depth: usize, out: &mut String) {
        let help = command.render_long_help().to_string();
        // What every command takes is said once, at the top.
        let cut = if depth == 0 { None } else { help.find(&format!("{EVERYWHERE}:")) };
        let lines = help[..cut.unwrap_or(help.len())].trim_end().lines().map(|line| format!("{}\n", line.trim_end()));
        out.push_str(&"=".repeat(80));
        out.push('\n');
        out.extend(lines);
        out.push('\n');
        for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
            walk(sub, depth + 1, out);
        }
    }
    let mut command = <Cli as clap::CommandFactory>::command().term_width(100);
    command.build();
    let mut out = String::new();
    walk(&mut command, 0, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    /// Commands about the site and who works on it.
    const SITE: &[&str] = &[
        "muster login",
        "muster logout",
        "muster console",
        "muster site show",
        "muster site dashboard --json",
        "muster trust show",
        "muster trust sign p.json --key new.pem --key root.pem --yes",
        "muster admin list",
        "muster admin disable Ada --reason left",
        "muster admin create --name Ada --role read_only_analyst --public-key ada.pub",
        "muster token list --offset 50 --limit 500",
        "muster token create --name x --valid 2h --serial 5CD1",
        "muster mobile token create --name x --class apple --user Grace --valid 2h",
        "muster mobile token list --limit 5",
        "muster mobile device list",
    ];

    const DELIVERY: &[&str] = &[
        "muster application sign --manifest a.toml --key k.pem --out a.signed",
        "muster application cosign a.signed",
        "muster application add a.signed --content dist",
        "muster application list",
        "muster application show Hello",
        "muster deployment preview Hello --all-systems",
        "muster deployment create Hello --device kiosk-7 --deadline +2h --available now",
        "muster deployment list",
        "muster deployment show Hello --state failed",
        "muster deployment watch Hello --timeout 30m",
        "muster deployment delete Hello",
        "muster deployment create Hello --all-systems --phases 1%,10%,Kiosks --success 90 --at-least 5 --after-hours 24 --stop 5",
        "muster deployment pause Hello --reason broken",
        "muster deployment resume Hello --yes",
        "muster deployment cancel Hello --reason broken",
        "muster deployment retry Hello --device kiosk-7",
        "muster deployment retry Hello --phase 2",
        "muster deployment phase Hello --begin 2",
        "muster deployment history Hello --device kiosk-7",
        "muster alert list --all",
        "muster maintenance list",
        "muster maintenance set audit_log --keep-days 365 --every-days 7",
        "muster maintenance preview status_messages --keep-days 14",
        "muster maintenance run status_messages --yes",
        "muster client-status show --collection Kiosks",
        "muster client-status list --activity inactive --check failed --collection Kiosks",
        "muster client-status device kiosk-7",
        "muster client-status settings --heartbeat 14 --check 5",
        "muster client-status thresholds",
        "muster client-status threshold Kiosks --active 95 --healthy 90",
        "muster alert show 0192f0c1-7a3b-7c4d-8e5f-0123456789ab",
        "muster alert acknowledge 0192f0c1-7a3b-7c4d-8e5f-0123456789ab",
        "muster deployment create Hello --collection Kiosks --high-impact",
    ];

    #[test]
    fn every_rule_of_the_api_has_its_command() {
        let id = "0192f0c1-7a3b-7c4d-8e5f-0123456789ab";
        for line in [
            &format!("muster token revoke {id} -y"),
            "muster enrolment list --state pending",
            "muster enrolment approve kiosk-7 --yes",
            &format!("muster enrolment refuse {id} --reason no"),
            "muster hardware list",
            &format!("muster hardware allow {} --reason lab", "a".repeat(64)),
            &format!("muster hardware block {} --reason stolen --yes", "a".repeat(64)),
            &format!("muster hardware remove {} --reason found", "a".repeat(64)),
            "muster hardware import --list tpms.csv",
            "muster issuer list",
            "muster issuer add --certificate ca.pem --list http://pki.example/ca.crl --subject OU=Desks --san dns:*.a.example",
            &format!("muster issuer remove {} --reason replaced", "a".repeat(64)),
            "muster approval show",
            "muster approval update --mode trusted-domain --trust A.B,muster/c.d,S-1-5-21-1-2-3-1105 --distrust C.D",
            "muster serial list",
            "muster serial import --list serials.csv",
            "muster serial remove 5CD1 --reason sold",
            "muster device list --search deb --state blocked --sort last_seen --descending",
            "muster device show kiosk-7",
            "muster device timeline kiosk-7",
            "muster device block kiosk-7 --reason lost",
            "muster device unblock kiosk-7 --reason found",
            "muster device retire kiosk-7 --reason sold",
            "muster device revoke kiosk-7 --reason stolen --code key_compromise",
            "muster certificate list --device kiosk-7 --revoked",
            "muster certificate revoke 40ff --reason superseded --code superseded",
            "muster revocation show",
            "muster conflict list --all",
            &format!("muster conflict decide {id} --as two_machines --reason cloned"),
            "muster inventory show kiosk-7",
            "muster inventory show kiosk-7 INSTALLED_SOFTWARE --json",
            "muster message list --device kiosk-7 --severity warning",
            "muster quarantine list",
            "muster collection list --search lab",
            "muster collection show P0100001",
            "muster collection create --name Lab --limiting SMS00001 --incremental --every 7d --device kiosk-7 --exclude Old",
            "muster collection preview --name Lab --query SELECT --query-name q",
            "muster collection change Lab --protected true --no-schedule",
            "muster collection delete Lab",
            "muster collection rule add Lab --include Kiosks",
            "muster collection rule remove Lab 7",
            "muster collection members Lab --limit 500",
            "muster collection explain Lab kiosk-7",
            "muster collection evaluate Lab",
            "muster boundary list",
            "muster boundary add --name Berlin --kind ip_subnet --value 10.1.2.0/24",
            &format!("muster boundary change {id} --name Berlin --kind directory_site --value Berlin"),
            &format!("muster boundary remove {id} -y"),
            "muster query run SELECT --csv --limit 5 --utc-offset -60",
            "muster query check SELECT",
            "muster boundary-group list",
            &format!("muster boundary-group add --name Berlin --boundary {id} --management-point https://mp1:8440"),
            &format!("muster boundary-group change {id} --name Berlin"),
            &format!("muster boundary-group remove {id} -y"),
            "muster discovery list",
            "muster discovery show corp",
            "muster discovery set corp --enabled true --container OU=a,DC=b --kind user --full 7d --delta 5m --logon-days 90",
            "muster discovery run corp --full",
            "muster discovery delete corp -y",
            "muster discovery network --enabled true --range 10.1.2.0/24 --every 1h",
            "muster discovery settings",
            "muster discovery keep --days 30",
            "muster resource list --kind user --search ada --client false --limit 5",
            "muster resource show 16777217",
            "muster resource remove 16777217 -y",
            "muster settings list",
            "muster settings show",
            "muster settings catalogue",
            "muster settings update --policy-poll 30m",
            "muster settings create Kiosks --collection Kiosks --set script_policy=restricted --set cache_bytes=2GiB --preview",
            "muster settings update Kiosks --unset cache_bytes --no-collection --comment x",
            "muster settings move Kiosks 1",
            "muster settings history Kiosks",
            "muster settings delete Kiosks -y",
            "muster device settings kiosk-7",
            "muster device compliance kiosk-7",
            "muster baseline compliance Servers --device kiosk-7 --differs",
            "muster baseline undeploy Servers -y",
            "muster baseline delete Servers -y",
            "muster audit list",
            "muster audit verify",
            "muster key create --out k.pem",
            "muster key show k.pem.pub",
            "muster profile show",
            "muster completion zsh",
        ]
        .iter()
        .chain(SITE)
        .chain(DELIVERY)
        {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_before_anything_is_asked() {
        for line in [
            "muster deployment create Hello",
            "muster deployment create Hello --all-systems --device kiosk-7",
            "muster deployment watch Hello --timeout soon",
            "muster device block kiosk-7",
            "muster device list --limit 501",
            "muster device list --sort password",
            "muster admin create --name Ada --role root --public-key a.pub",
            "muster token revoke not-an-id",
            "muster token create --name x --passphrase secret",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
