//! Devices: the list, and one device with everything that is known about it.

use super::{
    confirm::ConfirmPage,
    format,
    history::HistoryTab,
    paging::{self, Paging, query},
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, PageRefusal, ReasonFields, Rows, Visit, Wanted, chosen, go_done},
};
use askama::Template;
use muster_model::{
    api::{
        ClassRows, ClientLog, Device, DeviceComparison, DeviceDetail, DeviceQuery, DeviceSetting, DeviceSort,
        DeviceState, Message, MessageQuery, Page, PageQuery, Reason, TimelineEntry,
    },
    id::DeviceId,
    inventory::Value,
    time::UnixMillis,
};

/// `GET /devices`.
#[derive(Debug, Template)]
#[template(path = "devices.html")]
pub(crate) struct DevicesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What was asked for.
    pub(crate) query: DeviceQuery,
    /// The rows.
    pub(crate) page: Page<Device>,
    paging: Paging,
}

/// A column's heading: its words, the address that sorts by it, and how it is sorted now.
struct Heading {
    words: &'static str,
    address: String,
    sorted: Option<&'static str>,
}

impl DevicesPage {
    /// The page for these rows.
    pub(crate) fn new(shell: Shell, query: DeviceQuery, page: Page<Device>) -> Self {
        let paging =
            Paging::new(&page, query.limit, |offset| devices_address(&DeviceQuery { offset, ..query.clone() }));
        Self { shell, query, page, paging }
    }

    fn headings(&self) -> Vec<Heading> {
        let columns = [
            (DeviceSort::Name, "Name"),
            (DeviceSort::State, "State"),
            (DeviceSort::OperatingSystem, "Operating system"),
            (DeviceSort::LastSeen, "Last contact"),
            (DeviceSort::Enrolled, "Enrolled"),
        ];
        let heading = |(sort, words)| {
            let here = self.query.sort == sort;
            let descending = here && !self.query.descending;
            let address = devices_address(&DeviceQuery { sort, descending, offset: 0, ..self.query.clone() });
            let sorted = here.then_some(if self.query.descending { "descending" } else { "ascending" });
            Heading { words, address, sorted }
        };
        columns.into_iter().map(heading).collect()
    }

    fn is_filtered(&self) -> bool {
        !self.query.search.is_empty() || self.query.state.is_some()
    }

    fn states(&self) -> &'static [DeviceState] {
        DeviceState::ALL
    }

    fn is_state(&self, state: &DeviceState) -> bool {
        self.query.state == Some(*state)
    }
}

/// The address of a list of devices.
fn devices_address(wanted: &DeviceQuery) -> String {
    let offset = if wanted.offset == 0 { String::new() } else { wanted.offset.to_string() };
    let limit = if wanted.limit == PageQuery::default().limit { String::new() } else { wanted.limit.to_string() };
    let pairs = [
        ("search", wanted.search.as_str()),
        ("state", wanted.state.map_or("", DeviceState::as_str)),
        ("sort", if wanted.sort == DeviceSort::default() { "" } else { wanted.sort.as_str() }),
        ("descending", if wanted.descending { "true" } else { "" }),
        ("offset", &offset),
        ("limit", &limit),
    ];
    format!("/devices{}", query(&pairs))
}

/// Rows of an inventory class on one page: a thousand packages are five pages.
const INVENTORY_ROWS: u32 = 200;

/// What a device's page shows below its heading.
#[derive(Debug)]
pub(crate) enum Tab {
    /// Identity, certificate, policy, deployments.
    Overview,
    /// The classes, and the rows of one of them.
    Inventory(Option<(ClassRows, PageQuery)>),
    /// How its inventory changed.
    History(Box<HistoryTab>),
    /// Two moments of its inventory.
    Compare(Box<DeviceComparison>),
    /// Its status messages.
    Messages(Page<Message>, PageQuery),
    /// Its client settings, each with what says so.
    Settings(Vec<DeviceSetting>),
    /// Where its log stands, and pieces of it.
    Logs(ClientLog),
    /// Its history.
    Timeline(Page<TimelineEntry>, PageQuery),
}

/// `GET /devices/{id}` and the addresses below it.
#[derive(Debug, Template)]
#[template(path = "device.html")]
pub(crate) struct DevicePage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The device.
    pub(crate) detail: DeviceDetail,
    /// What is shown of it.
    pub(crate) tab: Tab,
}

impl DevicePage {
    pub(crate) fn address(&self) -> String {
        format!("/devices/{}", self.detail.device.id)
    }

    fn is_tab(&self, name: &str) -> bool {
        let here = match self.tab {
            Tab::Overview => "overview",
            Tab::Inventory(_) => "inventory",
            Tab::History(_) | Tab::Compare(_) => "history",
            Tab::Messages(..) => "messages",
            Tab::Settings(_) => "settings",
            Tab::Logs(_) => "logs",
            Tab::Timeline(..) => "timeline",
        };
        here == name
    }

    fn is_class(&self, class: &str) -> bool {
        matches!(&self.tab, Tab::Inventory(Some((rows, _))) if rows.class == class)
    }

    fn rows_total(&self) -> u64 {
        self.detail.classes.iter().map(|class| class.rows).sum()
    }

    fn is_active(&self) -> bool {
        self.detail.device.state == DeviceState::Active
    }

    fn is_quarantined(&self) -> bool {
        self.detail.device.state == DeviceState::Quarantined
    }

    fn is_blocked(&self) -> bool {
        self.detail.device.state == DeviceState::Blocked
    }

    fn is_past(&self, moment: &UnixMillis) -> bool {
        *moment <= self.shell.now
    }

    /// Paging of the shown list; `path` is what follows the device's address.
    fn paging<T>(&self, page: &Page<T>, wanted: &PageQuery, path: &str) -> Paging {
        let address = self.address();
        Paging::new(page, wanted.limit, |offset| format!("{address}/{path}?offset={offset}&limit={}", wanted.limit))
    }

    fn class_paging(&self, rows: &ClassRows, wanted: &PageQuery) -> Paging {
        let page = Page { items: vec![(); rows.rows.len()], total: rows.total, offset: wanted.offset };
        self.paging(&page, wanted, &format!("inventory/{}", rows.class))
    }

    /// The attributes in the order of a reader: what names the row first, then as in the catalogue.
    pub(crate) fn columns<'a>(&self, rows: &'a ClassRows) -> Vec<&'a String> {
        let rank = |name: &String| NAMING.iter().position(|known| known == name).unwrap_or(NAMING.len());
        let mut columns: Vec<&String> = rows.attributes.iter().collect();
        columns.sort_by_key(|name| rank(name));
        columns
    }

    /// One value of an inventory row, as a reader wants it.
    fn cell(&self, rows: &ClassRows, attribute: &str, row: &muster_model::inventory::Row) -> Cell {
        cell(rows, attribute, row)
    }
}

/// One value of an inventory row, as a reader wants it.
pub(crate) fn cell(rows: &ClassRows, attribute: &str, row: &muster_model::inventory::Row) -> Cell {
    let at = rows.attributes.iter().position(|known| known == attribute);
    let kind = at.and_then(|at| rows.types.get(at)).map(String::as_str);
    match (row.get(attribute), kind) {
        (None, _) => Cell { text: String::new(), numeric: false },
        (Some(Value::Int(moment)), Some("DateTime")) => {
            // Many dates have no time of the day: midnight says nothing.
            let clock = format::clock(UnixMillis(*moment));
            Cell { text: clock.strip_suffix(" 00:00:00").unwrap_or(&clock).to_owned(), numeric: false }
        }
        (Some(Value::Int(number)), _) => Cell { text: number.to_string(), numeric: true },
        (Some(Value::Real(number)), _) => Cell { text: number.to_string(), numeric: true },
        (Some(Value::Bool(yes)), _) => Cell { text: if *yes { "yes" } else { "no" }.to_owned(), numeric: false },
        (Some(Value::Text(text)), _) => Cell { text: text.clone(), numeric: false },
        (Some(Value::List(texts)), _) => Cell { text: texts.join(", "), numeric: false },
    }
}

/// Attributes that name a row or say most about it, whatever the class.
const NAMING: [&str; 10] = [
    "ProductName",
    "ProductVersion",
    "Name",
    "DisplayName",
    "Caption",
    "DeviceID",
    "State",
    "Status",
    "StartMode",
    "Description",
];

/// A value as shown; numbers stand to the right.
#[derive(Debug)]
pub(crate) struct Cell {
    /// The text.
    pub(crate) text: String,
    /// Whether it is a number.
    pub(crate) numeric: bool,
}

/// What the address of the list asks for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct DevicesWanted {
    #[serde(default)]
    search: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    sort: String,
    #[serde(default)]
    descending: bool,
}

/// `GET /devices`
pub(crate) async fn device_list(
    visit: Visit,
    Wanted(wanted): Wanted<DevicesWanted>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let rows = PageQuery::from(rows);
    let query = DeviceQuery {
        search: wanted.search.trim().to_owned(),
        state: chosen(&visit, &wanted.state)?,
        sort: chosen(&visit, &wanted.sort)?.unwrap_or_default(),
        descending: wanted.descending,
        offset: rows.offset,
        limit: rows.limit,
    };
    let page = visit.ask(muster_site::device_list(&visit.ctx, visit.site(), query.clone()).await)?;
    visit.page(&DevicesPage::new(visit.shell("devices").await?, query, page))
}

/// The page of a device with this below its heading.
pub(crate) async fn show(visit: Visit, id: DeviceId, tab: Tab) -> Answer {
    let detail = visit.ask(muster_site::device_show(&visit.ctx, visit.site(), id).await)?;
    visit.page(&DevicePage { shell: visit.shell("devices").await?, detail, tab })
}

/// `GET /devices/{id}`
pub(crate) async fn device_show(visit: Visit, Named(id): Named<DeviceId>) -> Answer {
    show(visit, id, Tab::Overview).await
}

/// `GET /devices/{id}/inventory`
pub(crate) async fn inventory_list(visit: Visit, Named(id): Named<DeviceId>) -> Answer {
    show(visit, id, Tab::Inventory(None)).await
}

/// `GET /devices/{id}/inventory/{class}`
pub(crate) async fn inventory_show(
    visit: Visit,
    Named((id, class)): Named<(DeviceId, String)>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let wanted = rows.or(INVENTORY_ROWS);
    let rows = visit.ask(muster_site::inventory_show(&visit.ctx, visit.site(), id, &class, wanted).await)?;
    show(visit, id, Tab::Inventory(Some((rows, wanted)))).await
}

/// `GET /devices/{id}/messages`
pub(crate) async fn message_list(visit: Visit, Named(id): Named<DeviceId>, Wanted(rows): Wanted<Rows>) -> Answer {
    let wanted = PageQuery::from(rows);
    let query =
        MessageQuery { device: Some(id), offset: wanted.offset, limit: wanted.limit, ..MessageQuery::default() };
    let page = visit.ask(muster_site::message_list(&visit.ctx, visit.site(), &query).await)?;
    show(visit, id, Tab::Messages(page, wanted)).await
}

/// `GET /devices/{id}/timeline`
pub(crate) async fn device_timeline(visit: Visit, Named(id): Named<DeviceId>, Wanted(rows): Wanted<Rows>) -> Answer {
    let wanted = PageQuery::from(rows);
    let page = visit.ask(muster_site::device_timeline(&visit.ctx, visit.site(), id, wanted).await)?;
    show(visit, id, Tab::Timeline(page, wanted)).await
}

/// `GET /devices/{id}/settings`
pub(crate) async fn device_settings(visit: Visit, Named(id): Named<DeviceId>) -> Answer {
    let settings = visit.ask(muster_site::device_settings(&visit.ctx, visit.site(), id).await)?;
    show(visit, id, Tab::Settings(settings)).await
}

/// What an administrator may do to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Block,
    Unblock,
    Retire,
}

impl Deed {
    const fn words(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Block => (
                "block",
                "Block device",
                &[
                    "Its connections are closed at once, and its certificate is not accepted any more.",
                    "It gets no policy and no content, and nothing that it sends is taken.",
                    "What is installed on it stays, and its inventory is kept. It can be unblocked.",
                ],
            ),
            Self::Unblock => (
                "unblock",
                "Unblock device",
                &[
                    "It may connect again with the certificate that it has, and gets its policy.",
                    "What it kept back while it was blocked arrives then.",
                ],
            ),
            Self::Retire => (
                "retire",
                "Retire device",
                &[
                    "Its connections are closed at once, and its certificate is never accepted again.",
                    "It leaves every deployment. Its history is kept.",
                    "This cannot be taken back: to return it must enrol again, with a new token, as a new device.",
                ],
            ),
        }
    }
}

async fn confirm(visit: Visit, id: DeviceId, deed: Deed) -> Answer {
    let detail = visit.ask(muster_site::device_show(&visit.ctx, visit.site(), id).await)?;
    let (verb, title, consequences) = deed.words();
    visit.page(&ConfirmPage {
        shell: visit.shell("devices").await?,
        title: title.to_owned(),
        object: detail.device.name,
        consequences: consequences.iter().map(|&sentence| sentence.to_owned()).collect(),
        reason: true,
        action: format!("/devices/{id}/{verb}"),
        button: title.to_owned(),
        danger: deed != Deed::Unblock,
        back: format!("/devices/{id}"),
        hidden: vec![("revision".to_owned(), detail.revision.to_string())],
    })
}

/// `GET /devices/{id}/block`
pub(crate) async fn block_confirm(visit: Visit, Named(id): Named<DeviceId>) -> Answer {
    confirm(visit, id, Deed::Block).await
}

/// `GET /devices/{id}/unblock`
pub(crate) async fn unblock_confirm(visit: Visit, Named(id): Named<DeviceId>) -> Answer {
    confirm(visit, id, Deed::Unblock).await
}

/// `GET /devices/{id}/retire`
pub(crate) async fn retire_confirm(visit: Visit, Named(id): Named<DeviceId>) -> Answer {
    confirm(visit, id, Deed::Retire).await
}

fn seen(visit: &Visit, fields: ReasonFields) -> Result<(Option<u64>, Reason), PageRefusal> {
    Ok((chosen(visit, &fields.revision)?, Reason { reason: fields.reason }))
}

/// `POST /devices/{id}/block`
pub(crate) async fn device_block(
    visit: Visit,
    Named(id): Named<DeviceId>,
    Fields(fields): Fields<ReasonFields>,
) -> Answer {
    let (revision, reason) = seen(&visit, fields)?;
    visit.ask(muster_site::device_block(&visit.ctx, visit.site(), id, reason, revision).await)?;
    Ok(go_done(&format!("/devices/{id}"), Done::Blocked))
}

/// `POST /devices/{id}/unblock`
pub(crate) async fn device_unblock(
    visit: Visit,
    Named(id): Named<DeviceId>,
    Fields(fields): Fields<ReasonFields>,
) -> Answer {
    let (revision, reason) = seen(&visit, fields)?;
    visit.ask(muster_site::device_unblock(&visit.ctx, visit.site(), id, reason, revision).await)?;
    Ok(go_done(&format!("/devices/{id}"), Done::Unblocked))
}

/// `POST /devices/{id}/retire`
pub(crate) async fn device_retire(
    visit: Visit,
    Named(id): Named<DeviceId>,
    Fields(fields): Fields<ReasonFields>,
) -> Answer {
    let (revision, reason) = seen(&visit, fields)?;
    visit.ask(muster_site::device_retire(&visit.ctx, visit.site(), id, reason, revision).await)?;
    Ok(go_done(&format!("/devices/{id}"), Done::Retired))
}
