//! Queries that are asked in SQL, and those that are kept: who may, what is noted, and what comes out again.

use muster_model::{
    api::{PageQuery, QueryLanguage, QuerySave, QuerySql, SavedQueryRun},
    problem::Code,
};
use muster_site::{
    Ctx, audit_list, identity::database::Role, query_delete, query_list, query_run_saved, query_save, query_show,
    query_sql, testing::TestSite,
};
use muster_store::db::sql;

const ALL: PageQuery = PageQuery { offset: 0, limit: 100 };

fn asked(statement: &str) -> QuerySql {
    QuerySql { statement: statement.to_owned(), limit: 10 }
}

fn kept(name: &str, language: QueryLanguage, query: &str) -> QuerySave {
    QuerySave { name: name.parse().unwrap(), language, query: query.to_owned(), comment: "why".to_owned() }
}

async fn entries(test: &TestSite) -> u64 {
    audit_list(&test.full(), &test.site, ALL).await.unwrap().total
}

#[tokio::test]
async fn sql_is_asked_by_whoever_sees_everything_and_its_text_is_noted() {
    for test in TestSite::all().await {
        test.enrol("alpha").await;
        let text = "SELECT Name0 AS name FROM v_R_System";
        match sql::role(&test.site.store).await.unwrap() {
            Role::None | Role::There(_) => {}
            Role::Ask(statements) => panic!("the test's own role may make roles: {statements:?}"),
        }
        let before = entries(&test).await;
        let found = query_sql(&test.analyst(), &test.site, asked(text)).await.unwrap();
        assert_eq!((found.rows.len(), found.columns[0].name.as_str()), (1, "name"));
        let log = audit_list(&test.full(), &test.site, ALL).await.unwrap();
        assert_eq!(log.total, before + 1);
        assert!(log.items[0].action == "query_sql" && log.items[0].detail.contains(text), "{:?}", log.items[0]);
        assert_eq!(log.items[0].actor, "Rosalind");

        for refused in
            ["SELECT hash FROM session", "SELECT pg_read_file('/etc/passwd')", "DELETE FROM device", "nonsense"]
        {
            let error = query_sql(&test.full(), &test.site, asked(refused)).await.unwrap_err();
            assert_eq!(error.code(), Code::Malformed, "{refused}: {error}");
        }
        let none = QuerySql { limit: 0, ..asked(text) };
        assert_eq!(query_sql(&test.full(), &test.site, none).await.unwrap_err().code(), Code::TooLarge);
        let stranger = Ctx::site(test.full().now);
        assert_eq!(query_sql(&stranger, &test.site, asked(text)).await.unwrap_err().code(), Code::Unauthenticated);
        assert_eq!(entries(&test).await, before + 1, "what is refused does not fill the log");
    }
}

#[tokio::test]
async fn a_query_is_kept_changed_run_and_deleted() {
    for test in TestSite::all().await {
        test.enrol("alpha").await;
        sql::role(&test.site.store).await.unwrap();
        let (full, analyst, site) = (test.full(), test.analyst(), &test.site);
        let wql = kept("Everybody", QueryLanguage::Wql, "select Name from SMS_R_System");
        let sql = kept("Numbers", QueryLanguage::Sql, "SELECT COUNT(*) AS n FROM v_R_System");
        assert_eq!(query_save(&analyst, site, wql.clone()).await.unwrap_err().code(), Code::Forbidden);
        let first = query_save(&full, site, wql.clone()).await.unwrap();
        let second = query_save(&full, site, sql).await.unwrap();
        assert_eq!((first.owner.as_str(), first.revision), ("Ada", 1));
        let changed = QuerySave { query: "select Name, Client from SMS_R_System".to_owned(), ..wql };
        let again = query_save(&full, site, changed).await.unwrap();
        assert_eq!((again.id, again.revision), (first.id, 2));
        let list = query_list(&analyst, site, ALL).await.unwrap();
        assert_eq!(list.items.iter().map(|kept| kept.name.as_str()).collect::<Vec<_>>(), ["Everybody", "Numbers"]);
        let run = SavedQueryRun { limit: 10, utc_offset_minutes: 0 };
        let found = query_run_saved(&analyst, site, first.id, run.clone()).await.unwrap();
        assert_eq!(found.columns.len(), 2);
        let found = query_run_saved(&analyst, site, second.id, run).await.unwrap();
        assert_eq!(found.rows, [[Some(muster_model::inventory::Value::Int(1))]]);
        for odd in [
            kept("a", QueryLanguage::Wql, "select"),
            kept("a", QueryLanguage::Sql, "SELECT * FROM session"),
            kept("select x", QueryLanguage::Wql, "select Name from SMS_R_System"),
            QuerySave { comment: "two\nlines".to_owned(), ..kept("a", QueryLanguage::Sql, "SELECT 1") },
        ] {
            let error = query_save(&full, site, odd.clone()).await.unwrap_err();
            assert_eq!(error.code(), Code::Malformed, "{odd:?}");
        }
        assert_eq!(query_delete(&analyst, site, first.id).await.unwrap_err().code(), Code::Forbidden);
        query_delete(&full, site, first.id).await.unwrap();
        assert_eq!(query_show(&full, site, first.id).await.unwrap_err().code(), Code::NotFound);
        let actions: Vec<String> =
            audit_list(&full, site, ALL).await.unwrap().items.into_iter().map(|entry| entry.action).collect();
        assert_eq!(actions[..2], ["query_delete", "query_sql"]);
        assert_eq!(actions.iter().filter(|action| *action == "query_save").count(), 3);
    }
}
