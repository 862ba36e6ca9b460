//! Decimal numbers of any size (Java's `BigDecimal`), as far as transformations need them: to be read, and turned into the numbers
//! of other types. Nothing here grows with an exponent.

use bytes::Bytes;

/// Java's scales are integers of 32 bits.
const EXPONENT_MAX: i64 = i32::MAX as i64;

/// So many digits fit into 32 bits.
const DIGITS_AT_ONCE: usize = 9;
const TEN_TO_THAT: u64 = 1_000_000_000;

/// A number: digits, of which `scale` are behind the point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BigDecimal {
    negative: bool,
    /// Without zeros in front; `0` for zero.
    digits: String,
    scale: i64,
}

impl BigDecimal {
    /// Reads `-12.5e3`; `None` where Java throws a `NumberFormatException`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                (mantissa, exponent.parse::<i64>().ok().filter(|_| is_number)?)
            }
            None => (text, 0),
        };
        let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
        let (before, behind) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all = format!("{before}{behind}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) || exponent.abs() > EXPONENT_MAX {
            return None;
        }
        let digits = all.trim_start_matches('0');
        Some(Self {
            negative: mantissa.starts_with('-'),
            digits: if digits.is_empty() { "0" } else { digits }.to_owned(),
            scale: i64::try_from(behind.len()).ok()? - exponent,
        })
    }

    /// How many digits are behind the point; negative where zeros are before it.
    pub(crate) fn scale(&self) -> i64 {
        self.scale
    }

    /// The digits of the whole number without its sign, as long as they are fewer than a hundred; `None` if there is a fraction.
    fn whole(&self) -> Option<String> {
        let Ok(behind) = usize::try_from(self.scale) else {
            let zeros = usize::try_from(-self.scale).ok().filter(|zeros| *zeros < 100)?;
            return Some(format!("{}{}", self.digits, "0".repeat(zeros)));
        };
        if self.digits == "0" {
            return Some("0".to_owned());
        }
        let (before, fraction) = self.digits.split_at(self.digits.len().checked_sub(behind)?);
        fraction
            .bytes()
            .all(|digit| digit == b'0')
            .then(|| before.to_owned())
    }

    /// The number, if it is whole and has at most 64 bits.
    pub(crate) fn to_i64(&self) -> Option<i64> {
        let sign = if self.negative { "-" } else { "" };
        let whole = if self.digits == "0" {
            "0".to_owned()
        } else {
            self.whole()?
        };
        format!("{sign}{whole}").parse().ok()
    }

    /// Its low 64 bits, without a fraction (`longValue`).
    pub(crate) fn to_i64_wrapping(&self) -> i64 {
        let (digits, zeros) = match usize::try_from(self.scale) {
            Ok(behind) => (&self.digits[..self.digits.len().saturating_sub(behind)], 0),
            // Ten to the power of 64 has 64 zero bits.
            Err(_) => (self.digits.as_str(), (-self.scale).min(64)),
        };
        let times_ten = |number: u64, digit: u8| number.wrapping_mul(10).wrapping_add(u64::from(digit));
        let number = digits
            .bytes()
            .fold(0, |number, digit| times_ten(number, digit - b'0'));
        let number = (0..zeros).fold(number, |number, _| times_ten(number, 0));
        number
            .cast_signed()
            .wrapping_mul(if self.negative { -1 } else { 1 })
    }

    /// The nearest.
    pub(crate) fn to_f64(&self) -> f64 {
        self.scientific().parse().expect("Rust reads every such number")
    }

    /// The nearest.
    pub(crate) fn to_f32(&self) -> f32 {
        self.scientific().parse().expect("Rust reads every such number")
    }

    fn scientific(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}e{}", self.digits, -self.scale)
    }

    /// The digits as a number in two's complement, once there are `scale` of them behind the point; `None` if that drops any, or
    /// adds hundreds.
    pub(crate) fn unscaled(&self, scale: i64) -> Option<Bytes> {
        let missing = scale - self.scale;
        let digits = if missing >= 0 {
            let zeros = usize::try_from(missing).ok().filter(|zeros| *zeros < 1000)?;
            format!("{}{}", self.digits, "0".repeat(zeros))
        } else {
            let surplus = usize::try_from(-missing).ok()?;
            let kept = self.digits.trim_end_matches('0').len();
            let length = self
                .digits
                .len()
                .checked_sub(surplus)
                .filter(|length| *length >= kept);
            match length {
                Some(length) => self.digits[..length].to_owned(),
                None if self.digits == "0" => "0".to_owned(),
                None => return None,
            }
        };
        Some(encode(self.negative, &digits))
    }
}

/// `BigInteger.toByteArray`.
fn encode(negative: bool, digits: &str) -> Bytes {
    // The lowest word first.
    let mut words: Vec<u32> = Vec::new();
    let (first, rest) = digits.as_bytes().split_at(digits.len() % DIGITS_AT_ONCE);
    for chunk in std::iter::once(first).chain(rest.chunks_exact(DIGITS_AT_ONCE)) {
        let number = |number, digit: &u8| number * 10 + u64::from(digit - b'0');
        let mut carry = chunk.iter().fold(0, number);
        for word in &mut words {
            carry += u64::from(*word) * TEN_TO_THAT;
            *word = u32::try_from(carry & u64::from(u32::MAX)).expect("32 bits");
            carry >>= 32;
        }
        if carry > 0 {
            words.push(u32::try_from(carry).expect("less than the power of ten"));
        }
    }
    // The lowest byte first.
    let mut magnitude: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    magnitude.push(0);
    if negative {
        let mut carry = true;
        for byte in &mut magnitude {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    // What only repeats the sign is not there.
    while let [.., below, top] = magnitude[..]
        && (top == 0 && below < 0x80 || top == 0xff && below >= 0x80)
    {
        magnitude.pop();
    }
    magnitude.reverse();
    magnitude.into()
}

#[cfg(test)]
mod tests {
    use forebay_connect_api::schema::Decimal;

    use super::*;

    #[test]
    fn numbers_become_others_as_in_java() {
        for (text, long, wrapped, double) in [
            ("12.5", None, 12, 12.5),
            ("-12.50e1", Some(-125), -125, -125.0),
            ("1e3", Some(1000), 1000, 1000.0),
            ("0.0", Some(0), 0, 0.0),
            ("9223372036854775808", None, i64::MIN, 9_223_372_036_854_775_808.0),
            ("1e2000000000", None, 0, f64::INFINITY),
            ("1e-2000000000", None, 0, 0.0),
            (".5", None, 0, 0.5),
            ("5.", Some(5), 5, 5.0),
        ] {
            let number = BigDecimal::parse(text).expect(text);
            assert_eq!(
                (number.to_i64(), number.to_i64_wrapping()),
                (long, wrapped),
                "{text}"
            );
            assert!(
                (number.to_f64() - double).abs() < 1e-9 || number.to_f64() == double,
                "{text}"
            );
        }
        for text in ["", "-", ".", "1e", "1e+", "e1", "1x", "0x1", "1e9999999999", " 1"] {
            assert_eq!(BigDecimal::parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn digits_are_encoded_as_the_api_reads_them(number: i128, zeros in 0_i64..4) {
            let parsed = BigDecimal::parse(&number.to_string()).expect("an integer");
            let encoded = parsed.unscaled(0).expect("it has no fraction");
            proptest::prop_assert_eq!(&encoded, &Decimal::encode(number));
            let more = parsed.unscaled(zeros).expect("only zeros are added");
            let power = u32::try_from(zeros).expect("few");
            if let Some(expected) = number.checked_mul(10_i128.pow(power)) {
                proptest::prop_assert_eq!(more, Decimal::encode(expected));
            }
        }

        #[test]
        fn numbers_of_any_size_are_encoded_as_the_api_writes_them(text in "-?[1-9][0-9]{0,3000}") {
            let parsed = BigDecimal::parse(&text).expect("an integer");
            let unscaled = &parsed.unscaled(0).expect("it has no fraction");
            proptest::prop_assert_eq!(Decimal { unscaled, scale: 0 }.to_string(), text);
        }
    }
}
