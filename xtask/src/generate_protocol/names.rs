//! Kafka's names in Rust's spelling.

const KEYWORDS: [&str; 4] = ["type", "match", "ref", "move"];

/// `TopicId` as `topic_id`.
pub(super) fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, letter) in letters.iter().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            let after_lower = !letters[index - 1].is_ascii_uppercase();
            let before_lower = letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
            if after_lower || before_lower {
                snake.push('_');
            }
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// `TopicId` as the name of a field.
pub(super) fn field(name: &str) -> String {
    let name = snake(name);
    if KEYWORDS.contains(&name.as_str()) {
        format!("r#{name}")
    } else {
        name
    }
}

/// `TopicId` as Kafka's JSON and error messages have it: `topicId`.
pub(super) fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(letters)
        .collect()
}

/// `TopicId` as the variable that holds the field while its structure is read: not one that the code around it needs.
pub(super) fn local(name: &str) -> String {
    let name = field(name);
    if matches!(name.as_str(), "reader" | "version" | "flexible") {
        format!("its_{name}")
    } else {
        name
    }
}
