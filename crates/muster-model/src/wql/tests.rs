//! What is read, what is refused and where, and what is noted.

use super::{
    ErrorKind, Number, Schema, Span, WqlError, check,
    check::Checked,
    parse,
    tree::{
        Column, Columns, Comparison, Condition, Constant, Expr, Function, Item, Join, JoinKind, Literal, Name, Order,
        Part, Query, Source,
    },
};
use proptest::prelude::*;

fn checked(text: &str) -> Result<Checked, WqlError> {
    check(&parse(text)?, Schema::built_in())
}

fn good(text: &str) -> Checked {
    checked(text).unwrap_or_else(|error| panic!("{}", error.shown(text)))
}

#[test]
fn queries_as_administrators_write_them_are_taken() {
    for text in [
        "select * from SMS_R_System",
        "SELECT SMS_R_SYSTEM.ResourceID,SMS_R_SYSTEM.ResourceType,SMS_R_SYSTEM.Name,SMS_R_SYSTEM.SMSUniqueIdentifier,SMS_R_SYSTEM.ResourceDomainORWorkgroup,SMS_R_SYSTEM.Client FROM SMS_R_System\r\n\tINNER JOIN SMS_G_System_ENCRYPTABLE_VOLUME ON SMS_G_System_ENCRYPTABLE_VOLUME.ResourceID = SMS_R_System.ResourceId WHERE SMS_G_System_ENCRYPTABLE_VOLUME.DriveLetter = 'C:' AND SMS_G_System_ENCRYPTABLE_VOLUME.ProtectionStatus = \"1\"",
        "select distinct s.* from SMS_R_System as s join SMS_G_System_SERVICE v on v.ResourceID = s.ResourceID where (v.Name) = (\"Spooler\") and ((v.StartMode like 'Auto%'));",
        "select Name from SMS_R_User where UserGroupName = \"DOM\\\\Grp\" order by Name desc",
        "select count(*) from SMS_R_System where not Name like '%[^0-9]' or ClientVersion is not null",
        "select * from sms_r_system where ResourceId in (select MachineID from SMS_UpdateComplianceStatus where Status = 2)",
        "select ResourceID from SMS_R_System where ResourceID is not in (select r.ResourceID from SMS_CM_RES_COLL_ABC00123 r)",
        "select * from SMS_R_UnknownSystem where DateDiff(DAY, CreationDate, GetDate()) <= -1",
        "select * from SMS_R_System where AgentTime < DateAdd(dd, '-30', GetDate()) and IsVirtualMachine = true and Name <> null",
        "select a.Name from SMS_R_System a full outer join SMS_R_System b on a.Name = b.Name and a.ResourceID <> b.ResourceID",
    ] {
        let parsed = parse(text).unwrap_or_else(|error| panic!("{}", error.shown(text)));
        good(text);
        let printed = parsed.query.to_string();
        assert_eq!(parse(&printed).unwrap().query, parsed.query, "{printed}");
    }
}

#[test]
fn every_attribute_of_every_class_is_typed() {
    for class in Schema::built_in().classes() {
        for attribute in &class.attributes {
            good(&format!(
                "select {0} from {1} where {1}.{0} = '1' or {0} is null",
                attribute.name,
                class.name.to_lowercase()
            ));
        }
    }
}

#[test]
fn an_error_has_its_kind_its_place_and_its_suggestion() {
    let cases = [
        ("select * from SMS_R_Sytem", ErrorKind::UnknownClass, 14, "SMS_R_System"),
        ("select * from SMS_R_System where Nmae = 1", ErrorKind::UnknownAttribute, 33, "Name"),
        ("select * from SMS_R_System where SMS_R_System.Cleint = 1", ErrorKind::UnknownAttribute, 46, "Client"),
        ("select * from SMS_R_System where SMS_G_System_DISK.Name = 'x'", ErrorKind::NotJoined, 33, "inner join"),
        ("select * from SMS_R_System s where x.Name = 'x'", ErrorKind::UnknownClass, 35, ""),
        ("select * from SMS_R_System where Name = \u{201c}x\u{201d}", ErrorKind::SmartQuote, 40, "straight"),
        ("select * from SMS_R_System where Name = 'x", ErrorKind::Syntax, 40, "closing"),
        ("select * from SMS_R_System where Name like", ErrorKind::Syntax, 42, "pattern"),
        ("select * from SMS_R_System where Name", ErrorKind::Syntax, 37, "comparison"),
        ("select * from SMS_R_System where (Name)", ErrorKind::Syntax, 39, "comparison"),
        ("select * from SMS_R_System where GetDat() > 1", ErrorKind::Syntax, 33, "GetDate"),
        (
            "select * from SMS_R_System where ResourceID in (select * from SMS_R_System)",
            ErrorKind::Meaning,
            48,
            "one column",
        ),
        ("select * from SMS_R_System, SMS_R_User", ErrorKind::Syntax, 26, "inner join"),
        ("select * from SMS_R_System group by Name", ErrorKind::Syntax, 27, "GROUP BY"),
        ("select * from SMS_R_System where Name between 'a' and 'b'", ErrorKind::Syntax, 38, "BETWEEN"),
        ("select * from SMS_R_System join SMS_R_System on 1 = 1", ErrorKind::Meaning, 32, "another name"),
        ("select * from SMS_R_System; drop table device", ErrorKind::Syntax, 28, "ends here"),
        ("select * from SMS_R_System where __path = 'x'", ErrorKind::Meaning, 33, "system"),
        (
            "select * from SMS_R_System a full join SMS_R_System b on a.Name like 'x'",
            ErrorKind::Meaning,
            39,
            "equality",
        ),
    ];
    for (text, kind, at, says) in cases {
        let error = checked(text).unwrap_err();
        assert_eq!((error.kind, error.span.start), (kind, at), "{text}: {error}");
        assert!(error.message.contains(says), "{text}: {error}");
    }
    let text = "select *\nfrom SMS_R_System\n where Nmae = 1";
    assert!(
        checked(text).unwrap_err().shown(text).ends_with(" where Nmae = 1\n         ^"),
        "the mark stands under its place"
    );
}

#[test]
fn what_is_often_a_mistake_is_noted() {
    let disk = "select * from SMS_R_System inner join SMS_G_System_INSTALLED_SOFTWARE s on s.ResourceID = SMS_R_System.ResourceID where ";
    let cases = [
        (format!("{disk} s.ProductName != 'Reader'"), "not_on_several_rows"),
        (format!("{disk} s.ProductName not like '%Reader%'"), "not_on_several_rows"),
        (format!("{disk} s.ProductVersion > '98.0.4758.102'"), "version_as_text"),
        ("select * from SMS_R_System where Name = null".to_owned(), "equals_null"),
        ("select * from SMS_R_System where Name = 'C:\\Temp'".to_owned(), "lone_backslash"),
        ("select * from SMS_R_System where Name = '\u{201c}x\u{201d}'".to_owned(), "smart_quote"),
        ("select * from SMS_R_System where Client = 'yes'".to_owned(), "wrong_type"),
        ("select * from SMS_R_System where CreationDate > 'yesterday'".to_owned(), "wrong_type"),
    ];
    for (text, name) in cases {
        assert_eq!(good(&text).lints.iter().map(|lint| lint.name).collect::<Vec<_>>(), [name], "{text}");
    }
    assert_eq!(good(&format!("{disk} s.ProductName like '%Reader%'")).lints, []);
}

#[test]
fn the_rule_of_a_collection_is_from_a_class_of_resources() {
    assert!(good("select ResourceID from SMS_R_User").rule().is_ok());
    assert!(good("select ResourceID from SMS_G_System_DISK").rule().is_err());
    assert!(good("select count(*) from SMS_R_System").rule().is_err());
}

#[test]
fn what_is_made_to_exhaust_is_refused_in_time() {
    let begun = std::time::Instant::now();
    let nested = |open: &str, close: &str, depth: usize| {
        format!("select * from SMS_R_System where {}Name = 'x'{}", open.repeat(depth), close.repeat(depth))
    };
    let too_large = [
        format!("select * from SMS_R_System where Name = '{}'", "x".repeat(1 << 20)),
        nested("(", ")", 50_000),
        nested("not ", "", 50_000),
        nested("Name in (select Name from SMS_R_System where ", ")", 60),
        format!("select * from SMS_R_System where Name = 'x'{}", " or Name = 'x'".repeat(3_000)),
        format!("select * from SMS_R_System where Name like '{}'", "%a".repeat(200)),
        format!("select * from SMS_R_System where Name like '{}'", "_".repeat(5_000)),
        format!("select * from SMS_R_System where {}Name{} = 'x'", "lower(".repeat(1_000), ")".repeat(1_000)),
        format!("select {}Name from SMS_R_System", "Name,".repeat(1_000)),
    ];
    for text in too_large {
        assert_eq!(checked(&text).unwrap_err().kind, ErrorKind::TooLarge, "{}", &text[..80]);
    }
    let list = vec!["'x'"; 50_000].join(",");
    good(&format!("select * from SMS_R_System where Name in ({list})"));
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

fn name(text: &str) -> Name {
    Name { text: text.to_owned(), span: Span::default() }
}

fn names() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["Name", "x1", "SMS_R_System", "_a", "Build01"]).prop_map(name)
}

fn columns() -> impl Strategy<Value = Column> {
    (prop::option::of(names()), names()).prop_map(|(class, attribute)| Column { class, attribute })
}

fn literals() -> impl Strategy<Value = Literal> {
    let value = prop_oneof![
        Just(Constant::Null),
        any::<bool>().prop_map(Constant::Bool),
        any::<i64>().prop_map(|number| Constant::Number(Number::Int(number))),
        (-1_000_000_i32..1_000_000).prop_map(|n| Constant::Number(Number::Real(f64::from(n) + 0.5))),
        "[ -~\\n\u{e9}\u{201c}]{0,8}".prop_map(Constant::Text),
    ];
    value.prop_map(|value| Literal { value, span: Span::default() })
}

fn parts() -> impl Strategy<Value = Part> {
    prop::sample::select(Part::NAMES.iter().map(|(part, _)| *part).collect::<Vec<_>>())
}

fn exprs() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![columns().prop_map(Expr::Column), literals().prop_map(Expr::Literal)];
    leaf.prop_recursive(2, 6, 2, |inner| {
        let function = prop_oneof![
            Just(Function::GetDate),
            (parts(), inner.clone(), inner.clone()).prop_map(|(part, a, b)| Function::DateDiff(part, a, b)),
            (parts(), any::<i32>(), inner.clone()).prop_map(|(part, n, of)| Function::DateAdd(part, n.into(), of)),
            (parts(), inner.clone()).prop_map(|(part, of)| Function::DatePart(part, of)),
            inner.clone().prop_map(Function::Lower),
            (inner, any::<i32>(), 0..9_i64).prop_map(|(of, a, b)| Function::Substring(of, a.into(), b)),
        ];
        function.prop_map(|function| Expr::Function(Box::new(function), Span::default()))
    })
}

fn query(from: Name, alias: Option<Name>, joins: Vec<Join>, condition: Option<Condition>) -> Query {
    let columns =
        Columns::List(vec![Item::Column(Column { class: None, attribute: name("Name") }), Item::AllOf(name("a"))]);
    let order = vec![Order {
        column: Column { class: Some(name("a")), attribute: name("b") },
        descending: condition.is_some(),
    }];
    Query {
        distinct: alias.is_some(),
        columns,
        from: Source { class: from, alias },
        joins,
        condition,
        order,
        span: Span::default(),
    }
}

fn conditions() -> impl Strategy<Value = Condition> {
    let comparison = || {
        prop::sample::select(vec![
            Comparison::Equal,
            Comparison::NotEqual,
            Comparison::Less,
            Comparison::GreaterOrEqual,
        ])
    };
    let leaf = prop_oneof![
        (exprs(), comparison(), exprs()).prop_map(|(left, comparison, right)| Condition::Compare {
            left,
            comparison,
            right
        }),
        (exprs(), any::<bool>(), "[ -~]{0,6}").prop_map(|(left, negated, pattern)| Condition::Like {
            left,
            negated,
            pattern,
            span: Span::default()
        }),
        (exprs(), any::<bool>(), prop::collection::vec(literals(), 1..4))
            .prop_map(|(left, negated, values)| Condition::InList { left, negated, values }),
        (exprs(), any::<bool>()).prop_map(|(left, negated)| Condition::IsNull { left, negated }),
    ];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let select = || {
            (names(), prop::option::of(names()), prop::option::of(inner.clone()))
                .prop_map(|(from, alias, condition)| Box::new(query(from, alias, Vec::new(), condition)))
        };
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::Or),
            inner.clone().prop_map(|inner| Condition::Not(Box::new(inner))),
            (exprs(), any::<bool>(), select()).prop_map(|(left, negated, select)| Condition::InSelect {
                left,
                negated,
                select
            }),
            (exprs(), select()).prop_map(|(left, select)| Condition::CompareSelect {
                left,
                comparison: Comparison::Less,
                select
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_is_printed_is_read_as_the_same_tree(
        from in names(), alias in prop::option::of(names()), on in conditions(), condition in prop::option::of(conditions()),
        kind in prop::sample::select(vec![JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full]),
    ) {
        let join = Join { kind, source: Source { class: name("y"), alias: None }, on };
        let tree = query(from, alias, vec![join], condition);
        let printed = tree.to_string();
        let read = parse(&printed).map_err(|error| TestCaseError::fail(error.shown(&printed)))?;
        prop_assert_eq!(read.query, tree, "{}", printed);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,60}", words in prop::collection::vec("select|from|where|and|not|\\(|\\)|SMS_R_System|Name|=|like|'x'|in|,|is|null|1|join|on|\\.|\\*", 0..20)) {
        for text in [text, words.join(" "), format!("select * from SMS_R_System where {}", words.join(" "))] {
            if let Err(error) = checked(&text) {
                let _ = error.shown(&text);
            }
        }
    }
}
