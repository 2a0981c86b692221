//! The few messages of LDAP (RFC 4511) that a search needs, as bytes: bind, search, start TLS, with the controls for pages (RFC 2696) and
//! for deleted objects. Nothing nests deeper than the shapes below, so that no answer can make the reader recurse, and each part is bounded
//! by the message that it is in.

use zeroize::Zeroizing;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const BIND: u8 = 0x60;
const BIND_ANSWER: u8 = 0x61;
const UNBIND: u8 = 0x42;
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x77;
const EXTENDED_ANSWER: u8 = 0x78;
const SIMPLE: u8 = 0x80;
const OID: u8 = 0x80;
const CONTROLS: u8 = 0xa0;
const AND: u8 = 0xa0;
const OR: u8 = 0xa1;
const NOT: u8 = 0xa2;
const EQUALITY: u8 = 0xa3;
const AT_LEAST: u8 = 0xa5;
const PRESENT: u8 = 0x87;
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
const PAGED: &str = "1.2.840.113556.1.4.319";
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// How a bind, a start of TLS or a search ended.
    Done {
        /// `resultCode`; 0 is success.
        code: u64,
        /// Where the next page begins; empty: there is none.
        cookie: Vec<u8>,
    },
    /// An entry that was found.
    Entry(Entry),
    /// It is elsewhere. Nobody goes there.
    Reference,
}

/// An entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its distinguished name.
    pub name: String,
    /// Attributes in the order in which they came.
    pub attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// The values of an attribute, whatever the case of its name.
    #[must_use]
    pub fn values(&self, name: &str) -> &[Vec<u8>] {
        let found = self.attributes.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map_or(&[], |(_, values)| values.as_slice())
    }

    /// The first value of an attribute, where it is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.values(name).first()?).ok()
    }
}

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The named object alone.
    Base = 0,
    /// It and everything below it.
    Subtree = 2,
}

/// Which objects are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter<'a> {
    /// They have this attribute.
    Present(&'a str),
    /// An attribute has this value.
    Equal(&'a str, &'a str),
    /// An attribute has this number, or a higher one.
    AtLeast(&'a str, u64),
    /// All of these.
    All(Vec<Self>),
    /// One of these.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
}

impl<'a> Filter<'a> {
    /// All of these attributes have these values.
    #[must_use]
    pub fn equal(all: &[(&'a str, &'a str)]) -> Self {
        Self::All(all.iter().map(|(name, value)| Self::Equal(name, value)).collect())
    }

    fn bytes(&self) -> Vec<u8> {
        let join = |filters: &[Self]| filters.iter().flat_map(Self::bytes).collect::<Vec<u8>>();
        let pair = |name: &str, value: &[u8]| [tlv(OCTETS, name.as_bytes()), tlv(OCTETS, value)].concat();
        match self {
            Self::Present(name) => tlv(PRESENT, name.as_bytes()),
            Self::Equal(name, value) => tlv(EQUALITY, &pair(name, value.as_bytes())),
            Self::AtLeast(name, value) => tlv(AT_LEAST, &pair(name, value.to_string().as_bytes())),
            Self::All(filters) => tlv(AND, &join(filters)),
            Self::Any(filters) => tlv(OR, &join(filters)),
            Self::Not(filter) => tlv(NOT, &filter.bytes()),
        }
    }
}

/// Why bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sends what is not LDAP")]
pub struct Malformed;

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    // All at once: what grows leaves copies behind, and this may be a password.
    let mut bytes = Vec::with_capacity(content.len() + 10);
    bytes.push(tag);
    match content.len() {
        short @ 0..=0x7f => bytes.push(short as u8),
        long => {
            let length = (long as u64).to_be_bytes();
            let skip = length.iter().take_while(|byte| **byte == 0).count();
            bytes.push(0x80 | (length.len() - skip) as u8);
            bytes.extend_from_slice(&length[skip..]);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

fn number(tag: u8, value: u32) -> Vec<u8> {
    // A leading zero keeps it positive.
    let bytes = u64::from(value).to_be_bytes();
    let skip = bytes[..7].iter().zip(&bytes[1..]).take_while(|(byte, next)| **byte == 0 && **next < 0x80).count();
    tlv(tag, &bytes[skip..])
}

fn message(id: u32, operation: Vec<u8>, controls: &[Vec<u8>]) -> Vec<u8> {
    // The operation may hold a password; whoever sends the message wipes that too.
    let operation = Zeroizing::new(operation);
    let controls = if controls.is_empty() { Vec::new() } else { tlv(CONTROLS, &controls.concat()) };
    let inside = Zeroizing::new([&number(INTEGER, id)[..], &operation, &controls].concat());
    tlv(SEQUENCE, &inside)
}

fn control(oid: &str, value: Option<&[u8]>) -> Vec<u8> {
    let value = value.map(|value| tlv(OCTETS, value)).unwrap_or_default();
    // Critical: who does not know it refuses, instead of giving something else.
    tlv(SEQUENCE, &[tlv(OCTETS, oid.as_bytes()), tlv(BOOLEAN, &[0xff]), value].concat())
}

/// A simple bind; without a name and a password it is anonymous.
#[must_use]
pub fn bind(id: u32, name: &str, password: &[u8]) -> Vec<u8> {
    let password = Zeroizing::new(tlv(SIMPLE, password));
    let whole = Zeroizing::new([&number(INTEGER, 3)[..], &tlv(OCTETS, name.as_bytes()), &password].concat());
    message(id, tlv(BIND, &whole), &[])
}

/// Asks for TLS on this connection.
#[must_use]
pub fn start_tls(id: u32) -> Vec<u8> {
    message(id, tlv(EXTENDED, &tlv(OID, START_TLS.as_bytes())), &[])
}

/// The end.
#[must_use]
pub fn unbind(id: u32) -> Vec<u8> {
    message(id, tlv(UNBIND, &[]), &[])
}

/// What is searched for.
#[derive(Debug, Clone)]
pub struct Search<'a> {
    /// Where it begins.
    pub base: &'a str,
    /// How far it goes.
    pub scope: Scope,
    /// Which objects.
    pub filter: &'a Filter<'a>,
    /// Which of their attributes.
    pub attributes: &'a [&'a str],
    /// How many entries the server may send; 0: any number.
    pub entries: u32,
    /// How many seconds the server may search.
    pub seconds: u32,
    /// Entries of a page, and where it begins; none: everything at once.
    pub page: Option<(u32, &'a [u8])>,
    /// Whether objects are wanted that were deleted.
    pub deleted: bool,
}

/// A search.
#[must_use]
pub fn search(id: u32, wanted: &Search<'_>) -> Vec<u8> {
    let texts = |text: &&str| tlv(OCTETS, text.as_bytes());
    let attributes: Vec<u8> = wanted.attributes.iter().flat_map(texts).collect();
    let parts = [
        tlv(OCTETS, wanted.base.as_bytes()),
        number(ENUMERATED, wanted.scope as u32),
        // No alias is followed.
        number(ENUMERATED, 0),
        number(INTEGER, wanted.entries),
        number(INTEGER, wanted.seconds),
        tlv(BOOLEAN, &[0]),
        wanted.filter.bytes(),
        tlv(SEQUENCE, &attributes),
    ];
    let mut controls = Vec::new();
    if let Some((size, cookie)) = wanted.page {
        let value = tlv(SEQUENCE, &[number(INTEGER, size), tlv(OCTETS, cookie)].concat());
        controls.push(control(PAGED, Some(&value)));
    }
    if wanted.deleted {
        controls.push(control(SHOW_DELETED, None));
    }
    message(id, tlv(SEARCH, &parts.concat()), &controls)
}

/// How long the message is that begins with these bytes; `None`: more are needed to say.
///
/// # Errors
/// When it is no message, or its length has more than four bytes.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some((tag, rest)) = bytes.split_first() else { return Ok(None) };
    if *tag != SEQUENCE {
        return Err(Malformed);
    }
    match head(rest)? {
        Some((size, used)) => size.checked_add(1 + used).map(Some).ok_or(Malformed),
        None => Ok(None),
    }
}

/// The length after a tag, and how many bytes it took.
fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    match first {
        0..=0x7f => Ok(Some((usize::from(*first), 1))),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let Some(digits) = rest.get(..count) else { return Ok(None) };
            let size = digits.iter().fold(0_u64, |size, digit| size << 8 | u64::from(*digit));
            Ok(Some((usize::try_from(size).map_err(|_| Malformed)?, 1 + count)))
        }
        // Without a length, or with one of more bytes than anything here has.
        _ => Err(Malformed),
    }
}

/// Takes one element off the front.
fn take<'a>(bytes: &mut &'a [u8]) -> Result<(u8, &'a [u8]), Malformed> {
    let (tag, rest) = bytes.split_first().ok_or(Malformed)?;
    let (size, used) = head(rest)?.ok_or(Malformed)?;
    let rest = rest.get(used..).ok_or(Malformed)?;
    let (content, after) = rest.split_at_checked(size).ok_or(Malformed)?;
    *bytes = after;
    Ok((*tag, content))
}

fn take_as<'a>(bytes: &mut &'a [u8], tag: u8) -> Result<&'a [u8], Malformed> {
    match take(bytes)? {
        (found, content) if found == tag => Ok(content),
        _ => Err(Malformed),
    }
}

fn unsigned(content: &[u8]) -> Result<u64, Malformed> {
    if content.is_empty() || content.len() > 5 {
        return Err(Malformed);
    }
    Ok(content.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Texts that are not UTF-8 are nobody's name; they stay recognisable as such.
fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content).into_owned()
}

/// Reads one whole message: the id that it answers, and what it says.
///
/// # Errors
/// When it is none of the answers that are known here.
pub fn answer(bytes: &[u8]) -> Result<(u64, Answer), Malformed> {
    let mut whole = bytes;
    let mut inside = take_as(&mut whole, SEQUENCE)?;
    if !whole.is_empty() {
        return Err(Malformed);
    }
    let id = unsigned(take_as(&mut inside, INTEGER)?)?;
    let (operation, mut content) = take(&mut inside)?;
    let said = match operation {
        BIND_ANSWER | DONE | EXTENDED_ANSWER => {
            let code = unsigned(take_as(&mut content, ENUMERATED)?)?;
            Answer::Done { code, cookie: if operation == DONE { cookie(inside)? } else { Vec::new() } }
        }
        ENTRY => Answer::Entry(entry(content)?),
        REFERENCE => Answer::Reference,
        _ => return Err(Malformed),
    };
    Ok((id, said))
}

/// Where the next page begins, as the controls of the end of a page say. Other controls are passed over.
fn cookie(mut rest: &[u8]) -> Result<Vec<u8>, Malformed> {
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let mut controls = take_as(&mut rest, CONTROLS)?;
    while !controls.is_empty() {
        let mut control = take_as(&mut controls, SEQUENCE)?;
        let oid = take_as(&mut control, OCTETS)?;
        while !control.is_empty() {
            if let (OCTETS, mut value) = take(&mut control)?
                && oid == PAGED.as_bytes()
            {
                let mut page = take_as(&mut value, SEQUENCE)?;
                take_as(&mut page, INTEGER)?;
                return Ok(take_as(&mut page, OCTETS)?.to_vec());
            }
        }
    }
    Ok(Vec::new())
}

fn entry(mut content: &[u8]) -> Result<Entry, Malformed> {
    let name = text(take_as(&mut content, OCTETS)?);
    let mut list = take_as(&mut content, SEQUENCE)?;
    let mut attributes = Vec::new();
    while !list.is_empty() {
        let mut attribute = take_as(&mut list, SEQUENCE)?;
        let name = text(take_as(&mut attribute, OCTETS)?);
        let mut set = take_as(&mut attribute, SET)?;
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(take_as(&mut set, OCTETS)?.to_vec());
        }
        attributes.push((name, values));
    }
    Ok(Entry { name, attributes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wanted<'a>(filter: &'a Filter<'a>, attributes: &'a [&'a str]) -> Search<'a> {
        let (base, scope) = ("o=x", Scope::Subtree);
        Search { base, scope, filter, attributes, entries: 300, seconds: 5, page: None, deleted: false }
    }

    #[test]
    fn requests_are_as_the_standard_writes_them() {
        let plain = bind(1, "", b"");
        assert_eq!(plain, [0x30, 0x0c, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0]);
        assert_eq!(unbind(3), [0x30, 5, 2, 1, 3, 0x42, 0]);
        let start = start_tls(1);
        assert_eq!(start[..9], [0x30, 0x1d, 2, 1, 1, 0x77, 0x18, 0x80, 0x16]);
        assert_eq!(&start[9..], START_TLS.as_bytes());
        let filter = Filter::equal(&[("a", "b")]);
        let plain = [
            &[0x63, 36, 4, 3][..],
            b"o=x",
            &[10, 1, 2, 10, 1, 0, 2, 2, 1, 44, 2, 1, 5, 1, 1, 0, 0xa0, 8, 0xa3, 6, 4, 1],
            b"a",
            &[4, 1],
            b"b",
            &[0x30, 3, 4, 1],
            b"c",
        ]
        .concat();
        assert_eq!(search(2, &wanted(&filter, &["c"])), [&[0x30, 41, 2, 1, 2][..], &plain].concat());
        let paged = search(2, &Search { page: Some((500, b"xy")), ..wanted(&filter, &["c"]) });
        let control = [
            &[0xa0, 41, 0x30, 39, 4, 22][..],
            PAGED.as_bytes(),
            &[1, 1, 0xff, 4, 10, 0x30, 8, 2, 2, 1, 0xf4, 4, 2],
            b"xy",
        ]
        .concat();
        assert_eq!(paged, [&[0x30, 84, 2, 1, 2][..], &plain, &control].concat());
        let either = Filter::Any(vec![Filter::Present("a"), Filter::Equal("b", "c"), Filter::AtLeast("u", 7)]);
        assert_eq!(
            Filter::Not(Box::new(either)).bytes(),
            [0xa2, 21, 0xa1, 19, 0x87, 1, b'a', 0xa3, 6, 4, 1, b'b', 4, 1, b'c', 0xa5, 6, 4, 1, b'u', 4, 1, b'7']
        );
        assert_eq!(number(INTEGER, 200), [2, 2, 0, 200]);
        assert_eq!(number(INTEGER, 0xffff), [2, 3, 0, 0xff, 0xff]);
        assert_eq!((number(INTEGER, 0), number(INTEGER, 127)), (vec![2, 1, 0], vec![2, 1, 127]));
        assert_eq!(number(INTEGER, u32::MAX), [2, 5, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(tlv(4, &[7; 200])[..3], [4, 0x81, 200]);
        assert_eq!(tlv(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }

    fn found() -> Vec<u8> {
        let attribute = |name: &[u8], values: &[&[u8]]| {
            let values: Vec<u8> = values.iter().flat_map(|value| tlv(OCTETS, value)).collect();
            tlv(SEQUENCE, &[tlv(OCTETS, name), tlv(SET, &values)].concat())
        };
        let attributes = [attribute(b"keywords", &[b"muster", b"site:P01"]), attribute(b"empty", &[])].concat();
        message(2, tlv(ENTRY, &[tlv(OCTETS, b"cn=x"), tlv(SEQUENCE, &attributes)].concat()), &[])
    }

    fn done(code: u32, controls: &[Vec<u8>]) -> Vec<u8> {
        message(2, tlv(DONE, &[number(ENUMERATED, code), tlv(OCTETS, b""), tlv(OCTETS, b"none")].concat()), controls)
    }

    #[test]
    fn answers_are_read_and_nothing_else_is() {
        let entry = Entry {
            name: "cn=x".to_owned(),
            attributes: vec![
                ("keywords".to_owned(), vec![b"muster".to_vec(), b"site:P01".to_vec()]),
                ("empty".to_owned(), Vec::new()),
            ],
        };
        assert_eq!((entry.text("KEYWORDS"), entry.text("empty")), (Some("muster"), None));
        assert_eq!(answer(&found()), Ok((2, Answer::Entry(entry))));
        assert_eq!(answer(&done(32, &[])), Ok((2, Answer::Done { code: 32, cookie: Vec::new() })));
        let page = tlv(SEQUENCE, &[number(INTEGER, 0), tlv(OCTETS, b"next")].concat());
        let controls = [control("1.2.3", Some(b"other")), control(PAGED, Some(&page))];
        assert_eq!(answer(&done(0, &controls)), Ok((2, Answer::Done { code: 0, cookie: b"next".to_vec() })));
        let odd = [control(PAGED, Some(b"odd"))];
        assert_eq!(answer(&done(0, &odd)), Err(Malformed));
        let elsewhere = message(2, tlv(REFERENCE, &tlv(OCTETS, b"ldap://192.0.2.77/")), &[]);
        assert_eq!(answer(&elsewhere), Ok((2, Answer::Reference)));
        for at in 0..found().len() {
            assert_eq!(answer(&found()[..at]), Err(Malformed), "cut at {at}");
        }
        assert_eq!(answer(&[found(), vec![0]].concat()), Err(Malformed));
        // Without a length, with a length of eight bytes, and nested without end.
        for odd in
            [vec![0x30, 0x80, 0, 0], vec![0x30, 0x88, 0, 0, 0, 0, 0, 0, 0, 0], [0x30, 0x82, 0xff, 0xff].repeat(9_000)]
        {
            assert_eq!(answer(&odd), Err(Malformed));
        }
        assert_eq!(length(&found()), Ok(Some(found().len())));
        assert_eq!((length(&[]), length(&[0x30]), length(&[0x30, 0x82, 1])), (Ok(None), Ok(None), Ok(None)));
        assert_eq!(length(b"HTTP"), Err(Malformed));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
        #[test]
        fn no_bytes_make_the_reader_stop(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..60, to: u8) {
            let _ = (answer(&bytes), length(&bytes));
            let mut altered = found();
            if let Some(byte) = altered.get_mut(at) {
                *byte = to;
            }
            let _ = answer(&altered);
        }
    }
}
