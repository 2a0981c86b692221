//! Rules that propose groups of updates, and their drafts. What is signed is signed on an author's machine, and not here.

use super::{
    confirm::ConfirmPage,
    format,
    paging::Paging,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, Rows, Visit, Wanted, go_done},
};
use askama::Template;
use muster_model::{
    api::{Deployment, Page, PageQuery, UpdateRule, UpdateRuleDetail, UpdateRuleInfo},
    id::UpdateRuleId,
    update::UpdateTool,
};

/// `GET /updates/rules`.
#[derive(Debug, Template)]
#[template(path = "update_rules.html")]
pub(crate) struct UpdateRulesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The rules.
    pub(crate) page: Page<UpdateRuleInfo>,
    /// Deployments to choose from.
    pub(crate) deployments: Vec<Deployment>,
    /// What was wrong with the form.
    pub(crate) problem: Option<String>,
    paging: Paging,
}

impl UpdateRulesPage {
    /// The page for these rules.
    pub(crate) fn new(
        shell: Shell,
        wanted: PageQuery,
        page: Page<UpdateRuleInfo>,
        deployments: Vec<Deployment>,
        problem: Option<String>,
    ) -> Self {
        let paging = Paging::new(&page, wanted.limit, |offset| format!("/updates/rules?offset={offset}"));
        let is_group = |deployment: &Deployment| !deployment.deleted && deployment.software_update;
        let deployments = deployments.into_iter().filter(is_group).collect();
        Self { shell, page, deployments, problem, paging }
    }
}

/// `GET /updates/rules/{id}`.
#[derive(Debug, Template)]
#[template(path = "update_rule.html")]
pub(crate) struct UpdateRulePage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The rule with its draft.
    pub(crate) detail: UpdateRuleDetail,
}

impl UpdateRulePage {
    fn command(&self) -> String {
        format!("muster update sign {}", self.detail.info.id)
    }
}

/// What a rule takes, in words.
pub(crate) fn criteria(rule: &UpdateRule) -> String {
    let mut parts = vec![if rule.security { "security updates" } else { "all updates" }.to_owned()];
    for (what, patterns) in [("of", &rule.origins), ("packages", &rule.names), ("but not", &rule.exclude)] {
        if !patterns.is_empty() {
            parts.push(format!("{what} {}", patterns.join(", ")));
        }
    }
    if rule.min_age_hours > 0 {
        parts.push(format!("known for {} hours", rule.min_age_hours));
    }
    if rule.min_devices > 1 {
        parts.push(format!("missing on {} devices", rule.min_devices));
    }
    parts.join(", ")
}

async fn rules_page(visit: Visit, rows: PageQuery, problem: Option<String>) -> Answer {
    let page = visit.ask(muster_site::update_rule_list(&visit.ctx, visit.site(), rows).await)?;
    let some = PageQuery { offset: 0, limit: 200 };
    let deployments = visit.ask(muster_site::deployment_list(&visit.ctx, visit.site(), some).await)?.items;
    let shell = visit.shell("updates").await?;
    visit.page(&UpdateRulesPage::new(shell, rows, page, deployments, problem))
}

/// `GET /updates/rules`
pub(crate) async fn update_rule_list(visit: Visit, Wanted(rows): Wanted<Rows>) -> Answer {
    rules_page(visit, PageQuery::from(rows), None).await
}

/// `GET /updates/rules/{id}`
pub(crate) async fn update_rule_show(visit: Visit, Named(id): Named<UpdateRuleId>) -> Answer {
    let detail = visit.ask(muster_site::update_rule_show(&visit.ctx, visit.site(), id).await)?;
    visit.page(&UpdateRulePage { shell: visit.shell("updates").await?, detail })
}

/// The form for a new rule.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct RuleFields {
    #[serde(default)]
    name: String,
    #[serde(default)]
    tool: String,
    #[serde(default)]
    security: String,
    #[serde(default)]
    origins: String,
    #[serde(default)]
    names: String,
    #[serde(default)]
    exclude: String,
    #[serde(default)]
    min_age_hours: String,
    #[serde(default)]
    every_hours: String,
    #[serde(default)]
    deployment: String,
}

impl RuleFields {
    fn rule(&self) -> Result<UpdateRule, String> {
        let patterns = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let number = |text: &str, default: u32| match text.trim() {
            "" => Ok(default),
            text => text.parse().map_err(|_| format!("{text:?} is not a whole number.")),
        };
        let deployment = match self.deployment.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|error| format!("The deployment does not do: {error}."))?),
        };
        Ok(UpdateRule {
            name: self.name.trim().parse().map_err(|error| format!("The name does not do: {error}."))?,
            tool: if self.tool == "dnf" { UpdateTool::Dnf } else { UpdateTool::Apt },
            security: !self.security.is_empty(),
            origins: patterns(&self.origins),
            names: patterns(&self.names),
            exclude: patterns(&self.exclude),
            min_age_hours: number(&self.min_age_hours, 0)?,
            min_devices: 1,
            every_hours: number(&self.every_hours, 24)?,
            exact: false,
            allow_new: false,
            allow_removals: false,
            max_run_seconds: 3_600,
            application: None,
            deployment,
        })
    }
}

/// `POST /updates/rules`
pub(crate) async fn update_rule_create(visit: Visit, Fields(fields): Fields<RuleFields>) -> Answer {
    let rows = PageQuery { offset: 0, limit: 50 };
    let rule = match fields.rule() {
        Ok(rule) => rule,
        Err(problem) => return rules_page(visit, rows, Some(problem)).await,
    };
    match muster_site::update_rule_create(&visit.ctx, visit.site(), rule).await {
        Ok(detail) => Ok(go_done(&format!("/updates/rules/{}", detail.info.id), Done::UpdateRuleSaved)),
        Err(error) => rules_page(visit, rows, Some(error.problem().detail)).await,
    }
}

/// `POST /updates/rules/{id}/look`
pub(crate) async fn update_rule_look(visit: Visit, Named(id): Named<UpdateRuleId>) -> Answer {
    visit.ask(muster_site::update_rule_look(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done(&format!("/updates/rules/{id}"), Done::UpdateRuleLooked))
}

/// `GET /updates/rules/{id}/delete`
pub(crate) async fn delete_confirm(visit: Visit, Named(id): Named<UpdateRuleId>) -> Answer {
    let detail = visit.ask(muster_site::update_rule_show(&visit.ctx, visit.site(), id).await)?;
    visit.page(&ConfirmPage {
        shell: visit.shell("updates").await?,
        title: "Remove rule".to_owned(),
        object: detail.info.rule.name.to_string(),
        consequences: vec![
            "It proposes nothing any more, and its draft is gone.".to_owned(),
            "What was signed and deployed stays.".to_owned(),
        ],
        reason: false,
        action: format!("/updates/rules/{id}/delete"),
        button: "Remove rule".to_owned(),
        danger: true,
        back: format!("/updates/rules/{id}"),
        hidden: vec![],
    })
}

/// `POST /updates/rules/{id}/delete`
pub(crate) async fn update_rule_delete(visit: Visit, Named(id): Named<UpdateRuleId>) -> Answer {
    visit.ask(muster_site::update_rule_delete(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done("/updates/rules", Done::UpdateRuleRemoved))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_form_becomes_a_rule_or_a_sentence() {
        let fields = |name: &str, every: &str| RuleFields {
            name: name.to_owned(),
            tool: String::new(),
            security: "on".to_owned(),
            origins: "Debian:*  Debian-Security:*".to_owned(),
            names: String::new(),
            exclude: "linux-*".to_owned(),
            min_age_hours: "48".to_owned(),
            every_hours: every.to_owned(),
            deployment: String::new(),
        };
        let rule = fields("Monthly", "").rule().unwrap();
        assert_eq!((rule.every_hours, rule.min_age_hours, rule.origins.len()), (24, 48, 2));
        assert_eq!(
            criteria(&rule),
            "security updates, of Debian:*, Debian-Security:*, but not linux-*, known for 48 hours"
        );
        assert!(fields("Monthly", "often").rule().unwrap_err().contains("whole number"));
        assert!(fields("", "").rule().unwrap_err().contains("name"));
    }
}
