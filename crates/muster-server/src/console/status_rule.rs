//! Status filter rules, what they send, and how parts of the agents do.

use super::{
    confirm::ConfirmPage,
    format,
    paging::Paging,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, Rows, Visit, Wanted, go_done},
};
use askama::Template;
use muster_model::{
    api::{
        Page, PageQuery, StatusAction, StatusActionQuery, StatusHour, StatusRule, StatusRuleChange, StatusRuleInfo,
        StatusTarget,
    },
    id::StatusRuleId,
    status::{Component, Severity},
    time::{HOUR, UnixMillis},
};

/// Hours of the picture.
const HOURS: i64 = 24;
/// Width and height of the picture of a part.
const WIDTH: u64 = 1_000;
const HEIGHT: u64 = 10;

/// How a part of the agents did in the last day.
#[derive(Debug)]
pub(crate) struct PartHours {
    component: Component,
    information: u64,
    warning: u64,
    error: u64,
    /// Class, place, upper edge and height of each piece.
    pieces: Vec<(&'static str, u64, u64, u64)>,
}

fn part(component: Component, hours: &[StatusHour], now: UnixMillis, most: u64) -> PartHours {
    let mut part = PartHours { component, information: 0, warning: 0, error: 0, pieces: Vec::new() };
    for hour in hours.iter().filter(|hour| hour.component == component) {
        part.information += hour.information;
        part.warning += hour.warning;
        part.error += hour.error;
        let ago = now.since(hour.hour).div_euclid(HOUR).clamp(0, HOURS - 1);
        let x = (HOURS - 1 - ago).unsigned_abs() * WIDTH / HOURS.unsigned_abs();
        let mut floor = HEIGHT;
        for (class, count) in [("s-failed", hour.error), ("s-waiting", hour.warning), ("s-targeted", hour.information)]
        {
            // What there is can be seen, however little it is.
            let height = if count == 0 { 0 } else { (count * HEIGHT / most.max(1)).clamp(1, floor.max(1)) };
            floor = floor.saturating_sub(height);
            if height > 0 {
                part.pieces.push((class, x, floor, height));
            }
        }
    }
    part
}

/// `GET /status-rules`.
#[derive(Debug, Template)]
#[template(path = "status_rules.html")]
pub(crate) struct StatusRulesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The rules.
    pub(crate) page: Page<StatusRuleInfo>,
    /// The targets.
    pub(crate) targets: Vec<StatusTarget>,
    /// What was sent last.
    pub(crate) actions: Vec<StatusAction>,
    /// How parts of the agents do.
    pub(crate) parts: Vec<PartHours>,
    /// What was wrong with the form.
    pub(crate) problem: Option<String>,
    paging: Paging,
}

impl StatusRulesPage {
    /// The page for these rules.
    pub(crate) fn new(
        shell: Shell,
        wanted: PageQuery,
        page: Page<StatusRuleInfo>,
        known: (Vec<StatusTarget>, Vec<StatusAction>),
        (hours, now): (&[StatusHour], UnixMillis),
        problem: Option<String>,
    ) -> Self {
        let paging = Paging::new(&page, wanted.limit, |offset| format!("/status-rules?offset={offset}"));
        let most = hours.iter().map(|hour| hour.information + hour.warning + hour.error).max().unwrap_or(0);
        let parts = Component::ALL.iter().map(|component| part(*component, hours, now, most)).collect();
        let (targets, actions) = known;
        Self { shell, page, targets, actions, parts, problem, paging }
    }
}

/// Which messages a rule is about.
pub(crate) fn about(rule: &StatusRule) -> String {
    let mut parts = Vec::new();
    parts.extend(rule.component.map(|component| format!("component {}", component.as_str())));
    parts.extend(rule.message.map(|id| id.as_str().to_owned()));
    parts.extend(rule.severity.map(|severity| format!("{} or worse", severity.as_str())));
    parts.extend(rule.kind.map(|kind| kind.as_str().to_owned()));
    parts.extend(rule.device.map(|device| format!("device {device}")));
    parts.extend(rule.collection.as_ref().map(|collection| format!("collection {collection}")));
    parts.extend(rule.text.as_ref().map(|text| format!("“{text}” in {}", rule.value.as_deref().unwrap_or("a value"))));
    if parts.is_empty() { "all messages".to_owned() } else { parts.join(", ") }
}

/// What a rule does.
pub(crate) fn does(rule: &StatusRule) -> String {
    let mut parts = Vec::new();
    parts.extend(rule.keep_days.map(|days| format!("keep for {days} days")));
    parts.extend(rule.discard.then(|| "discard".to_owned()));
    parts.extend(rule.alert.then(|| "alert".to_owned()));
    parts.extend(rule.targets.iter().map(|target| format!("send to {target}")));
    parts.extend(rule.stop.then(|| "stop".to_owned()));
    parts.join(", ")
}

async fn rules_page(visit: Visit, rows: PageQuery, problem: Option<String>) -> Answer {
    let (ctx, site) = (&visit.ctx, visit.site());
    let page = visit.ask(muster_site::status_rule_list(ctx, site, rows).await)?;
    let targets = visit.ask(muster_site::target_list(ctx, site))?.items;
    let last = StatusActionQuery { limit: 20, ..StatusActionQuery::default() };
    let actions = visit.ask(muster_site::status_action_list(ctx, site, last).await)?.items;
    let hours = visit.ask(muster_site::status_hours(ctx, site).await)?.items;
    let now = ctx.now;
    let shell = visit.shell("messages").await?;
    visit.page(&StatusRulesPage::new(shell, rows, page, (targets, actions), (&hours, now), problem))
}

/// `GET /status-rules`
pub(crate) async fn status_rule_list(visit: Visit, Wanted(rows): Wanted<Rows>) -> Answer {
    rules_page(visit, PageQuery::from(rows), None).await
}

/// The form for a new rule.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct RuleFields {
    #[serde(default)]
    name: String,
    #[serde(default)]
    component: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    keep_days: String,
    #[serde(default)]
    discard: String,
    #[serde(default)]
    alert: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    stop: String,
    #[serde(default)]
    per_hour: String,
}

impl RuleFields {
    fn rule(&self) -> Result<StatusRule, String> {
        let number = |text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| format!("{text:?} is not a whole number.")),
        };
        let severities = [Severity::Information, Severity::Warning, Severity::Error];
        let target = match self.target.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|error| format!("The target does not do: {error}."))?),
        };
        Ok(StatusRule {
            name: self.name.trim().parse().map_err(|error| format!("The name does not do: {error}."))?,
            enabled: true,
            component: Component::ALL.iter().copied().find(|component| component.as_str() == self.component),
            message: None,
            severity: severities.into_iter().find(|severity| severity.as_str() == self.severity),
            kind: None,
            device: None,
            collection: None,
            text: (!self.text.is_empty()).then(|| self.text.clone()),
            value: None,
            keep_days: number(&self.keep_days)?,
            discard: !self.discard.is_empty(),
            alert: !self.alert.is_empty(),
            targets: target.into_iter().collect(),
            stop: !self.stop.is_empty(),
            per_hour: number(&self.per_hour)?.unwrap_or(60),
        })
    }
}

/// `POST /status-rules`
pub(crate) async fn status_rule_create(visit: Visit, Fields(fields): Fields<RuleFields>) -> Answer {
    let rows = PageQuery { offset: 0, limit: 50 };
    let rule = match fields.rule() {
        Ok(rule) => rule,
        Err(problem) => return rules_page(visit, rows, Some(problem)).await,
    };
    match muster_site::status_rule_create(&visit.ctx, visit.site(), rule).await {
        Ok(_) => Ok(go_done("/status-rules", Done::StatusRuleSaved)),
        Err(error) => rules_page(visit, rows, Some(error.problem().detail)).await,
    }
}

/// `POST /status-rules/{id}/turn`
pub(crate) async fn status_rule_change(visit: Visit, Named(id): Named<StatusRuleId>) -> Answer {
    let known = visit.ask(muster_site::status_rule_show(&visit.ctx, visit.site(), id).await)?;
    let change = StatusRuleChange { enabled: Some(!known.rule.enabled), place: None };
    visit.ask(muster_site::status_rule_change(&visit.ctx, visit.site(), id, change).await)?;
    Ok(go_done("/status-rules", Done::StatusRuleSaved))
}

/// `GET /status-rules/{id}/delete`
pub(crate) async fn delete_confirm(visit: Visit, Named(id): Named<StatusRuleId>) -> Answer {
    let known = visit.ask(muster_site::status_rule_show(&visit.ctx, visit.site(), id).await)?;
    visit.page(&ConfirmPage {
        shell: visit.shell("messages").await?,
        title: "Remove rule".to_owned(),
        object: known.rule.name.to_string(),
        consequences: vec![
            "Messages do not meet it any more.".to_owned(),
            "What it has had sent, and alerts that it raised, stay.".to_owned(),
        ],
        reason: false,
        action: format!("/status-rules/{id}/delete"),
        button: "Remove rule".to_owned(),
        danger: true,
        back: "/status-rules".to_owned(),
        hidden: vec![],
    })
}

/// `POST /status-rules/{id}/delete`
pub(crate) async fn status_rule_delete(visit: Visit, Named(id): Named<StatusRuleId>) -> Answer {
    visit.ask(muster_site::status_rule_delete(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done("/status-rules", Done::StatusRuleRemoved))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_form_becomes_a_rule_or_a_sentence() {
        let fields = RuleFields {
            name: "Errors".to_owned(),
            severity: "error".to_owned(),
            alert: "on".to_owned(),
            ..RuleFields::default()
        };
        let rule = fields.rule().unwrap();
        assert_eq!((rule.per_hour, rule.check()), (60, Ok(())));
        assert_eq!((about(&rule), does(&rule)), ("error or worse".to_owned(), "alert".to_owned()));
        assert!(RuleFields { keep_days: "long".to_owned(), ..fields }.rule().unwrap_err().contains("whole number"));
    }
}
