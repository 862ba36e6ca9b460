//! The corpus of the fuzz target, as it is and damaged.

#[path = "../../../../../fuzz/checks/frame.rs"]
mod check;

use check::check;

const SEED: u64 = 20_261_121;
const ROUNDS: u64 = 2_000;

/// `fuzz/corpus/frame.tsv`, as it is and with a few bytes changed at random (`FOREBAY_TEST_SEED=N`, `FOREBAY_TEST_ROUNDS=N`).
#[test]
fn frames_are_those_of_the_simplest_reader() {
    let given = |name: &str, otherwise| {
        std::env::var(name).map_or(otherwise, |text| text.parse::<u64>().expect("a number"))
    };
    let mut random = given("FOREBAY_TEST_SEED", SEED).max(1);
    let mut below = |bound: usize| {
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        usize::try_from((random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % bound as u64).expect("small")
    };
    let byte = |digits: &str, at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    let mut frames = 0;
    for line in include_str!("../../../../../fuzz/corpus/frame.tsv").lines() {
        let (_, digits) = line.split_once('\t').expect("a name and bytes");
        let input: Vec<u8> = (0..digits.len()).step_by(2).map(|at| byte(digits, at)).collect();
        frames += check(&input);
        for _ in 0..given("FOREBAY_TEST_ROUNDS", ROUNDS) {
            let mut damaged = input.clone();
            for _ in 0..=below(3) {
                let at = below(damaged.len() + 1);
                match damaged.get_mut(at) {
                    // A small number is a length that can be.
                    Some(byte) if below(2) == 0 => *byte = u8::try_from(below(8)).expect("a byte"),
                    Some(byte) => *byte ^= 1 << below(8),
                    None => damaged.push(0),
                }
            }
            frames += check(&damaged);
        }
    }
    assert!(frames > 10_000, "only {frames} frames were read");
}
