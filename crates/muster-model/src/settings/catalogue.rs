//! The catalogue of client settings: the one place that says which there are, what each takes, what it does, and what it collects.
//!
//! Groups are those of Configuration Manager. What has no meaning here, or no client that does it, is not in it.

use super::kind::{Danger, Kind, Reach, Setting};
use crate::time::{DAY, HOUR, MINUTE};

/// A setting without a privacy note, in force, and without dangerous values.
const fn plain(
    name: &'static str,
    group: &'static str,
    label: &'static str,
    kind: Kind,
    about: &'static str,
) -> Setting {
    Setting { name, group, label, kind, optional: false, about, privacy: None, in_force: true, danger: None }
}

/// The same, which may be absent.
const fn optional(setting: Setting) -> Setting {
    Setting { optional: true, ..setting }
}

/// The same, with what it collects.
const fn private(setting: Setting, note: &'static str) -> Setting {
    Setting { privacy: Some(note), ..setting }
}

/// The same, with a value that is dangerous.
const fn dangerous(setting: Setting, danger: Danger) -> Setting {
    Setting { danger: Some(danger), ..setting }
}

const fn length(least: i64, most: i64) -> Kind {
    Kind::Length { least, most }
}

const fn number(least: i64, most: i64, unit: &'static str) -> Kind {
    Kind::Number { least, most, unit }
}

const POLICY: &str = "Client policy";
const INVENTORY: &str = "Hardware inventory";
const FILES: &str = "Software inventory";
const CACHE: &str = "Client cache";
const CONTENT: &str = "Content transfer";
const DEPLOYMENT: &str = "Software deployment";
const UPDATES: &str = "Software updates";
const COMPLIANCE: &str = "Compliance settings";
const AGENT: &str = "Computer agent";
const RESTART: &str = "Computer restart";
const SERVICING: &str = "Write filters";
const HEALTH: &str = "Client health";

/// Every setting, by group.
pub static CATALOGUE: &[Setting] = &[
    private(
        plain(
            "policy_poll",
            POLICY,
            "Policy polling interval",
            length(MINUTE, DAY),
            "How often a client asks for its policy when its live channel says nothing.",
        ),
        "Each poll tells the site the client's address and that it is on.",
    ),
    private(
        plain(
            "heartbeat",
            POLICY,
            "Heartbeat discovery interval",
            length(HOUR, 30 * DAY),
            "How often a client that has nothing to say reports that it is there.",
        ),
        "Host name, version of the client, networks, and who is at the console.",
    ),
    private(
        plain(
            "inventory_enabled",
            INVENTORY,
            "Hardware inventory",
            Kind::Flag,
            "Whether a client takes inventory at all.",
        ),
        "Hardware, operating system, disks, networks, services, installed software, and who is at the console.",
    ),
    plain(
        "inventory",
        INVENTORY,
        "Inventory interval",
        length(HOUR, 90 * DAY),
        "How often a client reads its inventory; it sends only what changed.",
    ),
    plain(
        "inventory_delay",
        INVENTORY,
        "Random delay",
        length(0, 8 * HOUR),
        "A scheduled inventory is taken later by a random part of this, so that not all come at once.",
    ),
    private(
        optional(plain(
            "software",
            FILES,
            "Files",
            Kind::Files,
            "Which files are reported with each inventory, and what is read of them.",
        )),
        "Names, sizes and times of these files, and who they are of may be seen from them; hashes and versions where it says so.",
    ),
    plain(
        "cache_bytes",
        CACHE,
        "Size",
        number(256 << 20, 1 << 42, "bytes"),
        "How much of the disk the content cache may take.",
    ),
    optional(plain(
        "cache_percent",
        CACHE,
        "Share of the disk",
        number(1, 90, "percent"),
        "The same as a part of the disk; the smaller of the two holds. A tenth, where none is said.",
    )),
    plain(
        "cache_min_age",
        CACHE,
        "Least time in the cache",
        length(HOUR, 7 * DAY),
        "Content that was used is kept at least so long.",
    ),
    optional(plain(
        "content_rate",
        CONTENT,
        "Bandwidth",
        number(8 << 10, 1 << 34, "bytes per second"),
        "How fast a client fetches content at most.",
    )),
    optional(plain(
        "content_hours",
        CONTENT,
        "Hours of the limit",
        Kind::Hours,
        "When the limit of the bandwidth holds, by the device's clock; always where there are none.",
    )),
    plain(
        "content_peers",
        CONTENT,
        "Clients of the same subnet",
        Kind::Choice(&["off", "fetch", "fetch_and_serve"]),
        "Whether chunks of content come from clients of the same subnet that the site names, and are served to them; each is verified.",
    ),
    plain(
        "content_peer_connections",
        CONTENT,
        "Clients that are served at once",
        number(1, 32, "connections"),
        "How many connections of other clients are served at the same time; more are closed.",
    ),
    plain(
        "content_peer_port",
        CONTENT,
        "Port for other clients",
        number(1_024, 65_535, "port"),
        "At which TCP port a client serves others of its subnet, where it does.",
    ),
    plain(
        "deadline_spread",
        DEPLOYMENT,
        "Deadline randomisation",
        length(0, 2 * HOUR),
        "A required deployment begins after its deadline by a part of this, which each device draws for itself.",
    ),
    optional(plain(
        "business_hours",
        DEPLOYMENT,
        "Business hours",
        Kind::BusinessHours,
        "When users are left alone, by the device's clock. Outside of them required deployments begin before their deadline already, and restarts that have time are made.",
    )),
    plain(
        "application_reevaluation",
        DEPLOYMENT,
        "Re-evaluation",
        length(HOUR, 31 * DAY),
        "How often a client looks whether what is deployed is still there.",
    ),
    plain(
        "updates_in_general_windows",
        UPDATES,
        "Updates in general windows",
        Kind::Flag,
        "Whether updates may be installed in general maintenance windows too where there are windows for updates.",
    ),
    private(
        plain(
            "update_scan_enabled",
            UPDATES,
            "Scan for updates",
            Kind::Flag,
            "Whether a client asks the system's own tool which updates there are.",
        ),
        "Which updates are missing. The machine asks its own package sources, which learn that it is there.",
    ),
    plain(
        "update_scan",
        UPDATES,
        "Scan interval",
        length(HOUR, 31 * DAY),
        "How often a client asks the system's own tool which updates there are.",
    ),
    plain(
        "compliance_evaluation",
        COMPLIANCE,
        "Evaluation",
        length(HOUR, 31 * DAY),
        "How often a client evaluates its configuration baselines.",
    ),
    plain(
        "compliance_script_seconds",
        COMPLIANCE,
        "Time of a script",
        number(60, 600, "seconds"),
        "How long a script of a configuration item may take.",
    ),
    dangerous(
        plain(
            "script_policy",
            AGENT,
            "Script execution policy",
            Kind::Choice(&["restricted", "all_signed", "bypass"]),
            "Which scripts of configuration items a client runs: none, those that as many authors signed as the trust bundle wants, or, where the machine's own agent.json allows it too, those of fewer.",
        ),
        Danger {
            value: "bypass",
            least: Reach::Protected,
            why: "scripts would run for which nobody gave the second signature; it is for a protected collection that was chosen by name",
        },
    ),
    plain(
        "restart.allowed",
        RESTART,
        "Restarts",
        Kind::Flag,
        "Whether a client may restart the machine where a deployment wants it.",
    ),
    plain(
        "restart.notice_minutes",
        RESTART,
        "Notice",
        number(1, 20_160, "minutes"),
        "How long before a restart the user is told, and may put the notice away.",
    ),
    plain(
        "restart.countdown_minutes",
        RESTART,
        "Countdown",
        number(1, 1_440, "minutes"),
        "How long the last countdown is, which nobody can put away.",
    ),
    plain(
        "restart.snooze_minutes",
        RESTART,
        "Snooze",
        number(1, 1_440, "minutes"),
        "After how long somebody who put the notice away sees it again.",
    ),
    dangerous(
        plain(
            "servicing.allowed",
            SERVICING,
            "Servicing",
            Kind::Flag,
            "Whether a client may lock its machine down and install below its write filter what is deployed there.",
        ),
        Danger {
            value: "yes",
            least: Reach::Named,
            why: "what protects the machine is opened; it is for a collection that was chosen by name",
        },
    ),
    plain(
        "servicing.max_minutes",
        SERVICING,
        "Longest servicing",
        number(5, 480, "minutes"),
        "How long one servicing may last. What may take longer is not installed.",
    ),
    private(
        plain(
            "health.mode",
            HEALTH,
            "Checks of the client",
            Kind::Choice(&["off", "notify", "remediate"]),
            "Whether a client checks itself: not at all, to say what it found, or to mend it, too.",
        ),
        "Sentences on the client itself: its service, files, certificate, clock, disk, messages, policy, packages and logs.",
    ),
    plain(
        "health.interval",
        HEALTH,
        "Interval of the checks",
        length(HOUR, 31 * DAY),
        "How often a client checks itself, at a time of its own.",
    ),
];

/// The setting of that name.
#[must_use]
pub fn setting(name: &str) -> Option<&'static Setting> {
    CATALOGUE.iter().find(|setting| setting.name == name)
}
