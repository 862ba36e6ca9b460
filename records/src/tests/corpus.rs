//! Batches that were made wrong on purpose, or right in an unusual way (`fuzz/corpus/batch.tsv`: name, tab, hexadecimal; those of
//! `tests/clients/judge/cases/produce.py`, and what the fuzz target found), as they are and damaged at random: reading them ends with
//! records or an error, without a panic, and what validation takes can be read. `FOREBAY_TEST_SEED=N` gives other damage,
//! `FOREBAY_TEST_ROUNDS=N` more of it.

#[path = "../../../fuzz/checks/batch.rs"]
mod check;

use check::check as read;

use crate::HEADER_BYTES;

const SEED: u64 = 20_261_121;
const ROUNDS: u64 = 400;

fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let byte = |digits: &str, at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    include_str!("../../../fuzz/corpus/batch.tsv")
        .lines()
        .map(|line| {
            let (name, digits) = line.split_once('\t').expect("a name and bytes");
            let bytes = (0..digits.len()).step_by(2).map(|at| byte(digits, at)).collect();
            (name, bytes)
        })
        .collect()
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        usize::try_from(number % bound as u64).expect("below a usize")
    }
}

/// One to three pieces of damage, mostly behind the header; half of the time under a CRC that is right again, so that the
/// records are read at all.
fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(damaged.len());
        match random.below(8) {
            0 => damaged.truncate(at.max(1)),
            1 => damaged.insert(at, u8::try_from(random.below(256)).expect("a byte")),
            2 => {
                damaged.remove(at);
                damaged.push(0);
            }
            3 => damaged[at] = 0xff,
            _ => damaged[at] ^= 1 << random.below(8),
        }
    }
    if damaged.len() > HEADER_BYTES && random.below(2) == 0 {
        let length = i32::try_from(damaged.len() - 12).expect("a short batch");
        damaged[8..12].copy_from_slice(&length.to_be_bytes());
        damaged[16] = 2;
        let crc = crc32c::crc32c(&damaged[21..]);
        damaged[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    damaged
}

#[test]
fn batches_made_wrong_are_read_or_refused() {
    let corpus = corpus();
    assert!(corpus.len() > 70, "{}", corpus.len());
    let taken: Vec<_> = corpus
        .iter()
        .filter(|(_, bytes)| read(bytes) > 0)
        .map(|(name, _)| *name)
        .collect();
    for name in ["compressed-zstd", "null-key", "headers", "reserved-attributes"] {
        assert!(taken.contains(&name), "{name} is refused");
    }
    for name in [
        "crc",
        "count-2-of-1",
        "offset-deltas-equal",
        "garbage-records",
        "gzip-half",
        "zstd-more",
        "control",
        "gzip-of-a-mebibyte-of-zeros",
    ] {
        assert!(!taken.contains(&name), "{name} is taken");
    }
}

#[test]
fn batches_damaged_at_random_are_read_or_refused() {
    let given = |name: &str, otherwise| {
        std::env::var(name).map_or(otherwise, |text| text.parse::<u64>().expect("a number"))
    };
    let mut random = Random(given("FOREBAY_TEST_SEED", SEED).max(1));
    let (mut taken, mut refused) = (0, 0);
    for (_, bytes) in corpus() {
        for _ in 0..given("FOREBAY_TEST_ROUNDS", ROUNDS) {
            if read(&damage(&bytes, &mut random)) > 0 {
                taken += 1;
            } else {
                refused += 1;
            }
        }
    }
    // Both must happen, or the damage is too little or too much to find anything.
    assert!(
        taken > 100 && refused > 100,
        "{taken} were taken, {refused} refused"
    );
}
