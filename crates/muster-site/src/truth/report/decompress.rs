//! Bounded decompression: one zstd frame, never more than the limit, whatever the frame says of its length.

use std::{cell::RefCell, io};
use zstd::{
    stream::raw::{Decoder, InBuffer, Operation, OutBuffer},
    zstd_safe::DParameter,
};

/// Why bytes are not decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecompressError {
    /// Not one whole frame and nothing else.
    Malformed,
    /// More than the limit.
    TooLarge,
}

thread_local! {
    // A decoder has 150 KB of tables; making one costs as much as decoding a small report.
    static DECODER: RefCell<Option<Decoder<'static>>> = const { RefCell::new(None) };
}

/// Windows of more than 8 MB are refused: no report needs one, and each thread keeps its own.
const WINDOW_LOG: u32 = 23;

/// Decompresses one frame.
pub(super) fn decompress(bytes: &[u8], most: usize) -> Result<Vec<u8>, DecompressError> {
    DECODER.with_borrow_mut(|kept| {
        let mut decoder = match kept.take() {
            Some(decoder) => decoder,
            None => new().map_err(|_| DecompressError::Malformed)?,
        };
        let result = decode(&mut decoder, bytes, most);
        // What stopped in the middle is begun anew; a decoder that cannot be is not kept.
        if decoder.reinit().is_ok() {
            *kept = Some(decoder);
        }
        result
    })
}

fn new() -> io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
    Ok(decoder)
}

fn decode(decoder: &mut Decoder<'_>, bytes: &[u8], most: usize) -> Result<Vec<u8>, DecompressError> {
    let mut input = InBuffer::around(bytes);
    let mut json: Vec<u8> = Vec::new();
    // What a report usually has, and then twice as much each time; one byte over the limit shows that it is over.
    let mut room = bytes.len().saturating_mul(8).max(4_096);
    loop {
        let room_now = room.min(most + 1);
        json.reserve_exact(room_now - json.len());
        let before = (input.pos(), json.len());
        let hint = {
            let at = json.len();
            let mut output = OutBuffer::around_pos(&mut json, at);
            decoder.run(&mut input, &mut output).map_err(|_| DecompressError::Malformed)?
        };
        if json.len() > most {
            return Err(DecompressError::TooLarge);
        }
        let rest = input.pos() < bytes.len();
        match hint {
            0 if rest => return Err(DecompressError::Malformed),
            0 => return Ok(json),
            // Nothing went in and nothing came out though there was room: the frame is cut.
            _ if before == (input.pos(), json.len()) && json.len() < json.capacity() => {
                return Err(DecompressError::Malformed);
            }
            _ => {}
        }
        if json.len() == json.capacity() {
            room = json.capacity().saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    #[test]
    fn one_whole_frame_within_the_limit_comes_out_as_it_went_in() {
        for length in [0, 1, 4_095, 4_096, 100_000, 3_000_000] {
            let bytes: Vec<u8> = (0..length).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            assert_eq!(decompress(&packed(&bytes), bytes.len()), Ok(bytes));
        }
    }

    #[test]
    fn the_limit_holds_to_the_byte_whatever_the_frame_says() {
        for length in [10, 5_000, 1_000_000] {
            let frame = packed(&vec![b' '; length]);
            assert_eq!(decompress(&frame, length - 1), Err(DecompressError::TooLarge));
            assert_eq!(decompress(&frame, length).map(|json| json.len()), Ok(length));
        }
    }

    #[test]
    fn what_is_not_one_whole_frame_is_malformed_and_spoils_nothing() {
        let frame = packed(&[7; 10_000]);
        let twice = [&frame[..], &frame[..]].concat();
        let tail = [&frame[..], b"x"].concat();
        for bad in [&b""[..], b"{}", &frame[..frame.len() - 1], &frame[..5], &frame[1..], &twice, &tail] {
            assert_eq!(decompress(bad, 100_000), Err(DecompressError::Malformed));
            assert_eq!(decompress(&frame, 10_000).map(|json| json.len()), Ok(10_000), "the next one is read as ever");
        }
        let mut wide = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        wide.window_log(26).unwrap();
        std::io::copy(&mut &vec![1_u8; 1 << 20][..], &mut wide).unwrap();
        assert_eq!(decompress(&wide.finish().unwrap(), 32 << 20), Err(DecompressError::Malformed), "a window of 64 MB");
    }
}
