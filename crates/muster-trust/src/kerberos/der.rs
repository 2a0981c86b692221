//! The part of DER that Kerberos is written in (RFC 4120, section 5): a tag of one byte, a definite length, the content.

use super::KerberosError;

/// `SEQUENCE`.
pub(super) const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const GENERALIZED_TIME: u8 = 0x18;
const GENERAL_STRING: u8 = 0x1b;
/// The context tag of the first field of a sequence.
const FIELD: u8 = 0xa0;

/// The tag of a Kerberos message.
pub(super) const fn application(number: u8) -> u8 {
    0x60 | number
}

/// Reads from the front of bytes. What is longer, shorter or otherwise written than DER has it is malformed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn byte(&mut self) -> Result<u8, KerberosError> {
        let (first, rest) = self.0.split_first().ok_or(KerberosError::Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    fn length(&mut self) -> Result<usize, KerberosError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(usize::from(first));
        }
        let count = first & 0x7f;
        if !(1..=3).contains(&count) {
            return Err(KerberosError::Malformed);
        }
        let mut length = 0_usize;
        for _ in 0..count {
            length = length << 8 | usize::from(self.byte()?);
        }
        let shortest = if count == 1 { length >= 0x80 } else { length >> ((count - 1) * 8) > 0 };
        if shortest { Ok(length) } else { Err(KerberosError::Malformed) }
    }

    /// The content of the next element, which has this tag.
    pub(super) fn element(&mut self, tag: u8) -> Result<&'a [u8], KerberosError> {
        if self.byte()? != tag {
            return Err(KerberosError::Malformed);
        }
        let length = self.length()?;
        let (content, rest) = self.0.split_at_checked(length).ok_or(KerberosError::Malformed)?;
        self.0 = rest;
        Ok(content)
    }

    /// The next element with its tag and length, and nothing else of what is there.
    pub(super) fn whole(&mut self, tag: u8) -> Result<&'a [u8], KerberosError> {
        let before = self.0;
        self.element(tag)?;
        Ok(&before[..before.len() - self.0.len()])
    }

    /// A sequence, to be read field by field.
    pub(super) fn sequence(&mut self) -> Result<Self, KerberosError> {
        self.element(SEQUENCE).map(Self)
    }

    /// The message with this application tag: a sequence in it, and nothing behind it.
    pub(super) fn message(bytes: &'a [u8], number: u8) -> Result<Self, KerberosError> {
        let mut outer = Self(bytes);
        let mut inner = Self(outer.element(application(number))?);
        outer.end()?;
        let fields = inner.sequence()?;
        inner.end()?;
        Ok(fields)
    }

    /// The field with this number, where it is the next one.
    pub(super) fn maybe(&mut self, number: u8) -> Result<Option<Self>, KerberosError> {
        match self.0.first() {
            Some(tag) if *tag == FIELD | number => self.element(FIELD | number).map(|content| Some(Self(content))),
            _ => Ok(None),
        }
    }

    /// The field with this number, which is the next one.
    pub(super) fn field(&mut self, number: u8) -> Result<Self, KerberosError> {
        self.element(FIELD | number).map(Self)
    }

    /// That nothing is left.
    pub(super) fn end(self) -> Result<(), KerberosError> {
        if self.0.is_empty() { Ok(()) } else { Err(KerberosError::Malformed) }
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// The one integer that this holds; none of Kerberos needs more than five bytes.
    pub(super) fn integer(mut self) -> Result<i64, KerberosError> {
        let bytes = self.element(INTEGER)?;
        self.end()?;
        let shortest = match bytes {
            [] => false,
            [0, second, ..] => second & 0x80 != 0,
            [0xff, second, ..] => second & 0x80 == 0,
            _ => true,
        };
        if !shortest || bytes.len() > 5 {
            return Err(KerberosError::Malformed);
        }
        let negative = bytes[0] & 0x80 != 0;
        Ok(bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| value << 8 | i64::from(*byte)))
    }

    /// The one byte string that this holds.
    pub(super) fn octets(mut self) -> Result<&'a [u8], KerberosError> {
        let bytes = self.element(OCTET_STRING)?;
        self.end()?;
        Ok(bytes)
    }

    /// The one string of 32 flags that this holds; of more the first 32.
    pub(super) fn flags(mut self) -> Result<u32, KerberosError> {
        let bytes = self.element(BIT_STRING)?;
        self.end()?;
        match bytes {
            [0, a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
            _ => Err(KerberosError::Malformed),
        }
    }

    /// The next text: ASCII that can be seen, and not without end.
    pub(super) fn next_text(&mut self) -> Result<&'a str, KerberosError> {
        let bytes = self.element(GENERAL_STRING)?;
        let plain = bytes.len() <= super::NAME_BYTES && bytes.iter().all(u8::is_ascii_graphic);
        if !plain || bytes.is_empty() {
            return Err(KerberosError::Malformed);
        }
        std::str::from_utf8(bytes).map_err(|_| KerberosError::Malformed)
    }

    /// The one text that this holds.
    pub(super) fn text(mut self) -> Result<&'a str, KerberosError> {
        let text = self.next_text()?;
        self.end()?;
        Ok(text)
    }

    /// The one time that this holds, as seconds since 1970: `YYYYMMDDhhmmssZ`.
    pub(super) fn time(mut self) -> Result<i64, KerberosError> {
        let bytes = self.element(GENERALIZED_TIME)?;
        self.end()?;
        let Some((digits @ [_, _, _, _, _, _, _, _, _, _, _, _, _, _], b"Z")) = bytes.split_at_checked(14) else {
            return Err(KerberosError::Malformed);
        };
        let number = |from: usize, to: usize| {
            digits[from..to].iter().try_fold(0_i32, |value, digit| {
                digit.is_ascii_digit().then(|| value * 10 + i32::from(digit - b'0')).ok_or(KerberosError::Malformed)
            })
        };
        let small = |from: usize| Ok::<u8, KerberosError>(number(from, from + 2)?.try_into().unwrap_or(u8::MAX));
        let month = time::Month::try_from(small(4)?).map_err(|_| KerberosError::Malformed)?;
        let date = time::Date::from_calendar_date(number(0, 4)?, month, small(6)?);
        let clock = time::Time::from_hms(small(8)?, small(10)?, small(12)?);
        let (Ok(date), Ok(clock)) = (date, clock) else { return Err(KerberosError::Malformed) };
        Ok(date.with_time(clock).assume_utc().unix_timestamp())
    }
}

/// An element.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    match length {
        0..0x80 => bytes.push(length.to_le_bytes()[0]),
        _ => {
            let big = length.to_be_bytes();
            let used = &big[big.iter().take_while(|byte| **byte == 0).count()..];
            bytes.push(0x80 | used.len().to_le_bytes()[0]);
            bytes.extend(used);
        }
    }
    bytes.extend(content);
    bytes
}

/// A sequence of parts.
pub(super) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

/// A message with this application tag.
pub(super) fn message(number: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    element(application(number), &sequence(parts))
}

/// A field of a sequence.
pub(super) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    element(FIELD | number, content)
}

/// An integer.
pub(super) fn integer(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let spare = bytes
        .windows(2)
        .take_while(|pair| (pair[0] == 0 && pair[1] & 0x80 == 0) || (pair[0] == 0xff && pair[1] & 0x80 != 0))
        .count();
    element(INTEGER, &bytes[spare..])
}

/// A byte string.
pub(super) fn octets(bytes: &[u8]) -> Vec<u8> {
    element(OCTET_STRING, bytes)
}

/// A string of 32 flags.
pub(super) fn flags(flags: u32) -> Vec<u8> {
    element(BIT_STRING, &[&[0][..], &flags.to_be_bytes()].concat())
}

/// A text.
pub(super) fn text(text: &str) -> Vec<u8> {
    element(GENERAL_STRING, text.as_bytes())
}

/// A time, from seconds since 1970.
pub(super) fn time(seconds: i64) -> Result<Vec<u8>, KerberosError> {
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| KerberosError::Malformed)?;
    let (date, clock) = (time.date(), time.time());
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    );
    Ok(element(GENERALIZED_TIME, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for value in [0, 1, -1, 127, 128, -128, -129, 255, 256, 65_535, -140, i64::from(u32::MAX), i64::from(i32::MIN)]
        {
            assert_eq!(Reader::new(&integer(value)).integer().unwrap(), value);
        }
        for seconds in [0, 951_782_400, 1_790_000_000, 4_102_444_799] {
            assert_eq!(Reader::new(&time(seconds).unwrap()).time().unwrap(), seconds);
        }
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let bytes = vec![7; length];
            assert_eq!(Reader::new(&octets(&bytes)).octets().unwrap(), bytes);
        }
        assert_eq!(Reader::new(&flags(0x4000_0001)).flags().unwrap(), 0x4000_0001);
        assert_eq!(Reader::new(&text("PC1$")).text().unwrap(), "PC1$");
    }

    #[test]
    fn what_is_not_der_is_malformed() {
        let malformed: [&[u8]; 9] = [
            &[],
            &[4],
            &[4, 2, 1],
            &[4, 0x80, 0, 0],
            &[4, 0x81, 1, 0],
            &[4, 0x82, 0, 1, 0],
            &[4, 0x84, 0, 0, 0, 1, 0],
            &[4, 1, 0, 0],
            &[5, 0],
        ];
        for bytes in malformed {
            assert!(Reader::new(bytes).octets().is_err(), "{bytes:?}");
        }
        for bytes in [&[2, 0][..], &[2, 2, 0, 1], &[2, 2, 0xff, 0x80], &[2, 6, 1, 0, 0, 0, 0, 0]] {
            assert!(Reader::new(bytes).integer().is_err(), "{bytes:?}");
        }
        for text in ["20260230000000Z", "2026010100000Z", "20260101000000", "20261301000000Z", "2026010124000+Z"] {
            assert!(Reader::new(&element(GENERALIZED_TIME, text.as_bytes())).time().is_err(), "{text}");
        }
        for text in ["", "a b", "a\n", "\u{e4}"] {
            assert!(Reader::new(&super::text(text)).text().is_err(), "{text:?}");
        }
    }
}
