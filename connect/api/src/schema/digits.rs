//! The digits of numbers of any size. A record may bring a million of them, so that they must not cost the square of their number:
//! halves are turned one by one and multiplied by Karatsuba's method.

/// Numbers are kept in digits of this base, the lowest first.
const BASE: u64 = 1_000_000_000;
/// Decimal digits in one of those.
const WIDTH: usize = 9;
/// Up to so many bytes a number is turned word by word.
const BYTES_BY_WORD: usize = 512;
/// Up to so many digits each is multiplied with each.
const DIGITS_BY_DIGIT: usize = 128;
/// The sum of so many products of two digits, and what is carried, has 64 bits.
const PRODUCTS: usize = 16;

/// The decimal digits of a number, big-endian and without sign; none in front that is 0, one for zero.
pub(super) fn of(magnitude: &[u8]) -> String {
    let mut powers = Vec::new();
    let digits = turn(magnitude, &mut powers);
    let mut text = String::with_capacity(digits.len() * WIDTH);
    for digit in digits.iter().rev() {
        text.push_str(&format!("{digit:0WIDTH$}"));
    }
    let zeros = text.len() - text.trim_start_matches('0').len();
    text.drain(..zeros.min(text.len().saturating_sub(1)));
    if text.is_empty() { "0".to_owned() } else { text }
}

/// `powers`: of 256, those that were needed so far, the exponents twice as large each.
fn turn(bytes: &[u8], powers: &mut Vec<Vec<u32>>) -> Vec<u32> {
    if bytes.len() <= BYTES_BY_WORD {
        return by_word(bytes);
    }
    let (mut level, mut low) = (0, BYTES_BY_WORD);
    while low * 2 < bytes.len() {
        (level, low) = (level + 1, low * 2);
    }
    let (above, below) = bytes.split_at(bytes.len() - low);
    let (above, below) = (turn(above, powers), turn(below, powers));
    while powers.len() <= level {
        powers.push(match powers.last() {
            Some(half) => product(half, half),
            None => {
                let mut first = [0; BYTES_BY_WORD + 1];
                first[0] = 1;
                by_word(&first)
            }
        });
    }
    let mut sum = product(&above, &powers[level]);
    sum.resize(sum.len().max(below.len()) + 1, 0);
    add(&mut sum, &below);
    trimmed(sum)
}

fn by_word(bytes: &[u8]) -> Vec<u32> {
    let mut digits: Vec<u32> = Vec::new();
    // The first may be shorter.
    let (first, words) = bytes.split_at(bytes.len() % 4);
    for word in std::iter::once(first).chain(words.chunks_exact(4)) {
        let mut carry = word.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        for digit in &mut digits {
            carry += u64::from(*digit) << 32;
            *digit = low(carry);
            carry /= BASE;
        }
        while carry > 0 {
            digits.push(low(carry));
            carry /= BASE;
        }
    }
    digits
}

fn low(number: u64) -> u32 {
    u32::try_from(number % BASE).expect("the base has less than 32 bits")
}

fn product(one: &[u32], other: &[u32]) -> Vec<u32> {
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    if short.len() <= DIGITS_BY_DIGIT {
        return by_digit(short, long);
    }
    let mut sum = vec![0; short.len() + long.len() + 1];
    if short.len() * 2 <= long.len() {
        for (index, part) in long.chunks(short.len()).enumerate() {
            add(&mut sum[index * short.len()..], &product(short, part));
        }
        return trimmed(sum);
    }
    let half = long.len() / 2;
    let ((a, b), (c, d)) = (short.split_at(half), long.split_at(half));
    let (low, high) = (product(a, c), product(b, d));
    let mut middle = product(&plus(a, b), &plus(c, d));
    subtract(&mut middle, &low);
    subtract(&mut middle, &high);
    add(&mut sum, &low);
    add(&mut sum[half..], &trimmed(middle));
    add(&mut sum[2 * half..], &high);
    trimmed(sum)
}

fn by_digit(short: &[u32], long: &[u32]) -> Vec<u32> {
    let mut digits = Vec::with_capacity(short.len() + long.len());
    let mut carry = 0;
    for place in 0..(short.len() + long.len()).saturating_sub(1) {
        let (first, end) = ((place + 1).saturating_sub(long.len()), short.len().min(place + 1));
        let mut above = 0;
        for begin in (first..end).step_by(PRODUCTS) {
            let end = end.min(begin + PRODUCTS);
            // Their places add up to this one.
            let others = &long[place + 1 - end..=place - begin];
            let pairs = short[begin..end].iter().zip(others.iter().rev());
            carry += pairs
                .map(|(one, other)| u64::from(*one) * u64::from(*other))
                .sum::<u64>();
            above += carry / BASE;
            carry %= BASE;
        }
        digits.push(low(carry));
        carry = above + carry / BASE;
    }
    while carry > 0 {
        digits.push(low(carry));
        carry /= BASE;
    }
    trimmed(digits)
}

fn plus(one: &[u32], other: &[u32]) -> Vec<u32> {
    let mut sum = one.to_vec();
    sum.resize(one.len().max(other.len()) + 1, 0);
    add(&mut sum, other);
    trimmed(sum)
}

/// There is room for the sum.
fn add(sum: &mut [u32], number: &[u32]) {
    let mut carry = 0;
    for (index, digit) in sum.iter_mut().enumerate() {
        if index >= number.len() && carry == 0 {
            return;
        }
        let more = number.get(index).copied().unwrap_or(0);
        let value = u64::from(*digit) + u64::from(more) + carry;
        (*digit, carry) = (low(value), value / BASE);
    }
}

/// It is not less than the number.
fn subtract(from: &mut [u32], number: &[u32]) {
    let mut borrowed = 0;
    for (index, digit) in from.iter_mut().enumerate() {
        if index >= number.len() && borrowed == 0 {
            return;
        }
        let less = number.get(index).copied().unwrap_or(0);
        let value = BASE + u64::from(*digit) - u64::from(less) - borrowed;
        (*digit, borrowed) = (low(value), 1 - value / BASE);
    }
}

/// Without zeros at the top.
fn trimmed(mut digits: Vec<u32>) -> Vec<u32> {
    let used = digits
        .iter()
        .rposition(|digit| *digit != 0)
        .map_or(0, |last| last + 1);
    digits.truncate(used);
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn powers_at_the_bounds_have_the_digits_that_they_should() {
        assert_eq!(of(&[]), "0");
        assert_eq!(of(&[0; 5000]), "0");
        for bytes in [
            1,
            4,
            5,
            BYTES_BY_WORD,
            BYTES_BY_WORD + 1,
            4 * BYTES_BY_WORD,
            40_000,
        ] {
            check(&[[1].as_slice(), &vec![0; bytes]].concat());
            check(&[[0; 9].as_slice(), &vec![0xff; bytes]].concat());
        }
    }

    /// The text is the number modulo a prime, and has as many digits: that is found in a walk over each.
    fn check(magnitude: &[u8]) {
        const PRIME: u128 = (1 << 89) - 1;
        let text = of(magnitude);
        let walk = |base: u128, digits: &mut dyn Iterator<Item = u8>| {
            digits.fold(0, |number, digit| (number * base + u128::from(digit)) % PRIME)
        };
        let expected = walk(256, &mut magnitude.iter().copied());
        assert_eq!(walk(10, &mut text.bytes().map(|digit| digit - b'0')), expected);
        assert!(text == "0" || !text.starts_with('0'));
        let significant = magnitude.len() - magnitude.iter().take_while(|byte| **byte == 0).count();
        // Between 256^(n-1) and 256^n.
        let (least, most) = (
            significant.saturating_sub(1) * 2408 / 1000,
            significant * 2409 / 1000 + 1,
        );
        assert!(
            (least..=most.max(1)).contains(&text.len()),
            "{} of {significant}",
            text.len()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_number_has_its_digits(
            (bytes, run) in (prop::collection::vec(any::<u8>(), 0..4000), 0_usize..3000),
            fill in prop::sample::select(vec![0, 0xff]),
        ) {
            check(&bytes);
            check(&[bytes.as_slice(), &vec![fill; run], &bytes].concat());
        }
    }
}
