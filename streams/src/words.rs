//! `split(' ')` and the count of each word, on Arrow arrays. As in Spark, two blanks have an empty word between them, and
//! an empty line is one empty word; a null line (a tombstone) has none. Bytes are not required to be UTF-8.

use std::collections::HashMap;

use arrow_array::builder::BinaryViewBuilder;
use arrow_array::{Array, BinaryArray, BinaryViewArray};
use arrow_schema::ArrowError;

/// How often each word came.
pub(crate) type Counts = HashMap<Box<[u8]>, i64>;

/// The words of all lines, as views into the lines' own buffer.
pub(crate) fn split(lines: &BinaryArray) -> Result<BinaryViewArray, ArrowError> {
    let values = lines.values();
    let mut words = BinaryViewBuilder::with_capacity(lines.len() * 8);
    let block = words.append_block(values.clone());
    for (index, range) in lines.value_offsets().windows(2).enumerate() {
        if lines.is_null(index) {
            continue;
        }
        // Offsets of an array are not negative and lie within its values.
        let (line_start, line_end) = (range[0] as usize, range[1] as usize);
        let line = &values[line_start..line_end];
        let mut start = 0;
        let blanks = line
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b' ')
            .map(|(at, _)| at);
        for end in blanks.chain([line.len()]) {
            words.try_append_view(block, (line_start + start) as u32, (end - start) as u32)?;
            start = end + 1;
        }
    }
    Ok(words.finish())
}

/// Adds each word to `counts`; gives the bytes of those that are new there.
pub(crate) fn count(words: &BinaryViewArray, counts: &mut Counts) -> usize {
    let mut new_bytes = 0;
    for word in words.iter().flatten() {
        match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => {
                counts.insert(word.into(), 1);
                new_bytes += word.len();
            }
        }
    }
    new_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(lines: Vec<Option<&[u8]>>) -> Vec<Vec<u8>> {
        split(&BinaryArray::from(lines))
            .unwrap()
            .iter()
            .flatten()
            .map(<[u8]>::to_vec)
            .collect()
    }

    #[test]
    fn words_are_sparks() {
        assert_eq!(
            words(vec![Some(b"to be or"), None, Some(b"not")]),
            [&b"to"[..], b"be", b"or", b"not"]
        );
        assert_eq!(words(vec![Some(b"")]), [b""]);
        assert_eq!(words(vec![Some(b" a  b ")]), [&b""[..], b"a", b"", b"b", b""]);
        assert_eq!(
            words(vec![Some(b"a\tb\nc"), Some(b"\xff\xfe x")]),
            [&b"a\tb\nc"[..], b"\xff\xfe", b"x"]
        );
        assert_eq!(words(vec![]), Vec::<Vec<u8>>::new());
    }

    proptest::proptest! {
        #[test]
        fn splitting_loses_nothing(lines: Vec<Vec<u8>>) {
            let array = BinaryArray::from_iter_values(&lines);
            let words = split(&array).unwrap();
            let mut counts = Counts::new();
            count(&words, &mut counts);
            let mut expected = Counts::new();
            for word in lines.iter().flat_map(|line| line.split(|byte| *byte == b' ')) {
                *expected.entry(word.into()).or_default() += 1;
            }
            proptest::prop_assert_eq!(counts, expected);
        }
    }
}
