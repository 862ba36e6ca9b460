//! `--delete` and `--delete-offsets`.

use std::collections::BTreeMap;

use forebay_client::Admin;
use forebay_protocol::{ErrorCode, TopicPartition};

use super::tables;
use crate::cli::options::{Options, Stop};

/// Deletes groups and says which.
pub(super) async fn groups(admin: &Admin, groups: &[String]) -> Result<(), Stop> {
    let ids: Vec<&str> = groups.iter().map(String::as_str).collect();
    let mut deleted = Vec::new();
    let mut failed = BTreeMap::new();
    for (group, outcome) in admin.delete_groups(&ids).await? {
        match outcome {
            Ok(()) => deleted.push(group),
            Err(error) => {
                failed.insert(group, crate::cli::java::exception(&error));
            }
        }
    }
    crate::cli::print(&deletion(&deleted, &failed));
    Ok(())
}

fn deletion(deleted: &[String], failed: &BTreeMap<String, String>) -> String {
    let deleted: Vec<String> = deleted.iter().map(|group| format!("'{group}'")).collect();
    let deleted = deleted.join(", ");
    if failed.is_empty() {
        return format!("Deletion of requested consumer groups ({deleted}) was successful.\n");
    }
    let mut text = "\nError: Deletion of some consumer groups failed:\n".to_owned();
    for (group, cause) in failed {
        text.push_str(&format!(
            "* Group '{group}' could not be deleted due to: {cause}\n"
        ));
    }
    if !deleted.is_empty() {
        text.push_str(&format!(
            "\nThese consumer groups were deleted successfully: {deleted}\n"
        ));
    }
    text
}

/// Deletes offsets of one group.
pub(super) async fn offsets(admin: &Admin, options: &Options) -> Result<(), Stop> {
    let group = options.required("group")?;
    let (partitions, unknown) = super::topic_partitions(admin, &options.values("topic")).await?;
    let mut results: BTreeMap<(String, Option<i32>), Option<String>> = BTreeMap::new();
    for (topic, error) in &unknown {
        results.insert((topic.clone(), None), Some(crate::cli::java::exception(error)));
    }
    let mut refused = None;
    if !partitions.is_empty() {
        let key = |partition: &TopicPartition| (partition.topic.to_string(), Some(partition.partition));
        match admin.delete_group_offsets(group, &partitions).await {
            Ok(outcomes) => {
                for (partition, outcome) in outcomes {
                    let error = outcome.err();
                    results.insert(key(&partition), error.as_ref().map(crate::cli::java::exception));
                    refused = refused.or(error);
                }
            }
            Err(error) => {
                let reason = crate::cli::java::exception(&error);
                results.extend(
                    partitions
                        .iter()
                        .map(|partition| (key(partition), Some(reason.clone()))),
                );
                refused = Some(error);
            }
        }
    }
    match refused {
        None => say!("Request succeeded for deleting offsets from group {group}."),
        Some(error) => say!("\nError: {}", refusal(group, &error)),
    }
    crate::cli::print(&tables::deleted_offsets(&results));
    Ok(())
}

fn refusal(group: &str, error: &forebay_client::Error) -> String {
    match error.code() {
        Some(ErrorCode::NonEmptyGroup) => {
            format!("Deleting offsets of a consumer group '{group}' is forbidden if the group is not empty.")
        }
        Some(
            ErrorCode::GroupSubscribedToTopic
            | ErrorCode::TopicAuthorizationFailed
            | ErrorCode::UnknownTopicOrPartition,
        ) => "Encountered some partition-level error, see the follow-up details.".to_owned(),
        _ => crate::cli::reason(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_some_partitions_is_told_below() {
        let error = |code| forebay_client::Error::Broker {
            action: "delete offsets".into(),
            code,
            message: None,
        };
        let below = "Encountered some partition-level error, see the follow-up details.";
        assert_eq!(refusal("g", &error(ErrorCode::GroupSubscribedToTopic)), below);
        assert_eq!(refusal("g", &error(ErrorCode::UnknownTopicOrPartition)), below);
        assert_eq!(
            refusal("g", &error(ErrorCode::NonEmptyGroup)),
            "Deleting offsets of a consumer group 'g' is forbidden if the group is not empty."
        );
    }

    #[test]
    fn deletions_are_told_as_kafka_tells_them() {
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let failed = BTreeMap::from([("c".to_owned(), "The group is not empty.".to_owned())]);
        assert_eq!(
            deletion(&[a.clone(), b], &BTreeMap::new()),
            "Deletion of requested consumer groups ('a', 'b') was successful.\n"
        );
        let told = "\nError: Deletion of some consumer groups failed:\n* Group 'c' could not be deleted due to: The group is \
                    not empty.\n";
        assert_eq!(deletion(&[], &failed), told);
        let also = "\nThese consumer groups were deleted successfully: 'a'\n";
        assert_eq!(deletion(&[a], &failed), format!("{told}{also}"));
    }
}
