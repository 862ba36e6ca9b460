//! Feeds that are walked page by page: by a count of records, by page numbers, by windows of time, and by the cursor or link to the next
//! page that an answer has. Pure: knows no request and no clock.
//!
//! The source offset says which page is being read and how many of its records are done, so a restart between any two records
//! asks for that page again and leaves these out. The last page is asked for again and again, and what was added to it
//! is new: a server must add behind what it has shown, not before.

use std::sync::Arc;

use forebay_connect_api::{Error, OffsetMap, OffsetValue};

use super::{feed::Item, window::Windows};

/// The field for the count, the number of the page, or the start of the window.
const OFFSET: &str = "offset";
/// The field for the cursor or URL of the page.
const PAGE: &str = "page";
/// The field for how many records of the page are done.
const SEEN: &str = "seen";

/// How a feed goes on behind a page that no answer leads on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It does not: all pages are led to.
    None,
    /// `${offset}` counts records from here on (SIMPLE_INCREMENTING).
    Count(i64),
    /// `${offset}` is a page's number.
    Number {
        /// The first page's.
        first: i64,
        /// A page with fewer records is the last for now.
        size: usize,
    },
    /// `${window.start}` and `${window.end}` are moments.
    Window {
        /// The first window's start.
        first: i64,
        windows: Windows,
    },
}

impl Step {
    /// Where it begins.
    pub(super) fn first(self) -> Option<i64> {
        match self {
            Self::None => None,
            Self::Count(first) | Self::Number { first, .. } | Self::Window { first, .. } => Some(first),
        }
    }
}

/// A place between two records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The count, the number, or the moment; `None`: the first, or there is none.
    pub(super) at: Option<i64>,
    /// The cursor or URL of the page; `None`: the first one.
    pub(super) page: Option<Arc<str>>,
    /// How many records of it are done.
    pub(super) seen: usize,
}

impl Place {
    /// The source offset.
    pub(super) fn to_map(&self) -> OffsetMap {
        let mut map = OffsetMap::new();
        if let Some(at) = self.at {
            map = map.with(OFFSET, at);
        }
        if let Some(page) = &self.page {
            map = map.with(PAGE, Arc::clone(page));
        }
        if self.seen > 0 {
            map = map.with(SEEN, i64::try_from(self.seen).expect("counted in memory"));
        }
        map
    }

    /// Reads a source offset.
    ///
    /// # Errors
    /// If it is none of a feed with such steps.
    pub(super) fn from_map(map: &OffsetMap, step: Step) -> Result<Self, Error> {
        let wrong = |why: &str| Error::fatal(format!("the source offset {map} cannot be used: {why}"));
        let at = match (map.get(OFFSET), step) {
            (None | Some(OffsetValue::Null), _) => None,
            (Some(_), Step::None) => return Err(wrong("in this mode there is no 'offset', but a 'page'")),
            (Some(OffsetValue::Int64(at)), _) => Some(*at),
            (Some(_), _) => return Err(wrong("in this mode 'offset' is an integer")),
        };
        let page = match map.get(PAGE) {
            None | Some(OffsetValue::Null) => None,
            Some(OffsetValue::String(page)) => Some(Arc::clone(page)),
            Some(_) => return Err(wrong("'page' is a string")),
        };
        let seen = match map.get(SEEN) {
            None => 0,
            Some(OffsetValue::Int64(seen)) => {
                usize::try_from(*seen).map_err(|_| wrong("'seen' is a count"))?
            }
            Some(_) => return Err(wrong("'seen' is a count")),
        };
        if map
            .iter()
            .any(|(field, _)| ![OFFSET, PAGE, SEEN].contains(&field))
        {
            return Err(wrong("in this mode it has 'offset', 'page' and 'seen' only"));
        }
        Ok(Self { at, page, seen })
    }

    /// The count, the number, or the moment.
    pub(super) fn at(&self, step: Step) -> Option<i64> {
        self.at.or(step.first())
    }
}

/// What a page comes to.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    /// Each record that is new, and the place behind it.
    pub(super) new: Vec<(Item, Place)>,
    /// The place behind the page.
    pub(super) after: Place,
    /// Whether more is known to be there.
    pub(super) more: bool,
}

/// Reads the page at a place.
pub(super) fn read(items: Vec<Item>, next: Option<Arc<str>>, place: &Place, step: Step) -> Read {
    let count = items.len();
    let (after, more) = behind(count, next, place, step);
    let mut new: Vec<(Item, Place)> = items
        .into_iter()
        .enumerate()
        .skip(place.seen)
        .map(|(index, item)| {
            let done = index + 1;
            let place = match step {
                Step::Count(_) if place.page.is_none() => Place {
                    at: counted(place, step, done),
                    ..Place::default()
                },
                _ => Place {
                    at: place.at(step),
                    page: place.page.clone(),
                    seen: done,
                },
            };
            (item, place)
        })
        .collect();
    if let Some((_, last)) = new.last_mut() {
        last.clone_from(&after);
    }
    Read { new, after, more }
}

/// The place behind a page, and whether another one is there.
fn behind(count: usize, next: Option<Arc<str>>, place: &Place, step: Step) -> (Place, bool) {
    let at = place.at(step);
    // A page that leads to itself is the last.
    if let Some(next) = next.filter(|next| Some(next) != place.page.as_ref()) {
        let page = Some(next);
        return (Place { at, page, seen: 0 }, true);
    }
    let on = |at| Place {
        at,
        ..Place::default()
    };
    match step {
        Step::Number { size, .. } if count >= size => (on(at.map(|at| at.saturating_add(1))), true),
        // The window is over, and so is its last page.
        Step::Window { windows, .. } => (on(at.map(|at| windows.end(at))), true),
        Step::Count(_) => (on(counted(place, step, count)), false),
        Step::None | Step::Number { .. } => {
            let (page, seen) = (place.page.clone(), count.max(place.seen));
            (Place { at, page, seen }, false)
        }
    }
}

fn counted(place: &Place, step: Step, done: usize) -> Option<i64> {
    let done = i64::try_from(done).unwrap_or(i64::MAX);
    place.at(step).map(|at| at.saturating_add(done))
}

#[cfg(test)]
mod tests {
    use forebay_connect_api::Value;

    use super::*;
    use crate::source::window::Format;

    fn items(values: &[&str]) -> Vec<Item> {
        let item = |value: &&str| Item {
            offset: None,
            key: Value::Null,
            value: (*value).into(),
            timestamp: None,
        };
        values.iter().map(item).collect()
    }

    fn at(json: &str, step: Step) -> Place {
        Place::from_map(&OffsetMap::from_json(json).expect(json), step).expect(json)
    }

    const WINDOW: Step = Step::Window {
        first: 1000,
        windows: Windows {
            length: 60,
            delay: 0,
            format: Format::Milliseconds,
        },
    };

    const NUMBER: Step = Step::Number { first: 1, size: 2 };

    /// A step, a place, a page and what it leads to; the places behind its new records and behind all, and whether there is more.
    type Case = (
        Step,
        &'static str,
        &'static [&'static str],
        Option<&'static str>,
        &'static [&'static str],
        &'static str,
        bool,
    );

    const CASES: [Case; 12] = [
        (
            Step::Count(5),
            "{}",
            &["a", "b"],
            None,
            &[r#"{"offset":6}"#, r#"{"offset":7}"#],
            r#"{"offset":7}"#,
            false,
        ),
        (
            Step::Count(5),
            r#"{"offset":7}"#,
            &[],
            None,
            &[],
            r#"{"offset":7}"#,
            false,
        ),
        (
            NUMBER,
            "{}",
            &["a", "b"],
            None,
            &[r#"{"offset":1,"seen":1}"#, r#"{"offset":2}"#],
            r#"{"offset":2}"#,
            true,
        ),
        (
            NUMBER,
            r#"{"offset":1,"seen":1}"#,
            &["a", "b"],
            None,
            &[r#"{"offset":2}"#],
            r#"{"offset":2}"#,
            true,
        ),
        (
            NUMBER,
            r#"{"offset":2}"#,
            &["c"],
            None,
            &[r#"{"offset":2,"seen":1}"#],
            r#"{"offset":2,"seen":1}"#,
            false,
        ),
        (
            NUMBER,
            r#"{"offset":2,"seen":1}"#,
            &[],
            None,
            &[],
            r#"{"offset":2,"seen":1}"#,
            false,
        ),
        (
            Step::None,
            "{}",
            &["a", "b"],
            Some("x"),
            &[r#"{"seen":1}"#, r#"{"page":"x"}"#],
            r#"{"page":"x"}"#,
            true,
        ),
        (
            Step::None,
            r#"{"page":"x","seen":1}"#,
            &["c", "d"],
            None,
            &[r#"{"page":"x","seen":2}"#],
            r#"{"page":"x","seen":2}"#,
            false,
        ),
        (
            Step::None,
            r#"{"page":"x"}"#,
            &["c"],
            Some("x"),
            &[r#"{"page":"x","seen":1}"#],
            r#"{"page":"x","seen":1}"#,
            false,
        ),
        (
            Step::None,
            r#"{"page":"x","seen":1}"#,
            &["c"],
            Some("y"),
            &[],
            r#"{"page":"y"}"#,
            true,
        ),
        (
            WINDOW,
            "{}",
            &["a", "b"],
            None,
            &[r#"{"offset":1000,"seen":1}"#, r#"{"offset":1060}"#],
            r#"{"offset":1060}"#,
            true,
        ),
        (
            WINDOW,
            "{}",
            &["a"],
            Some("x"),
            &[r#"{"offset":1000,"page":"x"}"#],
            r#"{"offset":1000,"page":"x"}"#,
            true,
        ),
    ];

    #[test]
    fn every_record_says_where_its_page_goes_on() {
        for (step, place, page, next, places, after, more) in CASES {
            let read = read(items(page), next.map(Into::into), &at(place, step), step);
            let found: Vec<String> = read
                .new
                .iter()
                .map(|(_, place)| place.to_map().to_string())
                .collect();
            assert_eq!(
                (found, read.after.to_map().to_string(), read.more),
                (
                    places.iter().map(|place| (*place).to_owned()).collect(),
                    after.to_owned(),
                    more
                ),
                "{step:?} at {place}"
            );
            let skipped = page.len() - read.new.len();
            assert!(
                read.new
                    .iter()
                    .zip(&page[skipped..])
                    .all(|((item, _), value)| item.value == (*value).into())
            );
        }
    }

    #[test]
    fn other_offsets_are_refused() {
        for (step, json) in [
            (Step::None, r#"{"offset":1}"#),
            (Step::Count(0), r#"{"offset":"1"}"#),
            (Step::Count(0), r#"{"offset":1,"last":2}"#),
            (Step::None, r#"{"page":1}"#),
            (Step::None, r#"{"page":"x","seen":-1}"#),
            (WINDOW, r#"{"offset":1.5}"#),
        ] {
            Place::from_map(&OffsetMap::from_json(json).expect(json), step).expect_err(json);
        }
    }
}
