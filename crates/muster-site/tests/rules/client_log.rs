//! Logs of clients: heads that may not go back, and pieces that are held against them.

use crate::client::{Outbox, sealed};
use muster_model::{
    api::{AlertKind, AlertQuery, AlertState, LogAlteration, LogCollect, LogCollected, LogState, PageQuery},
    id::Hash,
    log::{LogAnchor, LogBreak, LogFault, LogPiece, LogPoint, LogRecord, LogRequest, LogSeverity},
    policy::BodyKind,
    problem::Code,
    report::{Body, Channel, Message},
    time::{DAY, HOUR, UnixMillis},
};
use muster_site::{
    Worker, alert_acknowledge, alert_devices, alert_list, assignment_show, audit_list, body_show, client_log_collect,
    client_log_download, client_log_show, device_timeline, quarantine_list, report_submit,
    testing::{TestDevice, TestSite},
};
use muster_trust::chain;

/// A client's log as it was written.
#[derive(Clone, Default)]
struct Log {
    lines: Vec<String>,
    heads: Vec<Hash>,
}

impl Log {
    fn of(texts: &[&str]) -> Self {
        let mut log = Self::default();
        texts.iter().for_each(|text| log.write(text));
        log
    }

    fn write(&mut self, text: &str) {
        let previous = self.heads.last().copied().unwrap_or(Hash::ZERO);
        let record = LogRecord {
            sequence: self.lines.len() as u64 + 1,
            previous,
            time: UnixMillis(1),
            severity: LogSeverity::Information,
            component: "run".to_owned(),
            id: "said".to_owned(),
            text: text.to_owned(),
            fields: Default::default(),
            cut: false,
        };
        let line = serde_json::to_string(&record).unwrap();
        self.heads.push(chain(previous, line.as_bytes()));
        self.lines.push(line);
    }

    fn anchor(&self) -> LogAnchor {
        let head = self.heads.last().copied().unwrap();
        LogAnchor { sequence: self.lines.len() as u64, head, first: 1, after: None, broken: None }
    }
}

/// A device with its two channels.
struct Client {
    device: TestDevice,
    status: Outbox,
    inventory: Outbox,
}

impl Client {
    async fn new(test: &TestSite) -> Self {
        let device = test.enrol("alpha").await;
        Self { device, status: Outbox::new(Channel::Status), inventory: Outbox::new(Channel::Inventory) }
    }

    async fn say(&mut self, test: &TestSite, body: Body) -> usize {
        test.sources.pass(HOUR);
        let outbox = if body.channel() == Channel::Status { &mut self.status } else { &mut self.inventory };
        // At a time of its own: what was told before a piece was made is to be in it.
        let message = Message { time: test.now(), body };
        outbox.waiting.push(serde_json::to_string(&message).unwrap());
        let envelope = sealed(&self.device, &outbox.batch(1_000));
        let answer = report_submit(&test.device(&self.device), &test.site, &envelope).await.unwrap();
        outbox.take(&answer);
        answer.quarantined.len()
    }

    async fn anchor(&mut self, test: &TestSite, log: &Log) -> UnixMillis {
        assert_eq!(self.say(test, Body::Log(log.anchor())).await, 0);
        test.now()
    }

    /// What the signed assignment wants of the log.
    async fn wanted(&self, test: &TestSite) -> Option<LogRequest> {
        let ctx = test.device(&self.device);
        let current = assignment_show(&ctx, &test.site).await.unwrap();
        let body = current.bodies.iter().find(|body| body.kind == BodyKind::LogRequest)?;
        let bytes = body_show(&ctx, &test.site, body.hash).await.unwrap();
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    /// Asked for its log, it sends these lines.
    async fn collect(&mut self, test: &TestSite, lines: &[String], anchor: LogAnchor) -> LogCollected {
        let asked = client_log_collect(&test.full(), &test.site, self.device.id, LogCollect::default()).await.unwrap();
        let wanted = self.wanted(test).await.unwrap();
        assert_eq!(wanted.id, asked.id);
        let piece = LogPiece { request: wanted.id, anchor, lines: lines.to_vec() };
        assert_eq!(self.say(test, Body::LogPiece(piece)).await, 0);
        work(test).await;
        assert_eq!(self.wanted(test).await, None);
        let log = client_log_show(&test.analyst(), &test.site, self.device.id).await.unwrap();
        log.pieces.into_iter().find(|piece| piece.id == asked.id).unwrap()
    }

    async fn altered(&self, test: &TestSite) -> Option<LogAlteration> {
        client_log_show(&test.analyst(), &test.site, self.device.id).await.unwrap().standing.unwrap().altered
    }
}

async fn work(test: &TestSite) {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

async fn alerts(test: &TestSite) -> Vec<muster_model::api::Alert> {
    let query = AlertQuery { limit: 50, ..AlertQuery::default() };
    alert_list(&test.analyst(), &test.site, query).await.unwrap().items
}

// proves I3
#[tokio::test]
async fn a_log_that_goes_back_is_refused_and_dated_and_somebody_is_told() {
    for test in TestSite::all().await {
        let mut client = Client::new(&test).await;
        let old = Log::of(&["a", "b"]);
        client.anchor(&test, &old).await;
        let mut log = old.clone();
        log.write("c");
        let last = client.anchor(&test, &log).await;
        // The same once more is no news.
        let last = client.anchor(&test, &log).await.max(last);
        assert_eq!(client.altered(&test).await, None);
        assert!(alerts(&test).await.is_empty());

        // The older copy, with the agent's store.
        assert_eq!(client.say(&test, Body::Log(old.anchor())).await, 1);
        let altered = LogAlteration { fault: LogFault::SetBack, sequence: 2, from: last, until: test.now() };
        assert_eq!(client.altered(&test).await, Some(altered));
        let refused = quarantine_list(&test.analyst(), &test.site, PageQuery::default()).await.unwrap().items;
        assert!(refused[0].reason.contains("went back"), "{refused:?}");
        let all = alerts(&test).await;
        assert_eq!((all.len(), all[0].kind, all[0].state), (1, AlertKind::LogAltered, AlertState::Open));
        assert_eq!(all[0].subject, client.device.id.to_string());
        assert!(all[0].text.contains("set back") && all[0].text.contains("between 20"), "{}", all[0].text);
        let named = alert_devices(&test.analyst(), &test.site, all[0].id, PageQuery::default()).await.unwrap();
        assert_eq!(named.items[0].name, "alpha");
        let timeline = device_timeline(&test.analyst(), &test.site, client.device.id, PageQuery::default()).await;
        assert!(timeline.unwrap().items.iter().any(|line| line.text == all[0].text));

        // The site's look at what is so leaves it until somebody has looked.
        work(&test).await;
        assert_eq!(alerts(&test).await.len(), 1);
        let seen = alert_acknowledge(&test.full(), &test.site, all[0].id).await.unwrap();
        assert_eq!(seen.state, AlertState::Closed);
        assert!(alerts(&test).await.is_empty());

        // An older copy that has grown beyond what the site was told says by what it remembers that it is one.
        let mut grown = old.clone();
        for text in ["x", "y", "z"] {
            grown.write(text);
        }
        let from = test.now();
        let point = |log: &Log| {
            let LogAnchor { sequence, head, .. } = log.anchor();
            Some(LogPoint { sequence, head })
        };
        let mut told = log.clone();
        told.write("d");
        let anchor = |log: &Log, after| Body::Log(LogAnchor { after, ..log.anchor() });
        client.say(&test, anchor(&told, point(&old))).await;
        let last = test.now();
        assert_eq!(client.say(&test, anchor(&grown, point(&old))).await, 1);
        let altered = client.altered(&test).await.unwrap();
        assert_eq!((altered.fault, altered.from, altered.until), (LogFault::SetBack, last, test.now()));
        assert!(from < altered.from);
        // One that remembers more than the site does tells nothing of an alteration: the site is the older copy.
        grown.write("more");
        let more = point(&grown);
        grown.write("and more");
        assert_eq!(client.say(&test, anchor(&grown, more)).await, 0);
        let id = alerts(&test).await[0].id;
        alert_acknowledge(&test.full(), &test.site, id).await.unwrap();

        // The log goes on where it is, and another one of the same length is found out as well.
        let mut other = grown.clone();
        other.write("quite other");
        client.anchor(&test, &other).await;
        grown.write("and another");
        assert_eq!(client.say(&test, Body::Log(grown.anchor())).await, 1);
        assert_eq!(alerts(&test).await.len(), 1);
    }
}

#[tokio::test]
async fn what_a_client_finds_itself_is_dated_by_the_last_head_that_it_told() {
    let test = TestSite::new().await;
    let mut client = Client::new(&test).await;
    let mut log = Log::of(&["a", "b"]);
    let from = client.anchor(&test, &log).await;
    log.write("goes on after it");
    let broken = LogBreak { fault: LogFault::Altered, sequence: 1, whole: UnixMillis(5), found: UnixMillis(9) };
    let anchor = LogAnchor { broken: Some(broken), first: 3, ..log.anchor() };
    assert_eq!(client.say(&test, Body::Log(anchor)).await, 0);
    let altered = LogAlteration { fault: LogFault::Altered, sequence: 1, from, until: test.now() };
    assert_eq!(client.altered(&test).await, Some(altered));
    assert_eq!(alerts(&test).await.len(), 1);
    // Numbers that do not fit each other are not taken.
    let odd = LogAnchor { first: 9, ..log.anchor() };
    assert_eq!(client.say(&test, Body::Log(odd)).await, 1);
}

// proves I3
#[tokio::test]
async fn a_piece_comes_only_where_it_was_asked_for_by_who_may() {
    for test in TestSite::all().await {
        let mut client = Client::new(&test).await;
        let (id, wanted) = (client.device.id, LogCollect { since: Some(UnixMillis(7)), limit: 3 });
        let denied = client_log_collect(&test.analyst(), &test.site, id, wanted).await.unwrap_err();
        assert_eq!(denied.code(), Code::Forbidden);
        let much = LogCollect { limit: u32::MAX, ..wanted };
        let denied = client_log_collect(&test.full(), &test.site, id, much).await.unwrap_err();
        assert_eq!(denied.code(), Code::TooLarge);
        assert_eq!(client.wanted(&test).await, None);

        let asked = client_log_collect(&test.full(), &test.site, id, wanted).await.unwrap();
        assert_eq!((asked.state, asked.since, asked.limit), (LogState::Awaited, wanted.since, 3));
        let request = client.wanted(&test).await.unwrap();
        assert_eq!(request, LogRequest { id: asked.id, since: wanted.since, limit: 3 });
        let again = client_log_collect(&test.full(), &test.site, id, wanted).await.unwrap_err();
        assert_eq!(again.code(), Code::Conflict);
        let early = client_log_download(&test.full(), &test.site, id, asked.id).await.unwrap_err();
        assert_eq!(early.code(), Code::NotFound);

        // Of another device, nobody asked.
        let log = Log::of(&["a", "b"]);
        let piece = LogPiece { request: asked.id, anchor: log.anchor(), lines: log.lines.clone() };
        let mut other = Client::new(&test).await;
        assert_eq!(other.say(&test, Body::LogPiece(piece.clone())).await, 1);
        // Over its limits.
        let large = LogPiece { lines: vec!["x".repeat(9_000)], ..piece.clone() };
        assert_eq!(client.say(&test, Body::LogPiece(large)).await, 1);
        assert_eq!(client.say(&test, Body::LogPiece(piece.clone())).await, 0);
        assert_eq!(client.say(&test, Body::LogPiece(piece)).await, 1);

        let denied = client_log_download(&test.analyst(), &test.site, id, asked.id).await.unwrap_err();
        assert_eq!(denied.code(), Code::Forbidden);
        let text = client_log_download(&test.full(), &test.site, id, asked.id).await.unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), log.lines.join("\n") + "\n");
        let audit = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().items;
        let actions: Vec<&str> = audit.iter().map(|entry| entry.action.as_str()).collect();
        assert!(actions.contains(&"client_log_collect") && actions[0] == "client_log_download");

        // It goes after its days; so does a request that nobody answered, and then the client hears of it no more.
        client_log_collect(&test.full(), &test.site, id, LogCollect::default()).await.unwrap();
        test.sources.pass(31 * DAY);
        let mut worker = Worker::new(test.site.clone());
        test.sources.pass(DAY);
        while worker.step().await.unwrap() {}
        let log = client_log_show(&test.full(), &test.site, id).await.unwrap();
        assert!(log.pieces.is_empty(), "{log:?}");
        assert_eq!(client.wanted(&test).await, None);
    }
}

// proves I3
#[tokio::test]
async fn a_piece_is_held_against_the_heads_that_the_site_was_told() {
    let test = TestSite::new().await;
    let mut client = Client::new(&test).await;
    let mut log = Log::of(&["a", "b", "c"]);
    let told = client.anchor(&test, &log).await;
    let before = log.clone();
    log.write("d");
    log.write("e");
    let later = client.anchor(&test, &log).await;

    let whole = client.collect(&test, &log.lines, log.anchor()).await;
    assert_eq!((whole.state, whole.altered, whole.anchors), (LogState::Intact, None, 2));
    assert_eq!((whole.first, whole.last), (Some(1), Some(5)));
    // Its end alone.
    let end = client.collect(&test, &log.lines[3..], log.anchor()).await;
    assert_eq!((end.state, end.anchors, end.first), (LogState::Intact, 2, Some(4)));
    assert_eq!(client.altered(&test).await, None);

    let alteration = |fault, sequence, from, until| Some(LogAlteration { fault, sequence, from, until });
    // A line is edited: first told of with the first head.
    let mut lines = log.lines.clone();
    lines[1] = lines[1].replace("\"b\"", "\"x\"");
    let edited = client.collect(&test, &lines, log.anchor()).await;
    assert_eq!(edited.state, LogState::Altered);
    assert_eq!(edited.altered, alteration(LogFault::Altered, 2, told, edited.received.unwrap()));
    assert_eq!(client.altered(&test).await, edited.altered);
    assert_eq!(alerts(&test).await.len(), 1);
    // A line is left out.
    let mut lines = log.lines.clone();
    lines.remove(3);
    let left_out = client.collect(&test, &lines, log.anchor()).await;
    assert_eq!(left_out.state, LogState::Missing);
    assert_eq!(left_out.altered, alteration(LogFault::Removed, 4, later, left_out.received.unwrap()));
    // The end is cut off, and the client says so itself, or does not.
    for anchor in [before.anchor(), log.anchor()] {
        test.sources.pass(HOUR);
        let cut = client.collect(&test, &before.lines, anchor).await;
        assert_eq!((cut.state, cut.altered.unwrap().fault), (LogState::Missing, LogFault::Shortened));
    }
    // All of it is chained anew, with more records: the heads are others.
    let forged = Log::of(&["a", "x", "c", "d", "e", "f"]);
    let replaced = client.collect(&test, &forged.lines, forged.anchor()).await;
    assert_eq!(replaced.state, LogState::Altered);
    assert_eq!(replaced.altered, alteration(LogFault::Replaced, 1, later, replaced.received.unwrap()));
    // The client tells the head of the forged one, which is longer: the forgery came before that.
    let mut forged = Log::of(&["a", "b", "c", "d", "x", "f"]);
    let until = client.anchor(&test, &forged).await;
    forged.write("g");
    let late = client.collect(&test, &forged.lines, forged.anchor()).await;
    assert_eq!(late.altered, alteration(LogFault::Replaced, 4, later, until));
    // Nothing at all.
    let nothing = client.collect(&test, &[], log.anchor()).await;
    assert_eq!((nothing.state, nothing.last), (LogState::Missing, None));
    // Only the latest ones are kept.
    let pieces = client_log_show(&test.full(), &test.site, client.device.id).await.unwrap().pieces;
    assert_eq!(pieces.len(), 5);
}
