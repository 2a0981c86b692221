//! What a query's SQL says in two ways, for SQLite and for PostgreSQL.

use super::super::Dialect;
use muster_model::wql::{
    like::{Pattern, Step},
    tree::Part,
};

/// From the year 1 to 1970, in milliseconds: what is counted from there is never negative.
const SHIFT: i64 = 62_135_596_800_000;
const DAY: i64 = 86_400_000;

/// A text as it is compared: ASCII letters in lower case, no blanks at its end, byte by byte.
pub(super) fn key(dialect: Dialect, text: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("rtrim(lower({text}), ' ')"),
        Dialect::Postgres => format!("rtrim(lower(CAST({text} AS TEXT) COLLATE \"C\"), ' ')"),
    }
}

/// The whole number that a text is, else NULL.
pub(super) fn whole(dialect: Dialect, text: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!(
            "(SELECT CASE WHEN u <> '' AND length(u) <= 18 AND u NOT GLOB '*[^0-9]*' THEN CAST(t AS INTEGER) END \
             FROM (SELECT t, CASE WHEN substr(t, 1, 1) IN ('+', '-') THEN substr(t, 2) ELSE t END AS u \
             FROM (SELECT trim({text}, ' ') AS t)))"
        ),
        Dialect::Postgres => format!(
            "(SELECT CASE WHEN t ~ '^[+-]?[0-9]{{1,18}}$' THEN CAST(t AS BIGINT) END FROM (SELECT trim({text}) AS t) w)"
        ),
    }
}

/// Elements of the JSON array in a column, and all of them with commas between them.
pub(super) fn elements(dialect: Dialect, column: &str) -> String {
    let each = each_text(dialect, column);
    let joined = joined(dialect, column);
    format!("(SELECT value FROM {each} UNION ALL SELECT {joined})")
}

/// All elements of the JSON array in a column, with commas between them.
pub(super) fn joined(dialect: Dialect, column: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("(SELECT group_concat(value, ',') FROM json_each({column}))"),
        Dialect::Postgres => format!(
            "(SELECT string_agg(value, ',' ORDER BY place) FROM jsonb_array_elements_text(CAST({column} AS jsonb)) \
             WITH ORDINALITY AS j(value, place))"
        ),
    }
}

fn each_text(dialect: Dialect, column: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("json_each({column})"),
        Dialect::Postgres => format!("jsonb_array_elements_text(CAST({column} AS jsonb)) AS j(value)"),
    }
}

/// The values of a table's column, in order, with commas between them.
pub(super) fn gathered(dialect: Dialect, column: &str, rest: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("(SELECT group_concat(x, ',') FROM (SELECT {column} AS x {rest} ORDER BY 1))"),
        Dialect::Postgres => {
            format!(
                "(SELECT string_agg(x, ',' ORDER BY x COLLATE \"C\") FROM (SELECT CAST({column} AS TEXT) AS x {rest}) g)"
            )
        }
    }
}

/// The texts of the JSON array in a parameter, as a list for IN.
pub(super) fn texts(dialect: Dialect, parameter: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("(SELECT value FROM json_each({parameter}))"),
        Dialect::Postgres => format!("(SELECT jsonb_array_elements_text(CAST({parameter} AS jsonb)))"),
    }
}

/// The whole numbers of the JSON array in a parameter, as a list for IN.
pub(super) fn numbers(dialect: Dialect, parameter: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("(SELECT value FROM json_each({parameter}))"),
        Dialect::Postgres => {
            format!("(SELECT CAST(n AS BIGINT) FROM jsonb_array_elements_text(CAST({parameter} AS jsonb)) AS n)")
        }
    }
}

/// A test of a text against a pattern, and the value of its parameter.
pub(super) fn like(
    dialect: Dialect,
    text: &str,
    pattern: &Pattern,
    trimmed: bool,
    parameter: &str,
) -> (String, String) {
    let lower = match dialect {
        Dialect::Sqlite => format!("lower({text})"),
        Dialect::Postgres => format!("lower(CAST({text} AS TEXT) COLLATE \"C\")"),
    };
    let lower = if trimmed { format!("rtrim({lower}, ' ')") } else { lower };
    match dialect {
        Dialect::Sqlite => (format!("{lower} GLOB {parameter}"), glob(pattern)),
        Dialect::Postgres if pattern.steps.iter().any(|step| matches!(step, Step::Set { .. })) => {
            (format!("{lower} ~ {parameter}"), regex(pattern))
        }
        Dialect::Postgres => (format!("{lower} LIKE {parameter}"), plain(pattern)),
    }
}

fn plain(pattern: &Pattern) -> String {
    let mut text = String::new();
    for step in &pattern.steps {
        match step {
            Step::Any => text.push('%'),
            Step::One | Step::Set { .. } => text.push('_'),
            Step::Char(c) => {
                if matches!(c, '%' | '_' | '\\') {
                    text.push('\\');
                }
                text.push(*c);
            }
        }
    }
    text
}

fn glob(pattern: &Pattern) -> String {
    let mut text = String::new();
    for step in &pattern.steps {
        match step {
            Step::Any => text.push('*'),
            Step::One => text.push('?'),
            Step::Char(c) if matches!(c, '*' | '?' | '[') => text.extend(['[', *c, ']']),
            Step::Char(c) => text.push(*c),
            Step::Set { negated, ranges } => {
                text.push_str(if *negated { "[^" } else { "[" });
                // A closing bracket is a member only as the first, a hyphen as the last, a caret not as the first.
                let special = |c: char| ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
                if special(']') {
                    text.push(']');
                }
                for (from, to) in ranges.iter().filter(|(from, to)| from <= to) {
                    for (from, to) in without_special(*from, *to) {
                        text.push(from);
                        if from < to {
                            text.extend(['-', to]);
                        }
                    }
                }
                if special('^') {
                    // Behind something, so that it does not turn the set.
                    if !text.ends_with(|c| c != '[') || text.ends_with("[^") {
                        text.push('\u{10ffff}');
                    }
                    text.push('^');
                }
                if special('-') {
                    text.push('-');
                }
                if text.ends_with("[^") || text.ends_with('[') {
                    text.push('\u{10ffff}');
                }
                text.push(']');
            }
        }
    }
    text
}

/// A range without the characters that mean something in a set.
fn without_special(from: char, to: char) -> Vec<(char, char)> {
    let mut ranges = vec![(u32::from(from), u32::from(to))];
    for special in ['-', ']', '^', '['].map(u32::from) {
        ranges = ranges
            .into_iter()
            .flat_map(|(from, to)| match (from..=to).contains(&special) {
                true => vec![(from, special.wrapping_sub(1)), (special + 1, to)],
                false => vec![(from, to)],
            })
            .filter(|(from, to)| from <= to)
            .collect();
    }
    let mut chars: Vec<(char, char)> =
        ranges.into_iter().filter_map(|(from, to)| Some((char::from_u32(from)?, char::from_u32(to)?))).collect();
    if (from..=to).contains(&'[') {
        chars.push(('[', '['));
    }
    chars
}

fn regex(pattern: &Pattern) -> String {
    let mut text = String::from("^");
    let escaped = |text: &mut String, c: char| {
        if !c.is_alphanumeric() && c.is_ascii() && !c.is_ascii_control() && c != ' ' {
            text.push('\\');
        }
        text.push(c);
    };
    for step in &pattern.steps {
        match step {
            Step::Any => text.push_str(".*"),
            Step::One => text.push('.'),
            Step::Char(c) => escaped(&mut text, *c),
            Step::Set { negated, ranges } => {
                let ranges: Vec<_> = ranges.iter().filter(|(from, to)| from <= to).collect();
                if ranges.is_empty() {
                    // Nothing is in an empty set, anything is outside of it.
                    text.push_str(if *negated { "." } else { "(?!)" });
                    continue;
                }
                text.push_str(if *negated { "[^" } else { "[" });
                for (from, to) in ranges {
                    escaped(&mut text, *from);
                    if from < to {
                        text.push('-');
                        escaped(&mut text, *to);
                    }
                }
                text.push(']');
            }
        }
    }
    text.push('$');
    text
}

/// An expression that is read once and used several times, under the name `x`.
pub(super) fn let_in(value: &str, body: &str) -> String {
    format!("(SELECT {body} FROM (SELECT {value} AS x) l)")
}

/// A moment, where it is one that can be counted with.
pub(super) fn known(value: &str) -> String {
    let body = format!(
        "CASE WHEN x BETWEEN {} AND {} THEN x END",
        muster_model::wql::date::FIRST,
        muster_model::wql::date::LAST
    );
    let_in(value, &body)
}

/// Seconds since 1970 of the local moment `x`.
fn seconds() -> String {
    format!("((x + {SHIFT}) / 1000 - {})", SHIFT / 1_000)
}

/// Year, month, day or day of the year of the local moment `x`.
fn calendar(dialect: Dialect, part: Part) -> String {
    let (format, field) = match part {
        Part::Year => ("%Y", "year"),
        Part::Month => ("%m", "month"),
        Part::DayOfYear => ("%j", "doy"),
        _ => ("%d", "day"),
    };
    let seconds = seconds();
    match dialect {
        Dialect::Sqlite => format!("CAST(strftime('{format}', {seconds}, 'unixepoch') AS INTEGER)"),
        Dialect::Postgres => format!("CAST(extract({field} FROM {}) AS BIGINT)", timestamp(&seconds)),
    }
}

fn timestamp(seconds: &str) -> String {
    format!("(to_timestamp(CAST({seconds} AS DOUBLE PRECISION)) AT TIME ZONE 'UTC')")
}

/// The number of the part that a local moment lies in, counted from some beginning.
pub(super) fn index(dialect: Dialect, part: Part, local: &str) -> String {
    let year = calendar(dialect, Part::Year);
    let month = calendar(dialect, Part::Month);
    let body = match part {
        Part::Year => year,
        Part::Quarter => format!("({year} * 4 + ({month} - 1) / 3)"),
        Part::Month => format!("({year} * 12 + {month})"),
        // 0001-01-01 was a Monday.
        Part::Week => format!("(((x + {SHIFT}) / {DAY} + 1) / 7)"),
        Part::DayOfYear | Part::Day | Part::Weekday => format!("((x + {SHIFT}) / {DAY})"),
        Part::Hour => format!("((x + {SHIFT}) / 3600000)"),
        Part::Minute => format!("((x + {SHIFT}) / 60000)"),
        Part::Second => format!("((x + {SHIFT}) / 1000)"),
        Part::Millisecond => "x".to_owned(),
    };
    let_in(local, &body)
}

/// A part of a local moment.
pub(super) fn part(dialect: Dialect, part: Part, local: &str) -> String {
    let weekday = format!("(((x + {SHIFT}) / {DAY} + 1) % 7)");
    let of_year = format!("({} - 1)", calendar(dialect, Part::DayOfYear));
    let body = match part {
        Part::Year | Part::Month | Part::DayOfYear | Part::Day => calendar(dialect, part),
        Part::Quarter => format!("(({} - 1) / 3 + 1)", calendar(dialect, Part::Month)),
        Part::Week => format!("(({of_year} + (({weekday} - {of_year}) % 7 + 7) % 7) / 7 + 1)"),
        Part::Weekday => format!("({weekday} + 1)"),
        Part::Hour => format!("((x + {SHIFT}) % {DAY} / 3600000)"),
        Part::Minute => format!("((x + {SHIFT}) % 3600000 / 60000)"),
        Part::Second => format!("((x + {SHIFT}) % 60000 / 1000)"),
        Part::Millisecond => format!("((x + {SHIFT}) % 1000)"),
    };
    let_in(local, &body)
}

/// The months of the years 1 to 9999, as 12 times the year and the number of the month.
const MONTHS: &str = "13 AND 120000";

/// A local moment that is so many parts later.
pub(super) fn plus(dialect: Dialect, part: Part, number: i64, local: &str) -> String {
    let (months, length) = match part {
        Part::Year => (number.saturating_mul(12), 0),
        Part::Quarter => (number.saturating_mul(3), 0),
        Part::Month => (number, 0),
        Part::Week => (0, 7 * DAY),
        Part::Hour => (0, 3_600_000),
        Part::Minute => (0, 60_000),
        Part::Second => (0, 1_000),
        Part::Millisecond => (0, 1),
        Part::DayOfYear | Part::Day | Part::Weekday => (0, DAY),
    };
    if length > 0 {
        return known(&format!("({local} + {})", number.saturating_mul(length)));
    }
    if months.abs() > 120_000 {
        return "CAST(NULL AS BIGINT)".to_owned();
    }
    let seconds = seconds();
    let rest = format!("(x + {SHIFT}) % {DAY}");
    known(&match dialect {
        Dialect::Sqlite => format!(
            "(SELECT f * 1000 + (min(d, coalesce(CAST(strftime('%d', f, 'unixepoch', '+1 month', '-1 day') AS INTEGER), 31)) - 1) * {DAY} + r \
             FROM (SELECT CAST(strftime('%s', {seconds}, 'unixepoch', 'start of month', '{months:+} months') AS INTEGER) AS f, \
             CAST(strftime('%d', {seconds}, 'unixepoch') AS INTEGER) AS d, {rest} AS r FROM (SELECT {local} AS x)))"
        ),
        // Only within the years that are known: beyond its own range PostgreSQL refuses the whole statement.
        Dialect::Postgres => let_in(
            local,
            &format!(
                "CASE WHEN {} * 12 + {} + {months} BETWEEN {MONTHS} THEN CAST(extract(epoch FROM \
                 date_trunc('day', {} + make_interval(months => {months}))) AS BIGINT) * 1000 + {rest} END",
                calendar(dialect, Part::Year),
                calendar(dialect, Part::Month),
                timestamp(&seconds)
            ),
        ),
    })
}

/// A local moment as text.
pub(super) fn moment_text(dialect: Dialect, local: &str) -> String {
    let seconds = seconds();
    let body = match dialect {
        Dialect::Sqlite => format!("strftime('%Y-%m-%d %H:%M:%S', {seconds}, 'unixepoch')"),
        Dialect::Postgres => format!("to_char({}, 'YYYY-MM-DD HH24:MI:SS')", timestamp(&seconds)),
    };
    let_in(local, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_written_for_each_database() {
        let pattern = Pattern::new("a*%_[^0-9]");
        assert_eq!((glob(&pattern).as_str(), regex(&pattern).as_str()), ("a[*]*?[^0-9]", "^a\\*.*.[^0-9]$"));
        assert_eq!(plain(&Pattern::new("50[%]%")), "50_%", "a set is never written so");
        assert_eq!(glob(&Pattern::new("[]-]x")), "[]-]x");
    }
}
