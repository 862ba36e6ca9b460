//! Patterns of dates (Java's `SimpleDateFormat`), in English and in UTC. Written: all letters. Read: all but those of weeks and of
//! weekdays without a day, which are refused by name when they are met. Reading is as lenient as Java's: a thirteenth month is
//! the next January, and what is behind the end of the pattern does not matter.

mod calendar;
mod read;
mod write;

pub(crate) use read::Unreadable;

use std::iter::Peekable;
use std::str::Chars;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// A letter without a meaning.
    #[error("Illegal pattern character '{0}'")]
    Letter(char),
    /// A quote that does not end.
    #[error("Unterminated quote")]
    Quote,
    /// `XXXX`
    #[error("invalid ISO 8601 format: length={0}")]
    Zone(usize),
}

/// Every letter that Java knows.
const LETTERS: &str = "GyMdkHmsSEDFwWahKzZYuXL";

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    /// What stands there as it is.
    Text(String),
    /// A letter, and how often it is repeated.
    Field(char, usize),
}

/// A pattern that was read.
#[derive(Debug, Clone)]
pub(crate) struct DateFormat {
    pattern: String,
    items: Vec<Item>,
    /// Years of two digits are of the hundred years that begin here, in milliseconds since 1970.
    century_start: i64,
}

impl DateFormat {
    /// Reads a pattern. `now`, in milliseconds since 1970, says in which century two digits of a year are: within 80 years before
    /// and 20 years after it.
    pub(crate) fn new(pattern: &str, now: i64) -> Result<Self, Error> {
        let mut items = Vec::new();
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\'' => add_text(&mut items, &quoted(&mut rest)?),
                c if c.is_ascii_alphabetic() => {
                    if !LETTERS.contains(c) {
                        return Err(Error::Letter(c));
                    }
                    let mut count = 1;
                    while rest.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    if c == 'X' && count > 3 {
                        return Err(Error::Zone(count));
                    }
                    items.push(Item::Field(c, count));
                }
                c => add_text(&mut items, c.encode_utf8(&mut [0; 4])),
            }
        }
        Ok(Self {
            pattern: pattern.to_owned(),
            items,
            century_start: calendar::eighty_years_before(now),
        })
    }

    /// The pattern as it was given.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }
}

/// What is between the quotes, of which the first is read; two in a row are one that stands there.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> Result<String, Error> {
    if rest.next_if_eq(&'\'').is_some() {
        return Ok("'".to_owned());
    }
    let mut text = String::new();
    loop {
        match rest.next() {
            None => return Err(Error::Quote),
            Some('\'') if rest.next_if_eq(&'\'').is_some() => text.push('\''),
            Some('\'') => return Ok(text),
            Some(c) => text.push(c),
        }
    }
}

fn add_text(items: &mut Vec<Item>, text: &str) {
    match items.last_mut() {
        Some(Item::Text(before)) => before.push_str(text),
        _ => items.push(Item::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests;
