//! Where a feed goes on: the source offset in its types, and how offsets compare.

use std::cmp::Ordering;

use forebay_connect_api::{Error, OffsetMap, OffsetValue};

/// The field for what `${offset}` becomes.
const OFFSET: &str = "offset";
/// The field for how many items with the last offset are done.
const SEEN: &str = "seen";
/// The field for the offset that these have, if it is another.
const LAST: &str = "last";

/// A place between two items of a feed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Position {
    /// What `${offset}` becomes in the next request; `None`: the initial offset.
    pub(super) request: Option<OffsetValue>,
    /// What is done; `None`: nothing.
    pub(super) done: Option<Done>,
}

/// The last item that is done.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Done {
    /// Its offset.
    pub(super) offset: OffsetValue,
    /// How many items of this offset are done; `None`: all, as users say who alter offsets.
    pub(super) seen: Option<usize>,
}

impl Position {
    /// The source offset.
    pub(super) fn to_map(&self) -> OffsetMap {
        let mut map = OffsetMap::new();
        if let Some(done) = &self.done {
            if self.request.as_ref() != Some(&done.offset) {
                map = map.with(LAST, done.offset.clone());
            }
            if let Some(seen) = done.seen {
                map = map.with(SEEN, i64::try_from(seen).expect("counted in memory"));
            }
        }
        match &self.request {
            Some(offset) => map.with(OFFSET, offset.clone()),
            None => map,
        }
    }

    /// Reads a source offset.
    ///
    /// # Errors
    /// If it is none of this connector's.
    pub(super) fn from_map(map: &OffsetMap) -> Result<Self, Error> {
        let wrong = |why: &str| Error::fatal(format!("the source offset {map} cannot be used: {why}"));
        let offset = |name| match map.get(name) {
            None | Some(OffsetValue::Null) => Ok(None),
            Some(OffsetValue::Boolean(_)) => Err(wrong("offsets are numbers or strings")),
            Some(value) => Ok(Some(value.clone())),
        };
        let request = offset(OFFSET)?;
        let seen = match map.get(SEEN) {
            None => None,
            Some(OffsetValue::Int64(seen)) => {
                Some(usize::try_from(*seen).map_err(|_| wrong("'seen' is a count"))?)
            }
            Some(_) => return Err(wrong("'seen' is a count")),
        };
        let Some(last) = offset(LAST)?.or_else(|| request.clone()) else {
            return Err(wrong("it has no 'offset'"));
        };
        Ok(Self {
            request,
            done: Some(Done { offset: last, seen }),
        })
    }
}

/// An offset as `${offset}` has it.
pub(super) fn text(offset: &OffsetValue) -> String {
    match offset {
        OffsetValue::Null => String::new(),
        OffsetValue::Boolean(value) => value.to_string(),
        OffsetValue::Int64(number) => number.to_string(),
        OffsetValue::Float64(number) => number.to_string(),
        OffsetValue::String(text) => text.to_string(),
    }
}

/// How the offsets of one answer compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Numbers,
    /// Strings that are all digits.
    Digits,
    Texts,
}

impl Comparison {
    /// The one that suits all of these.
    ///
    /// # Errors
    /// If some are numbers and some are strings.
    pub(super) fn of<'a>(offsets: impl Iterator<Item = &'a OffsetValue>) -> Result<Self, Error> {
        let (mut number, mut string, mut digits) = (None, None, true);
        for offset in offsets {
            match offset {
                OffsetValue::String(text) => {
                    digits &= !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                    string = Some(offset);
                }
                _ => number = Some(offset),
            }
        }
        match (number, string) {
            (Some(number), Some(string)) => Err(Error::fatal(format!(
                "the offset {} is a number and the offset \"{}\" is a string (of this answer, or committed before): they have \
                 no order; let http.offset.json.pointer name a member that is always one of them, or set \
                 http.offset.order=response",
                text(number),
                text(string)
            ))),
            (_, None) => Ok(Self::Numbers),
            (None, Some(_)) if digits => Ok(Self::Digits),
            (None, Some(_)) => Ok(Self::Texts),
        }
    }

    /// A total order.
    pub(super) fn compare(self, left: &OffsetValue, right: &OffsetValue) -> Ordering {
        match (left, right) {
            (OffsetValue::String(left), OffsetValue::String(right)) if self == Self::Digits => {
                let significant = |text: &str| text.trim_start_matches('0').len();
                let by_length = significant(left).cmp(&significant(right));
                by_length
                    .then_with(|| left.trim_start_matches('0').cmp(right.trim_start_matches('0')))
                    .then_with(|| left.cmp(right))
            }
            (OffsetValue::String(left), OffsetValue::String(right)) => left.cmp(right),
            (OffsetValue::Int64(left), OffsetValue::Int64(right)) => left.cmp(right),
            (OffsetValue::Float64(left), OffsetValue::Float64(right)) => left.total_cmp(right),
            (OffsetValue::Int64(left), OffsetValue::Float64(right)) => mixed(*left, *right),
            (OffsetValue::Float64(left), OffsetValue::Int64(right)) => mixed(*right, *left).reverse(),
            // `of` has seen to it that there are no others.
            _ => Ordering::Equal,
        }
    }
}

/// Compares without rounding the integer, which a double may not hold.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // In range, and a power of two.
fn mixed(integer: i64, double: f64) -> Ordering {
    let beyond = i64::MAX as f64;
    if double >= beyond {
        return Ordering::Less;
    }
    if double < -beyond {
        return Ordering::Greater;
    }
    let whole = double.trunc();
    integer
        .cmp(&(whole as i64))
        .then_with(|| 0.0_f64.total_cmp(&((double - whole) + 0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_the_offset_topic() {
        let cases = [
            (Some(5.into()), 5.into(), Some(1), r#"{"offset":5,"seen":1}"#),
            (
                Some("a".into()),
                "b".into(),
                Some(2),
                r#"{"last":"b","offset":"a","seen":2}"#,
            ),
            (
                None,
                OffsetValue::Float64(1.5),
                Some(3),
                r#"{"last":1.5,"seen":3}"#,
            ),
            (Some(5.into()), 5.into(), None, r#"{"offset":5}"#),
        ];
        for (request, offset, seen, json) in cases {
            let done = Some(Done { offset, seen });
            let position = Position { request, done };
            assert_eq!(position.to_map().to_string(), json);
            let map = OffsetMap::from_json(json).expect(json);
            assert_eq!(Position::from_map(&map).expect(json), position);
        }
        for bad in [
            "{}",
            r#"{"offset":true}"#,
            r#"{"offset":1,"seen":-1}"#,
            r#"{"offset":1,"seen":"1"}"#,
        ] {
            Position::from_map(&OffsetMap::from_json(bad).expect(bad)).expect_err(bad);
        }
    }

    #[test]
    fn offsets_have_a_total_order() {
        let float = OffsetValue::Float64;
        let ascending: [Vec<OffsetValue>; 3] = [
            vec![
                float(-1e300),
                i64::MIN.into(),
                float(-1.5),
                (-1).into(),
                float(-0.5),
                0.into(),
                float(0.5),
                1.into(),
                (i64::MAX - 1).into(),
                i64::MAX.into(),
                float(9_223_372_036_854_775_808.0),
            ],
            [
                "0",
                "9",
                "010",
                "10",
                "99999999999999999999",
                "100000000000000000000",
            ]
            .map(Into::into)
            .to_vec(),
            ["10", "9", "9a", "a"].map(Into::into).to_vec(),
        ];
        for offsets in ascending {
            let comparison = Comparison::of(offsets.iter()).expect("one type");
            for (index, left) in offsets.iter().enumerate() {
                for (other, right) in offsets.iter().enumerate() {
                    assert_eq!(
                        comparison.compare(left, right),
                        index.cmp(&other),
                        "{left:?} {right:?}"
                    );
                }
            }
        }
        let mixture: [OffsetValue; 2] = [1.into(), "1".into()];
        let error = Comparison::of(mixture.iter()).expect_err("no order").to_string();
        assert!(error.contains("the offset 1 is a number"), "{error}");
    }
}
