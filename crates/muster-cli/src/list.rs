//! Lists that are imported: lines of a key and a note (CSV, as spreadsheets write it). The whole list is good, or nothing of it is taken.

use std::collections::BTreeMap;

/// Reads a list of at most `rows` lines. A first line that is `heading` (such as `id,note`) is passed over; `key` takes the first column, or says
/// what is wrong with it.
///
/// # Errors
/// What is wrong, with the line.
pub fn read<K: Ord>(
    text: &str,
    heading: &str,
    rows: usize,
    key: impl Fn(&str) -> Result<K, &'static str>,
) -> Result<BTreeMap<K, String>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut list = BTreeMap::new();
    for (number, record) in reader.records().enumerate() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |what: &str| Err(format!("line {line}: {what}"));
        if number == 0 && is(&record, heading) || record.iter().all(str::is_empty) {
            continue;
        }
        let [first, note] = record.iter().collect::<Vec<_>>()[..] else {
            return wrong(&format!("not {}; a note with a comma stands in quotation marks", heading.to_uppercase()));
        };
        let first = match key(first) {
            Ok(first) => first,
            Err(what) => return wrong(what),
        };
        if note.is_empty() {
            return wrong("the note says which machine it is, and is missing");
        }
        if note.contains(['\r', '\n']) {
            return wrong("a quotation mark is not closed, or the note has several lines");
        }
        if list.insert(first, note.to_owned()).is_some() {
            return wrong("the same again");
        }
        if list.len() > rows {
            return wrong(&format!("a list has at most {rows} lines; split it"));
        }
    }
    if list.is_empty() { Err("the list is empty".to_owned()) } else { Ok(list) }
}

/// Whether these columns are those of the heading, in whatever case.
fn is(record: &csv::StringRecord, heading: &str) -> bool {
    record.iter().map(str::to_ascii_lowercase).eq(heading.split(',').map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(key: &str) -> Result<String, &'static str> {
        if key.len() <= 4 && !key.is_empty() { Ok(key.to_owned()) } else { Err("a key has 1 to 4 characters") }
    }

    #[test]
    fn a_list_is_taken_whole_or_not_at_all() {
        let text = "\u{feff}Id, Note\r\n5CD1,laptop 7\r\n\nA B,\"desk \"\"9\"\", room 4\"\n";
        let good = read(text, "id,note", 3, short).unwrap();
        assert_eq!((good["5CD1"].as_str(), good.len()), ("laptop 7", 2));
        for (bad, why) in [
            ("", "empty"),
            ("id,note\n", "empty"),
            ("a", "line 1: not ID,NOTE"),
            ("a,b,c", "line 1: not ID,NOTE"),
            ("a,x\na,y", "line 2: the same"),
            ("a, ", "the note"),
            ("a,\"x\nb,y", "not closed"),
            (",x", "line 1: a key has"),
            ("a,x\nb,x\nc,x\nd,x", "line 4: a list has at most 3"),
        ] {
            let found = read(bad, "id,note", 3, short);
            assert!(found.as_ref().is_err_and(|error| error.contains(why)), "{bad}: {found:?}");
        }
    }
}
