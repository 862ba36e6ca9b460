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
    use super::nearest;

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
