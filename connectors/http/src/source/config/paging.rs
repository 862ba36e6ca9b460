//! The keys that say how a feed goes on, and what they come to.

use std::time::Duration;

use forebay_connect_api::config::{Configuration, Setting};

use super::super::{
    feed::{Direction, Format, Order, Rules, Shape},
    pages::Step,
    request::{RequestTemplate, Variable},
    window::{self, Windows},
};
use super::{Reader, keys};
use crate::moment;

/// The key of the pointer to the next page.
pub(super) const NEXT_POINTER: &str = "http.next.page.json.pointer";
const MODE: &str = "http.offset.mode";

/// How a feed goes on.
#[derive(Configuration)]
#[config(group = "Paging")]
pub(super) struct Paging {
    /// How the next request follows from an answer. CHAINING (also TIMESTAMP_PAGINATION): ${offset} is that of the last record, by
    /// http.offset.json.pointer; what an answer repeats is left out. SIMPLE_INCREMENTING: ${offset} counts records from
    /// http.initial.offset on. CURSOR_PAGINATION: answers have the cursor or URL of the next page, by http.next.page.json.pointer.
    /// LINK_PAGINATION: they have it in a header Link with rel=next. PAGE_NUMBER: ${offset} is the page's number.
    /// SNAPSHOT_PAGINATION: as CHAINING, but all pages are read before the first record is given out, down to the one where what is
    /// known begins, for feeds with the newest first. TIME_WINDOW: ${window.start} and ${window.end} are moments, one window after
    /// the other from http.initial.offset on. By default CHAINING if there is an http.offset.json.pointer, else each
    /// answer is given out whole.
    #[config(name = "http.offset.mode")]
    pub(super) mode: Option<Mode>,
    /// The JSON pointer to the cursor or URL of the next page in an answer. A cursor goes where ${cursor} is (in CURSOR_PAGINATION
    /// ${offset} means the same) or into http.cursor.pagination.parameter.name; without these it is the URL of the next page, on the
    /// same server.
    #[config(name = "http.next.page.json.pointer")]
    pub(super) next_pointer: Option<String>,
    /// The parameter of the URL that the cursor is put into.
    #[config(name = "http.cursor.pagination.parameter.name")]
    pub(super) cursor_parameter: Option<String>,
    /// Whether the next page is named by a header Link with rel=next, in TIME_WINDOW and SNAPSHOT_PAGINATION.
    #[config(name = "http.next.page.link.header", default = false)]
    pub(super) link: bool,
    /// In PAGE_NUMBER how many records a page has: one with fewer is the last for now, and is asked for again.
    #[config(name = "http.page.size", validator = Validator::at_least(1))]
    pub(super) page_size: Option<usize>,
    /// In TIME_WINDOW how long a window is, in milliseconds.
    #[config(name = "http.window.ms", validator = Validator::at_least(1))]
    pub(super) window: Option<Duration>,
    /// In TIME_WINDOW how long after its end a window is asked for, in milliseconds, so that the server has everything of it.
    #[config(name = "http.window.delay.ms", default = 0)]
    pub(super) window_delay: Duration,
    /// How ${window.start} and ${window.end} are written: milliseconds or seconds since 1970, or iso8601 in UTC.
    #[config(name = "http.window.format", default = "milliseconds")]
    pub(super) window_format: window::Format,
    /// In SNAPSHOT_PAGINATION how many bytes all pages together may have.
    #[config(name = "http.snapshot.bytes.max", default = 104_857_600, validator = Validator::at_least(1))]
    pub(super) snapshot_bytes_max: usize,
    /// What an answer is: json (one document), ndjson (a document per line) or sse (server-sent events: the connection stays open,
    /// an event's id is its offset, and after a break the server is asked for what follows by Last-Event-ID).
    #[config(name = "http.response.format", default = "json")]
    pub(super) format: Format,
    /// With sse the types of events that are taken. By default all.
    #[config(name = "http.sse.events")]
    pub(super) event_types: Option<Vec<String>>,
    /// With sse how long the server may be silent before a new connection is made, in milliseconds.
    #[config(name = "http.sse.idle.timeout.ms", default = 300_000, validator = Validator::at_least(1))]
    pub(super) idle_timeout: Duration,
    /// Whether a request that is made again says what is known of its answer (ETag, Last-Modified), so that the server need not send it
    /// if nothing changed. Where answers are given out whole, one that has a strong ETag is given out once.
    #[config(name = "http.conditional.requests", default = true)]
    pub(super) conditional: bool,
}

/// How the next request follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Setting)]
#[config(ignore_case)]
pub(super) enum Mode {
    /// By the records' own offsets.
    #[config(name = "CHAINING")]
    Chaining,
    /// The same.
    #[config(name = "TIMESTAMP_PAGINATION")]
    Timestamp,
    /// By counting.
    #[config(name = "SIMPLE_INCREMENTING")]
    Incrementing,
    /// By what the answer has.
    #[config(name = "CURSOR_PAGINATION")]
    Cursor,
    /// By its header.
    #[config(name = "LINK_PAGINATION")]
    Link,
    /// By the page's number.
    #[config(name = "PAGE_NUMBER")]
    Number,
    /// All pages at once.
    #[config(name = "SNAPSHOT_PAGINATION")]
    Snapshot,
    /// By time.
    #[config(name = "TIME_WINDOW")]
    Window,
}

impl Reader<'_> {
    /// How the feed goes on, and what is wrong with that.
    pub(super) fn mode(
        &mut self,
        paging: &Paging,
        shape: &Shape,
        request: Option<&RequestTemplate>,
    ) -> super::Mode {
        let has = |variable| request.is_some_and(|request| request.has(variable));
        self.check_variables(paging, &has);
        if paging.format != Format::Json {
            self.check_format(paging, shape);
        }
        if paging.format == Format::Sse {
            return super::Mode::Events {
                types: paging.event_types.clone(),
                idle_timeout: paging.idle_timeout,
            };
        }
        let leads_on = shape.next.is_some() || paging.link;
        let step = match paging.mode {
            None | Some(Mode::Chaining | Mode::Timestamp | Mode::Snapshot) => {
                return self.by_items(paging, shape, has(Variable::Offset));
            }
            Some(Mode::Cursor) => {
                if shape.next.is_none() {
                    self.wrong(NEXT_POINTER, "it is needed by http.offset.mode=CURSOR_PAGINATION");
                }
                Step::None
            }
            Some(Mode::Link) => Step::None,
            Some(Mode::Incrementing) => Step::Count(self.initial_number()),
            Some(Mode::Number) => {
                if paging.page_size.is_none() {
                    self.wrong("http.page.size", "it is needed by http.offset.mode=PAGE_NUMBER");
                }
                Step::Number {
                    first: self.initial_number(),
                    size: paging.page_size.unwrap_or(1),
                }
            }
            Some(Mode::Window) => self.windows(paging),
        };
        let stepped = matches!(step, Step::Count(_) | Step::Number { .. });
        if stepped && !has(Variable::Offset) {
            self.wrong(
                keys::URL,
                "the request needs ${offset} somewhere, by http.offset.mode",
            );
        }
        if stepped && leads_on {
            self.wrong(MODE, "in this mode answers do not lead to a next page");
        }
        super::Mode::Pages { step }
    }

    fn by_items(&mut self, paging: &Paging, shape: &Shape, offset_in_request: bool) -> super::Mode {
        let gathers = paging.mode == Some(Mode::Snapshot);
        let leads_on = shape.next.is_some() || paging.link;
        if leads_on && !gathers {
            let reason = "a next page is followed in CURSOR_PAGINATION, LINK_PAGINATION, TIME_WINDOW and SNAPSHOT_PAGINATION only";
            self.wrong(MODE, reason);
        } else if gathers && !leads_on {
            let reason =
                "it, or http.next.page.link.header=true, is needed by http.offset.mode=SNAPSHOT_PAGINATION";
            self.wrong(NEXT_POINTER, reason);
        }
        if shape.offset.is_none() {
            if offset_in_request {
                let reason = "it is needed, as the request has ${offset}: it says where in a record the offset is, unless \
                              http.offset.mode says otherwise";
                self.wrong(keys::OFFSET_POINTER, reason);
            } else if paging.mode.is_some() {
                let mode = self.text(MODE).to_owned();
                self.wrong(
                    keys::OFFSET_POINTER,
                    format!("it is needed by http.offset.mode={mode}"),
                );
            }
        }
        if offset_in_request && self.text(keys::OFFSET_INITIAL).is_empty() {
            let reason = "it is needed, as the request has ${offset}: it is what the first request asks for";
            self.wrong(keys::OFFSET_INITIAL, reason);
        }
        if shape.offset.is_none() {
            return super::Mode::Whole;
        }
        super::Mode::Items {
            rules: self.rules(offset_in_request),
            gathered_bytes_max: gathers.then_some(paging.snapshot_bytes_max),
        }
    }

    fn rules(&self, offset_in_request: bool) -> Rules {
        Rules {
            order: match self.text(keys::OFFSET_ORDER) {
                "response" => Order::Response,
                _ => Order::Value,
            },
            direction: match self.text(keys::DIRECTION).to_ascii_uppercase().as_str() {
                "ASC" => Direction::Ascending,
                "DESC" => Direction::Descending,
                _ => Direction::Implicit,
            },
            offset_in_request,
        }
    }

    fn windows(&mut self, paging: &Paging) -> Step {
        let milliseconds = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let length = paging.window.map_or(0, milliseconds);
        if paging.window.is_none() {
            self.wrong("http.window.ms", "it is needed by http.offset.mode=TIME_WINDOW");
        } else if paging.window_format == window::Format::Seconds && length % 1000 != 0 {
            self.wrong(
                "http.window.ms",
                "windows of whole seconds are needed by http.window.format=seconds",
            );
        }
        let text = self.text(keys::OFFSET_INITIAL);
        let first = text.parse().ok().or_else(|| moment::rfc_3339(text));
        if first.is_none() {
            let reason = "the start of the first window is needed by http.offset.mode=TIME_WINDOW: milliseconds since 1970, or RFC \
                          3339 with a time zone";
            self.wrong(keys::OFFSET_INITIAL, reason);
        }
        Step::Window {
            first: first.unwrap_or_default(),
            windows: Windows {
                length: length.max(1),
                delay: milliseconds(paging.window_delay),
                format: paging.window_format,
            },
        }
    }

    fn initial_number(&mut self) -> i64 {
        let number = self.text(keys::OFFSET_INITIAL).parse();
        if number.is_err() {
            let mode = self.text(MODE).to_owned();
            self.wrong(
                keys::OFFSET_INITIAL,
                format!("an integer is needed by http.offset.mode={mode}"),
            );
        }
        number.unwrap_or_default()
    }

    fn check_variables(&mut self, paging: &Paging, has: &dyn Fn(Variable) -> bool) {
        let windowed = has(Variable::WindowStart) || has(Variable::WindowEnd);
        if windowed && paging.mode != Some(Mode::Window) {
            self.wrong(MODE, "${window.start} and ${window.end} need TIME_WINDOW");
        } else if paging.mode == Some(Mode::Window)
            && !(has(Variable::WindowStart) && has(Variable::WindowEnd))
        {
            self.wrong(
                keys::URL,
                "the request needs ${window.start} and ${window.end}, by http.offset.mode=TIME_WINDOW",
            );
        }
        let with_cursor =
            matches!(paging.mode, Some(Mode::Cursor | Mode::Window)) && paging.next_pointer.is_some();
        if has(Variable::Cursor) && !with_cursor {
            self.wrong(
                NEXT_POINTER,
                "it, and CURSOR_PAGINATION or TIME_WINDOW, is needed by ${cursor}",
            );
        }
    }

    fn check_format(&mut self, paging: &Paging, shape: &Shape) {
        let format = if paging.format == Format::Sse {
            "sse"
        } else {
            "ndjson"
        };
        let pointers = [
            (keys::LIST_POINTER, !self.text(keys::LIST_POINTER).is_empty()),
            (NEXT_POINTER, shape.next.is_some()),
        ];
        for (key, _) in pointers.into_iter().filter(|(_, given)| *given) {
            self.wrong(
                key,
                format!("it has no meaning with http.response.format={format}"),
            );
        }
        if paging.format == Format::Sse && (paging.mode.is_some() || shape.offset.is_some()) {
            let key = if paging.mode.is_some() {
                MODE
            } else {
                keys::OFFSET_POINTER
            };
            self.wrong(key, "with http.response.format=sse an event's id is its offset");
        }
    }
}
