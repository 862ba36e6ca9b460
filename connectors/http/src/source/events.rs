//! Server-sent events, as the HTML standard's event streams have them: lines become events, an event's id is its offset. Pure.

use std::{sync::Arc, time::Duration};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The last id that the stream has given, which is this event's own or an earlier one's.
    pub(super) id: Option<Arc<str>>,
    /// Whether it is its own.
    pub(super) has_own_id: bool,
    /// Its type.
    pub(super) event: String,
    /// Its data.
    pub(super) data: String,
}

/// An event, or a line of one, is longer than is allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Cuts the bytes of one connection into events.
#[derive(Debug)]
pub(super) struct Parser {
    /// An event may have so many bytes.
    bytes_max: usize,
    /// What has no line end yet.
    line: Vec<u8>,
    /// Whether a line feed now would belong to the carriage return before it.
    after_return: bool,
    is_first_line: bool,
    data: Option<String>,
    event: String,
    id: Option<Arc<str>>,
    has_own_id: bool,
    /// How long to wait before the next connection, if the server said so.
    pub(super) retry: Option<Duration>,
}

impl Parser {
    /// A connection that goes on behind the event with that id.
    pub(super) fn new(id: Option<Arc<str>>, bytes_max: usize) -> Self {
        Self {
            bytes_max,
            line: Vec::new(),
            after_return: false,
            is_first_line: true,
            data: None,
            event: String::new(),
            id,
            has_own_id: false,
            retry: None,
        }
    }

    /// The events that are complete with these bytes.
    ///
    /// # Errors
    /// If one is too long.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\r' | b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.take_line(&line)?);
                }
                _ if self.line.len() == self.bytes_max => return Err(TooLong),
                other => self.line.push(*other),
            }
        }
        Ok(events)
    }

    fn take_line(&mut self, line: &[u8]) -> Result<Option<Event>, TooLong> {
        let line = match std::mem::take(&mut self.is_first_line) {
            true => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
            false => line,
        };
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                let data = self.data.get_or_insert_default();
                if data.len() + value.len() >= self.bytes_max {
                    return Err(TooLong);
                }
                data.push_str(value);
                data.push('\n');
            }
            "event" => value.clone_into(&mut self.event),
            "id" if !value.contains('\0') => {
                self.id = Some(value.into());
                self.has_own_id = true;
            }
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis);
            }
            // Comments and what is not known.
            _ => {}
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.event);
        let has_own_id = std::mem::take(&mut self.has_own_id);
        let mut data = self.data.take()?;
        data.pop(); // The last line feed.
        Some(Event {
            // An empty id is how a stream says that there is none.
            id: self.id.clone().filter(|id| !id.is_empty()),
            has_own_id,
            event: if event.is_empty() {
                "message".to_owned()
            } else {
                event
            },
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(events: &[Event]) -> Vec<String> {
        let shown = |event: &Event| {
            let own = if event.has_own_id { "!" } else { "" };
            format!("{:?}{own} {} {:?}", event.id.as_deref(), event.event, event.data)
        };
        events.iter().map(shown).collect()
    }

    const STREAM: &str = "\u{feff}: hello\nid: 1\ndata: a\ndata:b\n\nretry: 70\r\nevent: e\rdata\r\n\r\n\
                          id: x\n\nid: 2\0\ndata: {\"n\": 1}\nfoo: bar\n\nid\ndata:  c\n\nretry: 1x\ndata: cut off";

    #[test]
    fn streams_are_cut_into_events_wherever_they_are_cut_into_pieces() {
        let expected = [
            "Some(\"1\")! message \"a\\nb\"",
            "Some(\"1\") e \"\"",
            "Some(\"x\") message \"{\\\"n\\\": 1}\"",
            "None! message \" c\"",
        ];
        for size in [1, 2, 3, 7, STREAM.len()] {
            let mut parser = Parser::new(None, 100);
            let mut events = Vec::new();
            for piece in STREAM.as_bytes().chunks(size) {
                events.extend(parser.push(piece).expect("short"));
            }
            assert_eq!(shown(&events), expected, "{size}");
            assert_eq!(parser.retry, Some(Duration::from_millis(70)));
        }
    }

    #[test]
    fn events_have_a_limit() {
        for (text, fits) in [
            ("data:12345\n\n", true),
            ("data:123456", false),
            ("data:1234\ndata:1234\n\n", true),
            ("data:1234\ndata:12345\n\n", false),
            (":1234567890", false),
        ] {
            assert_eq!(
                Parser::new(None, 10).push(text.as_bytes()).is_ok(),
                fits,
                "{text}"
            );
        }
    }
}
