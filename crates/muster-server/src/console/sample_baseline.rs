//! Sample data of baselines and compliance.

use super::{
    baseline::{BaselineDeploymentPage, BaselineForm, BaselineNewPage, BaselinePage, BaselinesPage, ResultsPage},
    sample::{Flavour, NOW, ago, hash, uuid},
};
use askama::Template;
use muster_model::{
    api::{
        BaselineDeployment, BaselineInfo, BaselinePreview, DeviceCompliance, PageQuery, ResultQuery, SettingCompliance,
        SettingTotals, Target,
    },
    application::{Command, Platform, Privilege},
    baseline::{
        Baseline, ConfigurationItem, Discovery, FileRead, Interpreter, Pass, Remediation, Rule, Script,
        ServiceProperty, Setting, SettingSeverity, ValueType,
    },
    compliance::{ComplianceReason, ComplianceState},
    id::{BaselineId, DeploymentId, DeviceId},
    status::WaitReason,
    time::{DAY, HOUR},
};

fn setting(f: Flavour, name: &str, discovery: Discovery, rule: Rule, remediation: Option<Remediation>) -> Setting {
    Setting {
        name: f.name(name),
        discovery,
        value_type: ValueType::String,
        rules: vec![rule, Rule::Exists { exists: true }],
        severity: SettingSeverity::Critical,
        private: remediation.is_none(),
        remediation,
    }
}

fn baseline(f: Flavour) -> BaselineInfo {
    let command =
        Command { program: "/usr/sbin/sshd".to_owned(), arguments: vec![f.text("-T")], success_codes: vec![0] };
    let script = Script {
        interpreter: Interpreter::Sh,
        text: f.text("echo 1"),
        parameters: Vec::new(),
        pass: Pass::Arguments,
        privilege: Privilege::None,
    };
    let file = |read| Discovery::File { path: f.text("/etc/ssh/sshd_config"), read, follow_links: false };
    let key = FileRead::Key { key: f.text("PermitRootLogin"), separator: None, last: false };
    let service = Discovery::Service { name: f.text("ssh"), property: ServiceProperty::State };
    let settings = vec![
        setting(
            f,
            "Root",
            file(key),
            Rule::OneOf { values: vec![f.text("no"), f.text("prohibit-password")] },
            Some(Remediation::File { content: Some(f.text("PermitRootLogin no")), mode: Some("0600".to_owned()) }),
        ),
        setting(f, "Mode", file(FileRead::Mode), Rule::Equals { value: f.text("0600") }, None),
        setting(
            f,
            "Runs",
            service,
            Rule::Matches { pattern: f.text("run*") },
            Some(Remediation::Script { script: script.clone() }),
        ),
        setting(
            f,
            "Effective",
            Discovery::Command { command, privilege: Privilege::Root },
            Rule::Not { value: f.text("yes") },
            None,
        ),
        setting(f, "Script", Discovery::Script { script }, Rule::Less { than: f.text("7") }, None),
    ];
    BaselineInfo {
        hash: hash(91),
        baseline: Baseline {
            id: BaselineId(uuid(501)),
            name: f.name("Servers"),
            version: f.text("1.2"),
            platform: Platform::Linux,
            items: vec![ConfigurationItem {
                name: f.name("SSH"),
                description: f.text("Nobody signs in as root."),
                settings,
            }],
        },
        authors: vec![hash(8), hash(9)],
        created: ago(3 * DAY),
    }
}

fn deployments(f: Flavour) -> Vec<BaselineDeployment> {
    let totals = [
        vec![
            ("compliant", 1_003),
            ("remediated", 41),
            ("non_compliant", 77),
            ("error", 9),
            ("not_applicable", 30),
            ("unknown", 76),
        ],
        vec![("unknown", 14)],
    ];
    let one = |(at, totals): (usize, Vec<(&str, u64)>)| BaselineDeployment {
        id: DeploymentId(uuid(at as u64 + 510)),
        name: f.name(if at == 0 { "Servers 1.2" } else { "Servers, only looked at" }),
        baseline: hash(91),
        baseline_id: BaselineId(uuid(501)),
        baseline_name: f.text("Servers"),
        baseline_version: f.text("1.2"),
        target: Target::AllSystems,
        every: (at == 0).then_some(HOUR),
        remediate: at == 0,
        outside_windows: at == 1,
        alert_from: (at == 0).then_some(SettingSeverity::Critical),
        alerting: if at == 0 { 77 } else { 0 },
        created: ago(2 * DAY),
        created_by: f.name("amelia"),
        totals: totals.into_iter().map(|(state, n)| (state.to_owned(), n)).collect(),
        deleted: at == 1 && f == Flavour::Hostile,
    };
    totals.into_iter().enumerate().map(one).collect()
}

/// Devices in every state.
pub(super) fn devices(f: Flavour) -> Vec<DeviceCompliance> {
    let one = |(at, state): (usize, &ComplianceState)| DeviceCompliance {
        deployment: DeploymentId(uuid(at as u64 + 510)),
        deployment_name: f.text("Servers 1.2"),
        device: DeviceId(uuid(at as u64 + 1)),
        device_name: f.text("web-01"),
        state: *state,
        severity: (*state == ComplianceState::NonCompliant).then_some(SettingSeverity::Critical),
        reason: (*state == ComplianceState::Error).then_some(ComplianceReason::NotSigned),
        waits: (*state == ComplianceState::Unknown).then_some(WaitReason::Window),
        starts: (*state == ComplianceState::Unknown).then(|| NOW.plus(7 * HOUR)),
        evaluated: (*state != ComplianceState::Unknown).then(|| ago(HOUR)),
        changed: ago(DAY),
    };
    ComplianceState::ALL.iter().enumerate().map(one).collect()
}

fn settings(f: Flavour) -> Vec<SettingTotals> {
    let one = |(number, name): (u32, &str)| SettingTotals {
        setting: number,
        item: f.text("SSH"),
        name: f.text(name),
        severity: SettingSeverity::Warning,
        private: number == 1,
        remediates: number == 0,
        totals: [("compliant".to_owned(), 1_100), ("non_compliant".to_owned(), 136)].into(),
    };
    (0..).zip(["Root", "Mode"]).map(one).collect()
}

fn results(f: Flavour) -> Vec<SettingCompliance> {
    let one = |(at, state): (usize, &ComplianceState)| SettingCompliance {
        device: DeviceId(uuid(at as u64 + 1)),
        device_name: f.text("web-01"),
        setting: u32::try_from(at).unwrap(),
        item: f.text("SSH"),
        name: f.text("Root"),
        severity: SettingSeverity::Critical,
        state: *state,
        expected: f.text("is no"),
        value: (at % 2 == 0).then(|| f.text("yes")),
        reason: (*state == ComplianceState::Error).then_some(ComplianceReason::ExitCode),
        detail: if *state == ComplianceState::Error { f.text("It ended with code 1.") } else { String::new() },
        changed: ago(HOUR),
    };
    ComplianceState::ALL.iter().enumerate().map(one).collect()
}

/// Every page about baselines, by name.
pub(super) fn pages(f: Flavour) -> Vec<(&'static str, String)> {
    let page = |name: &'static str, text: askama::Result<String>| (name, text.unwrap());
    let (first, empty) = (PageQuery::default(), f == Flavour::Empty);
    let shell = || f.shell("baselines");
    let deployment = || deployments(f).remove(0);
    let form = BaselineForm {
        baseline: Some(hash(91)),
        collection: Some(muster_model::id::CollectionId::ALL_SYSTEMS),
        hours: f.text("24"),
        remediate: true,
        outside_windows: true,
        alert_from: f.text("critical"),
        ..BaselineForm::default()
    };
    let preview = BaselinePreview {
        devices: 1_236,
        examples: vec![f.text("web-01")],
        settings: 5,
        remediates: 2,
        warnings: vec![f.text("2 setting(s) are changed on each device.")],
    };
    let new = |preview: Option<BaselinePreview>| BaselineNewPage {
        shell: shell(),
        baselines: if empty { vec![] } else { vec![baseline(f)] },
        devices: if empty { vec![] } else { f.devices() },
        collections: super::sample_collection::collections(f),
        form: form.clone(),
        problem: preview.is_none().then(|| f.text("Choose a baseline.")),
        preview,
    };
    let list = |rows: Vec<BaselineInfo>| BaselinesPage::new(shell(), first, f.page(rows, 1), f.page(deployments(f), 2));
    let wanted = ResultQuery { setting: Some(0), limit: 50, ..ResultQuery::default() };
    let filtered = Some(ComplianceState::NonCompliant);
    vec![
        page("baselines", list(vec![baseline(f)]).render()),
        page("baseline", BaselinePage { shell: shell(), info: baseline(f) }.render()),
        page(
            "baseline-deployment",
            BaselineDeploymentPage::new(shell(), deployment(), settings(f), None, first, f.page(devices(f), 1_236))
                .render(),
        ),
        page(
            "baseline-deployment-filtered",
            BaselineDeploymentPage::new(shell(), deployment(), settings(f), filtered, first, f.page(devices(f), 77))
                .render(),
        ),
        page(
            "compliance-results",
            ResultsPage::new(shell(), deployment(), f.text("SSH / Root"), &wanted, f.page(results(f), 136)).render(),
        ),
        page("baseline-new", new(None).render()),
        page("baseline-preview", new(Some(preview)).render()),
    ]
}
