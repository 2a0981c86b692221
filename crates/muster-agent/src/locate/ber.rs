//! The few messages of LDAP (RFC 4511) that a search needs, as bytes: bind, search, start TLS. Nothing nests deeper than the shapes
//! below, so that no answer can make the reader recurse, and each part is bounded by the message that it is in.

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
const AND: u8 = 0xa0;
const OR: u8 = 0xa1;
const EQUALITY: u8 = 0xa3;
const PRESENT: u8 = 0x87;
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// How a bind, a start of TLS or a search ended.
    Done {
        /// `resultCode`; 0 is success.
        code: u64,
    },
    /// An entry that was found: attributes in the order in which they came.
    Entry(Vec<(String, Vec<String>)>),
    /// It is elsewhere. Nobody goes there.
    Reference,
}

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The named object alone.
    Base = 0,
    /// It and everything below it.
    Subtree = 2,
}

/// Which objects are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter<'a> {
    /// They have this attribute.
    Present(&'a str),
    /// An attribute has this value.
    Equal(&'a str, &'a str),
    /// All of these.
    All(Vec<Self>),
    /// One of these.
    Any(Vec<Self>),
}

impl<'a> Filter<'a> {
    /// All of these attributes have these values.
    pub(super) fn equal(all: &[(&'a str, &'a str)]) -> Self {
        Self::All(all.iter().map(|(name, value)| Self::Equal(name, value)).collect())
    }

    fn bytes(&self) -> Vec<u8> {
        let join = |filters: &[Self]| filters.iter().flat_map(Self::bytes).collect::<Vec<u8>>();
        match self {
            Self::Present(name) => tlv(PRESENT, name.as_bytes()),
            Self::Equal(name, value) => {
                tlv(EQUALITY, &[tlv(OCTETS, name.as_bytes()), tlv(OCTETS, value.as_bytes())].concat())
            }
            Self::All(filters) => tlv(AND, &join(filters)),
            Self::Any(filters) => tlv(OR, &join(filters)),
        }
    }
}

/// Why bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sends what is not LDAP")]
pub(super) struct Malformed;

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

fn number(tag: u8, value: u16) -> Vec<u8> {
    // A leading zero keeps it positive.
    let [high, low] = value.to_be_bytes();
    tlv(tag, &[0, high, low][value_start(value)..])
}

const fn value_start(value: u16) -> usize {
    match value {
        0..=0x7f => 2,
        0x80..=0x7fff => 1,
        _ => 0,
    }
}

fn message(id: u16, operation: Vec<u8>) -> Vec<u8> {
    // The operation may hold a password; whoever sends the message wipes that too.
    let operation = Zeroizing::new(operation);
    let inside = Zeroizing::new([&number(INTEGER, id)[..], &operation].concat());
    tlv(SEQUENCE, &inside)
}

/// A simple bind; without a name and a password it is anonymous.
pub(super) fn bind(id: u16, name: &str, password: &[u8]) -> Vec<u8> {
    let password = Zeroizing::new(tlv(SIMPLE, password));
    let whole = Zeroizing::new([&number(INTEGER, 3)[..], &tlv(OCTETS, name.as_bytes()), &password].concat());
    message(id, tlv(BIND, &whole))
}

/// Asks for TLS on this connection.
pub(super) fn start_tls(id: u16) -> Vec<u8> {
    message(id, tlv(EXTENDED, &tlv(OID, START_TLS.as_bytes())))
}

/// The end.
pub(super) fn unbind(id: u16) -> Vec<u8> {
    message(id, tlv(UNBIND, &[]))
}

/// A search from `base` on.
pub(super) fn search(
    id: u16,
    (base, scope): (&str, Scope),
    filter: &Filter<'_>,
    attributes: &[&str],
    entries: u16,
    seconds: u16,
) -> Vec<u8> {
    let texts = |text: &&str| tlv(OCTETS, text.as_bytes());
    let attributes: Vec<u8> = attributes.iter().flat_map(texts).collect();
    let parts = [
        tlv(OCTETS, base.as_bytes()),
        number(ENUMERATED, scope as u16),
        // No alias is followed.
        number(ENUMERATED, 0),
        number(INTEGER, entries),
        number(INTEGER, seconds),
        tlv(BOOLEAN, &[0]),
        filter.bytes(),
        tlv(SEQUENCE, &attributes),
    ];
    message(id, tlv(SEARCH, &parts.concat()))
}

/// How long the message is that begins with these bytes; `None`: more are needed to say.
///
/// # Errors
/// When it is no message, or its length has more than four bytes.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
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

/// Texts that are not UTF-8 are nobody's address; they stay recognisable as such.
fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content).into_owned()
}

/// Reads one whole message: the id that it answers, and what it says.
///
/// # Errors
/// When it is none of the answers that are known here.
pub(super) fn answer(bytes: &[u8]) -> Result<(u64, Answer), Malformed> {
    let mut whole = bytes;
    let mut inside = take_as(&mut whole, SEQUENCE)?;
    if !whole.is_empty() {
        return Err(Malformed);
    }
    let id = unsigned(take_as(&mut inside, INTEGER)?)?;
    let (operation, mut content) = take(&mut inside)?;
    let said = match operation {
        BIND_ANSWER | DONE | EXTENDED_ANSWER => Answer::Done { code: unsigned(take_as(&mut content, ENUMERATED)?)? },
        ENTRY => Answer::Entry(entry(content)?),
        REFERENCE => Answer::Reference,
        _ => return Err(Malformed),
    };
    Ok((id, said))
}

fn entry(mut content: &[u8]) -> Result<Vec<(String, Vec<String>)>, Malformed> {
    take_as(&mut content, OCTETS)?;
    let mut list = take_as(&mut content, SEQUENCE)?;
    let mut attributes = Vec::new();
    while !list.is_empty() {
        let mut attribute = take_as(&mut list, SEQUENCE)?;
        let name = text(take_as(&mut attribute, OCTETS)?);
        let mut set = take_as(&mut attribute, SET)?;
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(text(take_as(&mut set, OCTETS)?));
        }
        attributes.push((name, values));
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_are_as_the_standard_writes_them() {
        let plain = bind(1, "", b"");
        assert_eq!(plain, [0x30, 0x0c, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0]);
        assert_eq!(unbind(3), [0x30, 5, 2, 1, 3, 0x42, 0]);
        let start = start_tls(1);
        assert_eq!(start[..9], [0x30, 0x1d, 2, 1, 1, 0x77, 0x18, 0x80, 0x16]);
        assert_eq!(&start[9..], START_TLS.as_bytes());
        let wanted = search(2, ("o=x", Scope::Subtree), &Filter::equal(&[("a", "b")]), &["c"], 300, 5);
        assert_eq!(
            wanted,
            [
                &[0x30, 41, 2, 1, 2, 0x63, 36, 4, 3][..],
                b"o=x",
                &[10, 1, 2, 10, 1, 0, 2, 2, 1, 44, 2, 1, 5, 1, 1, 0, 0xa0, 8, 0xa3, 6, 4, 1],
                b"a",
                &[4, 1],
                b"b",
                &[0x30, 3, 4, 1],
                b"c",
            ]
            .concat()
        );
        let either = Filter::Any(vec![Filter::Present("a"), Filter::Equal("b", "c")]);
        assert_eq!(either.bytes(), [0xa1, 11, 0x87, 1, b'a', 0xa3, 6, 4, 1, b'b', 4, 1, b'c']);
        assert_eq!(number(INTEGER, 200), [2, 2, 0, 200]);
        assert_eq!(number(INTEGER, 0xffff), [2, 3, 0, 0xff, 0xff]);
        assert_eq!(tlv(4, &[7; 200])[..3], [4, 0x81, 200]);
        assert_eq!(tlv(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }

    fn found() -> Vec<u8> {
        let attribute = |name: &[u8], values: &[&[u8]]| {
            let values: Vec<u8> = values.iter().flat_map(|value| tlv(OCTETS, value)).collect();
            tlv(SEQUENCE, &[tlv(OCTETS, name), tlv(SET, &values)].concat())
        };
        let attributes = [attribute(b"keywords", &[b"muster", b"site:P01"]), attribute(b"empty", &[])].concat();
        message(2, tlv(ENTRY, &[tlv(OCTETS, b"cn=x"), tlv(SEQUENCE, &attributes)].concat()))
    }

    #[test]
    fn answers_are_read_and_nothing_else_is() {
        let attributes = vec![
            ("keywords".to_owned(), vec!["muster".to_owned(), "site:P01".to_owned()]),
            ("empty".to_owned(), Vec::new()),
        ];
        assert_eq!(answer(&found()), Ok((2, Answer::Entry(attributes))));
        let done = message(2, tlv(DONE, &[number(ENUMERATED, 32), tlv(OCTETS, b""), tlv(OCTETS, b"none")].concat()));
        assert_eq!(answer(&done), Ok((2, Answer::Done { code: 32 })));
        let elsewhere = message(2, tlv(REFERENCE, &tlv(OCTETS, b"ldap://192.0.2.77/")));
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
