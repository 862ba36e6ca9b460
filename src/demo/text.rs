//! The text that the demo streams when no `--input` names another: the log book of a mill on a forebay, written by
//! a small grammar from a fixed seed, so that every run of every build has the same lines, words and bytes.

use std::io::{self, Write};

/// How many lines [`write`] makes: enough for several micro-batches and Parquet files, read in a second or two.
pub(crate) const LINES: u64 = 60_010;

const SUBJECTS: &[&str] = &[
    "the miller",
    "the river",
    "the old wheel",
    "a quiet forebay",
    "the sluice gate",
    "the lock keeper",
    "the turbine",
    "the apprentice",
    "a flat boat",
    "the night watch",
    "the tail race",
    "the weir",
    "a heron",
    "the whole village",
    "the north channel",
    "a party of engineers",
];
const VERBS: &[&str] = &[
    "feeds",
    "turns",
    "holds back",
    "watches",
    "measures",
    "draws from",
    "opens",
    "follows",
    "repairs",
    "counts",
    "waits for",
    "carries",
    "fills",
    "drains",
    "hears",
    "remembers",
];
const OBJECTS: &[&str] = &[
    "the water",
    "the lower basin",
    "every barrel of grain",
    "the spring flood",
    "the third gate",
    "the mill stones",
    "a slow current",
    "the ledger",
    "the same stream",
    "the morning shift",
    "the reservoir",
    "two machines downstream",
    "the gauge on the wall",
    "the trash rack",
    "a cart of flour",
    "the first ice",
];
const ENDINGS: &[&str] = &[
    "before dawn",
    "without a word",
    "as it did last year",
    "and nothing is lost",
    "and nothing is counted twice",
    "while the rain lasts",
    "until the bell rings",
    "with great care",
    "in the order in which it came",
    "and the level holds",
    "for another season",
    "at the turn of the hour",
    "",
    "",
    "",
];

/// Writes the text to `out`; the last line has no newline, as many a real file's has not.
pub(crate) fn write(out: &mut impl Write) -> io::Result<()> {
    let mut chance = Chance(0x0F0B_EBA1);
    for number in 0..LINES {
        if number > 0 {
            out.write_all(b"\n")?;
        }
        if number % 40 == 39 {
            continue; // an empty line between two pages
        }
        let ending = chance.pick(ENDINGS);
        let (subject, verb, object) = (chance.pick(SUBJECTS), chance.pick(VERBS), chance.pick(OBJECTS));
        write!(out, "{subject} {verb} {object}")?;
        if !ending.is_empty() {
            write!(out, " {ending}")?;
        }
        if chance.one_in(7) {
            write!(out, " gauge {}", chance.below(400))?;
        }
    }
    Ok(())
}

/// Marsaglia's xorshift64*: four lines are all the chance that a log book needs.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Leans towards the front of the list, as words of a language do.
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let count = from.len() as u64;
        let index = self.below(count).min(self.below(count));
        from[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_same_every_time_and_ends_without_newline() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        write(&mut first).unwrap();
        write(&mut second).unwrap();
        assert_eq!(first, second);
        assert_eq!(first.split(|byte| *byte == b'\n').count() as u64, LINES);
        assert_ne!(first.last(), Some(&b'\n'));
    }
}
