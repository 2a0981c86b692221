//! BER to DER: definite lengths, and octet strings in one piece. Without recursion, within limits.

use super::{CmsError, MAX_DEPTH, MAX_VALUES, der};

/// `OCTET STRING` in pieces.
const PIECES: u8 = 0x24;
const CONSTRUCTED: u8 = 0x20;

/// One value, in the order in which they begin.
struct Node<'a> {
    tag: u8,
    parent: Option<usize>,
    content: &'a [u8],
    /// Bytes of its content in DER.
    length: usize,
}

/// A value that has begun and not ended; `end`: where it does, when that was said.
struct Open {
    node: usize,
    end: Option<usize>,
    bound: usize,
}

/// What begins at `at`: tag, where its content begins, and how long it is where that is said.
fn begin(bytes: &[u8], at: usize, bound: usize) -> Result<(u8, usize, Option<usize>), CmsError> {
    let header = bytes.get(at..bound).ok_or(CmsError::Malformed)?;
    let [tag, first, rest @ ..] = header else { return Err(CmsError::Malformed) };
    if *tag == 0 || tag & 0x1f == 0x1f {
        return Err(CmsError::Malformed);
    }
    let digits = match first {
        0x80 if tag & CONSTRUCTED != 0 => return Ok((*tag, at + 2, None)),
        0..0x80 => return Ok((*tag, at + 2, Some(usize::from(*first)))),
        0x81..=0x84 => usize::from(first & 0x7f),
        _ => return Err(CmsError::Malformed),
    };
    let length = rest.get(..digits).ok_or(CmsError::Malformed)?;
    let length = length.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
    Ok((*tag, at + 2 + digits, Some(length)))
}

fn read(bytes: &[u8]) -> Result<Vec<Node<'_>>, CmsError> {
    let (mut nodes, mut open): (Vec<Node<'_>>, Vec<Open>) = (Vec::new(), Vec::new());
    let mut at = 0;
    loop {
        while let Some(inner) = open.last() {
            match inner.end {
                Some(end) if at == end => drop(open.pop()),
                None if bytes.get(at..inner.bound).is_some_and(|rest| rest.starts_with(&[0, 0])) => {
                    at += 2;
                    open.pop();
                }
                _ => break,
            }
        }
        if open.is_empty() && !nodes.is_empty() {
            break;
        }
        let bound = open.last().map_or(bytes.len(), |inner| inner.end.unwrap_or(inner.bound));
        let (tag, content, length) = begin(bytes, at, bound)?;
        let end = length.map(|length| content.checked_add(length).filter(|end| *end <= bound));
        let end = end.map(|end| end.ok_or(CmsError::Malformed)).transpose()?;
        let parent = open.last().map(|inner| inner.node);
        let in_pieces = parent.is_some_and(|parent| nodes[parent].tag == PIECES);
        let is_string =
            tag & 0xc0 == 0 && tag & CONSTRUCTED != 0 && !matches!(tag, der::SEQUENCE | der::SET | PIECES | 0x28);
        if nodes.len() >= MAX_VALUES || is_string || in_pieces && !matches!(tag, der::OCTETS | PIECES) {
            return Err(CmsError::Malformed);
        }
        if tag & CONSTRUCTED == 0 {
            let end = end.ok_or(CmsError::Malformed)?;
            nodes.push(Node { tag, parent, content: &bytes[content..end], length: end - content });
            at = end;
        } else {
            if open.len() >= MAX_DEPTH {
                return Err(CmsError::Malformed);
            }
            open.push(Open { node: nodes.len(), end, bound });
            nodes.push(Node { tag, parent, content: &[], length: 0 });
            at = content;
        }
    }
    if at == bytes.len() { Ok(nodes) } else { Err(CmsError::Malformed) }
}

/// The same value in DER, as far as lengths and pieces of octet strings go; the order in sets stays. At most `limit` bytes are taken.
///
/// # Errors
/// [`CmsError::Malformed`] when it is not one value of BER, or beyond a limit.
pub fn to_der(bytes: &[u8], limit: usize) -> Result<Vec<u8>, CmsError> {
    if bytes.len() > limit {
        return Err(CmsError::Malformed);
    }
    let mut nodes = read(bytes)?;
    let is_piece = |nodes: &[Node<'_>], at: usize| nodes[at].parent.is_some_and(|parent| nodes[parent].tag == PIECES);
    // Those inside come after what they are in, so from the end each length is known when it is added to the next.
    for at in (0..nodes.len()).rev() {
        let own = nodes[at].length;
        let all = if is_piece(&nodes, at) { own } else { own + der::begin_length(own) };
        if let Some(parent) = nodes[at].parent {
            nodes[parent].length += all;
        }
    }
    let mut out = Vec::with_capacity(bytes.len() + 16);
    for (at, node) in nodes.iter().enumerate() {
        if !is_piece(&nodes, at) {
            let tag = if node.tag == PIECES { der::OCTETS } else { node.tag };
            der::begin(&mut out, tag, node.length);
        }
        out.extend_from_slice(node.content);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indefinite_lengths_and_pieces_become_definite() {
        let cases: [(&[u8], &[u8]); 6] = [
            (&[0x30, 0x80, 0x02, 1, 5, 0, 0], &[0x30, 3, 2, 1, 5]),
            (&[0x24, 0x80, 4, 1, 7, 0x24, 0x80, 4, 1, 8, 0, 0, 4, 0, 0, 0], &[4, 2, 7, 8]),
            (&[0x30, 0x83, 0, 0, 2, 5, 0], &[0x30, 2, 5, 0]),
            (&[0x30, 0x80, 0xa0, 0x80, 0x24, 0x80, 4, 1, 1, 0, 0, 0, 0, 0, 0], &[0x30, 5, 0xa0, 3, 4, 1, 1]),
            (&[0x30, 0x80, 0, 0], &[0x30, 0]),
            (&[0x30, 4, 0x30, 0x80, 0, 0], &[0x30, 2, 0x30, 0]),
        ];
        for (ber, expected) in cases {
            assert_eq!(to_der(ber, 100).unwrap(), expected, "{ber:02x?}");
            assert_eq!(to_der(expected, 100).unwrap(), expected);
        }
        let long = [&[0x30, 0x80, 4, 0x81, 200][..], &[9; 200], &[0, 0]].concat();
        assert_eq!(to_der(&long, 300).unwrap()[..6], [0x30, 0x81, 203, 4, 0x81, 200]);
    }

    #[test]
    fn what_is_no_value_or_beyond_a_limit_is_refused() {
        let deep = |levels: usize| [[0x30, 0x80].repeat(levels), [0, 0].repeat(levels)].concat();
        assert!(to_der(&deep(MAX_DEPTH), 1_000).is_ok());
        let wide = |values: usize| [&[0x30, 0x80][..], &[5, 0].repeat(values), &[0, 0]].concat();
        assert!(to_der(&wide(MAX_VALUES - 1), 100_000).is_ok());
        let bad: [&[u8]; 16] = [
            &[],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x80, 0],
            &[0x30, 3, 2, 1],
            &[0x30, 2, 2, 1, 5],
            &[5, 0, 5, 0],
            &[4, 0x80, 0, 0],
            &[0x24, 0x80, 2, 1, 1, 0, 0],
            &[0x23, 0x80, 3, 1, 1, 0, 0],
            &[0x3f, 0x81, 0x01, 0],
            &[0x30, 0x85, 0, 0, 0, 0, 0],
            &[0x30, 4, 0x30, 0x80, 5, 0, 0, 0],
            &[0, 0],
            &[0x30, 2, 0, 0],
            &[0x30, 0xff, 1],
        ];
        for bytes in
            bad.iter().map(|bytes| bytes.to_vec()).chain([deep(MAX_DEPTH + 1), wide(MAX_VALUES), vec![4, 1, 1]])
        {
            let limit = if bytes == [4, 1, 1] { 2 } else { 100_000 };
            assert_eq!(to_der(&bytes, limit), Err(CmsError::Malformed), "{:02x?}", &bytes[..bytes.len().min(20)]);
        }
    }
}
