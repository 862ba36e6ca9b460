//! Which known name a misspelt one nearly is.

/// The known name nearest to `name`, if it is near enough to be meant: apart from case and from `_` or `-` for `.`, at most
/// one edit in five characters differs (a letter more, less, other, or two swapped).
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A name from outside may be of any length; nothing that long is nearly a key of ours.
    const NAME_BYTES_MAX: usize = 256;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let wanted = normalized(name);
    let edits_max = (wanted.len() / 5).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (edits(&wanted, &normalized(candidate)), candidate))
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// What a sentence about an unknown class ends with: the known ones that were meant, by their names without the package. Empty if there is
/// none: ` Did you mean InsertField$Key, InsertField$Value?`.
pub fn class_hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    fn simple(class: &str) -> &str {
        class.rsplit('.').next().unwrap_or(class)
    }
    let (known, wanted): (Vec<&str>, _) = (known.into_iter().collect(), simple(name.trim()));
    let is_of = |class: &&str| {
        let own = simple(class);
        own == wanted || own.strip_prefix(wanted).is_some_and(|side| side.starts_with('$'))
    };
    let mut meant: Vec<&str> = known.iter().copied().filter(|class| is_of(class)).collect();
    if meant.is_empty() && !wanted.is_empty() {
        meant.extend(nearest(wanted, known.iter().map(|class| simple(class))));
    }
    if meant.is_empty() {
        return String::new();
    }
    format!(" Did you mean {}?", meant.join(", "))
}

/// The one known key that has all parts of `name` in their order and another one between them, such as `http.request.url` for `http.url`.
pub(crate) fn with_one_part_more<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted: Vec<&str> = name.split('.').collect();
    if wanted.len() < 2 {
        return None;
    }
    let is_longer = |candidate: &&str| {
        let parts: Vec<&str> = candidate.split('.').collect();
        (1..parts.len().saturating_sub(1)).any(|left_out| {
            let rest = parts.iter().enumerate().filter(|(index, _)| *index != left_out);
            rest.map(|(_, part)| *part).eq(wanted.iter().copied())
        })
    };
    let mut found = known.into_iter().filter(is_longer);
    match (found.next(), found.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

fn normalized(name: &str) -> Vec<char> {
    name.chars()
        .map(|c| {
            if matches!(c, '_' | '-') {
                '.'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// The optimal string alignment distance: Levenshtein's, and a swap of neighbours counts as one edit.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let other = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + other);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{class_hint, nearest, with_one_part_more};

    #[test]
    fn classes_are_meant_by_their_simple_names() {
        let known = [
            "a.b.InsertField$Key",
            "a.b.InsertField$Value",
            "a.b.Filter",
            "c.AvroConverter",
        ];
        for (name, expected) in [
            ("x.y.AvroConverter", " Did you mean c.AvroConverter?"),
            (
                "a.b.InsertField",
                " Did you mean a.b.InsertField$Key, a.b.InsertField$Value?",
            ),
            ("a.b.InsertFeild$Value", " Did you mean InsertField$Value?"),
            ("a.b.Filtre", " Did you mean Filter?"),
            ("a.b.Other", ""),
            ("", ""),
        ] {
            assert_eq!(class_hint(name, known), expected, "{name}");
        }
    }

    #[test]
    fn a_part_that_was_left_out_is_found_where_there_is_one_such_key() {
        let known = ["http.request.url", "http.request.method", "http.a.b", "http.c.b"];
        for (name, expected) in [
            ("http.url", Some("http.request.url")),
            ("http.b", None),
            ("url", None),
            ("request.url", None),
            ("http.request", None),
        ] {
            assert_eq!(with_one_part_more(name, known), expected, "{name}");
        }
    }

    #[test]
    fn a_slip_is_recognized_and_another_word_is_not() {
        let known = ["min.insync.replicas", "log.dirs", "log.dir", "acks", "linger.ms"];
        let cases = [
            ("min.insync.replica", Some("min.insync.replicas")),
            ("min_insync_replicas", Some("min.insync.replicas")),
            ("MIN.INSYNC.RELPICAS", Some("min.insync.replicas")),
            ("ack", Some("acks")),
            ("akcs", Some("acks")),
            ("aks", Some("acks")),
            ("log.dris", Some("log.dirs")),
            ("zookeeper.connect", None),
            ("a", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        assert_eq!(nearest(&"acks".repeat(100_000), known), None);
    }
}
