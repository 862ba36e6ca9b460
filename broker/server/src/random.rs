//! Chance, in the one place that asks for it.

/// 122 random bits, spread over 128.
pub(crate) fn random_bits() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}
