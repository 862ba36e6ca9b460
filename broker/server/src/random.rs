//! Chance, in the one place that asks for it.

use forebay_protocol::Uuid;

/// 122 random bits, spread over 128.
pub(crate) fn random_bits() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

/// A random id that is none of Kafka's reserved ones and does not look like an option on a command line.
pub(crate) fn random_uuid() -> Uuid {
    std::iter::repeat_with(random_bits)
        .find_map(|bits| Uuid::random_from(bits.to_be_bytes()))
        .unwrap_or(Uuid::ZERO)
}
