//! The names that a topic may have.

/// Kafka's.
const CHARACTERS_MAX: usize = 249;

/// # Errors
/// If it is no name of a topic.
pub(crate) fn check(name: &str) -> Result<(), String> {
    let legal = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    if name.is_empty() || name.len() > CHARACTERS_MAX || !name.chars().all(legal) {
        return Err(format!(
            "a topic's name has 1 to {CHARACTERS_MAX} ASCII letters, digits, '.', '_' and '-'"
        ));
    }
    Ok(())
}
