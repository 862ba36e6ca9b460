//! `--from-file`: offsets as `--export` prints them, of one group without its name, or of several with it.

use std::collections::BTreeMap;

use forebay_protocol::TopicPartition;
use forebay_records::Offset;

/// The offsets of each group in a file. Lines without a group's name are of the group that `--group` names, if it is but one.
pub(super) fn read(
    text: &str,
    groups: &[&str],
) -> Result<BTreeMap<String, BTreeMap<TopicPartition, Offset>>, String> {
    let mut plan: BTreeMap<String, BTreeMap<TopicPartition, Offset>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let cells: Vec<&str> = line
            .split(',')
            .map(|cell| cell.trim().trim_matches('"'))
            .collect();
        let (group, cells) = match (cells.as_slice(), groups) {
            ([topic, partition, offset], [group]) => (*group, [*topic, *partition, *offset]),
            ([group, topic, partition, offset], _) => (*group, [*topic, *partition, *offset]),
            _ => return Err(wrong(line)),
        };
        let [topic, partition, offset] = cells;
        let partition = partition.parse().map_err(|_| wrong(line))?;
        let offset = offset.parse().map_err(|_| wrong(line))?;
        let of_group = plan.entry(group.to_owned()).or_default();
        of_group.insert(TopicPartition::new(topic, partition), Offset(offset));
    }
    Ok(plan)
}

fn wrong(line: &str) -> String {
    format!(
        "the line {line:?} of the plan is neither topic,partition,offset of one --group nor group,topic,partition,offset"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_the_group_unless_there_is_but_one() {
        let one = BTreeMap::from([(TopicPartition::new("t", 1), Offset(7))]);
        let cases = [
            ("t,1,7\n", &["g"][..], Some("g")),
            ("g,t,1,7\n\n", &["g"], Some("g")),
            ("h,t,1,7\n", &[], Some("h")),
            ("t,1,7\n", &[], None),
            ("t,1,7\n", &["a", "b"], None),
            ("t,x,7\n", &["g"], None),
            ("t,1\n", &["g"], None),
        ];
        for (text, groups, expected) in cases {
            let expected = expected.map(|group| BTreeMap::from([(group.to_owned(), one.clone())]));
            assert_eq!(read(text, groups).ok(), expected, "{text} {groups:?}");
        }
    }
}
