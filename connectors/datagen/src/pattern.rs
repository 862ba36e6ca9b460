//! Texts that a regular expression matches.

use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind};

use crate::random::Random;

/// The longest text in bytes that a pattern may lead to.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// How many more repetitions than it must have, one without an upper bound gets at most.
const REPETITIONS_MORE: u32 = 16;
/// The longest pattern.
const PATTERN_BYTES_MAX: usize = 1024;

/// A regular expression, turned round.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Hir);

impl Pattern {
    /// Reads a regular expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(format!("the pattern has more than {PATTERN_BYTES_MAX} bytes"));
        }
        let hir =
            regex_syntax::parse(pattern).map_err(|error| format!("{pattern} is no pattern: {error}"))?;
        if bytes_max(&hir) > TEXT_BYTES_MAX {
            return Err(format!(
                "{pattern} leads to texts of more than {TEXT_BYTES_MAX} bytes"
            ));
        }
        Ok(Self(hir))
    }

    /// A text that matches.
    pub(crate) fn text(&self, random: &mut Random) -> String {
        let mut text = Vec::new();
        append(&self.0, random, &mut text);
        String::from_utf8(text).expect("literals and classes of a Unicode pattern are UTF-8")
    }
}

fn bytes_max(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) => 4,
        HirKind::Repetition(repetition) => {
            let most = repetition
                .max
                .unwrap_or(repetition.min.saturating_add(REPETITIONS_MORE));
            bytes_max(&repetition.sub).saturating_mul(usize::try_from(most).unwrap_or(usize::MAX))
        }
        HirKind::Capture(capture) => bytes_max(&capture.sub),
        HirKind::Concat(parts) => parts
            .iter()
            .fold(0, |sum: usize, part| sum.saturating_add(bytes_max(part))),
        HirKind::Alternation(parts) => parts.iter().map(bytes_max).max().unwrap_or(0),
    }
}

fn append(hir: &Hir, random: &mut Random, text: &mut Vec<u8>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.extend_from_slice(&literal.0),
        HirKind::Class(Class::Unicode(class)) => {
            if let Some(letter) = letter(class, random) {
                text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        // A Unicode pattern has classes of bytes for ASCII only.
        HirKind::Class(Class::Bytes(class)) => {
            if let Some(range) = class.ranges().first() {
                text.push(range.start());
            }
        }
        HirKind::Repetition(repetition) => {
            let most = repetition
                .max
                .unwrap_or(repetition.min.saturating_add(REPETITIONS_MORE));
            let more = random.below(u64::from(most - repetition.min) + 1);
            for _ in 0..u64::from(repetition.min) + more {
                append(&repetition.sub, random, text);
            }
        }
        HirKind::Capture(capture) => append(&capture.sub, random, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| append(part, random, text)),
        HirKind::Alternation(parts) => append(&parts[random.index(parts.len())], random, text),
    }
}

/// One of the class, of what can be printed in ASCII where there is any.
fn letter(class: &ClassUnicode, random: &mut Random) -> Option<char> {
    let ranges: Vec<(u32, u32)> = class
        .iter()
        .map(|range| (range.start().into(), range.end().into()))
        .collect();
    let printable: Vec<(u32, u32)> = ranges
        .iter()
        .map(|(start, end)| (*start.max(&0x20), *end.min(&0x7e)))
        .filter(|(start, end)| start <= end)
        .collect();
    let ranges = if printable.is_empty() { ranges } else { printable };
    let count: u64 = ranges.iter().map(|(start, end)| u64::from(end - start) + 1).sum();
    if count == 0 {
        return None; // A class of nothing matches nothing.
    }
    let mut place = random.below(count);
    for (start, end) in ranges {
        let here = u64::from(end - start) + 1;
        if place < here {
            let code = start + u32::try_from(place).expect("less than all of Unicode");
            // A range may go over the surrogates, which are no letters.
            return char::from_u32(code).or_else(|| char::from_u32(start));
        }
        place -= here;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_match_and_have_a_bound() {
        for (pattern, check) in [
            ("User_[1-9]", (|text| text.len() == 6) as fn(&str) -> bool),
            ("Item_[1-9][0-9]{0,2}", |text| (6..=8).contains(&text.len())),
            ("(a|bc)+", |text| {
                text.chars().all(|letter| "abc".contains(letter))
            }),
            (".", |text| text.len() == 1),
            ("^[^\\x00-\\x7f]$", |text| {
                text.chars().count() == 1 && !text.is_ascii()
            }),
            ("", str::is_empty),
        ] {
            let compiled = Pattern::new(pattern).expect(pattern);
            for iteration in 0..200 {
                let text = compiled.text(&mut Random::new(7, 0, iteration, 0));
                assert!(check(&text), "{pattern}: {text:?}");
            }
        }
        for pattern in ["(", "a{65537}", "(a{300}){300}", &"a".repeat(1025)] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
        Pattern::new("a{65536}").expect("at the bound");
    }
}
