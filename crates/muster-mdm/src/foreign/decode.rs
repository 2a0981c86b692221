//! Bounded decompression of what a collector sends.

use super::ForeignError;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use std::{borrow::Cow, io::Read};

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Plain,
    /// zlib (RFC 1950).
    Zlib,
    /// gzip (RFC 1952).
    Gzip,
}

impl Encoding {
    /// The encoding that a content type of these agents names.
    #[must_use]
    pub fn of_type(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/xml" | "text/xml" => Some(Self::Plain),
            "application/x-compress" | "application/x-compress-zlib" | "application/x-zlib" => Some(Self::Zlib),
            "application/x-compress-gzip" | "application/x-gzip" | "application/gzip" => Some(Self::Gzip),
            _ => None,
        }
    }
}

/// The text of a body, never more than `most` bytes of it.
///
/// # Errors
/// [`ForeignError::Compression`], [`ForeignError::TooLarge`].
pub fn decode(encoding: Encoding, body: &[u8], most: usize) -> Result<Cow<'_, [u8]>, ForeignError> {
    let unpack = |reader: &mut dyn Read| {
        let mut text = Vec::new();
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        reader.take(limit).read_to_end(&mut text).map_err(|_| ForeignError::Compression)?;
        Ok(Cow::Owned(text))
    };
    let text = match encoding {
        Encoding::Plain => Cow::Borrowed(body),
        Encoding::Zlib => unpack(&mut ZlibDecoder::new(body))?,
        Encoding::Gzip => unpack(&mut MultiGzDecoder::new(body))?,
    };
    if text.len() > most { Err(ForeignError::TooLarge("bytes after decompression")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
    use std::io::Write;

    #[test]
    fn bodies_are_unpacked_as_their_type_says_and_a_bomb_is_not() {
        let text = vec![b'a'; 100_000];
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(&text).unwrap();
        let zlib = zlib.finish().unwrap();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(decode(Encoding::Zlib, &zlib, 100_000).unwrap(), text);
        assert_eq!(decode(Encoding::Gzip, &gzip, 100_000).unwrap(), text);
        assert_eq!(decode(Encoding::Plain, &text, 100_000).unwrap(), text);
        for (encoding, body) in [(Encoding::Zlib, &zlib), (Encoding::Gzip, &gzip), (Encoding::Plain, &text)] {
            let error = decode(encoding, body, 99_999).unwrap_err();
            assert!(matches!(error, ForeignError::TooLarge(_)), "{error}");
        }
        assert_eq!(decode(Encoding::Zlib, &gzip, 100_000), Err(ForeignError::Compression));
        assert_eq!(decode(Encoding::Gzip, &gzip[..gzip.len() - 9], 100_000), Err(ForeignError::Compression));
        assert_eq!(Encoding::of_type("Application/X-Compress-Zlib; a=b"), Some(Encoding::Zlib));
        assert_eq!(Encoding::of_type("application/json"), None);
    }
}
