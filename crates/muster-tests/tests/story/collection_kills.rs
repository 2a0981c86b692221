//! The server is killed while it evaluates and while devices report: what it comes to afterwards is what the database says.

use crate::harness::Site;
use muster_model::api::{CollectionQuery, PageQuery, RuleSpec};
use std::{fmt::Write as _, time::Duration};

const QUERIES: &[&str] = &[
    "select * from SMS_R_System",
    "select * from SMS_R_System where OperatingSystemNameandVersion like '%Linux%' or Client = 0",
    "select * from SMS_R_System s inner join SMS_G_System_OPERATING_SYSTEM o on o.ResourceID = s.ResourceID where o.Caption is not null",
    "select * from SMS_R_System where ResourceId in (select ResourceID from SMS_G_System_INSTALLED_SOFTWARE where ProductName like '%s%')",
    "select * from SMS_R_System where ResourceId not in (select ResourceID from SMS_G_System_PROCESSOR where Name like '%nobody has this%')",
    "select * from SMS_R_System s join SMS_G_System_CH_ClientSummary c on c.ResourceID = s.ResourceID where c.ClientActiveStatus = 1",
];

async fn asked(site: &Site) -> Vec<(String, String)> {
    let client = site.client().await;
    let query = CollectionQuery { search: "case".to_owned(), limit: 100, ..CollectionQuery::default() };
    let mut wrong = Vec::new();
    for row in client.collection_list(&query).await.unwrap().items {
        let detail = client.collection_show(row.id).await.unwrap();
        let RuleSpec::Query { query, .. } = &detail.rules[0].rule else { panic!("{detail:?}") };
        let members = client.collection_members(row.id, &PageQuery { offset: 0, limit: 100 }).await.unwrap();
        let mut stored: Vec<String> = members.items.iter().map(|member| member.name.clone()).collect();
        stored.sort();
        let plain = query.replacen("select *", "select distinct Name", 1).replacen(
            "distinct Name from SMS_R_System s",
            "distinct s.Name from SMS_R_System s",
            1,
        );
        let found = site.muster(&["query", "run", &plain, "--json"]).await.json();
        let rows = found["rows"].as_array().unwrap();
        let mut sql: Vec<String> = rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect();
        sql.sort();
        if stored != sql || detail.collection.pending {
            wrong.push((query.clone(), format!("{stored:?} and by SQL {sql:?}, {:?}", detail.collection)));
        }
    }
    wrong
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_evaluates_comes_to_the_right_members() {
    let mut site = Site::start().await;
    let (_, mut agent) = site.managed("agent").await;
    let mut text = String::new();
    for (at, query) in QUERIES.iter().cycle().take(12).enumerate() {
        writeln!(
            text,
            "instance of SMS_Collection {{ Name = \"Case {at}\"; LimitToCollectionID = \"SMS00001\"; RefreshType = 4; CollectionRules = {{ \
             instance of SMS_CollectionRuleQuery {{ RuleName = \"q\"; QueryExpression = \"{query}\"; }} }}; }};"
        )
        .unwrap();
    }
    std::fs::write(site.path("cases.mof"), text).unwrap();
    let file = site.path("cases.mof").display().to_string();
    let done = site.muster(&["collection", "import", &file, "--json"]).await.json();
    assert_eq!((done["taken"].as_array().unwrap().len(), done["left"].as_array().unwrap().len()), (12, 0), "{done}");
    for round in 0..4_u64 {
        // In the first evaluations, in the ingestion of the agent's inventory, in its heartbeats.
        let (held, moment) = tokio::sync::oneshot::channel::<()>();
        let _ = tokio::time::timeout(Duration::from_millis(20 + 170 * round), moment).await;
        drop(held);
        site.kill_server().await;
        agent.kill().await.unwrap();
        site.serve().await;
        agent = site.agent_run("agent");
        let evaluated = site.muster(&["collection", "evaluate", &format!("Case {round}")]).await;
        assert_eq!(evaluated.code, Some(0), "{evaluated:?}");
    }
    let mut tries = 0;
    loop {
        let wrong = asked(&site).await;
        if wrong.is_empty() {
            break;
        }
        tries += 1;
        assert!(tries < 40, "{wrong:#?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    agent.kill().await.unwrap();
}
