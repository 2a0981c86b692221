//! The bytes of a MOF file as a text: the tools of Windows write UTF-16 with a mark at its beginning.

use super::MofError;

/// The text of a file.
///
/// # Errors
/// When it is neither UTF-8 nor UTF-16 with its mark.
pub fn text(bytes: &[u8]) -> Result<String, MofError> {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes[2..].as_chunks::<2>();
        let text = String::from_utf16(&units.iter().map(|pair| unit(*pair)).collect::<Vec<_>>()).ok();
        text.filter(|_| rest.is_empty())
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => std::str::from_utf8(bytes).ok().map(|text| text.trim_start_matches('\u{feff}').to_owned()),
    };
    text.ok_or_else(|| MofError {
        line: 1,
        column: 1,
        what: "the file is neither UTF-8 nor UTF-16 with its mark".to_owned(),
    })
}

/// A text as the tools of Windows write it: UTF-16, the lower byte first, with its mark.
#[must_use]
pub fn utf16(text: &str) -> Vec<u8> {
    [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_is_read() {
        let wanted = "instance of X { A = \"\u{fc}\u{1f600}\"; };";
        assert_eq!(text(wanted.as_bytes()).unwrap(), wanted);
        assert_eq!(text(format!("\u{feff}{wanted}").as_bytes()).unwrap(), wanted);
        assert_eq!(text(&utf16(wanted)).unwrap(), wanted);
        let big: Vec<u8> = utf16(wanted).chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
        assert_eq!(text(&big).unwrap(), wanted);
        for bytes in [&[0xff, 0xfe, 0x41][..], &[0xff, 0xfe, 0x00, 0xd8], &[0x80, 0x80]] {
            assert!(text(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(text(b"").unwrap(), "");
    }
}
