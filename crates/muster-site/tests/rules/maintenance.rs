//! Maintenance: what goes when it has been kept for long enough, when, in which pieces, and what of the audit log can be verified afterwards.

use muster_model::{
    api::{MaintenanceSettings, MaintenanceTask, PageQuery, TaskName},
    problem::Code,
    status::{Component, MessageId, Severity, StatusMessage},
    time::{DAY, HOUR},
};
use muster_site::{
    Worker, audit_list, audit_verify, discovery_settings_show, discovery_work, maintenance_history, maintenance_list,
    maintenance_preview, maintenance_run, maintenance_set, maintenance_show,
    testing::{TestDevice, TestSite},
};
use muster_store::{
    db::{
        dialect::Dialect,
        message::{self, MessageRow},
    },
    testing::tamper,
    transaction,
};

const PAGE: PageQuery = PageQuery { offset: 0, limit: 50 };

async fn work(worker: &mut Worker) {
    while worker.step().await.unwrap() {}
}

/// Messages of a device that came so many days ago.
async fn messages(test: &TestSite, device: &TestDevice, days: i64, count: usize) {
    let at = test.now().plus(-days * DAY);
    let message = StatusMessage {
        component: Component::Agent,
        severity: Severity::Information,
        id: MessageId::AgentStarted,
        values: Default::default(),
    };
    let row = MessageRow { device: device.id, happened: at, received: at, message, expires: None };
    transaction!(test.site.store, "t", |tx| { message::insert(tx, &vec![row.clone(); count]).await }).unwrap();
}

async fn total(test: &TestSite) -> u64 {
    maintenance_preview(&test.full(), &test.site, TaskName::StatusMessages, None).await.unwrap().total
}

/// Time passes, as a site lives through it.
async fn live(test: &TestSite, days: i64) {
    for _ in 0..days {
        test.sources.pass(DAY);
        while discovery_work(&test.site, test.now()).await.unwrap() {}
    }
}

/// Goes to the beginning of the next hour of this number, in UTC.
fn until_hour(test: &TestSite, hour: i64) {
    let now = test.now().0;
    test.sources.pass((hour * HOUR - now).rem_euclid(DAY));
}

async fn set(test: &TestSite, name: TaskName, wanted: &MaintenanceSettings) -> Result<MaintenanceTask, Code> {
    maintenance_set(&test.full(), &test.site, name, wanted).await.map_err(|error| error.code())
}

// proves P3 P8
#[tokio::test]
async fn what_was_kept_for_long_enough_goes_in_the_hours_of_its_task_and_nothing_else() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let mut worker = Worker::new(test.site.clone());
        live(&test, 2).await;
        until_hour(&test, 12);
        messages(&test, &device, 31, 1_000).await;
        messages(&test, &device, 20, 7).await;
        let before = total(&test).await;
        let preview = maintenance_preview(&test.analyst(), &test.site, TaskName::StatusMessages, None).await.unwrap();
        assert_eq!((preview.rows, preview.total), (1_000, before));
        let shorter = maintenance_preview(&test.analyst(), &test.site, TaskName::StatusMessages, Some(19)).await;
        assert_eq!(shorter.unwrap().rows, 1_007);
        work(&mut worker).await;
        assert_eq!(total(&test).await, before, "it is noon");
        until_hour(&test, 1);
        work(&mut worker).await;
        assert_eq!(total(&test).await, before - 1_000);
        let task = maintenance_show(&test.analyst(), &test.site, TaskName::StatusMessages).await.unwrap();
        let run = task.last.clone().unwrap();
        assert_eq!((run.removed, run.asked_by.clone(), run.ended.is_some()), (1_000, None, true));
        assert!(run.pieces >= 2 && run.longest > 0, "{run:?}");
        assert_eq!(task.next.unwrap().0.rem_euclid(DAY), 0, "tomorrow at midnight");
        let said = audit_list(&test.full(), &test.site, PAGE).await.unwrap().items;
        assert!(said.iter().any(|entry| entry.action == "maintenance_end" && entry.detail.starts_with("1000 row(s)")));

        // Not twice in a night; and by day when somebody asks.
        messages(&test, &device, 31, 3).await;
        test.sources.pass(HOUR);
        work(&mut worker).await;
        assert_eq!(total(&test).await, before - 997);
        until_hour(&test, 15);
        let asked = maintenance_run(&test.full(), &test.site, TaskName::StatusMessages).await.unwrap();
        assert_eq!(asked.last.unwrap().asked_by.as_deref(), Some(test.full().actor().as_str()));
        work(&mut worker).await;
        assert_eq!(total(&test).await, before - 1_000);
        let runs = maintenance_history(&test.analyst(), &test.site, TaskName::StatusMessages, PAGE).await.unwrap();
        assert!(runs.total >= 2 && runs.items[0].removed == 3, "{runs:?}");
    }
}

#[tokio::test]
async fn a_wrong_clock_removes_nothing_and_hides_nothing() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let mut worker = Worker::new(test.site.clone());
        live(&test, 2).await;
        until_hour(&test, 1);
        // Dated into the future by a clock that was wrong, before those that are old.
        messages(&test, &device, -400, 300).await;
        messages(&test, &device, 31, 5).await;
        let before = total(&test).await;
        test.sources.pass(2 * DAY);
        work(&mut worker).await;
        assert_eq!(total(&test).await, before - 5);
        // A year goes by in one step: nobody could have looked at anything in that time.
        messages(&test, &device, 1, 4).await;
        test.sources.pass(365 * DAY);
        work(&mut worker).await;
        assert_eq!(total(&test).await, before - 1, "what came yesterday is not a year old");
    }
}

// proves S1: what would hurt is refused with its reason
#[tokio::test]
async fn a_task_is_set_in_its_bounds_by_who_may() {
    for test in TestSite::all().await {
        let days = |days| MaintenanceSettings { keep_days: Some(days), ..MaintenanceSettings::default() };
        let hours = |text: &str| MaintenanceSettings { hours: Some(text.to_owned()), ..MaintenanceSettings::default() };
        let every = |days| MaintenanceSettings { every_days: Some(days), ..MaintenanceSettings::default() };
        for (name, wrong) in [
            (TaskName::StatusMessages, days(0)),
            (TaskName::AuditLog, days(29)),
            (TaskName::AuditLog, days(3_651)),
            (TaskName::DiscoveryData, days(13)),
            (TaskName::DiscoveryData, hours("mon 00:00-01:00")),
            (TaskName::StatusMessages, hours("whenever")),
            (TaskName::StatusMessages, every(0)),
            (TaskName::StatusMessages, every(31)),
        ] {
            assert_eq!(set(&test, name, &wrong).await, Err(Code::Malformed), "{name} {wrong:?}");
        }
        let refused = maintenance_set(&test.full(), &test.site, TaskName::DiscoveryData, &days(13)).await.unwrap_err();
        assert!(refused.problem().detail.contains("live devices would come and go"), "{refused:?}");
        for ctx in [test.analyst(), test.anonymous()] {
            assert!(maintenance_set(&ctx, &test.site, TaskName::AuditLog, &days(90)).await.is_err());
            assert!(maintenance_run(&ctx, &test.site, TaskName::AuditLog).await.is_err());
        }
        assert!(maintenance_list(&test.anonymous(), &test.site).await.is_err());
        let run = maintenance_run(&test.full(), &test.site, TaskName::DiscoveryData).await.unwrap_err();
        assert_eq!(run.code(), Code::Conflict);

        let all = maintenance_list(&test.analyst(), &test.site).await.unwrap().items;
        let kept: Vec<_> = all.iter().map(|task| (task.name, task.keep_days)).collect();
        for default in [(TaskName::DiscoveryData, 90), (TaskName::AuditLog, 180), (TaskName::StatusMessages, 30)] {
            assert!(kept.contains(&default), "{kept:?}");
        }
        set(&test, TaskName::DiscoveryData, &days(60)).await.unwrap();
        assert_eq!(discovery_settings_show(&test.analyst(), &test.site).await.unwrap().keep_days, 60);
        let off = MaintenanceSettings { enabled: Some(false), ..hours("sat,sun 22:00-04:00") };
        let task = set(&test, TaskName::StatusMessages, &off).await.unwrap();
        assert_eq!((task.enabled, task.hours.as_str(), task.next), (false, "sat-sun 22:00-04:00", None));
        assert_eq!(task.changed_by.as_deref(), Some(test.full().actor().as_str()));
    }
}

async fn done(test: &TestSite, statement: String) {
    tamper(&test.site.store, statement.leak()).await;
}

// proves I3: the rest of the log can be verified, and a removal that nobody noted is found
#[tokio::test]
async fn the_audit_log_is_shortened_from_its_beginning_and_stays_verifiable() {
    for test in TestSite::all().await {
        let mut worker = Worker::new(test.site.clone());
        live(&test, 2).await;
        let old = audit_list(&test.full(), &test.site, PAGE).await.unwrap().total;
        assert!(old > 0);
        live(&test, 190).await;
        until_hour(&test, 1);
        work(&mut worker).await;
        let verdict = audit_verify(&test.full(), &test.site).await.unwrap();
        assert_eq!(verdict.broken_at, None);
        let left = audit_list(&test.full(), &test.site, PAGE).await.unwrap();
        assert!(left.items.iter().all(|entry| test.now().since(entry.time) <= 181 * DAY), "{left:?}");
        let note = left.items.iter().find(|entry| entry.action == "audit_remove").unwrap();
        assert!(note.object.starts_with("audit "), "{note:?}");
        // Somebody who writes into the database removes one more from the beginning, with the note of where it begins.
        let first = left.items.last().unwrap();
        let head = first.head.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let bytes = match test.site.store.dialect() {
            Dialect::Postgres => format!("decode('{head}', 'hex')"),
            Dialect::Sqlite => format!("X'{head}'"),
        };
        done(&test, format!("DELETE FROM audit WHERE number = {}", first.number)).await;
        assert!(audit_verify(&test.full(), &test.site).await.unwrap().broken_at.is_some());
        done(&test, format!("UPDATE audit_base SET number = {}, head = {bytes}", first.number)).await;
        let verdict = audit_verify(&test.full(), &test.site).await.unwrap();
        assert_eq!(verdict.broken_at, Some(first.number), "nothing in the log says so");
    }
}
