//! Which partition of `__consumer_offsets` has a group.

/// The partition that coordinates `group_id` among `partitions` (more than zero): Java's hash of the id, its sign cut off as
/// Kafka's `Utils.abs` does, modulo the count.
///
/// # Panics
/// When `partitions` is not positive.
#[must_use]
pub fn partition_for(group_id: &str, partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    let hash = group_id.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    let hash = if hash == i32::MIN { 0 } else { hash.abs() };
    hash % partitions
}

#[cfg(test)]
mod tests {
    use super::partition_for;

    #[test]
    fn groups_live_where_kafka_looks_for_them() {
        // From `Math.abs(id.hashCode()) % 50` in a Java shell.
        let cases = [
            ("", 0),
            ("a", 47),
            ("test", 48),
            ("console-consumer-1", 24),
            ("größe", 7),
            ("日本🦀", 19),
            ("polygenelubricants", 0),
        ];
        for (group_id, partition) in cases {
            assert_eq!(partition_for(group_id, 50), partition, "{group_id:?}");
        }
        assert_eq!(partition_for("anything", 1), 0);
    }
}
