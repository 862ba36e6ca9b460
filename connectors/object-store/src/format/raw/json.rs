//! JSON text into columns.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::de::IgnoredAny;

use crate::format::{
    columns::{Column, Structs, Values},
    schemas::Misfit,
};

/// How deep values that nobody wants may be nested.
const DEPTH_MAX: usize = 60;

/// A place in a text.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

/// A number's text.
struct Number<'a> {
    text: &'a str,
    integral: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Reads all of the text as one value.
    pub(super) fn whole(mut self, column: &mut Column, typed: bool) -> Result<(), Misfit> {
        self.value(column, typed)?;
        self.end()
    }

    /// Nothing but white space may be left.
    pub(super) fn end(mut self) -> Result<(), Misfit> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(Misfit),
        }
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Misfit> {
        if self.peek() != Some(byte) {
            return Err(Misfit);
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), Misfit> {
        if !self.text[self.at..].starts_with(literal) {
            return Err(Misfit);
        }
        self.at += literal.len();
        Ok(())
    }

    /// Reads a value; `typed`: as JsonConverter has it with the column's schema, else without one.
    pub(super) fn value(&mut self, column: &mut Column, typed: bool) -> Result<(), Misfit> {
        let first = self.peek().ok_or(Misfit)?;
        if first == b'n' {
            self.literal(b"null")?;
            return match typed && column.defaults_required() {
                true => Err(Misfit),
                false => column.append_null(),
            };
        }
        match &column.values {
            Values::Struct(_) => {
                self.expect(b'{')?;
                column.append_fields(|structs, rows| {
                    self.members(structs, rows, typed)?;
                    match typed && structs.lacks_required(rows) {
                        true => Err(Misfit),
                        false => Ok(()),
                    }
                })
            }
            Values::String(_) => {
                let text = self.string()?;
                if !text.contains(&b'\\') {
                    std::str::from_utf8(text).map_err(|_| Misfit)?;
                    return column.append_string(text);
                }
                column.append_string(unescaped(text)?.as_bytes())
            }
            Values::Boolean(_) => {
                let value = first == b't';
                self.literal(if value { b"true" } else { b"false" })?;
                column.append_boolean(value)
            }
            Values::Float64(_) => {
                let number = self.number()?;
                if number.integral && !typed {
                    return column.append_long(number.text.parse().map_err(|_| Misfit)?);
                }
                let number: f64 = number.text.parse().map_err(|_| Misfit)?;
                // The converter says which numbers are too large.
                if !number.is_finite() {
                    return Err(Misfit);
                }
                column.append_double(number)
            }
            Values::Float32(_) => column.append_float(self.number()?.text.parse().map_err(|_| Misfit)?),
            Values::Bytes(_) | Values::Decimal(..) => {
                let text = self.string()?;
                if text.contains(&b'\\') {
                    return Err(Misfit);
                }
                column.append_bytes(&BASE64_STANDARD.decode(text).map_err(|_| Misfit)?)
            }
            Values::List(..) => {
                self.expect(b'[')?;
                column.append_list(|items| self.items(|cursor| cursor.value(items, typed)))
            }
            Values::Map(..) => {
                self.expect(b'{')?;
                column.append_map(|[keys, values]| self.entries(keys, values, typed))
            }
            Values::Int8(_)
            | Values::Int16(_)
            | Values::Int32(_)
            | Values::Int64(_)
            | Values::Date(_)
            | Values::Time(_)
            | Values::Timestamp(_) => {
                let number = self.number()?;
                if !number.integral {
                    return Err(Misfit);
                }
                column.append_long(number.text.parse().map_err(|_| Misfit)?)
            }
        }
    }

    /// The members of an object, as fields.
    fn members(&mut self, structs: &mut Structs, rows: usize, typed: bool) -> Result<(), Misfit> {
        if self.take(b'}') {
            return Ok(());
        }
        let mut next = 0;
        loop {
            let name = self.name()?;
            let fields = structs.schema().fields();
            // Mostly members come in the same order.
            let is_next = fields
                .get(next)
                .is_some_and(|field| field.name.as_bytes() == name);
            let index = if is_next {
                Some(next)
            } else {
                let name = std::str::from_utf8(name).map_err(|_| Misfit)?;
                structs.schema().field_index(name)
            };
            match index {
                Some(index) => {
                    let column = &mut structs.columns[index];
                    // Of members of the same name the last counts; the converter knows.
                    if column.len() != rows {
                        return Err(Misfit);
                    }
                    self.value(column, typed)?;
                    next = index + 1;
                }
                None if typed => self.skip(0)?,
                None => self.unknown()?,
            }
            if !self.take(b',') {
                return self.expect(b'}');
            }
        }
    }

    fn entries(&mut self, keys: &mut Column, values: &mut Column, typed: bool) -> Result<(), Misfit> {
        let begin = keys.len();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            std::str::from_utf8(name).map_err(|_| Misfit)?;
            keys.append_string(name)?;
            self.value(values, typed)?;
            if !self.take(b',') {
                self.expect(b'}')?;
                // Of entries of the same name the last counts; the converter knows.
                return match keys.has_duplicates_from(begin) {
                    false => Ok(()),
                    true => Err(Misfit),
                };
            }
        }
    }

    /// A member's name, without escapes, and the colon after it.
    fn name(&mut self) -> Result<&'a [u8], Misfit> {
        self.peek();
        let name = self.string()?;
        if name.contains(&b'\\') {
            return Err(Misfit);
        }
        self.expect(b':')?;
        Ok(name)
    }

    fn items(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Misfit>) -> Result<(), Misfit> {
        if self.take(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.take(b',') {
                return self.expect(b']');
            }
        }
    }

    /// What is between the quotes of a string that begins here.
    fn string(&mut self) -> Result<&'a [u8], Misfit> {
        if self.text.get(self.at) != Some(&b'"') {
            return Err(Misfit);
        }
        let begin = self.at + 1;
        let mut at = begin;
        loop {
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(0..0x20) | None => return Err(Misfit),
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        self.text.get(begin..at).ok_or(Misfit)
    }

    fn number(&mut self) -> Result<Number<'a>, Misfit> {
        let begin = self.at;
        let digits = |cursor: &mut Self| {
            let from = cursor.at;
            while cursor.text.get(cursor.at).is_some_and(u8::is_ascii_digit) {
                cursor.at += 1;
            }
            cursor.at - from
        };
        let mut integral = true;
        self.at += usize::from(self.text.get(self.at) == Some(&b'-'));
        let leading = self.text.get(self.at).copied();
        let count = digits(self);
        if count == 0 || (leading == Some(b'0') && count > 1) {
            return Err(Misfit);
        }
        if self.text.get(self.at) == Some(&b'.') {
            integral = false;
            self.at += 1;
            if digits(self) == 0 {
                return Err(Misfit);
            }
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            integral = false;
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            if digits(self) == 0 {
                return Err(Misfit);
            }
        }
        let text = std::str::from_utf8(&self.text[begin..self.at]).map_err(|_| Misfit)?;
        Ok(Number { text, integral })
    }

    /// A member without a column: nothing can be said of it, or the schema has to grow.
    fn unknown(&mut self) -> Result<(), Misfit> {
        let (open, close) = match self.peek() {
            Some(b'n') => return self.literal(b"null"),
            Some(b'[') => (b'[', b']'),
            Some(b'{') => (b'{', b'}'),
            _ => return Err(Misfit),
        };
        self.expect(open)?;
        self.expect(close)
    }

    /// A member that the schema does not have.
    fn skip(&mut self, depth: usize) -> Result<(), Misfit> {
        if depth > DEPTH_MAX {
            return Err(Misfit);
        }
        match self.peek().ok_or(Misfit)? {
            b'"' => {
                let text = self.string()?;
                std::str::from_utf8(text).map_err(|_| Misfit)?;
                match text.contains(&b'\\') {
                    true => unescaped(text).map(|_| ()),
                    false => Ok(()),
                }
            }
            b'{' => {
                self.at += 1;
                if self.take(b'}') {
                    return Ok(());
                }
                loop {
                    let name = self.name()?;
                    std::str::from_utf8(name).map_err(|_| Misfit)?;
                    self.skip(depth + 1)?;
                    if !self.take(b',') {
                        return self.expect(b'}');
                    }
                }
            }
            b'[' => {
                self.at += 1;
                self.items(|cursor| cursor.skip(depth + 1))
            }
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number().map(|_| ()),
        }
    }
}

fn unescaped(text: &[u8]) -> Result<String, Misfit> {
    let quoted = [b"\"", text, b"\""].concat();
    serde_json::from_slice(&quoted).map_err(|_| Misfit)
}

/// What an envelope begins with, up to its payload, if it is as JsonConverter writes it.
pub(super) fn envelope(value: &[u8]) -> Option<&[u8]> {
    const SCHEMA: &[u8] = b"{\"schema\":";
    const PAYLOAD: &[u8] = b",\"payload\":";
    let rest = value.strip_prefix(SCHEMA)?;
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    let end = values.byte_offset();
    rest[end..]
        .starts_with(PAYLOAD)
        .then(|| &value[..SCHEMA.len() + end + PAYLOAD.len()])
}
