//! Values as the index keeps them: each distinct one of a column once, rows by its number.

use muster_model::wql::eval::Cell;
use std::{collections::HashMap, sync::Arc};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Datum {
    /// Nothing is known.
    Null,
    /// A text.
    Text(Arc<str>),
    /// A whole number, a truth, a moment.
    Int(i64),
    /// A fraction, by its bits.
    Real(u64),
    /// Several texts.
    List(Arc<[Arc<str>]>),
}

impl From<Option<Cell>> for Datum {
    fn from(cell: Option<Cell>) -> Self {
        match cell {
            None => Self::Null,
            Some(Cell::Text(text)) => Self::Text(text.into()),
            Some(Cell::Int(number)) => Self::Int(number),
            Some(Cell::Real(number)) => Self::Real(number.to_bits()),
            Some(Cell::List(list)) => {
                let text = |cell| if let Cell::Text(text) = cell { Some(Arc::from(text)) } else { None };
                Self::List(list.into_iter().filter_map(text).collect())
            }
        }
    }
}

impl Datum {
    /// The value as the evaluator has it.
    pub(crate) fn cell(&self) -> Option<Cell> {
        Some(match self {
            Self::Null => return None,
            Self::Text(text) => Cell::Text(text.to_string()),
            Self::Int(number) => Cell::Int(*number),
            Self::Real(bits) => Cell::Real(f64::from_bits(*bits)),
            Self::List(list) => Cell::List(list.iter().map(|text| Cell::Text(text.to_string())).collect()),
        })
    }

    fn bytes(&self) -> usize {
        let own = 2 * size_of::<Self>() + 12;
        own + match self {
            Self::Text(text) => text.len() + 16,
            Self::List(list) => list.iter().map(|text| text.len() + 32).sum(),
            _ => 0,
        }
    }
}

/// A column.
#[derive(Debug, Default)]
pub(crate) struct Column {
    /// By row: the number of its value.
    pub(crate) codes: Vec<u32>,
    /// Distinct values.
    pub(crate) data: Vec<Datum>,
    numbers: HashMap<Datum, u32>,
}

impl Column {
    /// Adds the value of the next row.
    pub(crate) fn push(&mut self, datum: Datum) {
        let next = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
        let data = &mut self.data;
        let code = *self.numbers.entry(datum).or_insert_with_key(|datum| {
            data.push(datum.clone());
            next
        });
        self.codes.push(code);
    }

    /// The value of a row.
    pub(crate) fn datum(&self, slot: u32) -> &Datum {
        self.codes.get(slot as usize).and_then(|code| self.data.get(*code as usize)).unwrap_or(&Datum::Null)
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        4 * self.codes.capacity() + self.data.iter().map(Datum::bytes).sum::<usize>()
    }
}

/// Numbers in rising order, in as few bytes as their distances need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Packed(Box<[u8]>);

impl Packed {
    /// Of numbers in rising order.
    pub(crate) fn new(numbers: &[u32]) -> Self {
        let mut bytes = Vec::with_capacity(numbers.len() * 2);
        let mut last = 0;
        for number in numbers {
            let mut rest = number - last;
            last = *number;
            while rest >= 0x80 {
                bytes.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        Self(bytes.into_boxed_slice())
    }

    /// The numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let mut bytes = self.0.iter();
        let mut last = 0;
        std::iter::from_fn(move || {
            let (mut rest, mut shift) = (0_u32, 0);
            loop {
                let byte = *bytes.next()?;
                rest |= u32::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            last += rest;
            Some(last)
        })
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(mut numbers in proptest::collection::vec(any::<u32>(), 0..300)) {
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert_eq!(Packed::new(&numbers).iter().collect::<Vec<_>>(), numbers);
        }
    }

    #[test]
    fn a_value_is_kept_once() {
        let mut column = Column::default();
        for text in ["a", "b", "a"] {
            column.push(Some(Cell::Text(text.to_owned())).into());
        }
        column.push(Datum::Null);
        assert_eq!((column.codes.as_slice(), column.data.len()), ([0, 1, 0, 2].as_slice(), 3));
        assert_eq!(column.datum(2).cell(), Some(Cell::Text("a".to_owned())));
        assert_eq!((column.datum(3).cell(), column.datum(9).cell()), (None, None));
    }
}
