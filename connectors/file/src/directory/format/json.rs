//! JSON: values behind each other, with or without white space between, or the items of one array.

use forebay_connect_api::Value;
use serde_json::Value as Json;

use crate::directory::pieces::{Boundary, Step};

/// The state of a reader who is within the array that the file is.
const ARRAY: &str = "array";
/// The state of one who is behind it.
const BEHIND_ARRAY: &str = "behind array";

/// The ends of values.
#[derive(Debug, Default)]
pub(in crate::directory) struct Values {
    /// Whether the values are items of an array, once that is known.
    array: Option<bool>,
    /// Within that array.
    inside: bool,
    value: Scan,
}

/// Where in a value.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// Before it.
    #[default]
    Before,
    /// In a number or a word.
    Scalar,
    /// In objects or arrays, so deep.
    Nested(u32),
    /// In a text, so deep.
    Text { depth: u32, escaped: bool },
}

impl Values {
    /// From a position on; `state` is what was there.
    pub(in crate::directory) fn at(position: u64, state: Option<&str>) -> Self {
        let array = match state {
            Some(ARRAY | BEHIND_ARRAY) => Some(true),
            _ if position > 0 => Some(false),
            _ => None,
        };
        Self {
            array,
            inside: state == Some(ARRAY),
            value: Scan::Before,
        }
    }

    /// Whether a byte before a value is part of none.
    fn is_between(&mut self, byte: u8) -> bool {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b',' if self.inside => {}
            b']' if self.inside => self.inside = false,
            b'[' if !self.inside && self.array.is_none_or(|array| array) => {
                (self.array, self.inside) = (Some(true), true);
            }
            _ => return false,
        }
        true
    }

    /// The first byte of a value.
    fn begin(&mut self, byte: u8) {
        self.array.get_or_insert(false);
        self.value = match byte {
            b'{' | b'[' => Scan::Nested(1),
            b'"' => Scan::Text {
                depth: 0,
                escaped: false,
            },
            _ => Scan::Scalar,
        };
    }

    /// Within a value: whether the byte is its last one (`Some(true)`), or the first behind it (`Some(false)`).
    fn within(&mut self, byte: u8) -> Option<bool> {
        match &mut self.value {
            Scan::Before => None,
            Scan::Scalar => match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'[' | b'"' => Some(false),
                b',' | b']' if self.inside => Some(false),
                _ => None,
            },
            Scan::Nested(depth) => {
                match byte {
                    b'{' | b'[' => *depth += 1,
                    b'}' | b']' => *depth -= 1,
                    b'"' => {
                        self.value = Scan::Text {
                            depth: *depth,
                            escaped: false,
                        };
                        return None;
                    }
                    _ => {}
                }
                (*depth == 0).then_some(true)
            }
            Scan::Text { depth, escaped } => {
                let was_escaped = std::mem::replace(escaped, byte == b'\\' && !*escaped);
                if byte == b'"' && !was_escaped {
                    let depth = *depth;
                    self.value = Scan::Nested(depth);
                    return (depth == 0).then_some(true);
                }
                None
            }
        }
    }
}

impl Boundary for Values {
    fn scan(&mut self, bytes: &[u8]) -> Step {
        let mut seen = 0;
        if self.value == Scan::Before {
            let between = bytes.iter().take_while(|byte| self.is_between(**byte)).count();
            if between > 0 {
                return Step::Skip(between);
            }
            let Some(first) = bytes.first() else {
                return Step::More;
            };
            self.begin(*first);
            seen = 1;
        }
        for (index, byte) in bytes.iter().enumerate().skip(seen) {
            if let Some(is_last) = self.within(*byte) {
                self.value = Scan::Before;
                return Step::End {
                    consumed: index + usize::from(is_last),
                    trim: 0,
                };
            }
        }
        Step::More
    }

    fn finish(&mut self) -> Option<usize> {
        let found = self.value != Scan::Before;
        self.value = Scan::Before;
        found.then_some(0)
    }

    fn state(&self) -> Option<&'static str> {
        let state = if self.inside { ARRAY } else { BEHIND_ARRAY };
        (self.array == Some(true)).then_some(state)
    }
}

/// Reads one value.
///
/// # Errors
/// What is wrong with it.
pub(in crate::directory) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let json: Json = serde_json::from_slice(bytes).map_err(|error| format!("is not JSON: {error}"))?;
    Ok(value_of(json))
}

/// Numbers beyond 64 bits stay texts, so that nothing is rounded in silence.
fn value_of(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => value.into(),
        Json::String(value) => value.into(),
        Json::Array(items) => Value::Array(items.into_iter().map(value_of).collect()),
        Json::Object(fields) => {
            let entries = fields
                .into_iter()
                .map(|(name, value)| (name.into(), value_of(value)));
            Value::Map(entries.collect())
        }
        Json::Number(number) => {
            let text = number.to_string();
            let is_whole = !text.contains(['.', 'e', 'E']);
            match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => whole.into(),
                (None, Some(fraction)) if !is_whole && fraction.is_finite() => fraction.into(),
                _ => text.into(),
            }
        }
    }
}
