//! Subscriptions by regular expression (KIP-848): RE2's syntax, whole names. What one may cost is bounded before it is compiled and while it is:
//! matching takes time in the order of name times automaton, and repetitions of repetitions make large automata out of few letters.

mod dialect;
mod judged;
mod matcher;

use std::collections::BTreeSet;
use std::error::Error;

use forebay_protocol::Utf8Bytes;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{MatchKind, util::syntax};

use super::ClusterImage;
use dialect::Names;
#[cfg(test)]
pub(crate) use dialect::{TABLES_MAX, WIDE_MAX};
pub use judged::JudgedExpression;
#[cfg(test)]
pub(crate) use judged::parsed_in_this_thread;
#[cfg(test)]
pub(crate) use matcher::LETTERS_AT_A_TIME;
pub(crate) use matcher::Matcher;

/// The longest expression.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;
/// The largest automaton: some thousand states.
const AUTOMATON_BYTES_MAX: usize = 192 << 10;
/// What a matcher may remember of states that it has been in.
const MATCHER_BYTES_MAX: usize = 1 << 20;

/// An expression that names are held against.
#[derive(Debug)]
pub(crate) struct RegularExpression(DFA);

impl RegularExpression {
    /// Reads an expression for names of topics, which are of ASCII.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        compile(&translated(text, Names::Ascii)?, false)
    }

    /// Reads an expression for texts of any alphabet. As RE2's, its classes (`\w`) are of ASCII all the same.
    ///
    /// # Errors
    /// As `parse`.
    pub(crate) fn parse_for_text(text: &str) -> Result<Self, String> {
        compile(&translated(text, Names::Unicode)?, true)
    }

    /// To hold it against names.
    pub(crate) fn matcher(&self) -> Matcher<'_> {
        Matcher::new(&self.0)
    }
}

/// The text in the library's words, if it is an expression by itself: an unmatched parenthesis might find its match in what is put around it.
fn translated(text: &str, names: Names) -> Result<String, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("it is longer than {TEXT_BYTES_MAX} bytes"));
    }
    let text = unquote(text);
    let ast = regex_syntax::ast::parse::Parser::new()
        .parse(&text)
        .map_err(|error| in_one_line(&error))?;
    dialect::translate(&text, &ast, names)
}

/// Its states are made as names come by them, and some are forgotten for others: nothing takes more time or memory than its bounds.
fn compile(text: &str, unicode: bool) -> Result<RegularExpression, String> {
    #[cfg(test)]
    judged::count_parsed();
    let syntax = syntax::Config::new().unicode(unicode).utf8(false);
    let automaton = thompson::Config::new()
        .utf8(false)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(AUTOMATON_BYTES_MAX));
    let matcher = DFA::config()
        .match_kind(MatchKind::All)
        .cache_capacity(MATCHER_BYTES_MAX)
        .skip_cache_capacity_check(true);
    DFA::builder()
        .syntax(syntax)
        .thompson(automaton)
        .configure(matcher)
        .build(&format!(r"\A(?:{text})\z"))
        .map(RegularExpression)
        .map_err(|error| in_one_line(cause(&error)))
}

/// The innermost error: those around it say less.
fn cause<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

fn in_one_line(error: &(impl std::fmt::Display + ?Sized)) -> String {
    in_words_of_re2(error.to_string().lines().last().unwrap_or_default())
}

/// What is wrong, as RE2 puts it; for what that does not know, in the library's words.
fn in_words_of_re2(error: &str) -> String {
    let error = error.trim_start_matches("error: ");
    let words = [
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("unclosed character class", "missing closing ]"),
        (
            "repetition operator missing expression",
            "missing argument to repetition operator",
        ),
        ("invalid character class range", "invalid character class range"),
        (
            "incomplete escape sequence",
            "trailing backslash at end of expression",
        ),
        ("unrecognized escape sequence", "invalid escape sequence"),
        ("look-around", "invalid or unsupported Perl syntax"),
        ("backreferences are not supported", "invalid escape sequence"),
        (
            "heap usage during NFA compilation exceeded",
            "expression is too large",
        ),
    ];
    let known = words.iter().find(|(ours, _)| error.starts_with(ours));
    known.map_or(error, |(_, re2)| re2).to_owned()
}

/// `\Q` and `\E`, which RE2 knows and the library does not: what is between them stands for itself.
fn unquote(text: &str) -> String {
    let mut unquoted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(escape) = rest.find('\\') {
        let (before, after) = rest.split_at(escape);
        unquoted.push_str(before);
        if let Some(quoted) = after.strip_prefix(r"\Q") {
            let (literal, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            unquoted.push_str(&regex_syntax::escape(literal));
            rest = after;
        } else {
            // The backslash, and whatever it makes special.
            let length = after.chars().take(2).map(char::len_utf8).sum();
            unquoted.push_str(&after[..length]);
            rest = &after[length..];
        }
    }
    unquoted.push_str(rest);
    unquoted
}

/// Holds expressions against the names of all topics: what a driver does for [`Action`](crate::Action), beside the coordinator. One that
/// cannot be read (a record of another broker's) matches none. `None` if it may not go on.
#[must_use]
pub fn resolve(
    expressions: Vec<Utf8Bytes>,
    image: &dyn ClusterImage,
    may_go_on: &dyn Fn() -> bool,
) -> Option<ResolvedExpressions> {
    let names = image.topic_names();
    let mut topics = Vec::with_capacity(expressions.len());
    for text in expressions {
        let mut matching = BTreeSet::new();
        if let Ok(regex) = RegularExpression::parse(&text) {
            let mut matcher = regex.matcher();
            for name in &names {
                if matcher.matches(name, may_go_on)? {
                    matching.insert(name.clone());
                }
            }
        }
        topics.push((text, matching));
    }
    Some(ResolvedExpressions {
        version: image.version(),
        topics,
        given_up: Vec::new(),
    })
}

/// Which topics expressions mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedExpressions {
    /// The version of the image that was looked at, the oldest one.
    pub(crate) version: i64,
    pub(crate) topics: Vec<(Utf8Bytes, BTreeSet<Utf8Bytes>)>,
    given_up: Vec<Utf8Bytes>,
}

impl ResolvedExpressions {
    /// Holding this expression against the topics of `image` takes too long: it means what it has meant, and is not tried again soon.
    #[must_use]
    pub fn given_up(expression: Utf8Bytes, image: &dyn ClusterImage) -> Self {
        Self {
            version: image.version(),
            topics: Vec::new(),
            given_up: vec![expression],
        }
    }

    /// What else was found.
    pub fn extend(&mut self, other: Self) {
        self.version = self.version.min(other.version);
        self.topics.extend(other.topics);
        self.given_up.extend(other.given_up);
    }

    /// All that were looked at.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Utf8Bytes> {
        self.topics.iter().map(|(regex, _)| regex).chain(&self.given_up)
    }
}
