//! SQL that administrators ask: what it gives, and everything that an intruder would try with it.

use crate::fixture::device;
use muster_model::{inventory::Value, wql::date::Clock};
use muster_store::{
    db::{
        Dialect, Leave, Store, device as devices,
        sql::{self, Answer, Role, SqlError, allowed},
        wql,
    },
    testing::{TestStore, command, stores, tamper},
};
use std::{sync::Arc, time::Duration};

const TIME: Duration = Duration::from_secs(10);
const CLOCK: Clock = Clock { now: crate::fixture::NOW, offset_minutes: 0 };

async fn run(store: &Store, text: &str, limit: u32, time: Duration) -> Result<Answer, SqlError> {
    sql::run(store, text, limit, time, None).await
}

/// Stores with three devices, ready to be asked.
async fn ready() -> Vec<TestStore> {
    let all = stores().await;
    for test in &all {
        for n in 1..=3 {
            crate::commit!(test.store, |tx| { devices::insert(tx, &device(n)).await? });
        }
        let made = sql::role(&test.store).await.unwrap();
        assert_eq!(matches!(made, Role::There(_)), test.store.dialect() == Dialect::Postgres, "{made:?}");
    }
    all
}

#[tokio::test]
async fn a_question_over_the_views_is_answered_alike_on_both_databases() {
    let mut answers = Vec::new();
    for test in ready().await {
        let text = "-- who is there\nWITH all_of AS (SELECT ResourceID AS id, Name0 AS name FROM v_R_System) \
             SELECT UPPER(a.name) AS \"Big name\", COUNT(*) AS n, AVG(a.id) AS mean, NULL AS missing, MIN(a.id) || 'x' AS joined \
             FROM all_of a LEFT JOIN v_GS_OPERATING_SYSTEM o ON o.ResourceID = a.id \
             WHERE a.name LIKE 'pc%' AND a.id IN (SELECT ResourceID FROM v_R_System) GROUP BY a.name HAVING COUNT(*) > 0 \
             ORDER BY 1 DESC LIMIT 2;";
        let answer = run(&test.store, text, 100, TIME).await.unwrap();
        let names: Vec<&str> = answer.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>(),
            ["big name", "n", "mean", "missing", "joined"]
        );
        assert!(answer.complete);
        answers.push(answer.rows);
    }
    assert_eq!(answers[0][0][..2], [Some(Value::Text("PC3".to_owned())), Some(Value::Int(1))]);
    assert_eq!(answers[0][0][3], None);
    for other in &answers[1..] {
        assert_eq!(other.len(), answers[0].len());
        for (one, other) in answers[0].iter().zip(other) {
            assert_eq!((&one[0], &one[1], &one[3], &one[4]), (&other[0], &other[1], &other[3], &other[4]));
        }
    }
}

/// What nobody gets, on either database: each is refused before the database sees it.
const ATTACKS: &[&str] = &[
    // Tables with secrets, and other names for them.
    "SELECT * FROM session",
    "SELECT * FROM token",
    "SELECT * FROM \"session\"",
    "SELECT * FROM SESSION",
    "SELECT * FROM public.session",
    "SELECT * FROM main.session",
    "SELECT * FROM v_R_System, session",
    "SELECT * FROM v_R_System JOIN admin ON true",
    "SELECT (SELECT secret_hash FROM token LIMIT 1)",
    "SELECT * FROM v_R_System WHERE EXISTS (SELECT 1 FROM session)",
    "SELECT 1 FROM v_R_System UNION ALL SELECT 2 FROM token",
    "SELECT 1 FROM v_R_System ORDER BY (SELECT hash FROM session LIMIT 1)",
    "SELECT 1 FROM v_R_System GROUP BY (SELECT hash FROM session LIMIT 1)",
    "SELECT 1 FROM v_R_System LIMIT (SELECT COUNT(*) FROM session)",
    "SELECT COUNT(*) FILTER (WHERE EXISTS (SELECT 1 FROM session)) FROM v_R_System",
    "SELECT SUM(1) OVER (PARTITION BY (SELECT hash FROM session LIMIT 1)) FROM v_R_System",
    "SELECT CASE WHEN EXISTS (SELECT 1 FROM session) THEN 1 END",
    "SELECT 1 FROM (SELECT * FROM session) AS v_x",
    "TABLE session",
    "VALUES (1)",
    // A name in WITH is one only where it is one.
    "SELECT * FROM (WITH session AS (SELECT 1) SELECT * FROM session) x, session",
    "WITH a AS (WITH session AS (SELECT 1 AS x) SELECT * FROM session) SELECT * FROM session",
    "WITH session AS (SELECT * FROM session) SELECT * FROM session",
    "WITH \"Session\" AS (SELECT 1) SELECT * FROM session",
    "WITH \"SESSION\" AS (SELECT 1) SELECT * FROM session",
    "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT * FROM r",
    "WITH r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT * FROM r",
    "WITH x AS (DELETE FROM session RETURNING *) SELECT * FROM x",
    "WITH x AS (INSERT INTO setting VALUES ('a', 'b', 1) RETURNING *) SELECT * FROM x",
    // Catalogues.
    "SELECT * FROM pg_catalog.pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_user",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM sqlite_schema",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pragma_table_info('session')",
    "SELECT * FROM dbstat",
    // Files, settings, time, and others.
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_catalog.pg_read_file('/etc/passwd')",
    "SELECT \"pg_read_file\"('/etc/passwd')",
    "SELECT * FROM pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT readfile('/etc/passwd')",
    "SELECT load_extension('/tmp/x.so')",
    "SELECT set_config('role', 'none', true)",
    "SELECT current_setting('data_directory')",
    "SELECT pg_sleep(10)",
    "SELECT pg_terminate_backend(1)",
    "SELECT nextval('job_id_seq')",
    "SELECT query_to_xml('SELECT * FROM session', true, true, '')",
    "SELECT dblink('', '')",
    "SELECT writefile('/tmp/x', 'y')",
    "SELECT * FROM generate_series(1, 1000000000)",
    "SELECT * FROM json_each('[1]')",
    "SELECT 'session'::regclass",
    "SELECT CAST('session' AS regclass)",
    "SELECT repeat('x', 1000000000)",
    "SELECT printf('%1000000000d', 1)",
    "SELECT zeroblob(1000000000)",
    "SELECT CAST('x' AS CHAR(1000000000))",
    // Something else than a question.
    "",
    "DELETE FROM session",
    "DROP VIEW v_R_System",
    "UPDATE device SET name = 'x'",
    "ATTACH DATABASE '/tmp/x' AS y",
    "PRAGMA writable_schema = 1",
    "SET ROLE postgres",
    "RESET ROLE",
    "COPY session TO '/tmp/x'",
    "COPY session TO PROGRAM 'id'",
    "EXPLAIN ANALYZE SELECT 1",
    "VACUUM INTO '/tmp/x'",
    "DO $$ BEGIN END $$",
    "CALL x()",
    "PREPARE x AS SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE session",
    "SELECT 1 INTO x",
    "SELECT * INTO x FROM v_R_System",
    "SELECT * FROM v_R_System FOR UPDATE",
    "SELECT * FROM v_R_System; --\nDELETE FROM session",
    // Readings that two programs could have of one text.
    "SELECT 'a\\' || (SELECT hash FROM session) || '' FROM v_R_System",
    "SELECT E'\\' FROM v_R_System; DELETE FROM session; --'",
    "SELECT $$ ' $$ FROM session --",
    "SELECT 1 /* /* */ FROM session */ FROM session",
    "SELECT 1 FROM v_R_System /* */, session",
    "SELECT U&'\\0041' FROM v_R_System",
    "SELECT \"a\"\"b\" FROM v_R_System",
    "SELECT `Name0` FROM v_R_System",
    "SELECT [Name0] FROM v_R_System",
    "SELECT $1",
    "SELECT ?",
    "SELECT 1 OPERATOR(pg_catalog.+) 1",
    "SELECT v.a.b.c FROM v_R_System v",
    "SELECT (v).x FROM v_R_System v",
    "SELECT ARRAY[1]",
    "SELECT Name0 COLLATE \"C\" FROM v_R_System",
    "SELECT Name0 ~ '(a+)+' FROM v_R_System",
    // SQLite lets a WITH come out of itself without a word for it.
    "WITH v_a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM v_a) SELECT * FROM v_a",
    "WITH V_A(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM v_a) SELECT * FROM v_a",
    "WITH \"v_a\"(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM v_a) SELECT * FROM v_a",
    "WITH a AS (SELECT 1 AS n) SELECT * FROM (WITH \"A\"(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT * FROM a) x",
    // What is long, and what makes long.
    "SELECT CAST(1e131071 AS TEXT)",
    "SELECT a || a FROM (SELECT b || b AS a FROM (SELECT c || c AS b FROM (SELECT d || d AS c FROM (SELECT Name0 || Name0 AS d FROM v_R_System) e) f) g) h",
];

/// What PostgreSQL would read as a function of a row. SQLite finds no such column.
const MEMBERS: &[&str] = &[
    "SELECT v.json_agg FROM v_R_System v",
    "SELECT v.array_agg FROM v_R_System v",
    "SELECT v.\"to_jsonb\" FROM v_R_System v",
    "SELECT V.ROW_TO_JSON FROM v_R_System V",
    "SELECT v.pg_typeof FROM v_R_System v",
    "SELECT v.concat FROM v_R_System v",
];

#[test]
fn what_is_no_question_about_the_views_is_refused_before_the_database_sees_it() {
    // What somebody asks reaches the views for reports, and no table with a hash, a session or a key.
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        for attack in ATTACKS {
            let looked = allowed(dialect, attack);
            assert!(looked.is_err(), "{}: {attack} became {looked:?}", dialect.name());
        }
        let deep = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(matches!(allowed(dialect, &deep), Err(SqlError::Syntax(_))));
        // Chains without a parenthesis are as deep, and are read on whatever stack the caller has.
        for chain in
            ["+1", "*1", " OR 1", " AND 1", "||1", " UNION SELECT 1", " UNION ALL SELECT 1", " BETWEEN 1 AND 1"]
        {
            for times in [490 / chain.split_whitespace().count(), (sql::SQL_BYTES - 20) / chain.len()] {
                let text = format!("SELECT 1{}", chain.repeat(times));
                let small = std::thread::Builder::new().stack_size(128 << 10);
                let said = small.spawn(move || allowed(dialect, &text).map(drop)).unwrap().join().unwrap();
                assert!(times < 500 || said.is_err(), "{chain}");
            }
        }
        let joined = format!("SELECT '{}' || '{}' AS x", "x".repeat(5_000), "y".repeat(5_000));
        assert!(allowed(dialect, &joined).is_ok());
        let longer = format!(
            "SELECT a || a || a || a || a || a || a || a || a AS x FROM (SELECT '{}' AS a) b",
            "x".repeat(9_000)
        );
        assert!(allowed(dialect, &longer).is_err());
        let long = format!("SELECT '{}'", "x".repeat(sql::SQL_BYTES));
        assert!(matches!(allowed(dialect, &long), Err(SqlError::TooLarge)));
        let doubled = "SELECT a || a FROM (SELECT b || b AS a FROM (SELECT c || c || c || c || c || c || c || c AS b FROM v_x) y) x";
        assert!(allowed(dialect, doubled).is_err());
        for fine in [
            "SELECT 'it''s -- no comment; /* none */' AS text FROM v_R_System",
            "SELECT 'a\\b' FROM v_R_System",
            "SELECT DISTINCT s.* FROM v_R_System AS s WHERE s.Name0 IS NOT NULL OR NOT s.ResourceID BETWEEN 1 AND 2",
            "WITH session AS (SELECT 1 AS x) SELECT * FROM session",
            "SELECT COUNT(DISTINCT Name0), ROW_NUMBER() OVER (ORDER BY MIN(Name0)) FROM v_R_System",
            "SELECT CAST(ResourceID AS TEXT) FROM v_R_System ORDER BY Name0 DESC LIMIT 10 OFFSET 5",
            "SELECT v.Name0 || ' (' || v.User_Name0 || ', ' || v.AD_Site_Name0 || ')' AS label FROM v_R_System v WHERE v.ResourceID > 1e6",
        ] {
            let written = allowed(dialect, fine).unwrap_or_else(|error| panic!("{fine}: {error}"));
            assert_eq!(allowed(dialect, &written).unwrap(), written);
        }
    }
}

#[tokio::test]
async fn the_role_of_queries_can_read_the_views_and_nothing_else() {
    // What the look at the text would let through by mistake, the database refuses.
    let Some(test) = ready().await.into_iter().find(|test| test.store.dialect() == Dialect::Postgres) else { return };
    let Role::There(role) = sql::role(&test.store).await.unwrap() else { panic!("no role") };
    let as_role = |statement: &str| format!("SET ROLE \"{role}\"; {statement}");
    command(&test.url, &as_role("SELECT * FROM v_R_System")).await.unwrap();
    for statement in [
        "SELECT * FROM session",
        "SELECT * FROM device",
        "SELECT * FROM inv_firmware",
        "DELETE FROM device",
        "DELETE FROM v_R_System",
        "CREATE TABLE x (a INT)",
        "CREATE ROLE x",
        "COPY v_R_System TO '/tmp/x'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM pg_authid",
        "SELECT setval('job_id_seq', 1)",
    ] {
        let error = command(&test.url, &as_role(statement)).await.unwrap_err();
        let refused = ["permission denied", "cannot delete from view", "must be superuser"];
        assert!(refused.iter().any(|word| error.contains(word)), "{statement}: {error}");
    }
    // A class that comes later is readable at once.
    let text = r#"{"name": "LATER", "attributes": [{"name": "Id", "type": "String", "key": true}]}"#;
    let class = muster_model::catalogue::definitions(text).unwrap().remove(0).class().unwrap();
    let row = muster_store::db::inventory_class::ClassRow {
        class,
        changed: muster_model::time::UnixMillis(1),
        changed_by: "Ada".to_owned(),
        retired: None,
    };
    crate::commit!(test.store, |tx| { muster_store::db::inventory_class::put(tx, None, &row).await? });
    assert_eq!(run(&test.store, "SELECT Id0 FROM v_GS_LATER", 10, TIME).await.unwrap().rows.len(), 0);
}

#[tokio::test]
async fn without_its_role_postgresql_is_not_asked() {
    let Some(test) = stores().await.into_iter().find(|test| test.store.dialect() == Dialect::Postgres) else { return };
    let error = run(&test.store, "SELECT 1 AS one FROM v_R_System", 10, TIME).await.unwrap_err();
    assert!(matches!(error, SqlError::NoRole), "{error}");
}

#[tokio::test]
async fn time_rows_and_sense_have_their_limits() {
    for test in ready().await {
        let some = run(&test.store, "SELECT Name0 FROM v_R_System ORDER BY Name0", 2, TIME).await.unwrap();
        assert!(some.rows.len() == 2 && !some.complete);
        let all = run(&test.store, "SELECT Name0 FROM v_R_System", 3, TIME).await.unwrap();
        assert!(all.rows.len() == 3 && all.complete);
        let none = run(&test.store, "SELECT Name0 AS n FROM v_R_System WHERE 1 = 0", 3, TIME).await.unwrap();
        assert!(none.rows.is_empty() && none.columns.len() == 1);
        for nonsense in ["SELECT nothing FROM v_R_System", "SELECT * FROM v_nowhere"] {
            let error = run(&test.store, nonsense, 3, TIME).await.unwrap_err();
            assert!(matches!(error, SqlError::Said(_)), "{nonsense}: {error:?}");
        }
        let many: Vec<String> = (0..17).map(|n| format!("a t{n}")).collect();
        let endless = format!("WITH a AS (SELECT Name0 FROM v_R_System) SELECT COUNT(*) AS n FROM {}", many.join(", "));
        let began = std::time::Instant::now();
        let error = run(&test.store, &endless, 3, Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, SqlError::TooLong(_)), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn an_administrators_own_view_is_one_too() {
    for test in stores().await {
        tamper(&test.store, "CREATE VIEW v_mine AS SELECT ResourceID AS id FROM v_R_System").await;
        sql::role(&test.store).await.unwrap();
        assert!(run(&test.store, "SELECT id FROM v_mine", 10, TIME).await.unwrap().complete);
    }
}

#[tokio::test]
async fn the_whole_way_of_an_attack_ends_before_anything_is_read_or_changed() {
    // On both databases, with the tables there and something in them.
    for test in ready().await {
        for attack in ATTACKS {
            let error = run(&test.store, attack, 10, TIME).await.unwrap_err();
            assert!(matches!(error, SqlError::Refused(_) | SqlError::Syntax(_)), "{attack}: {error:?}");
        }
        for member in MEMBERS {
            let error = run(&test.store, member, 10, TIME).await.unwrap_err();
            assert!(matches!(error, SqlError::Refused(_) | SqlError::Said(_)), "{member}: {error:?}");
        }
        // Texts that look like the end of one stay texts.
        let odd = "SELECT 'x''; DROP TABLE device; --' AS a, '\\' AS b, ') AS q; DELETE FROM device; --' AS c";
        let answer = run(&test.store, odd, 10, TIME).await.unwrap();
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let wanted = [text("x'; DROP TABLE device; --"), text("\\"), text(") AS q; DELETE FROM device; --")];
        assert_eq!(answer.rows, [wanted]);
        let there = run(&test.store, "SELECT COUNT(*) AS n FROM v_R_System", 10, TIME).await.unwrap();
        assert_eq!(there.rows, [[Some(Value::Int(3))]]);
    }
}

#[tokio::test]
async fn an_answer_has_its_limit_in_bytes_too() {
    for test in ready().await {
        let large = match test.store.dialect() {
            Dialect::Sqlite => "UPDATE device SET operating_system = replace(hex(zeroblob(100000)), '00', 'xy')",
            Dialect::Postgres => "UPDATE device SET operating_system = repeat('xy', 100000)",
        };
        tamper(&test.store, large).await;
        let text = "SELECT a.Operating_System_Name_and0 AS os FROM v_R_System a, v_R_System b, v_R_System c, v_R_System d, v_R_System e";
        let answer = run(&test.store, text, 10_000, TIME).await.unwrap();
        assert!(!answer.complete && (70..84).contains(&answer.rows.len()), "{}", answer.rows.len());
        let text = "select a.OperatingSystemNameandVersion from SMS_R_System a \
                    inner join SMS_R_System b on a.Client = b.Client inner join SMS_R_System c on a.Client = c.Client \
                    inner join SMS_R_System d on a.Client = d.Client inner join SMS_R_System e on a.Client = e.Client";
        let table = wql::run(&test.store, &checked(text), CLOCK, 10_000, TIME, None).await.unwrap().unwrap();
        assert!(!table.complete && (70..84).contains(&table.rows.len()), "{}", table.rows.len());
    }
}

fn checked(text: &str) -> muster_model::wql::Checked {
    let parsed = muster_model::wql::parse(text).unwrap();
    muster_model::wql::check(&parsed, muster_model::wql::Schema::built_in()).unwrap()
}

#[tokio::test]
async fn who_hangs_up_does_not_get_leave_back_before_the_database_has_done() {
    // No reader goes on with what nobody waits for, beyond its time.
    for test in ready().await {
        for n in 4..=80 {
            crate::commit!(test.store, |tx| { devices::insert(tx, &device(n)).await? });
        }
        let time = Duration::from_millis(900);
        let joins = |head: &str| {
            let join = |n| format!(" inner join SMS_R_System t{n} on t{}.ResourceID != t{n}.ResourceID", n - 1);
            format!("select {head} from SMS_R_System t0{}", (1..6).map(join).collect::<String>())
        };
        let (rule, counted) = (checked(&joins("*")), checked(&joins("count(*)")));
        let from: Vec<String> = (0..6).map(|n| format!("v_R_System t{n}")).collect();
        let sql = format!("SELECT COUNT(*) AS n FROM {} WHERE t0.ResourceID <> t5.ResourceID", from.join(", "));

        assert_eq!(wql::members_within(&test.store, &rule, CLOCK, None, time, None).await.unwrap(), None);
        let some: Vec<i64> = (16_777_217..16_777_290).collect();
        assert_eq!(wql::members_within(&test.store, &rule, CLOCK, Some(&some), time, None).await.unwrap(), None);
        for what in 0..3 {
            let leave: Arc<()> = Arc::new(());
            let seen = Arc::downgrade(&leave);
            let leave: Leave = Some(leave);
            let asked = async {
                match what {
                    0 => drop(wql::members_within(&test.store, &rule, CLOCK, None, time, leave).await),
                    1 => drop(wql::run(&test.store, &counted, CLOCK, 10, time, leave).await),
                    _ => drop(sql::run(&test.store, &sql, 10, time, leave).await),
                }
            };
            tokio::time::timeout(Duration::from_millis(150), asked).await.expect_err("it is long");
            assert_eq!(seen.strong_count(), 1, "the database still works on it");
            let end = std::time::Instant::now() + Duration::from_secs(8);
            while seen.strong_count() > 0 {
                assert!(std::time::Instant::now() < end, "it was stopped at its time");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        assert_eq!(
            wql::members(
                &mut test.store.reader().await.unwrap(),
                test.store.dialect(),
                &checked("select * from SMS_R_System"),
                CLOCK,
                None
            )
            .await
            .unwrap()
            .len(),
            80
        );
    }
}
