//! Random queries over everything that the grammar has, and random rows for them.

use muster_model::inventory::{Row, Value};

/// Numbers that look random; the same seed gives the same.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn of(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// What an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Number,
    Truth,
    Moment,
    List,
    Many,
}

type Attribute = (&'static str, Kind);

struct Class {
    name: &'static str,
    /// Its name in the catalogue.
    own: &'static str,
    attributes: &'static [Attribute],
}

const SYSTEM: Class = Class {
    name: "SMS_R_System",
    own: "",
    attributes: &[
        ("Name", Kind::Text),
        ("NetbiosName", Kind::Text),
        ("Client", Kind::Number),
        ("ResourceID", Kind::Number),
        ("OperatingSystemNameandVersion", Kind::Text),
        ("Build", Kind::Text),
        ("IsVirtualMachine", Kind::Truth),
        ("ADSiteName", Kind::Text),
        ("CreationDate", Kind::Moment),
        ("IPAddresses", Kind::Many),
        ("ResourceNames", Kind::Many),
        ("Obsolete", Kind::Number),
        ("SystemOUName", Kind::Many),
    ],
};

const CLASSES: &[Class] = &[
    Class {
        name: "SMS_G_System_OPERATING_SYSTEM",
        own: "OPERATING_SYSTEM",
        attributes: &[
            ("Name", Kind::Text),
            ("Caption", Kind::Text),
            ("Version", Kind::Text),
            ("BuildNumber", Kind::Text),
            ("NumberOfProcesses", Kind::Number),
            ("Debug", Kind::Truth),
            ("LastBootUpTime", Kind::Moment),
            ("MUILanguages", Kind::List),
        ],
    },
    Class {
        name: "SMS_G_System_INSTALLED_SOFTWARE",
        own: "INSTALLED_SOFTWARE",
        attributes: &[
            ("SoftwareCode", Kind::Text),
            ("ProductName", Kind::Text),
            ("ProductVersion", Kind::Text),
            ("VersionMajor", Kind::Number),
            ("InstallDate", Kind::Moment),
        ],
    },
    Class {
        name: "SMS_G_System_SYSTEM_ENCLOSURE",
        own: "SYSTEM_ENCLOSURE",
        attributes: &[
            ("Tag", Kind::Text),
            ("ChassisTypes", Kind::List),
            ("LockPresent", Kind::Truth),
            ("SerialNumber", Kind::Text),
        ],
    },
    Class {
        name: "SMS_G_System_NETWORK_ADAPTER_CONFIGURATION",
        own: "NETWORK_ADAPTER_CONFIGURATION",
        attributes: &[
            ("Index", Kind::Number),
            ("IPAddress", Kind::List),
            ("DHCPEnabled", Kind::Truth),
            ("DNSHostName", Kind::Text),
            ("DNSDomain", Kind::Text),
        ],
    },
];

const TEXTS: &[&str] = &[
    "Windows 10",
    "windows 11 ",
    "10.0.9",
    "10",
    "9",
    "",
    "a%b",
    "M\u{dc}LLER",
    "m\u{fc}ller",
    "x_y",
    "[z]",
    "true",
    "8,12",
    " 7",
    "-5",
    "0",
    "pc1",
    "PC2",
    "Test",
    "1e3",
    "^a",
    "a-b",
    "it's",
    "a\\b",
    "007",
    "+7",
    "9999999999999999999",
];
const PATTERNS: &[&str] = &[
    "%",
    "windows%",
    "%1%",
    "%[0-1]",
    "[^a-m]%",
    "m\u{fc}%",
    "_",
    "%_",
    "a[%]b",
    "[[]z]",
    "%.%",
    "10",
    "%r",
    "x[_]y",
    "",
    "pc[1-3]",
    "%[^0-9]",
    "[a-z][a-z]%",
    "% ",
    "a\\\\b",
    "[]]",
    "[a-]%",
    "%[%]%",
];
const NUMBERS: &[i64] = &[0, 1, 2, 8, 9, 10, 12, -5, 7, 16_777_217, 16_777_219];
/// Around the moment that the clock of a test shows.
const MOMENTS: &[i64] = &[
    0,
    1_790_000_000_000,
    1_789_990_000_000,
    1_789_000_000_000,
    1_790_003_599_999,
    951_782_400_000,
    -62_135_596_800_001,
];
const PARTS: &[&str] = &["dd", "day", "hh", "month", "year", "week", "minute", "quarter", "dayofyear", "weekday"];

/// A name of a class in a query, and the class.
type Named = (String, &'static Class);

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Queries.
pub(crate) struct Grammar<'a> {
    pub(crate) random: &'a mut Random,
    /// Collections of which members may be asked for.
    pub(crate) collections: &'a [String],
    names: usize,
}

impl<'a> Grammar<'a> {
    pub(crate) fn new(random: &'a mut Random, collections: &'a [String]) -> Self {
        Self { random, collections, names: 0 }
    }

    /// A query that can be a rule.
    pub(crate) fn rule(&mut self) -> String {
        let columns = self.random.pick(&["*", "Name", "distinct *", "ResourceID", "distinct Name"]);
        self.select(&SYSTEM, columns, 2)
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("t{}", self.names)
    }

    fn select(&mut self, base: &'static Class, columns: &str, depth: usize) -> String {
        let own = self.name();
        let mut scope: Vec<Named> = vec![(own.clone(), base)];
        let columns: Vec<String> = columns
            .split(' ')
            .map(|word| if word == "*" || word == "distinct" { word.to_owned() } else { format!("{own}.{word}") })
            .collect();
        let mut text = format!("select {} from {} as {own}", columns.join(" "), base.name);
        let joins = self.random.pick(&[0, 0, 1, 1, 1, 2]);
        for _ in 0..joins.min(depth) {
            let class = if self.random.of(10) { &SYSTEM } else { &CLASSES[self.random.below(CLASSES.len())] };
            let name = self.name();
            let kind = self.random.pick(&["inner", "inner", "inner", "", "left", "left outer", "right", "full"]);
            let on = match self.random.below(12) {
                0 => format!("{name}.{} = {own}.{}", class.attributes[0].0, base.attributes[0].0),
                1 => {
                    scope.push((name.clone(), class));
                    let more = self.condition(&scope[scope.len() - 1..], 0);
                    scope.pop();
                    format!("{name}.ResourceID = {own}.ResourceID and {more}")
                }
                _ => format!("{name}.ResourceID = {own}.ResourceID"),
            };
            text.push_str(&format!(" {kind} join {} {name} on {on}", class.name));
            scope.push((name, class));
        }
        if self.random.of(92) {
            let condition = self.condition(&scope, depth);
            text.push_str(&format!(" where {condition}"));
        }
        text
    }

    fn condition(&mut self, scope: &[Named], depth: usize) -> String {
        match self.random.below(10) {
            0 | 1 if depth > 0 => {
                format!("({} and {})", self.condition(scope, depth - 1), self.condition(scope, depth - 1))
            }
            2 | 3 if depth > 0 => {
                format!("({} or {})", self.condition(scope, depth - 1), self.condition(scope, depth - 1))
            }
            4 if depth > 0 => format!("not ({})", self.condition(scope, depth - 1)),
            5 if depth > 0 => self.among(scope, depth - 1),
            _ => self.test(scope),
        }
    }

    fn among(&mut self, scope: &[Named], depth: usize) -> String {
        let (name, _) = &scope[if self.random.of(80) { 0 } else { self.random.below(scope.len()) }].clone();
        let not = self.random.pick(&["", "not "]);
        if self.random.of(25) && !self.collections.is_empty() {
            let id = &self.collections[self.random.below(self.collections.len())];
            let inner = match self.random.below(3) {
                0 => format!("select ResourceID from SMS_CM_RES_COLL_{id}"),
                1 => format!("select ResourceID from SMS_FullCollectionMembership where CollectionID = '{id}'"),
                _ => format!(
                    "select s.ResourceID from SMS_R_System s join SMS_CM_RES_COLL_{id} m on m.ResourceID = s.ResourceID"
                ),
            };
            return format!("{name}.ResourceID {not}in ({inner})");
        }
        let class = if self.random.of(25) { &SYSTEM } else { &CLASSES[self.random.below(CLASSES.len())] };
        if self.random.of(12) {
            let inner = self.select(class, class.attributes[0].0, 0);
            let attribute = scope[0].1.attributes[0].0;
            let way = self.random.pick(&["in", "not in", "=", "<>"]);
            return format!("{}.{attribute} {way} ({inner})", scope[0].0);
        }
        let inner = self.select(class, "ResourceID", depth);
        format!("{name}.ResourceID {not}in ({inner})")
    }

    fn literal(&mut self, kind: Kind) -> String {
        if self.random.of(2) {
            return "null".to_owned();
        }
        let kind = if self.random.of(8) { self.random.pick(&[Kind::Text, Kind::Number, Kind::Truth]) } else { kind };
        match kind {
            Kind::Text | Kind::List | Kind::Many => {
                let text = self.random.pick(TEXTS);
                quoted(text)
            }
            Kind::Number => {
                let number = self.random.pick(NUMBERS);
                if self.random.of(40) { format!("\"{number}\"") } else { number.to_string() }
            }
            Kind::Truth => self.random.pick(&["true", "false", "1", "0", "'True'", "\"1\"", "'false'"]).to_owned(),
            Kind::Moment => self
                .random
                .pick(&[
                    "'2026-09-21'",
                    "'9/21/2026 14:00'",
                    "'20260921141320.000000+***'",
                    "'2000-02-29'",
                    "'1970-01-01'",
                    "0",
                ])
                .to_owned(),
        }
    }

    fn test(&mut self, scope: &[Named]) -> String {
        let at = self.random.below(scope.len());
        let (name, class) = &scope[at];
        let (attribute, kind) = self.random.pick(class.attributes);
        let column = if self.random.of(3) { format!("{name}.ResourceID") } else { format!("{name}.{attribute}") };
        let comparison = self.random.pick(&["=", "=", "=", "!=", "<>", "<", "<=", ">", ">="]);
        let not = self.random.pick(&["", "", "not "]);
        match self.random.below(14) {
            0 => format!("{column} is {not}null"),
            1 => {
                let values: Vec<String> = (0..1 + self.random.below(4)).map(|_| self.literal(kind)).collect();
                format!("{column} {}{not}in ({})", self.random.pick(&["", "is "]), values.join(", "))
            }
            2..=4 => {
                let pattern = self.random.pick(PATTERNS);
                format!("{column} {not}like \"{pattern}\"")
            }
            5 if kind == Kind::Moment => {
                let part = self.random.pick(PARTS);
                let number = self.random.below(5) as i64 - 1;
                let of = self.random.pick(&["GetDate()", "'2026-09-20'"]);
                if self.random.of(70) {
                    format!("DateDiff({part}, {column}, {of}) {comparison} {number}")
                } else {
                    format!("DateDiff({part}, {of}, {column}) {comparison} {number}")
                }
            }
            6 if kind == Kind::Moment => {
                let part = self.random.pick(PARTS);
                let number = self.random.below(60) as i64 - 30;
                match self.random.below(3) {
                    0 => format!("{column} {comparison} DateAdd({part}, {number}, GetDate())"),
                    1 => format!("DateAdd({part}, {number}, {column}) {comparison} GetDate()"),
                    _ => format!("DatePart({part}, {column}) {comparison} {}", self.random.below(30)),
                }
            }
            7 if kind == Kind::Text => {
                let function = self.random.pick(&["lower", "upper"]);
                format!("{function}({column}) {comparison} {}", self.literal(Kind::Text))
            }
            8 if kind == Kind::Text => {
                format!(
                    "substring({column}, {}, {}) = {}",
                    self.random.below(3),
                    self.random.below(4),
                    self.literal(Kind::Text)
                )
            }
            9 => {
                let (other, of) = &scope[self.random.below(scope.len())];
                let (second, _) = self.random.pick(of.attributes);
                format!("{column} {comparison} {other}.{second}")
            }
            10 => format!("{} {comparison} {column}", self.literal(kind)),
            _ => format!("{column} {comparison} {}", self.literal(kind)),
        }
    }
}

/// Rows of a class for one device; the first attribute is the key.
pub(crate) fn rows(random: &mut Random) -> (&'static str, Vec<Row>) {
    let class = &CLASSES[random.below(CLASSES.len())];
    let count = if class.own == "OPERATING_SYSTEM" { random.below(2) } else { random.below(4) };
    let mut rows: Vec<Row> = Vec::new();
    for number in 0..count {
        let mut row = Row::new();
        for (at, (name, kind)) in class.attributes.iter().enumerate() {
            if at > 0 && random.of(25) {
                continue;
            }
            let value = match kind {
                // Keys differ.
                Kind::Text if at == 0 => Value::Text(format!("{}{number}", random.pick(TEXTS).trim())),
                Kind::Number if at == 0 => Value::Int(number as i64),
                Kind::Text => Value::Text(random.pick(TEXTS).to_owned()),
                Kind::Number => Value::Int(random.pick(NUMBERS).max(0)),
                Kind::Truth => Value::Bool(random.of(50)),
                Kind::Moment => Value::Int(random.pick(MOMENTS)),
                Kind::List | Kind::Many => {
                    Value::List((0..random.below(4)).map(|_| random.pick(TEXTS).to_owned()).collect())
                }
            };
            row.insert((*name).to_owned(), value);
        }
        rows.push(row);
    }
    (class.own, rows)
}
