//! What is read of an export, what is left with its place, and that what is written is read again.

use super::*;

const EXPORT: &str = r#"// Created by the console
[SecurityVerbs(-1)]
instance of SMS_Collection
{
	CollectionID = "LAB0001C";
	CollectionRules = {
instance of SMS_CollectionRuleQuery
{
	QueryExpression = "select *  from  SMS_R_System where SMS_R_System.Name like \"LAB-%\"\n";
	QueryID = 1;
	RuleName = "By name";
},
instance of SMS_CollectionRuleDirect
{
	ResourceClassName = "SMS_R_System";
	ResourceID = 16777220;
	RuleName = "PC7";
},
instance of SMS_CollectionRuleExcludeCollection
{
	ExcludeCollectionID = "LAB0001D";
	RuleName = "Broken";
},
instance of SMS_CollectionRuleOther
{
	RuleName = "x";
}};
	CollectionType = 2;
	Comment = "Two \"labs\"";
	LimitToCollectionID = "SMS00001";
	LimitToCollectionName = "All Systems";
	Name = "Laboratories";
	RefreshSchedule = {
instance of SMS_ST_RecurInterval
{
	DayDuration = 0;
	DaySpan = 7;
	HourSpan = 0;
	IsGMT = FALSE;
	MinuteSpan = 0;
	StartTime = "20240120130000.000000+***";
},
instance of SMS_ST_RecurWeekly
{
	Day = 9;
	ForNumberOfWeeks = 1;
	StartTime = "20240120130000.000000+***";
}};
	RefreshType = 6;
	ServiceWindowsCount = 2;
};
instance of SMS_Package { Name = "x"; };
"#;

#[test]
fn an_export_is_read_and_what_is_left_says_where() {
    let (found, left) = collections(EXPORT).unwrap();
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.name.as_str(), one.comment.as_str()), ("Laboratories", "Two \"labs\""));
    assert_eq!((one.id.as_str(), one.limiting_id.as_str(), one.incremental), ("LAB0001C", "SMS00001", true));
    let query = "select *  from  SMS_R_System where SMS_R_System.Name like \"LAB-%\"\n".to_owned();
    let rules = [
        MofRule::Query { name: "By name".to_owned(), query },
        MofRule::Direct { resource: 16_777_220, name: "PC7".to_owned() },
        MofRule::Exclude { id: "LAB0001D".to_owned(), name: "Broken".to_owned() },
    ];
    assert_eq!(one.rules.iter().map(|(rule, _, _)| rule.clone()).collect::<Vec<_>>(), rules);
    assert_eq!(one.rules[1].1, 13, "its line");
    let every = Recurrence::Interval { days: 7, hours: 0, minutes: 0 };
    assert_eq!(one.schedule, [ScheduleToken { start: UnixMillis(1_705_755_600_000), every }]);
    let why: Vec<(usize, &str)> = one.left.iter().map(|left| (left.line, left.why.as_str())).collect();
    let expected = [
        (43, "A schedule has numbers that cannot be."),
        (24, "A rule of the class SMS_CollectionRuleOther is not known."),
        (3, "Laboratories has maintenance windows; they are not in such a file."),
    ];
    assert_eq!(why, expected);
    assert_eq!((left[0].line, left[0].why.as_str()), (52, "An instance of SMS_Package is no collection."));
}

#[test]
fn what_is_written_is_read_again_to_the_same() {
    let start = UnixMillis(1_705_755_600_000);
    let every = [
        Recurrence::Once,
        Recurrence::Interval { days: 1, hours: 2, minutes: 3 },
        Recurrence::Weekly { day: 3, weeks: 2 },
        Recurrence::MonthlyByDate { day: 0, months: 3 },
        Recurrence::MonthlyByWeekday { day: 3, week: 2, months: 1, offset: 0 },
    ];
    let one = MofCollection {
        id: "ABC00014".to_owned(),
        name: "M\u{fc}ll \\ \"x\"".to_owned(),
        comment: "one\ttwo\r\nthree".to_owned(),
        kind: CollectionKind::Device,
        limiting_id: "SMS00001".to_owned(),
        limiting_name: "All Systems".to_owned(),
        incremental: true,
        protected: true,
        schedule: every.map(|every| ScheduleToken { start, every }).into(),
        rules: vec![
            (MofRule::Direct { resource: 16_777_217, name: "pc1".to_owned() }, 0, 0),
            (
                MofRule::Query {
                    name: "q".to_owned(),
                    query: "select * from SMS_R_System\nwhere Name = \"a\\\\b\"".to_owned(),
                },
                0,
                0,
            ),
            (MofRule::Include { id: "ABC00015".to_owned(), name: "Others".to_owned() }, 0, 0),
        ],
        line: 0,
        column: 0,
        left: Vec::new(),
    };
    let user = MofCollection {
        name: "Users".to_owned(),
        kind: CollectionKind::User,
        rules: vec![],
        schedule: vec![],
        incremental: false,
        protected: false,
        ..one.clone()
    };
    let text = written(&[one.clone(), user.clone()]);
    let (mut found, left) = collections(&text).unwrap();
    assert!(left.is_empty(), "{left:?}");
    for one in &mut found {
        (one.line, one.column) = (0, 0);
        one.rules.iter_mut().for_each(|rule| (rule.1, rule.2) = (0, 0));
    }
    assert_eq!(found, [one, user]);
    assert_eq!(super::super::text::text(&super::super::text::utf16(&text)).unwrap(), text);
}
