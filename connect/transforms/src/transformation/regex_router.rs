//! `RegexRouter`: renames topics by a regular expression. Where it matches the whole name, what it finds first in it is replaced,
//! as with Java's `Matcher.replaceFirst`.

use forebay_connect_api::config::{self, ConfigDef, ConfigType, Importance};
use regex::{Captures, Regex};

use super::{Setup, Transformation};
use crate::definition::required;
use crate::predicate::topic_name_matches::valid_regex;
use crate::{Error, Record, regular_expression};

const REGEX: &str = "regex";
const REPLACEMENT: &str = "replacement";

pub(super) fn config_def() -> ConfigDef {
    let regex = required(
        REGEX,
        ConfigType::String,
        Importance::High,
        "A regular expression that must match the whole name of the topic. Look-around, references to groups and possessive \
         quantifiers are not supported.",
    );
    ConfigDef::new()
        .define(regex.validator(valid_regex()))
        .define(required(
            REPLACEMENT,
            ConfigType::String,
            Importance::High,
            "What replaces the match; $1 and ${name} stand for groups of the regular expression, \\ makes the next character stand for itself.",
        ))
}

pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    let pattern = setup.config.get_string(REGEX);
    let (anywhere, whole) = regular_expression::compile(pattern)
        .map_err(|reason| config::Error::invalid(REGEX, pattern, format!("Invalid regex: {reason}")))?;
    Ok(Box::new(RegexRouter {
        replacement: parse(setup.config.get_string(REPLACEMENT), &anywhere),
        anywhere,
        whole,
    }))
}

/// A piece of the replacement.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Group(usize),
}

#[derive(Debug)]
struct RegexRouter {
    anywhere: Regex,
    whole: Regex,
    /// As in Java, what is wrong with it is only said when something matches.
    replacement: Result<Vec<Piece>, String>,
}

impl RegexRouter {
    fn expand(&self, found: &Captures<'_>) -> Result<String, Error> {
        let pieces = self
            .replacement
            .as_ref()
            .map_err(|message| Error::Argument(message.clone()))?;
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Group(group) => found.get(*group).map_or("", |group| group.as_str()).to_owned(),
        };
        Ok(pieces.iter().map(text).collect())
    }
}

impl Transformation for RegexRouter {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        let topic = &*record.topic;
        if let Some(found) = self
            .anywhere
            .captures(topic)
            .filter(|_| self.whole.is_match(topic))
        {
            let range = found.get_match().range();
            let renamed = [&topic[..range.start], &self.expand(&found)?, &topic[range.end..]].concat();
            record.topic = renamed.into();
        }
        Ok(Some(record))
    }
}

/// Reads `Matcher.appendReplacement`'s syntax: a number has as many digits as there are groups for.
fn parse(replacement: &str, regex: &Regex) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = replacement;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let escaped = rest.chars().next().ok_or("character to be escaped is missing")?;
                rest = &rest[escaped.len_utf8()..];
                add(&mut pieces, escaped);
            }
            '$' => {
                let (group, behind) = group(rest, regex)?;
                pieces.push(Piece::Group(group));
                rest = behind;
            }
            c => add(&mut pieces, c),
        }
    }
    Ok(pieces)
}

fn add(pieces: &mut Vec<Piece>, c: char) {
    match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push(c),
        _ => pieces.push(Piece::Text(c.to_string())),
    }
}

/// The group behind a `$`, and what is behind that.
fn group<'a>(text: &'a str, regex: &Regex) -> Result<(usize, &'a str), String> {
    if let Some(named) = text.strip_prefix('{') {
        let (name, behind) = named
            .split_once('}')
            .ok_or("named capturing group is missing trailing '}'")?;
        let group = regex.capture_names().position(|known| known == Some(name));
        let group = group.ok_or_else(|| format!("No group with name {{{name}}}"))?;
        return Ok((group, behind));
    }
    let digit = |at: usize| {
        let byte = text.as_bytes().get(at).filter(|byte| byte.is_ascii_digit());
        byte.map(|byte| usize::from(byte - b'0'))
    };
    if text.is_empty() {
        return Err("Illegal group reference: group index is missing".to_owned());
    }
    let mut group = digit(0).ok_or("Illegal group reference")?;
    let groups = regex.captures_len() - 1;
    if group > groups {
        return Err(format!("No group {group}"));
    }
    let mut length = 1;
    while let Some(next) = digit(length)
        .map(|digit| group * 10 + digit)
        .filter(|next| *next <= groups)
    {
        group = next;
        length += 1;
    }
    Ok((group, &text[length..]))
}
