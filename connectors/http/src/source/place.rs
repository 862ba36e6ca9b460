//! Where a feed goes on, in every mode: the source offset, and the request that it comes to.

use std::{sync::Arc, time::Duration};

use forebay_connect_api::{Error, OffsetMap, OffsetValue};
use reqwest::{
    Url,
    header::{self, HeaderMap, HeaderValue},
};

use super::{
    config::{Config, Mode},
    feed::Item,
    pages::{self, Step},
    position::{self, Position},
    request::{Ask, Variable},
};

/// The field for the validator of an answer that is given out whole.
const ETAG: &str = "etag";
/// The field for its date, if it has no validator.
const MODIFIED: &str = "modified";
/// The field for how many of its items are done; without it: all.
const SEEN: &str = "seen";
/// The field for the id of an event.
const ID: &str = "id";

/// A place between two records.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    /// Answers are given out whole.
    Whole(Whole),
    /// Behind an item.
    Items(Position),
    /// In a page.
    Pages(pages::Place),
    /// Behind the event with this id.
    Events(Option<Arc<str>>),
}

/// What is known of the last answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) etag: Option<Arc<str>>,
    pub(super) modified: Option<Arc<str>>,
    /// How many of its items are done; `None`: all.
    pub(super) seen: Option<usize>,
}

impl Whole {
    /// What an answer says about itself.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        Self {
            etag: text(header::ETAG).map(Into::into),
            modified: text(header::LAST_MODIFIED).map(Into::into),
            seen: None,
        }
    }

    /// Whether equal validators mean equal bytes.
    fn is_strong(&self) -> bool {
        self.etag.as_ref().is_some_and(|etag| etag.starts_with('"'))
    }

    /// What asks for an answer only if it is another one.
    pub(super) fn conditions(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.seen.is_some() {
            return headers;
        }
        let pairs = [
            (header::IF_NONE_MATCH, &self.etag),
            (header::IF_MODIFIED_SINCE, &self.modified),
        ];
        for (name, value) in pairs {
            if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// The items of an answer that are new, each with the place behind it.
    pub(super) fn new_of(&self, items: Vec<Item>, answer: &Self) -> Vec<(Item, Place)> {
        let is_same = answer.is_strong() && answer.etag == self.etag;
        let done = self.seen.filter(|_| is_same).unwrap_or(0);
        let count = items.len();
        let items = items.into_iter().enumerate().skip(done);
        let behind = |(index, item)| {
            let seen = (index + 1 < count).then_some(index + 1);
            (
                item,
                Place::Whole(Self {
                    seen,
                    ..answer.clone()
                }),
            )
        };
        items.map(behind).collect()
    }

    fn to_map(&self) -> Option<OffsetMap> {
        let map = match (&self.etag, &self.modified) {
            (Some(etag), _) => OffsetMap::new().with(ETAG, Arc::clone(etag)),
            (None, Some(modified)) => OffsetMap::new().with(MODIFIED, Arc::clone(modified)),
            (None, None) => return None,
        };
        match self.seen {
            None => Some(map),
            Some(seen) if self.is_strong() => {
                Some(map.with(SEEN, i64::try_from(seen).expect("counted in memory")))
            }
            // Nothing says that the same answer would come again.
            Some(_) => None,
        }
    }

    fn from_map(map: &OffsetMap) -> Result<Self, Error> {
        let text = |name| match map.get(name) {
            None | Some(OffsetValue::Null) => Ok(None),
            Some(OffsetValue::String(text)) => Ok(Some(Arc::clone(text))),
            Some(_) => Err(wrong(map, "'etag' and 'modified' are strings")),
        };
        let seen = match map.get(SEEN) {
            None => None,
            Some(OffsetValue::Int64(seen)) => {
                Some(usize::try_from(*seen).map_err(|_| wrong(map, "'seen' is a count"))?)
            }
            Some(_) => return Err(wrong(map, "'seen' is a count")),
        };
        let (etag, modified) = (text(ETAG)?, text(MODIFIED)?);
        if etag.is_none() && modified.is_none() {
            return Err(wrong(
                map,
                "answers are given out whole without http.offset.mode or http.offset.json.pointer, so it has 'etag' or 'modified'",
            ));
        }
        Ok(Self { etag, modified, seen })
    }
}

fn wrong(map: &OffsetMap, why: &str) -> Error {
    Error::fatal(format!("the source offset {map} cannot be used: {why}"))
}

impl Place {
    /// Before everything.
    pub(super) fn first(mode: &Mode) -> Self {
        match mode {
            Mode::Whole => Self::Whole(Whole::default()),
            Mode::Items { .. } => Self::Items(Position::default()),
            Mode::Pages { .. } => Self::Pages(pages::Place::default()),
            Mode::Events { .. } => Self::Events(None),
        }
    }

    /// Reads a source offset.
    ///
    /// # Errors
    /// If it is none of a feed in this mode.
    pub(super) fn from_map(map: &OffsetMap, mode: &Mode) -> Result<Self, Error> {
        Ok(match mode {
            Mode::Whole => Self::Whole(Whole::from_map(map)?),
            Mode::Items { .. } => Self::Items(Position::from_map(map)?),
            Mode::Pages { step } => Self::Pages(pages::Place::from_map(map, *step)?),
            Mode::Events { .. } => match map.get_str(ID) {
                Some(id) => Self::Events(Some(id.into())),
                None => return Err(wrong(map, "with http.response.format=sse it has 'id', a string")),
            },
        })
    }

    /// The source offset; `None`: there is no such place to go on from.
    pub(super) fn to_map(&self) -> Option<OffsetMap> {
        match self {
            Self::Whole(whole) => whole.to_map(),
            Self::Items(position) => Some(position.to_map()),
            Self::Pages(place) => Some(place.to_map()),
            Self::Events(id) => id.as_ref().map(|id| OffsetMap::new().with(ID, Arc::clone(id))),
        }
    }

    /// How long there is nothing to ask for.
    pub(super) fn wait(&self, mode: &Mode, now: i64) -> Duration {
        match (self, mode) {
            (
                Self::Pages(place),
                Mode::Pages {
                    step: step @ Step::Window { windows, .. },
                },
            ) => {
                let start = place.at(*step).unwrap_or_default();
                Duration::from_millis(windows.wait(start, now))
            }
            _ => Duration::ZERO,
        }
    }

    /// What the next request asks for.
    ///
    /// # Errors
    /// If the page that an answer named cannot be asked for.
    pub(super) fn ask(&self, config: &Config) -> Result<Ask, String> {
        let initial = || config.initial_offset.as_deref().unwrap_or_default().to_owned();
        let (step, place) = match (self, &config.mode) {
            (Self::Pages(place), Mode::Pages { step }) => (*step, place),
            (Self::Items(position), _) => {
                let offset = position.request.as_ref().map_or_else(initial, position::text);
                return Ok(Ask {
                    offset,
                    ..Ask::default()
                });
            }
            (Self::Events(id), _) => {
                let offset = id.as_deref().map_or_else(initial, str::to_owned);
                return Ok(Ask {
                    offset,
                    ..Ask::default()
                });
            }
            _ => {
                return Ok(Ask {
                    offset: initial(),
                    ..Ask::default()
                });
            }
        };
        let page = place.page.as_deref();
        let at = place.at(step);
        let mut ask = Ask {
            offset: match (at, page) {
                (Some(at), _) => at.to_string(),
                (None, Some(cursor)) => cursor.to_owned(),
                (None, None) => initial(),
            },
            cursor: page.unwrap_or_default().to_owned(),
            ..Ask::default()
        };
        if let (Step::Window { windows, .. }, Some(start)) = (step, at) {
            ask.window = (windows.text(start), windows.text(windows.end(start)));
            ask.offset.clone_from(&ask.window.0);
        }
        if let Some(page) = page.filter(|_| !config.takes_cursors()) {
            ask.url = Some(config.request.next_page(&config.request.url(&ask)?, page)?);
        }
        Ok(ask)
    }
}

impl Config {
    /// Whether what an answer names as its next page is a cursor, and not a URL.
    pub(super) fn takes_cursors(&self) -> bool {
        let Mode::Pages { step } = &self.mode else {
            return false;
        };
        let request = &self.request;
        !self.link
            && (request.cursor_parameter.is_some()
                || request.has(Variable::Cursor)
                || (*step == Step::None && request.has(Variable::Offset)))
    }

    /// What an answer from that URL names as its next page, so that it can be kept.
    ///
    /// # Errors
    /// If it is a URL that cannot be used.
    pub(super) fn next_page(&self, from: &Url, next: String) -> Result<Arc<str>, String> {
        match self.takes_cursors() {
            true => Ok(next.into()),
            false => Ok(self.request.next_page(from, &next)?.as_str().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_connect_api::Value;

    use super::*;

    fn items(count: i64) -> Vec<Item> {
        let item = |number: i64| Item {
            offset: None,
            key: Value::Null,
            value: number.into(),
            timestamp: None,
        };
        (0..count).map(item).collect()
    }

    fn whole(etag: &str) -> Whole {
        Whole {
            etag: Some(etag.into()),
            ..Whole::default()
        }
    }

    #[test]
    fn whole_answers_go_on_where_their_bytes_are_the_same() {
        let strong = whole("\"a\"");
        let new = Whole::default().new_of(items(3), &strong);
        let maps: Vec<_> = new
            .iter()
            .map(|(_, place)| place.to_map().expect("a place").to_string())
            .collect();
        assert_eq!(
            maps,
            [
                r#"{"etag":"\"a\"","seen":1}"#,
                r#"{"etag":"\"a\"","seen":2}"#,
                r#"{"etag":"\"a\""}"#
            ]
        );
        for (map, skipped, conditional) in [(&maps[0], 1, false), (&maps[1], 2, false), (&maps[2], 0, true)] {
            let map = OffsetMap::from_json(map).expect("JSON");
            let Place::Whole(at) = Place::from_map(&map, &Mode::Whole).expect("a place") else {
                panic!("another mode");
            };
            assert_eq!(at.new_of(items(3), &strong).len(), 3 - skipped);
            assert_eq!(at.new_of(items(3), &whole("\"b\"")).len(), 3, "another answer");
            assert_eq!(at.conditions().contains_key(header::IF_NONE_MATCH), conditional);
        }
        let weak = Whole::default().new_of(items(2), &whole("W/\"a\""));
        let maps: Vec<_> = weak.iter().map(|(_, place)| place.to_map()).collect();
        assert!(maps[0].is_none() && maps[1].is_some());
        for bad in ["{}", r#"{"etag":1}"#, r#"{"etag":"x","seen":"1"}"#] {
            Place::from_map(&OffsetMap::from_json(bad).expect(bad), &Mode::Whole).expect_err(bad);
        }
    }
}
