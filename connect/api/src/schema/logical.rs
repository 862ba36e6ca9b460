//! Kafka's four logical types: a name on a primitive schema. Unlike in Java their values stay in the encoded form (Decimal: the
//! unscaled number, big-endian two's complement; Date: days; Time and Timestamp: milliseconds), so that most code need not know
//! them; who must, asks [`Schema::logical`].

use std::fmt;

use bytes::Bytes;

use super::{Schema, SchemaBuilder, Type, digits};
use crate::{Value, value::civil};

/// The name of Decimal: BYTES with the parameter [`SCALE_PARAMETER`].
pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// The name of Date: INT32, days since 1970-01-01.
pub const DATE: &str = "org.apache.kafka.connect.data.Date";
/// The name of Time: INT32, milliseconds since midnight.
pub const TIME: &str = "org.apache.kafka.connect.data.Time";
/// The name of Timestamp: INT64, milliseconds since 1970-01-01T00:00:00Z.
pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
/// The parameter of Decimal: how many digits are behind the point.
pub const SCALE_PARAMETER: &str = "scale";
/// Times are less than this.
pub const MILLISECONDS_PER_DAY: i32 = 86_400_000;

/// A logical type that a schema's name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logical {
    /// A decimal number with this many digits behind the point.
    Decimal {
        /// Digits behind the point; may be negative.
        scale: i32,
    },
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// A moment.
    Timestamp,
}

/// Begins a Decimal.
pub fn decimal(scale: i32) -> SchemaBuilder {
    Schema::bytes()
        .name(DECIMAL)
        .parameter(SCALE_PARAMETER, scale.to_string())
        .version(1)
}

/// Begins a Date.
pub fn date() -> SchemaBuilder {
    Schema::int32().name(DATE).version(1)
}

/// Begins a Time.
pub fn time() -> SchemaBuilder {
    Schema::int32().name(TIME).version(1)
}

/// Begins a Timestamp.
pub fn timestamp() -> SchemaBuilder {
    Schema::int64().name(TIMESTAMP).version(1)
}

impl Schema {
    /// The logical type, if the name is one's and the rest fits: a Decimal without a readable scale is just BYTES.
    pub fn logical(&self) -> Option<Logical> {
        match (self.name()?, self.schema_type()) {
            (DECIMAL, Type::Bytes) => {
                let scale = self.parameters().get(SCALE_PARAMETER)?;
                Some(Logical::Decimal {
                    scale: scale.parse().ok()?,
                })
            }
            (DATE, Type::Int32) => Some(Logical::Date),
            (TIME, Type::Int32) => Some(Logical::Time),
            (TIMESTAMP, Type::Int64) => Some(Logical::Timestamp),
            _ => None,
        }
    }
}

impl Logical {
    /// Shows an encoded value as Java shows the decoded one (`BigDecimal.toString`, `Date.toString` in UTC). `None` if it is no
    /// value of the type's encoding.
    pub fn show(self, value: &Value) -> Option<String> {
        let milliseconds = match (self, value) {
            (Self::Decimal { scale }, Value::Bytes(unscaled)) => {
                return Some(Decimal { unscaled, scale }.to_string());
            }
            (Self::Date, Value::Int32(days)) => i64::from(*days) * i64::from(MILLISECONDS_PER_DAY),
            (Self::Time, Value::Int32(milliseconds)) => i64::from(*milliseconds),
            (Self::Timestamp, Value::Int64(milliseconds)) => *milliseconds,
            _ => return None,
        };
        Some(civil::java_date(milliseconds))
    }

    /// The decoded value as ISO 8601 has dates and times, and a decimal in digits; `None` for a value of another type.
    pub fn iso(self, value: &Value) -> Option<String> {
        Some(match (self, value) {
            (Self::Decimal { .. }, _) => self.show(value)?,
            (Self::Date, Value::Int32(days)) => civil::iso_date((*days).into()),
            (Self::Time, Value::Int32(milliseconds)) => civil::iso_time((*milliseconds).into()),
            (Self::Timestamp, Value::Int64(milliseconds)) => civil::iso_timestamp(*milliseconds),
            _ => return None,
        })
    }
}

/// A decimal number in its encoded form, of any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal<'a> {
    /// Big-endian two's complement; empty is 0.
    pub unscaled: &'a [u8],
    /// Digits behind the point.
    pub scale: i32,
}

impl Decimal<'_> {
    /// The unscaled number, if it fits.
    pub fn to_i128(self) -> Option<i128> {
        let negative = self.unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
        let sign = if negative { 0xff } else { 0 };
        let cut = self.unscaled.len().saturating_sub(16);
        let (above, low) = self.unscaled.split_at(cut);
        let mut bytes = [sign; 16];
        bytes[16 - low.len()..].copy_from_slice(low);
        let number = i128::from_be_bytes(bytes);
        (above.iter().all(|byte| *byte == sign) && (number < 0) == negative).then_some(number)
    }

    /// Encodes a number in the fewest bytes (`BigInteger.toByteArray`).
    pub fn encode(unscaled: i128) -> Bytes {
        let bytes = unscaled.to_be_bytes();
        let sign = if unscaled < 0 { 0xff } else { 0 };
        let needless = bytes
            .windows(2)
            .take_while(|pair| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0)
            .count();
        Bytes::copy_from_slice(&bytes[needless..])
    }

    /// The digits of the unscaled number's magnitude, and whether it is negative.
    fn digits(self) -> (bool, String) {
        if let Some(number) = self.to_i128() {
            return (number < 0, number.unsigned_abs().to_string());
        }
        let negative = self.unscaled[0] & 0x80 != 0;
        let mut magnitude = self.unscaled.to_vec();
        if negative {
            let mut carry = true;
            for byte in magnitude.iter_mut().rev() {
                (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
            }
        }
        (negative, digits::of(&magnitude))
    }
}

/// As `BigDecimal.toString`: plain while the exponent is not below -6 and the scale not negative, else scientific.
impl fmt::Display for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (negative, digits) = self.digits();
        let sign = if negative { "-" } else { "" };
        let scale = i64::from(self.scale);
        let exponent = i64::try_from(digits.len()).unwrap_or(i64::MAX) - 1 - scale;
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        if scale < 0 || exponent < -6 {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            return write!(f, "{sign}{first}{point}{rest}E{exponent:+}");
        }
        let behind = usize::try_from(scale).expect("positive here");
        let missing = (behind + 1).saturating_sub(digits.len());
        let padded = "0".repeat(missing) + &digits;
        let (before, behind) = padded.split_at(padded.len() - behind);
        write!(f, "{sign}{before}.{behind}")
    }
}
