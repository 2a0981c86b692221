//! Collections, as the console of Configuration Manager exports them, and as this program does.

use super::{
    MofError,
    instance::{Instance, Value, instances},
};
use crate::{
    api::CollectionKind,
    schedule::{Recurrence, ScheduleToken, date_of},
    time::{DAY, HOUR, MINUTE, UnixMillis},
    wql::date,
};
use std::fmt::Write as _;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MofRule {
    /// A resource, by the number and the name that it had there.
    Direct {
        /// The number; other sites have other ones.
        resource: i64,
        /// The name.
        name: String,
    },
    /// A query.
    Query {
        /// What people call it.
        name: String,
        /// The query.
        query: String,
    },
    /// Another collection.
    Include {
        /// The id that it had there.
        id: String,
        /// Its name, where the rule says it.
        name: String,
    },
    /// Not another collection.
    Exclude {
        /// The id that it had there.
        id: String,
        /// Its name, where the rule says it.
        name: String,
    },
}

/// Something that is not taken, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// What it is, and why: a sentence.
    pub why: String,
}

/// A collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MofCollection {
    /// The id that it had there; may be empty.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub comment: String,
    /// What it holds.
    pub kind: CollectionKind,
    /// The id of the collection that limits it, there.
    pub limiting_id: String,
    /// The name of the collection that limits it.
    pub limiting_name: String,
    /// Whether its queries are asked again as soon as what they ask about changes.
    pub incremental: bool,
    /// Takes members only by what the site itself knows: not of Configuration Manager.
    pub protected: bool,
    /// When it is evaluated as a whole.
    pub schedule: Vec<ScheduleToken>,
    /// Its rules, each with its line and column.
    pub rules: Vec<(MofRule, usize, usize)>,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// What of it is not taken.
    pub left: Vec<Left>,
}

/// The collections of a text, and what else it has.
///
/// # Errors
/// Where the text is not MOF.
pub fn collections(text: &str) -> Result<(Vec<MofCollection>, Vec<Left>), MofError> {
    let (mut found, mut left) = (Vec::new(), Vec::new());
    for instance in instances(text)? {
        if instance.is("SMS_Collection") {
            match collection(&instance) {
                Ok(collection) => found.push(collection),
                Err(why) => left.push(leave(&instance, why)),
            }
        } else {
            left.push(leave(&instance, format!("An instance of {} is no collection.", shown(&instance.class))));
        }
    }
    Ok((found, left))
}

fn leave(at: &Instance, why: String) -> Left {
    Left { line: at.line, column: at.column, why }
}

/// A word of the file in a sentence.
fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn collection(instance: &Instance) -> Result<MofCollection, String> {
    let text = |name: &str| instance.text(name).unwrap_or_default().to_owned();
    let Some(name) = instance.text("Name") else { return Err("A collection without a name.".to_owned()) };
    let kind = match instance.number("CollectionType") {
        Some(1) => CollectionKind::User,
        Some(2) | None => CollectionKind::Device,
        Some(other) => return Err(format!("{} holds things of type {other}, neither users nor devices.", shown(name))),
    };
    // 1: by hand; 2: by its schedule; 4: when something changes; 6: both.
    let refresh = instance.number("RefreshType").unwrap_or(2);
    let mut left = Vec::new();
    let mut schedule = Vec::new();
    for token in instance.instances("RefreshSchedule") {
        match recurrence(token) {
            Ok(_) if refresh & 2 == 0 => {}
            Ok(token) => schedule.push(token),
            Err(why) => left.push(leave(token, why)),
        }
    }
    let mut rules = Vec::new();
    for one in instance.instances("CollectionRules") {
        match rule(one) {
            Ok(rule) => rules.push((rule, one.line, one.column)),
            Err(why) => left.push(leave(one, why)),
        }
    }
    for (property, what) in [
        ("ServiceWindowsCount", "maintenance windows"),
        ("PowerConfigsCount", "power plans"),
        ("CollectionVariablesCount", "collection variables"),
    ] {
        if instance.number(property).is_some_and(|count| count > 0) {
            left.push(leave(instance, format!("{} has {what}; they are not in such a file.", shown(name))));
        }
    }
    Ok(MofCollection {
        id: text("CollectionID").to_ascii_uppercase(),
        name: name.trim().to_owned(),
        comment: text("Comment"),
        kind,
        limiting_id: text("LimitToCollectionID").to_ascii_uppercase(),
        limiting_name: text("LimitToCollectionName"),
        incremental: refresh & 4 != 0,
        protected: instance.get("MusterProtected") == &Value::Bool(true),
        schedule,
        rules,
        line: instance.line,
        column: instance.column,
        left,
    })
}

fn rule(one: &Instance) -> Result<MofRule, String> {
    let text = |name: &str| one.text(name).unwrap_or_default().trim().to_owned();
    let name = text("RuleName");
    let id = |property: &str| text(property).to_ascii_uppercase();
    Ok(match one.class.to_ascii_lowercase().as_str() {
        "sms_collectionruledirect" => {
            let resource = one.number("ResourceID").unwrap_or_default();
            if name.is_empty() && resource == 0 {
                return Err("A direct rule names no resource.".to_owned());
            }
            MofRule::Direct { resource, name }
        }
        "sms_collectionrulequery" => {
            let query = one.text("QueryExpression").ok_or("A query rule has no query.")?.to_owned();
            MofRule::Query { name: if name.is_empty() { "query".to_owned() } else { name }, query }
        }
        "sms_collectionruleincludecollection" => MofRule::Include { id: id("IncludeCollectionID"), name },
        "sms_collectionruleexcludecollection" => MofRule::Exclude { id: id("ExcludeCollectionID"), name },
        _ => return Err(format!("A rule of the class {} is not known.", shown(&one.class))),
    })
}

/// A schedule token. What it says of the length of something is of no use to an evaluation.
fn recurrence(token: &Instance) -> Result<ScheduleToken, String> {
    let number = |name: &str| u8::try_from(token.number(name).unwrap_or_default()).unwrap_or(u8::MAX);
    let every = match token.class.to_ascii_lowercase().as_str() {
        "sms_st_nonrecurring" => Recurrence::Once,
        "sms_st_recurinterval" => {
            Recurrence::Interval { days: number("DaySpan"), hours: number("HourSpan"), minutes: number("MinuteSpan") }
        }
        "sms_st_recurweekly" => Recurrence::Weekly { day: number("Day"), weeks: number("ForNumberOfWeeks") },
        "sms_st_recurmonthlybydate" => {
            Recurrence::MonthlyByDate { day: number("MonthDay"), months: number("ForNumberOfMonths") }
        }
        "sms_st_recurmonthlybyweekday" => Recurrence::MonthlyByWeekday {
            day: number("Day"),
            week: number("WeekOrder"),
            months: number("ForNumberOfMonths"),
            offset: 0,
        },
        _ => return Err(format!("A schedule of the class {} is not known.", shown(&token.class))),
    };
    let start = token.text("StartTime").and_then(date::parse).ok_or("A schedule has no start.")?;
    let token = ScheduleToken { start: UnixMillis(start.max(0)), every };
    if token.is_sound() { Ok(token) } else { Err("A schedule has numbers that cannot be.".to_owned()) }
}

/// Collections as a text that Configuration Manager imports, and this program too.
#[must_use]
pub fn written(collections: &[MofCollection]) -> String {
    let mut text = String::from("// Collections, written by Muster.\n");
    for one in collections {
        // Writing into a text does not fail.
        let _ = write_collection(&mut text, one);
    }
    text
}

fn write_collection(text: &mut String, one: &MofCollection) -> std::fmt::Result {
    let kind = if one.kind == CollectionKind::User { 1 } else { 2 };
    let refresh = match (one.schedule.is_empty(), one.incremental) {
        (true, false) => 1,
        (false, false) => 2,
        (true, true) => 4,
        (false, true) => 6,
    };
    let rules: Vec<String> = one.rules.iter().map(|(rule, _, _)| rule_text(rule, one.kind)).collect();
    let tokens: Vec<String> = one.schedule.iter().map(token_text).collect();
    writeln!(text, "\ninstance of SMS_Collection\n{{")?;
    writeln!(text, "\tCollectionID = {};", quoted(&one.id))?;
    if !rules.is_empty() {
        writeln!(text, "\tCollectionRules = {{\n{}}};", rules.join(",\n"))?;
    }
    writeln!(text, "\tCollectionType = {kind};\n\tComment = {};", quoted(&one.comment))?;
    writeln!(text, "\tLimitToCollectionID = {};", quoted(&one.limiting_id))?;
    writeln!(text, "\tLimitToCollectionName = {};", quoted(&one.limiting_name))?;
    if one.protected {
        writeln!(text, "\tMusterProtected = TRUE;")?;
    }
    writeln!(text, "\tName = {};\n\tOwnedByThisSite = TRUE;", quoted(&one.name))?;
    if !tokens.is_empty() {
        writeln!(text, "\tRefreshSchedule = {{\n{}}};", tokens.join(",\n"))?;
    }
    writeln!(text, "\tRefreshType = {refresh};\n}};")
}

fn rule_text(rule: &MofRule, kind: CollectionKind) -> String {
    let of = |class: &str, properties: &[(&str, String)]| {
        let lines: String = properties.iter().map(|(name, value)| format!("\t{name} = {value};\n")).collect();
        format!("instance of SMS_CollectionRule{class}\n{{\n{lines}}}")
    };
    match rule {
        MofRule::Direct { resource, name } => {
            let class = if kind == CollectionKind::User { "SMS_R_User" } else { "SMS_R_System" };
            let properties = [
                ("ResourceClassName", quoted(class)),
                ("ResourceID", resource.to_string()),
                ("RuleName", quoted(name)),
            ];
            of("Direct", &properties)
        }
        MofRule::Query { name, query } => {
            of("Query", &[("QueryExpression", quoted(query)), ("RuleName", quoted(name))])
        }
        MofRule::Include { id, name } => {
            of("IncludeCollection", &[("IncludeCollectionID", quoted(id)), ("RuleName", quoted(name))])
        }
        MofRule::Exclude { id, name } => {
            of("ExcludeCollection", &[("ExcludeCollectionID", quoted(id)), ("RuleName", quoted(name))])
        }
    }
}

fn token_text(token: &ScheduleToken) -> String {
    let (class, numbers): (&str, Vec<(&str, u8)>) = match token.every {
        Recurrence::Once => ("NonRecurring", vec![]),
        Recurrence::Interval { days, hours, minutes } => {
            ("RecurInterval", vec![("DaySpan", days), ("HourSpan", hours), ("MinuteSpan", minutes)])
        }
        Recurrence::Weekly { day, weeks } => ("RecurWeekly", vec![("Day", day), ("ForNumberOfWeeks", weeks)]),
        Recurrence::MonthlyByDate { day, months } => {
            ("RecurMonthlyByDate", vec![("MonthDay", day), ("ForNumberOfMonths", months)])
        }
        Recurrence::MonthlyByWeekday { day, week, months, .. } => {
            ("RecurMonthlyByWeekday", vec![("Day", day), ("WeekOrder", week), ("ForNumberOfMonths", months)])
        }
    };
    let numbers: String = numbers.iter().map(|(name, number)| format!("\t{name} = {number};\n")).collect();
    let (year, month, day) = date_of(token.start.0.div_euclid(DAY));
    let time = token.start.0.rem_euclid(DAY);
    let (hour, minute, second) = (time / HOUR, time % HOUR / MINUTE, time % MINUTE / 1_000);
    let start = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}.000000+000");
    format!("instance of SMS_ST_{class}\n{{\n{numbers}\tIsGMT = TRUE;\n\tStartTime = \"{start}\";\n}}")
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
#[path = "collection_tests.rs"]
mod tests;
