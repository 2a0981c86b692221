//! Sample data of software titles.

use super::{
    maintenance::{MaintenancePage, TaskPage},
    sample::{Flavour, NOW},
    title::{TitlePage, TitlesPage},
    update::UpdatesPage,
    update_rule::{UpdateRulePage, UpdateRulesPage},
};
use askama::Template;
use muster_model::{
    api::{
        Count, MaintenancePreview, MaintenanceRun, MaintenanceTask, ModelCount, PageQuery, SoftwareTitle,
        SoftwareUpdate, SoftwareVersion, Spread, TaskName, TitleDetail, TitleQuery, UpdateDraft, UpdateQuery,
        UpdateRule, UpdateRuleDetail, UpdateRuleInfo,
    },
    id::{DeploymentId, Hash, UpdateRuleId},
    time::{DAY, MINUTE},
    update::{UpdateGroup, UpdateGroupChange, UpdateTool},
};

fn title(sample: Flavour, id: u64, product: &str, publisher: &str, devices: u64) -> SoftwareTitle {
    SoftwareTitle { id, product: sample.text(product), publisher: sample.text(publisher), devices, versions: 4 }
}

fn maintenance(sample: Flavour) -> Vec<MaintenanceTask> {
    let task = |(at, name): (usize, &TaskName)| MaintenanceTask {
        name: *name,
        about: name.about().to_owned(),
        enabled: at != 2,
        keep_days: name.default_days(),
        default_days: name.default_days(),
        every_days: 1,
        hours: "mon-sun 00:00-05:00".to_owned(),
        continuous: name.is_continuous(),
        changed: (at == 1).then_some(NOW),
        changed_by: (at == 1).then(|| sample.text("Ada")),
        next: Some(NOW.plus(90 * MINUTE)),
        last: (sample != Flavour::Empty && at < 3).then(|| run(sample, *name, at)),
    };
    TaskName::ALL.iter().enumerate().map(task).collect()
}

fn run(sample: Flavour, task: TaskName, at: usize) -> MaintenanceRun {
    MaintenanceRun {
        id: 7,
        task,
        began: NOW.plus(-30 * MINUTE),
        ended: (at != 0).then_some(NOW),
        before: NOW.plus(-30 * DAY),
        removed: 1_204_331,
        pieces: 241,
        longest: 23_417,
        asked_by: (at == 1).then(|| sample.text("Ada")),
    }
}

fn maintenance_pages(sample: Flavour) -> Vec<(&'static str, String)> {
    let tasks = maintenance(sample);
    let empty = sample == Flavour::Empty;
    let page = |name: &'static str, at: usize, problem: Option<String>| {
        let task = tasks[at].clone();
        let rows = if empty { 0 } else { 1_204_331 };
        let oldest = (!empty).then(|| NOW.plus(-41 * DAY));
        let before = NOW.plus(-30 * DAY);
        let preview = MaintenancePreview { task: task.name, before, rows, total: rows * 3, oldest };
        let runs = if empty { vec![] } else { vec![run(sample, task.name, 0), run(sample, task.name, 1)] };
        let runs = (PageQuery::default(), sample.page(runs, if empty { 0 } else { 2 }));
        (name, TaskPage::new(sample.shell("maintenance"), task, preview, runs, problem).render().unwrap())
    };
    let refused = Some(sample.text("audit_log is kept for 30 to 3650 days."));
    vec![
        ("maintenance", MaintenancePage { shell: sample.shell("maintenance"), tasks: tasks.clone() }.render().unwrap()),
        page("maintenance-task", 1, None),
        page("maintenance-refused", 6, refused),
        page("maintenance-continuous", 7, None),
    ]
}

fn titles(sample: Flavour) -> Vec<SoftwareTitle> {
    if sample == Flavour::Empty {
        return vec![];
    }
    vec![
        title(sample, 7, "Mozilla Firefox", "Mozilla", 98_211),
        title(sample, 8, "OpenSSL", "OpenSSL", 61_002),
        title(sample, 9, "VLC media player", "VideoLAN", 12),
    ]
}

fn title_detail(sample: Flavour) -> TitleDetail {
    let version = |version: &str, devices| SoftwareVersion { version: sample.text(version), devices };
    let versions = match sample {
        Flavour::Empty => vec![],
        _ => vec![version("118.0.1", 60_100), version("115.3.1esr-1~deb12u1", 38_000), version("3.6", 1)],
    };
    TitleDetail { title: title(sample, 7, "Mozilla Firefox", "Mozilla", 98_211), versions }
}

/// What is how frequent.
pub(super) fn spread(sample: Flavour) -> Spread {
    let models = [("Dell Inc.", "OptiPlex 7010", 402), ("LENOVO", "ThinkPad T14 Gen 5", 317), ("QEMU", "", 141)];
    let makers = [("Dell Inc.", 466), ("LENOVO", 390), ("QEMU", 141)];
    let model = |(maker, model, count): (&str, &str, u64)| ModelCount {
        manufacturer: sample.text(maker),
        model: sample.text(model),
        count,
    };
    Spread {
        models: models.map(model).into(),
        manufacturers: makers.map(|(label, count)| Count { label: sample.text(label), count }).into(),
        software: titles(sample),
        restart_pending: 14,
        unknown: 3,
        counted: NOW.plus(-MINUTE),
    }
}

/// Updates that devices miss.
fn updates(sample: Flavour) -> Vec<SoftwareUpdate> {
    if sample == Flavour::Empty {
        return vec![];
    }
    let update = |id, package: &str, security, later: Option<&str>| SoftwareUpdate {
        id,
        package: sample.text(package),
        architecture: "amd64".to_owned(),
        version: sample.text("3.0.17-1~deb12u2"),
        tool: "apt".to_owned(),
        origin: sample.text("Debian-Security:12/stable-security"),
        security,
        devices: 61_002 / id,
        first_seen: NOW.plus(-MINUTE),
        superseded_by: later.map(|later| sample.text(later)),
    };
    vec![update(1, "openssl", true, None), update(2, "bash", false, Some("5.2.15-2+b13"))]
}

fn update_rule(sample: Flavour) -> UpdateRuleInfo {
    let rule = UpdateRule {
        name: sample.name("Security updates"),
        tool: UpdateTool::Apt,
        security: true,
        origins: vec![sample.text("Debian-Security:*")],
        names: Vec::new(),
        exclude: vec![sample.text("linux-image-*")],
        min_age_hours: 48,
        min_devices: 1,
        every_hours: 24,
        exact: false,
        allow_new: false,
        allow_removals: false,
        max_run_seconds: 3_600,
        application: None,
        deployment: (sample != Flavour::Empty).then(|| DeploymentId(uuid::Uuid::from_u128(300))),
    };
    UpdateRuleInfo {
        id: UpdateRuleId(uuid::Uuid::from_u128(1)),
        rule,
        created: NOW.plus(-MINUTE),
        created_by: sample.name("amelia"),
        looked: (sample != Flavour::Empty).then(|| NOW.plus(-MINUTE)),
        due: NOW,
        drafted: (sample != Flavour::Empty).then(|| NOW.plus(-MINUTE)),
        changes: 2,
    }
}

fn update_rules(sample: Flavour) -> Vec<UpdateRuleInfo> {
    if sample == Flavour::Empty { vec![] } else { vec![update_rule(sample)] }
}

fn update_rule_detail(sample: Flavour) -> UpdateRuleDetail {
    let change = |package: &str, from: Option<&str>, to: Option<&str>| UpdateGroupChange {
        package: sample.text(package),
        from: from.map(|from| sample.text(from)),
        to: to.map(|to| sample.text(to)),
    };
    let group = UpdateGroup {
        tool: UpdateTool::Apt,
        packages: Vec::new(),
        criteria: None,
        exclude: Vec::new(),
        allow_new: false,
        allow_removals: false,
    };
    let draft = UpdateDraft {
        group,
        version: sample.text("4"),
        last: Some(Hash([7; 32])),
        changes: vec![
            change("openssl", Some("3.0.15-1~deb12u1"), Some("3.0.17-1~deb12u2")),
            change("bash", None, Some("5.2.15-2+b13")),
            change("nano", Some("7.2-1"), None),
        ],
        left_out: 3,
    };
    UpdateRuleDetail { info: update_rule(sample), draft: (sample != Flavour::Empty).then_some(draft) }
}

pub(super) fn pages(f: Flavour) -> Vec<(&'static str, String)> {
    let (titles, updates) = (f.page(titles(f), 3), f.page(updates(f), 2));
    let problem = (f == Flavour::Hostile).then(|| f.text("The name does not do."));
    let (first, rules) = (PageQuery { offset: 0, limit: 50 }, f.page(update_rules(f), 1));
    let rules = UpdateRulesPage::new(f.shell("updates"), first, rules, f.deployments(), problem);
    let mut pages = vec![
        ("software", TitlesPage::new(f.shell("software"), &TitleQuery::default(), titles).render().unwrap()),
        ("updates", UpdatesPage::new(f.shell("updates"), UpdateQuery::default(), updates, 1).render().unwrap()),
        ("update-rules", rules.render().unwrap()),
        ("update-rule", UpdateRulePage { shell: f.shell("updates"), detail: update_rule_detail(f) }.render().unwrap()),
        ("software-title", TitlePage::new(f.shell("software"), title_detail(f)).render().unwrap()),
    ];
    pages.extend(maintenance_pages(f));
    pages
}
