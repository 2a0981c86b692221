//! Every page with every sample: nothing unescaped, nothing inline, and usable without eyes, mouse or script.

use super::{
    application::{ApplicationPage, ApplicationsPage},
    approval::ApprovalPage,
    audit::AuditPage,
    boundary::{BoundariesPage, BoundaryFields},
    class::{ClassFields, ClassPage, ClassesPage},
    collection::{CollectionPage, CollectionsPage, NewFields, RuleFields},
    confirm::ConfirmPage,
    conflict::ConflictsPage,
    dashboard::DashboardPage,
    deployment::{DeploymentForm, DeploymentNewPage, DeploymentPage, DeploymentsPage, Preview},
    device::{DevicePage, DevicesPage, Tab},
    discovery::{DirectoryFields, DiscoveryPage},
    enrolment::EnrolmentsPage,
    history::HistoryTab,
    issuer::IssuersPage,
    message::{MessagesPage, QuarantinePage},
    problem::ProblemPage,
    query::QueriesPage,
    resource::{ResourcePage, ResourcesPage},
    sample::{Flavour, HOSTILE, NOW, hash},
    sample_collection, sample_location, sample_resource,
    shell::{Done, Shell, Theme},
    sign_in::SignInPage,
    site::SitePage,
    token::{TokenCreatedPage, TokensPage},
    window::WindowFields,
};
use askama::Template;
use muster_model::{
    api::{
        AuditVerdict, CollectionQuery, ConflictQuery, DeploymentPreview, DeviceQuery, DeviceState, EnrolmentState,
        MessageQuery, PageQuery, QueryChecked, QueryColumn, QueryFinding, QueryLanguage, QueryResult, ResourceQuery,
        Role, SavedQuery, TokenCreated,
    },
    id::TokenId,
    inventory::Value,
    problem::Code,
    status::DeploymentState,
    time::{HOUR, UnixMillis},
};

/// Every page there is, by name.
fn pages(f: Flavour) -> Vec<(&'static str, String)> {
    let mut pages = pages_of_devices(f);
    pages.extend(pages_of_software(f));
    pages.extend(super::sample_baseline::pages(f));
    pages.extend(super::sample_phase::pages(f));
    pages.extend(super::sample_client_status::pages(f));
    pages.extend(super::sample_title::pages(f));
    pages.extend(pages_of_the_rest(f));
    pages
}

fn page(name: &'static str, template: impl Template) -> (&'static str, String) {
    (name, template.render().unwrap())
}

fn first() -> PageQuery {
    PageQuery::default()
}

fn pages_of_devices(f: Flavour) -> Vec<(&'static str, String)> {
    let query = DeviceQuery {
        search: if f == Flavour::Hostile { f.text("") } else { String::new() },
        state: None,
        offset: 0,
        limit: 50,
        ..DeviceQuery::default()
    };
    let filtered = DeviceQuery { search: f.text("nowhere"), state: Some(DeviceState::Blocked), ..query.clone() };
    let approved = Shell { done: Some(Done::Approved), ..f.shell("enrolments") };
    let device = |tab| DevicePage { shell: f.shell("devices"), detail: f.detail(), tab };
    let rows = |single| Tab::Inventory(Some((f.class_rows(single), first())));
    vec![
        page("devices", DevicesPage::new(f.shell("devices"), query, f.page(f.devices(), 100_000))),
        page("devices-none", DevicesPage::new(f.shell("devices"), filtered, Flavour::Empty.page(vec![], 0))),
        page("device", device(Tab::Overview)),
        page("device-classes", device(Tab::Inventory(None))),
        page("device-software", device(rows(false))),
        page("device-system", device(rows(true))),
        page("device-history", device(history(f))),
        page("device-compare", device(Tab::Compare(Box::new(super::sample_history::comparison(f))))),
        page("device-messages", device(Tab::Messages(f.page(f.messages(), 400), first()))),
        page("device-settings", device(Tab::Settings(super::sample_settings::of_device(f)))),
        page("device-logs", device(Tab::Logs(super::sample_evidence::client_log(f)))),
        page("device-timeline", device(Tab::Timeline(f.page(f.timeline(), 6), first()))),
        page("device-block", block(f)),
        page(
            "discovery",
            DiscoveryPage {
                shell: f.shell("discovery"),
                sources: sample_resource::sources(f),
                network: sample_resource::network(f),
                settings: muster_model::api::DiscoverySettings::default(),
                problem: Some(f.text("The name is none.")),
                fields: DirectoryFields::default(),
            },
        ),
        page(
            "resources",
            ResourcesPage::new(
                f.shell("resources"),
                ResourceQuery { limit: 50, ..ResourceQuery::default() },
                f.page(sample_resource::resources(f), 4),
            ),
        ),
        page("resource", ResourcePage { shell: f.shell("resources"), detail: sample_resource::resource(f) }),
        page("enrolments", EnrolmentsPage::new(approved, EnrolmentState::Pending, first(), f.page(f.enrolments(), 2))),
        page(
            "issuers",
            IssuersPage {
                shell: f.shell("issuers"),
                page: f.page(super::sample_issuer::issuers(&|text| f.text(text)), 2),
                problem: Some(f.text("The CA has ended.")),
            },
        ),
        page("conflicts", ConflictsPage::new(f.shell("conflicts"), conflicts(true), f.page(f.conflicts(), 3))),
        page("conflicts-all", ConflictsPage::new(f.shell("conflicts"), conflicts(false), f.page(f.conflicts(), 3))),
        page(
            "tokens",
            TokensPage::new(f.shell("tokens"), first(), f.page(f.tokens(), 4), Some(f.text("A name is needed."))),
        ),
        page(
            "token-created",
            TokenCreatedPage {
                shell: f.shell("tokens"),
                name: f.text("Front desk tablet"),
                created: TokenCreated {
                    id: TokenId(uuid::Uuid::nil()),
                    token: f.text(&format!("muster1.{}", "eyJzaXRlIjoiUDAxIiwicm9vdCI6IjBmMG".repeat(6))),
                    expires: NOW.plus(24 * HOUR),
                },
            },
        ),
    ]
}

fn history(f: Flavour) -> Tab {
    Tab::History(Box::new(HistoryTab::new(super::sample_history::history(f), f.text("DISK"), 50, NOW)))
}

fn conflicts(open: bool) -> ConflictQuery {
    ConflictQuery { open, offset: 0, limit: 50 }
}

fn block(f: Flavour) -> ConfirmPage {
    ConfirmPage {
        shell: f.shell("devices"),
        title: "Block device".to_owned(),
        object: f.text("kiosk-lobby"),
        consequences: vec![
            "Its connections are closed at once, and its certificate is not accepted any more.".to_owned(),
            f.text("It gets no policy and no content, and nothing that it sends is taken."),
            "What is installed on it stays. It can be unblocked.".to_owned(),
        ],
        reason: true,
        action: "/devices/0192f0c1-7a3b-7c4d-8e5f-0123456789ab/block".to_owned(),
        button: "Block device".to_owned(),
        danger: true,
        back: "/devices/0192f0c1-7a3b-7c4d-8e5f-0123456789ab".to_owned(),
        hidden: vec![("revision".to_owned(), f.text("3"))],
    }
}

fn pages_of_software(f: Flavour) -> Vec<(&'static str, String)> {
    let shell = || f.shell("deployments");
    let deployment = f.deployments().remove(0);
    let (applications, devices) = match f {
        Flavour::Empty => (vec![], vec![]),
        _ => (f.applications(), f.devices()),
    };
    let form = DeploymentForm {
        name: if f == Flavour::Hostile { f.text("") } else { String::new() },
        application: Some(hash(71)),
        device: None,
        collection: Some(muster_model::id::CollectionId::ALL_SYSTEMS),
        available: String::new(),
        deadline: "2026-11-25T08:00".to_owned(),
        outside_windows: true,
        offer: true,
        defer_times: "3".to_owned(),
        defer_minutes: String::new(),
        defer_grace: "2880".to_owned(),
        ..f.rest_of_form()
    };
    let new = |preview, problem| DeploymentNewPage {
        shell: shell(),
        applications: applications.clone(),
        devices: devices.clone(),
        collections: super::sample_collection::collections(f),
        form: form.clone(),
        preview,
        problem,
    };
    let preview = Preview {
        preview: DeploymentPreview {
            devices: 1_236,
            examples: devices.iter().take(5).map(|d| d.name.clone()).collect(),
            content_size: 14_250_112,
            forecast: sample_collection::forecast(f),
            related: f.related(),
            types: vec![f.type_preview()],
            rivals: super::sample_phase::rivals(f),
            warnings: vec![f.text("The deadline is in the past: clients start as soon as they know.")],
        },
        name: f.text("nginx for all"),
        application: f.text("nginx 1.26.3"),
        would: "would offer to their users",
        available: NOW,
        deadline: NOW.plus(25 * HOUR),
    };
    let all = f.device_deployments();
    vec![
        page("applications", ApplicationsPage::new(f.shell("applications"), first(), f.page(f.applications(), 3))),
        page(
            "application",
            ApplicationPage {
                shell: f.shell("applications"),
                info: f.application(1, "nginx", "1.26.3"),
                secrets: Vec::new(),
            },
        ),
        page(
            "application-file",
            ApplicationPage {
                shell: f.shell("applications"),
                info: f.application(2, "audit", "2"),
                secrets: f.secrets(),
            },
        ),
        page(
            "application-command",
            ApplicationPage { shell: f.shell("applications"), info: f.application(3, "a", "3"), secrets: Vec::new() },
        ),
        page("deployments", DeploymentsPage::new(shell(), first(), f.page(f.deployments(), 4))),
        page(
            "deployment",
            DeploymentPage::new(
                shell(),
                deployment.clone(),
                None,
                first(),
                f.page(all.clone(), 1_236),
                sample_collection::forecast(f),
            ),
        ),
        page(
            "deployment-failed",
            DeploymentPage::new(
                shell(),
                deployment,
                Some(DeploymentState::Failed),
                first(),
                f.page(vec![all[0].clone()], 9),
                sample_collection::forecast(f),
            )
            .with_order(waiting_order(f)),
        ),
        page("deployment-new", new(None, Some(f.text("Choose an application.")))),
        page("deployment-preview", new(Some(preview), None)),
    ]
}

/// A deployment that waits for a second key again.
fn waiting_order(f: Flavour) -> muster_model::api::DeploymentOrder {
    muster_model::api::DeploymentOrder {
        deployment: muster_model::id::DeploymentId(uuid::Uuid::from_u128(5)),
        above: Some(100),
        order: muster_model::id::Hash([5; 32]),
        body: String::new(),
        devices: 1_236,
        left_out: 3,
        reach: Some(1_300),
        waits_for_approval: true,
        authors: Vec::new(),
        approval: Some(muster_model::api::DeploymentApproved {
            key: muster_model::id::Hash([6; 32]),
            name: Some(f.text("Second")),
            sent_by: f.text("admin"),
            devices: 1_300,
            issued: muster_model::time::UnixMillis(1_790_000_000_000),
            expires: muster_model::time::UnixMillis(1_790_000_100_000),
            dead: Some(f.text("The approval has ended.")),
        }),
    }
}

fn classes(f: Flavour) -> ClassesPage {
    ClassesPage {
        shell: f.shell("classes"),
        classes: super::sample_class::classes(f),
        problem: (f == Flavour::Hostile).then(|| f.text("The class is not taken.")),
        fields: ClassFields { definition: f.text("{}") },
    }
}

fn boundaries(f: Flavour, role: Role) -> BoundariesPage {
    let mut shell = f.shell("boundaries");
    shell.admin.role = role;
    let (groups, boundaries) = match f {
        Flavour::Empty => (vec![], vec![]),
        _ => (sample_location::boundary_groups(f), sample_location::boundaries(f)),
    };
    let fields = BoundaryFields { name: f.text("Berlin"), ..BoundaryFields::default() };
    let problem = (f == Flavour::Hostile).then(|| f.text("Not a boundary."));
    BoundariesPage::new(shell, first(), f.page(groups, 2), f.page(boundaries, 4), problem, fields)
}

fn collection(f: Flavour, built_in: bool) -> CollectionPage {
    let fields = RuleFields { kind: "query".to_owned(), name: f.text("Debian"), value: f.text("select") };
    let (detail, members) = (sample_collection::detail(f, built_in), f.page(sample_collection::members(f), 1_482));
    let explained = (!built_in).then(|| sample_collection::explained(f));
    let shell = f.shell("collections");
    let windows = (sample_collection::windows(f), WindowFields { name: f.text("Night"), ..WindowFields::default() });
    CollectionPage::new(
        shell,
        detail,
        first(),
        members,
        explained,
        Some(f.text("There is no device.")),
        fields,
        windows,
    )
}

fn queries(f: Flavour) -> QueriesPage {
    let finding =
        |name: &str| QueryFinding { name: name.to_owned(), message: f.text("This is never true."), line: 1, column: 8 };
    let column = |name: &str, kind: &str| QueryColumn { name: name.to_owned(), kind: kind.to_owned() };
    let empty = f == Flavour::Empty;
    let row = vec![Some(Value::Text(f.text("build-01"))), None];
    let result = QueryResult {
        columns: vec![column("Name", "text"), column("CreationDate", "moment")],
        rows: if empty { Vec::new() } else { vec![row] },
        complete: empty,
        lints: Vec::new(),
    };
    let kept = SavedQuery {
        id: "0190a000-0000-7000-8000-0000000000a1".parse().unwrap(),
        name: "Old clients".parse().unwrap(),
        language: QueryLanguage::Sql,
        query: f.text("select Name0 from v_R_System"),
        comment: f.text("Who has to be looked at"),
        owner: f.text("Ada"),
        changed: UnixMillis(1_790_000_000_000),
        changed_by: f.text("Ada"),
        revision: 1,
    };
    let checked = QueryChecked {
        canonical: None,
        rule: true,
        classes: Vec::new(),
        error: (f == Flavour::Hostile).then(|| finding("syntax")),
        lints: vec![finding("equals_null")],
    };
    QueriesPage {
        shell: f.shell("queries"),
        query: f.text("select * from SMS_R_System"),
        language: QueryLanguage::Wql,
        kept: f.page(vec![kept], 1),
        checked: Some(checked),
        result: Some(result),
        problem: None,
    }
}

fn pages_of_the_rest(f: Flavour) -> Vec<(&'static str, String)> {
    let audit = |verdict| AuditPage::new(f.shell("audit"), first(), f.page(f.audit(), 1_048), verdict);
    let good = AuditVerdict { entries: 1_048, broken_at: None, head: hash(200) };
    let bad = AuditVerdict { entries: 1_048, broken_at: Some(17), head: hash(200) };
    vec![
        page(
            "sign-in",
            SignInPage {
                site: "P01".parse().unwrap(),
                site_name: f.name("Headquarters"),
                theme: Theme::Auto,
                code: if f == Flavour::Empty { String::new() } else { f.text("7Q2M-KX4T-9BWD") },
                problem: Some(f.text("This code was used before. Run `muster console` for a new one.")),
                signed_out: f == Flavour::Empty,
            },
        ),
        page(
            "problem",
            ProblemPage::new(Theme::Auto, Code::Conflict, f.text("The device is retired; it cannot be blocked.")),
        ),
        page("dashboard", DashboardPage::new(f.shell("overview"), f.dashboard())),
        page(
            "messages",
            MessagesPage::new(
                f.shell("messages"),
                MessageQuery { limit: 50, ..MessageQuery::default() },
                f.page(f.messages(), 5_212),
            ),
        ),
        page("collections", {
            let wanted = CollectionQuery { search: f.text("Lab"), ..CollectionQuery::default() };
            let problem = Some(f.text("A name is needed."));
            let fields = NewFields { name: f.text("Lab"), ..NewFields::default() };
            CollectionsPage::new(
                f.shell("collections"),
                &wanted,
                f.page(sample_collection::collections(f), 3),
                problem,
                fields,
            )
        }),
        page(
            "collection-import",
            super::collection_import::ImportPage {
                shell: f.shell("collections"),
                done: Some(sample_collection::imported(f)),
                problem: Some(f.text("Line 3, column 1: a name is expected here.")),
                fields: super::collection_import::ImportFields { text: f.text("instance of"), make: String::new() },
            },
        ),
        page("collection", collection(f, false)),
        page("collection-built-in", collection(f, true)),
        page("quarantine", QuarantinePage::new(f.shell("quarantine"), first(), f.page(f.quarantine(), 2))),
        page("audit", audit(None)),
        page("audit-good", audit(Some(good))),
        page("audit-bad", audit(Some(bad))),
        page("settings", super::sample_settings::list(f, Role::FullAdministrator)),
        page("settings-default", super::sample_settings::one(f, false, Role::FullAdministrator)),
        page("settings-custom", super::sample_settings::one(f, true, Role::FullAdministrator)),
        page("queries", queries(f)),
        page("boundaries", boundaries(f, Role::FullAdministrator)),
        page("classes", classes(f)),
        page("class", ClassPage { shell: f.shell("classes"), class: super::sample_class::class(f) }),
        page("boundaries-analyst", boundaries(f, Role::ReadOnlyAnalyst)),
        page("settings-analyst", super::sample_settings::one(f, true, Role::ReadOnlyAnalyst)),
        page(
            "approval",
            ApprovalPage {
                shell: f.shell("approval"),
                approval: f.approval(),
                domains: f.text("LAB.EXAMPLE muster/site.example S-1-5-21-1-2-3-1105"),
                serials: f.page(f.serials(), 2),
                problem: Some(f.text("Name the trusted domains first.")),
            },
        ),
        page(
            "site",
            SitePage {
                shell: f.shell("site"),
                info: f.site_info(),
                trust: f.trust(),
                admins: vec![f.admin(1, "amelia", Role::FullAdministrator), f.admin(2, "jun", Role::ReadOnlyAnalyst)],
                revocation: f.revocation(),
            },
        ),
    ]
}

/// The tags of a page: name and attributes, as written.
fn tags(html: &str) -> Vec<(&str, &str)> {
    let inside = html.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag);
    inside.map(|tag| tag.split_once([' ', '\n']).unwrap_or((tag, ""))).collect()
}

/// The value of an attribute.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let start = attributes.find(&format!("{name}=\""))? + name.len() + 2;
    attributes[start..].split('"').next()
}

fn for_every_page(check: impl Fn(&str, &str)) {
    for flavour in Flavour::ALL {
        for (name, html) in pages(flavour) {
            check(&format!("{name} ({flavour:?})"), &html);
        }
    }
}

/// What comes from a device or an administrator never becomes markup, and never hides.
#[test]
fn hostile_text_is_shown_and_never_obeyed() {
    for (name, html) in pages(Flavour::Hostile) {
        let lower = html.to_lowercase();
        assert!(!lower.contains("<script>") && !lower.contains("<img"), "{name}: markup from outside");
        assert!(!html.contains("\"'><"), "{name}: a quote from outside ends an attribute");
        for hidden in ['\u{202e}', '\u{200b}', '\0'] {
            assert!(!html.contains(hidden), "{name}: {hidden:?} is not made visible");
        }
        assert!(!html.contains(HOSTILE), "{name}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{name}: the text itself is shown");
    }
}

#[test]
fn nothing_is_inline_so_that_the_policy_can_be_strict() {
    for_every_page(|name, html| {
        for (tag, attributes) in tags(html) {
            assert!(tag != "style", "{name}: inline style");
            assert!(tag != "script" || attribute(attributes, "src").is_some(), "{name}: inline script");
            let names = attributes.split('"').step_by(2).map(|part| part.trim().trim_end_matches('='));
            for attribute in names.flat_map(|part| part.split_whitespace().last()) {
                assert!(!attribute.starts_with("on") || attribute == "on", "{name}: {tag} has {attribute}");
                assert!(attribute != "style", "{name}: {tag} has a style attribute");
                assert!(!attribute.starts_with("hx-on"), "{name}: {tag} has {attribute}");
            }
            for link in ["src", "href", "action", "hx-get"] {
                let to = attribute(attributes, link).unwrap_or("/");
                assert!(to.starts_with('/') || to.starts_with('#'), "{name}: {tag} leads to {to}");
            }
        }
    });
}

#[test]
fn every_page_has_one_heading_a_title_and_landmarks() {
    for_every_page(|name, html| {
        let tags = tags(html);
        let number = |wanted: &str| tags.iter().filter(|(tag, _)| *tag == wanted).count();
        assert_eq!((number("h1"), number("main"), number("title")), (1, 1, 1 + number_of_svg_titles(html)), "{name}");
        assert!(html.starts_with("<!doctype html>"), "{name}");
        assert!(html.contains("<html lang=\"en\""), "{name}");
        let ids: Vec<&str> = tags
            .iter()
            .filter_map(|(_, a)| attribute(&format!(" {a}"), " id").map(str::to_owned))
            .map(|s| &*s.leak())
            .collect();
        for id in &ids {
            assert_eq!(ids.iter().filter(|other| *other == id).count(), 1, "{name}: id {id} stands twice");
        }
    });
}

fn number_of_svg_titles(html: &str) -> usize {
    html.matches("<title>").count() - 1
}

#[test]
fn every_input_has_a_label_and_every_change_carries_the_token() {
    for_every_page(|name, html| {
        let tags = tags(html);
        let labels: Vec<&str> =
            tags.iter().filter(|(tag, _)| *tag == "label").filter_map(|(_, a)| attribute(a, "for")).collect();
        for (tag, attributes) in tags.iter().filter(|(tag, _)| ["input", "select", "textarea"].contains(tag)) {
            if ["hidden", "checkbox"].contains(&attribute(attributes, "type").unwrap_or("text")) {
                continue;
            }
            let id = attribute(&format!(" {attributes}"), " id").map(str::to_owned);
            assert!(id.is_some_and(|id| labels.contains(&id.as_str())), "{name}: {tag} {attributes} has no label");
        }
        for form in html.split("<form").skip(1).filter_map(|rest| rest.split("</form>").next()) {
            let (head, body) = form.split_once('>').unwrap();
            let posts = attribute(head, "method") == Some("post");
            assert!(posts || attribute(head, "method") == Some("get"), "{name}: a form without method");
            let token = body.contains("name=\"csrf\" value=\"csrf-of-this-session\"");
            let before_a_session = attribute(head, "action") == Some("/sign-in");
            assert_eq!(token, posts && !before_a_session, "{name}: form{head}");
        }
        for table in html.split("<table").skip(1).filter_map(|rest| rest.split("</table>").next()) {
            assert!(table.contains("<caption") && table.contains("scope=\"col\""), "{name}: a table without headings");
        }
    });
}

#[test]
fn an_analyst_sees_no_button_that_changes() {
    let (_, html) =
        pages_of_the_rest(Flavour::Plain).into_iter().find(|(name, _)| *name == "settings-analyst").unwrap();
    assert!(html.contains("action=\"/settings/") && !html.contains("Save</button>") && !html.contains("Move</button>"));
}

/// Writes all pages with their assets to the directory that `MUSTER_CONSOLE_PREVIEW` names, to be looked at.
#[test]
fn pages_can_be_looked_at() {
    let Some(directory) = std::env::var_os("MUSTER_CONSOLE_PREVIEW") else { return };
    let directory = std::path::PathBuf::from(directory);
    let assets = [
        (&super::assets::Assets::get().style, "assets/console.css"),
        (&super::assets::Assets::get().script, "assets/console.js"),
        (&super::assets::Assets::get().htmx, "assets/vendor/htmx-2.0.11.min.js"),
        (&super::assets::Assets::get().icon, "assets/icon.svg"),
    ];
    for (address, file) in assets {
        let to = directory.join(address.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file), to).unwrap();
    }
    for flavour in Flavour::ALL {
        for (name, html) in pages(flavour) {
            let file = format!("{flavour:?}-{name}.html").to_lowercase();
            std::fs::write(directory.join(file), html).unwrap();
        }
    }
}
