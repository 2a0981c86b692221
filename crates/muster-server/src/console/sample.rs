//! Sample data for every page: as it looks on a good day, as an attacker would fill it, and as it looks before the first device.

use super::shell::{Shell, Theme};
use muster_model::{
    api::*,
    application::FileName,
    enrol::DeviceClaims,
    id::{AdminId, ApplicationId, DeploymentId, DeviceId, EnrolmentId, Hash, Name, ResourceId, TokenId},
    inventory::{Row, Unread, Value},
    status::{DeploymentState, FailureReason, Severity, WaitReason},
    time::{DAY, HOUR, MINUTE, SECOND, UnixMillis},
};
use uuid::Uuid;

/// Which sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// A good day.
    Plain,
    /// Every text from outside tries to break out of its place, and is as long as it may be.
    Hostile,
    /// Nothing there yet.
    Empty,
}

/// The moment of every sample.
pub(super) const NOW: UnixMillis = UnixMillis(1_795_502_897_000);
/// What an attacker writes: markup, attribute ends, template marks, a reversed file name, a null.
pub(super) const HOSTILE: &str =
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}&lt;\u{202e}gpj.exe\u{200b}\u{0}";

/// The start of the hour that was so many hours ago.
fn hour(hours: i64) -> UnixMillis {
    UnixMillis((NOW.0 / HOUR - hours) * HOUR)
}

pub(super) fn ago(millis: i64) -> UnixMillis {
    NOW.plus(-millis)
}

pub(super) fn uuid(number: u64) -> Uuid {
    let bytes = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let text = format!(
        "0192f0c1-7a3b-7c4d-8e5f-{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}",
        0, bytes[0], bytes[1], bytes[2], bytes[3], number as u8
    );
    Uuid::parse_str(&text).unwrap()
}

pub(super) fn hash(number: u8) -> Hash {
    let mut state = u64::from(number) + 1;
    Hash(std::array::from_fn(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u8
    }))
}

impl Flavour {
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::Hostile, Self::Empty];

    /// A text from outside.
    pub(super) fn text(self, plain: &str) -> String {
        if self != Self::Hostile {
            return plain.to_owned();
        }
        let mut text = HOSTILE.to_owned();
        while text.len() < 255 {
            text.push('W');
        }
        text
    }

    /// A name, as hostile as a name may be.
    pub(super) fn name(self, plain: &str) -> Name {
        let hostile: String = self.text("").chars().filter(|c| !c.is_control()).take(100).collect();
        if self == Self::Hostile { hostile.parse().unwrap() } else { plain.parse().unwrap() }
    }

    /// A page of a list: its items, or nothing.
    pub(super) fn page<T>(self, items: Vec<T>, total: u64) -> Page<T> {
        match self {
            Self::Empty => Page { items: vec![], total: 0, offset: 0 },
            _ => Page { items, total, offset: 0 },
        }
    }

    pub(super) fn shell(self, section: &'static str) -> Shell {
        Shell {
            site: "P01".parse().unwrap(),
            site_name: self.name("Headquarters"),
            version: "0.1.0".to_owned(),
            admin: self.admin(1, "amelia", Role::FullAdministrator),
            csrf: "csrf-of-this-session".to_owned(),
            theme: Theme::Auto,
            now: NOW,
            pending: if self == Self::Empty { 0 } else { 2 },
            approval: ApprovalMode::Manual,
            section,
            done: None,
        }
    }

    pub(super) fn admin(self, number: u8, name: &str, role: Role) -> Admin {
        Admin {
            id: AdminId(uuid(number.into())),
            name: self.name(name),
            role,
            key: hash(number),
            created: ago(40 * DAY),
        }
    }

    pub(super) fn dashboard(self) -> Dashboard {
        if self == Self::Empty {
            return Dashboard {
                devices: [].into(),
                online: 0,
                pending: 0,
                operating_systems: vec![],
                seen: (0..24).map(|h| SeenHour { hour: hour(23 - h), devices: 0, reports: 0 }).collect(),
                deployments: vec![],
                messages: vec![],
                warnings: vec![],
                spread: Spread::default(),
            };
        }
        let systems = [
            ("Debian GNU/Linux 12 (bookworm)", 612),
            ("Ubuntu 24.04.3 LTS", 388),
            ("Red Hat Enterprise Linux 9.6", 141),
            ("Alpine Linux v3.22", 77),
            ("openSUSE Leap 15.6", 30),
        ];
        let wave = [4, 3, 2, 2, 3, 9, 31, 88, 142, 121, 97, 90, 84, 102, 95, 88, 76, 51, 30, 21, 16, 12, 8, 61];
        Dashboard {
            devices: [("active", 1_236), ("blocked", 4), ("retired", 58)].map(|(s, n)| (s.to_owned(), n)).into(),
            online: 1_198,
            pending: 2,
            operating_systems: systems.map(|(label, count)| Count { label: self.text(label), count }).into(),
            seen: wave
                .into_iter()
                .enumerate()
                .map(|(at, n)| SeenHour { hour: hour(23 - at as i64), devices: n / 2, reports: n * 37 })
                .collect(),
            deployments: self.deployments(),
            messages: self.messages(),
            warnings: vec![self.text("The trust bundle ends in 12 days. Sign a new one with the root key.")],
            spread: super::sample_title::spread(self),
        }
    }

    pub(super) fn device(self, number: u64, name: &str) -> Device {
        Device {
            id: DeviceId(uuid(number)),
            resource_id: ResourceId(16_777_217 + number as u32),
            name: self.text(name),
            state: [DeviceState::Active, DeviceState::Active, DeviceState::Active, DeviceState::Blocked]
                [number as usize % 4],
            key_protection: if number.is_multiple_of(2) { KeyProtection::SoftwareKey } else { KeyProtection::Attested },
            operating_system: self.text(
                ["Debian GNU/Linux 12 (bookworm)", "Ubuntu 24.04.3 LTS", "Alpine Linux v3.22"][number as usize % 3],
            ),
            agent_version: self.text("0.1.0"),
            online: number % 3 != 1,
            last_seen: (number != 6).then(|| ago(number as i64 * 47 * MINUTE + 20 * SECOND)),
            last_inventory: Some(ago(3 * HOUR)),
            enrolled: ago((40 - number as i64) * DAY),
        }
    }

    pub(super) fn devices(self) -> Vec<Device> {
        let names = [
            "accounting-03",
            "build-01",
            "build-02",
            "db-primary",
            "db-replica",
            "front-desk",
            "kiosk-lobby",
            "lab-station-11",
            "lab-station-12",
            "laptop-amelia",
            "laptop-jun",
            "mail-gateway",
            "print-server",
            "web-01",
        ];
        names.iter().enumerate().map(|(at, name)| self.device(at as u64 + 1, name)).collect()
    }

    pub(super) fn detail(self) -> DeviceDetail {
        let mut device = self.device(14, "web-01");
        device.state = DeviceState::Active;
        device.online = true;
        if self == Self::Hostile {
            device.state = DeviceState::Blocked;
        }
        let classes = [
            ("OPERATING_SYSTEM", 1),
            ("COMPUTER_SYSTEM", 1),
            ("PROCESSOR", 8),
            ("X86_PC_MEMORY", 1),
            ("LOGICAL_DISK", 4),
            ("DISK", 2),
            ("NETWORK_ADAPTER", 3),
            ("PC_BIOS", 1),
            ("INSTALLED_SOFTWARE", 1_482),
            ("SERVICE", 141),
        ];
        let class = |(class, rows): (&str, u64)| ClassSummary {
            class: if self == Self::Hostile { self.text("") } else { class.to_owned() },
            rows,
            changed: ago(3 * HOUR),
        };
        let empty = self == Self::Empty;
        DeviceDetail {
            device,
            key: hash(1),
            hardware: (!empty).then(|| hash(3)),
            account: (!empty).then(|| super::sample_evidence::account(&self.text("WEB-01$"))),
            attestation: (!empty).then(|| super::sample_evidence::attestation(&self.text("vendor"))),
            hardware_id: hash(2),
            certificate_serial: self.text("4f2a90c1d7e6b35188aa"),
            revocation: (self == Self::Hostile).then(|| Revocation {
                reason: RevocationReason::CertificateHold,
                revoked: ago(HOUR),
                revoked_by: self.text("amelia"),
            }),
            certificate_expires: NOW.plus(if self == Self::Hostile { -HOUR } else { 21 * DAY }),
            enterprise: (!empty).then(|| super::sample_issuer::certificate(self.text("C=DE, O=Example, CN=web-01"))),
            policy_version: 17,
            policy_expires: (!empty).then(|| NOW.plus(6 * DAY)),
            policy_trust_version: u64::from(!empty) * 2,
            policy_confirmed: (!empty).then(|| NOW.plus(-40 * MINUTE)),
            block_reason: (self == Self::Hostile).then(|| self.text("")),
            key_revoked: (self == Self::Hostile).then(|| ago(HOUR)),
            classes: if empty { vec![] } else { classes.map(class).into() },
            location: (!empty).then(|| super::sample_location::device_location(self)),
            unread: if empty {
                vec![]
            } else {
                vec![Unread {
                    class: self.text("SYSTEM_ENCLOSURE"),
                    reason: self.text("The chassis' serial number needs root."),
                }]
            },
            restart: (!empty).then(|| DeviceRestart {
                pending: true,
                reasons: self.text("the package manager wants it for libc6"),
                programs: Some(3),
                program_names: self.text("nginx, sshd"),
            }),
            collections: super::sample_collection::collections(self)
                .into_iter()
                .map(|row| DeviceCollection { id: row.id, name: row.name })
                .collect(),
            deployments: if empty { vec![] } else { self.device_deployments().into_iter().take(2).collect() },
            baselines: if empty { vec![] } else { super::sample_baseline::devices(self) },
            revision: 3,
        }
    }

    pub(super) fn revocation(self) -> RevocationState {
        let list = |of: &str, number| RevocationList {
            issuer: hash(3),
            of: self.text(of),
            number,
            signed: ago(2 * HOUR),
            next_update: NOW.plus(70 * HOUR),
            entries: 3,
            warning: (self == Self::Hostile).then(|| self.text("")),
        };
        let warnings = if self == Self::Hostile { vec![self.text("")] } else { vec![] };
        RevocationState { lists: vec![list("issuing", 118), list("root", 1)], revoked: 3, warnings }
    }

    pub(super) fn class_rows(self, single: bool) -> ClassRows {
        let row = |at: i64| -> Row {
            let name = ["openssl", "libc6", "openssh-server", "nginx", "postgresql-15"][at as usize % 5];
            [
                ("ProductName", Value::Text(self.text(name))),
                ("ProductVersion", Value::Text(self.text("3.0.17-1~deb12u3"))),
                ("Publisher", Value::Text(self.text("Debian <maintainers@example.org>"))),
                ("InstallDate", Value::Int(ago(at * DAY).0)),
                ("EstimatedSize", Value::Int(2_111 * (at + 1))),
                ("Tags", Value::List(vec![self.text("net"), self.text("crypto")])),
                ("Automatic", Value::Bool(at % 2 == 0)),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
        };
        let mut rows: Vec<Row> = (0..if single { 1 } else { 18 }).map(row).collect();
        if let Some(first) = rows.first_mut() {
            first.remove("Tags");
        }
        let attributes =
            ["ProductName", "ProductVersion", "Publisher", "InstallDate", "EstimatedSize", "Tags", "Automatic"];
        ClassRows {
            class: if self == Self::Hostile { self.text("") } else { "INSTALLED_SOFTWARE".to_owned() },
            attributes: attributes.map(str::to_owned).into(),
            types: ["String", "String", "String", "DateTime", "UInt32", "String[]", "Boolean"]
                .map(str::to_owned)
                .into(),
            total: if single { 1 } else { 1_482 },
            rows,
        }
    }

    pub(super) fn messages(self) -> Vec<Message> {
        let said = [
            (Severity::Information, "web-01", "policy", "policy_accepted", "Policy version 17 was accepted."),
            (
                Severity::Warning,
                "laptop-jun",
                "agent",
                "clock_wrong",
                "The clock differs from the site's by 412 seconds.",
            ),
            (
                Severity::Error,
                "kiosk-lobby",
                "content",
                "content_altered",
                "Content 9f2c11… was not what its hash names; it was thrown away.",
            ),
            (
                Severity::Information,
                "build-02",
                "agent",
                "certificate_renewed",
                "The client certificate was renewed; it is valid until 2026-12-24.",
            ),
            (
                Severity::Warning,
                "front-desk",
                "inventory",
                "inventory_unreadable",
                "SYSTEM_ENCLOSURE could not be read: it needs root.",
            ),
            (Severity::Information, "db-replica", "agent", "agent_started", "The agent 0.1.0 started."),
        ];
        let message =
            |(at, (severity, device, component, id, text)): (usize, (Severity, &str, &str, &str, &str))| Message {
                time: ago((at as i64 * 7 + 1) * MINUTE + SECOND),
                received: ago((at as i64 * 7 + 1) * MINUTE),
                device: DeviceId(uuid(at as u64 + 1)),
                device_name: self.text(device),
                component: self.text(component),
                id: self.text(id),
                severity,
                text: self.text(text),
                key: at as u64 + 1,
                number: Some(1_000),
                kind: Some(muster_model::status_catalogue::MessageType::Detail),
                values: std::collections::BTreeMap::new(),
            };
        said.into_iter().enumerate().map(message).collect()
    }

    pub(super) fn timeline(self) -> Vec<TimelineEntry> {
        let told = [
            (Severity::Information, "deployment", "nginx 1.26.3 succeeded."),
            (Severity::Information, "inventory", "INSTALLED_SOFTWARE changed: 3 rows new, 2 gone."),
            (Severity::Warning, "message", "The clock differs from the site's by 412 seconds."),
            (Severity::Error, "deployment", "audit-tools 2.1 failed: exit code 100."),
            (Severity::Information, "administration", "amelia unblocked the device: the laptop was found."),
            (Severity::Information, "enrolment", "amelia approved the request."),
        ];
        let entry = |(at, (severity, kind, text)): (usize, (Severity, &str, &str))| TimelineEntry {
            time: ago(at as i64 * 9 * HOUR),
            kind: self.text(kind),
            severity,
            text: self.text(text),
        };
        told.into_iter().enumerate().map(entry).collect()
    }

    pub(super) fn enrolments(self) -> Vec<Enrolment> {
        let request = |at: u8, name: &str, conflicts: Vec<String>| Enrolment {
            id: EnrolmentId(uuid(u64::from(at))),
            state: EnrolmentState::Pending,
            claims: DeviceClaims {
                host_name: self.text(name),
                operating_system: self.text("Ubuntu 24.04.3 LTS"),
                agent_version: self.text("0.1.0"),
                hardware_id: hash(at + 40),
            },
            key: hash(at),
            key_protection: if at == 1 { KeyProtection::Attested } else { KeyProtection::SoftwareKey },
            hardware: (at == 1).then(|| hash(3)),
            account: (at == 2).then(|| super::sample_evidence::account(&self.text("WEB-01$"))),
            serial: Some(self.text("5CD1234XYZ")),
            serial_note: (at == 1).then(|| self.text("desk 9, room 4")),
            verdict: (at == 2).then(|| self.text("waits: the approval mode is manual")),
            address: self.text("10.20.4.118"),
            created: ago(i64::from(at) * 3 * MINUTE),
            token: TokenId(uuid(u64::from(at) + 90)),
            device: None,
            enterprise: (at == 2).then(|| super::sample_issuer::certificate(self.text("C=DE, O=Example, CN=web-01"))),
            conflicts,
        };
        vec![
            request(1, "reception-tablet", vec![]),
            request(2, "web-01", vec![self.text("web-01 (active) has the same host name")]),
        ]
    }

    pub(super) fn tokens(self) -> Vec<Token> {
        let states = [TokenState::Open, TokenState::Used, TokenState::Expired, TokenState::Revoked];
        let names = ["Front desk tablet", "Lab station 12", "Contractor laptop", "Lost envelope"];
        let token = |(at, (state, name)): (usize, (TokenState, &str))| Token {
            id: TokenId(uuid(at as u64 + 60)),
            name: self.name(name),
            state,
            created: ago((at as i64 + 1) * 20 * HOUR),
            expires: ago((at as i64 - 1) * 20 * HOUR - HOUR),
            created_by: self.name("amelia"),
            used_by: (state == TokenState::Used).then(|| EnrolmentId(uuid(3))),
            serial: None,
        };
        states.into_iter().zip(names).enumerate().map(token).collect()
    }

    pub(super) fn secrets(self) -> Vec<(FileName, u64, Option<UnixMillis>)> {
        let named = |name: &str, devices, sealed| Some((name.parse().ok()?, devices, sealed));
        [named("wifi-key", 1_236, Some(ago(DAY))), named("licence", 0, None)].into_iter().flatten().collect()
    }

    pub(super) fn applications(self) -> Vec<ApplicationInfo> {
        vec![
            self.application(1, "nginx", "1.26.3"),
            self.application(2, "audit-tools", "2.1"),
            self.application(3, "openssl", "3.0.17"),
        ]
    }

    pub(super) fn deployments(self) -> Vec<Deployment> {
        let totals = [
            vec![
                ("succeeded", 702),
                ("failed", 9),
                ("installing", 31),
                ("downloading", 118),
                ("waiting", 260),
                ("targeted", 116),
            ],
            vec![("succeeded", 1_201), ("failed", 35)],
            vec![("succeeded", 1)],
            vec![("targeted", 14)],
        ];
        let names = ["nginx 1.26.3", "openssl 3.0.17", "audit-tools on web-01", "kiosk-shell 5.2"];
        let deployment = |at: usize, totals: Vec<(&str, u64)>, name: &str| Deployment {
            id: DeploymentId(uuid(at as u64 + 300)),
            name: self.name(name),
            application: hash(71 + at as u8),
            application_id: ApplicationId(uuid(201)),
            application_name: self.text(name.split(' ').next().unwrap_or_default()),
            application_version: self.text("1.26.3"),
            target: if at == 2 { Target::Device { device: DeviceId(uuid(14)) } } else { Target::AllSystems },
            high_impact: at == 2,
            outside_windows: at == 1,
            volatile: at == 1,
            software_update: at == 0,
            options: muster_model::program::DeploymentOptions::default(),
            deferral: (at == 0).then_some(muster_model::policy::Deferral {
                times: 3,
                minutes: 240,
                grace_minutes: 2_880,
            }),
            action: muster_model::policy::Action::Install,
            purpose: muster_model::policy::Purpose::Required,
            related: if at == 0 { self.related() } else { Vec::new() },
            available: ago(2 * HOUR),
            deadline: ago(if at == 3 { -8 * HOUR } else { HOUR }),
            created: ago((at as i64 * 26 + 2) * HOUR),
            created_by: self.name("amelia"),
            totals: totals.into_iter().map(|(state, n)| (state.to_owned(), n)).collect(),
            deleted: at == 3 && self == Self::Hostile,
        };
        totals.into_iter().zip(names).enumerate().map(|(at, (t, n))| deployment(at, t, n)).collect()
    }

    pub(super) fn device_deployments(self) -> Vec<DeviceDeployment> {
        let names = ["web-01", "kiosk-lobby", "build-01", "build-02", "db-primary", "front-desk", "kiosk-02"];
        let row = |(at, (state, name)): (usize, (&DeploymentState, &str))| {
            let failed = *state == DeploymentState::Failed;
            DeviceDeployment {
                deployment: DeploymentId(uuid(at as u64 + 300)),
                deployment_name: self.text("nginx 1.26.3"),
                device: DeviceId(uuid(at as u64 + 1)),
                device_name: self.text(name),
                state: *state,
                reason: failed.then_some(FailureReason::ExitCode),
                exit_code: failed.then_some(100),
                output: if failed || self == Self::Hostile {
                    self.text("Reading package lists...\nE: Unable to locate package nginx\nE: Broken dependencies: libssl3 (>= 3.0.17)\n")
                } else {
                    String::new()
                },
                changed: ago(at as i64 * 2 * MINUTE),
                waits: (*state == DeploymentState::Waiting).then_some(WaitReason::Window),
                starts: (*state == DeploymentState::Waiting).then(|| ago(-7 * HOUR)),
                restart: *state == DeploymentState::Succeeded,
                undone: false,
                deployment_type: None,
                deferred: 0,
            }
        };
        DeploymentState::ALL.iter().rev().zip(names).enumerate().map(row).collect()
    }

    pub(super) fn quarantine(self) -> Vec<QuarantineItem> {
        let item = |at: u64, class: Option<&str>, reason: &str, excerpt: &str| QuarantineItem {
            device: DeviceId(uuid(at)),
            received: ago(at as i64 * 5 * HOUR),
            class: class.map(|c| self.text(c)),
            reason: self.text(reason),
            excerpt: self.text(excerpt),
        };
        vec![
            item(
                1,
                Some("LOGICAL_DISK"),
                "attribute \"Size\" has a value of the wrong type or out of range",
                "{\"DeviceID\":\"sda1\",\"Size\":\"large\"}",
            ),
            item(2, None, "the message is not well-formed", "\u{fffd}\u{fffd}{\"channel\":"),
        ]
    }

    pub(super) fn audit(self) -> Vec<AuditEntry> {
        let lines = [
            (
                "amelia",
                "deployment_create",
                "deployment",
                "Deployed nginx 1.26.3 to All Systems (1,236 devices), deadline now.",
            ),
            ("amelia", "enrolment_approve", "enrolment", "Approved web-01."),
            ("jun", "device_block", "device", "Blocked kiosk-lobby: stolen from the lobby."),
            ("amelia", "token_create", "token", "Made a token for the front desk tablet, for 1 day."),
            ("site", "trust_publish", "bundle", "Published trust bundle 2."),
        ];
        let entry = |(at, (actor, action, object, detail)): (usize, (&str, &str, &str, &str))| AuditEntry {
            number: 1_048 - at as u64,
            time: ago(at as i64 * 5 * HOUR + 12 * MINUTE),
            actor: self.text(actor),
            action: self.text(action),
            object: self.text(&format!("{object} {}", uuid(at as u64))),
            detail: self.text(detail),
            head: hash(200 + at as u8),
        };
        lines.into_iter().enumerate().map(entry).collect()
    }

    pub(super) fn site_info(self) -> SiteInfo {
        SiteInfo {
            code: "P01".parse().unwrap(),
            name: self.name("Headquarters"),
            version: self.text("0.1.0"),
            root: hash(33),
            trust_version: 2,
            trust_expires: NOW.plus(12 * DAY),
            management_points: vec![self.text("https://muster.example.org:8443")],
            database: self.text("sqlite"),
        }
    }
}
