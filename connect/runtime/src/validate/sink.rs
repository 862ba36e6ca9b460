//! What a sink connector's topics must fulfil together (Kafka's `SinkConnectorConfig.validate`).

use forebay_config::{ConfigValue, Properties};

use super::add_error;
use crate::connector_config::{topics_list, whole};

/// Adds what is wrong.
pub(super) fn check(properties: &Properties, values: &mut Vec<ConfigValue>) {
    let text = |key: &str| {
        properties
            .get(key)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    };
    let (topics, regex) = (text("topics"), text("topics.regex"));
    if let Some(topics) = topics {
        let list: Vec<&str> = topics.split(',').map(str::trim).collect();
        let is_twice = |(index, topic): (usize, &&str)| list[..index].contains(topic);
        let wrong = if list.contains(&"") {
            Some("empty")
        } else if list.iter().enumerate().any(is_twice) {
            Some("duplicated")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let error = format!("Configuration 'topics' values must not be {wrong}.");
            add_error(values, "topics", Some(topics), error);
        }
    }
    let both = match (topics, regex) {
        (Some(_), Some(_)) => {
            Some("topics and topics.regex are mutually exclusive options, but both are set.".to_owned())
        }
        (None, None) => Some("Must configure one of topics or topics.regex".to_owned()),
        _ => None,
    };
    if let Some(error) = both {
        add_error(values, "topics", topics, error.clone());
        add_error(values, "topics.regex", regex, error);
    }
    let Some(queue) = text("errors.deadletterqueue.topic.name") else {
        return;
    };
    if let Some(topics) = topics {
        let list: Vec<String> = topics.split(',').map(|topic| topic.trim().to_owned()).collect();
        let list = topics_list(&list);
        if list.iter().any(|topic| topic == queue) {
            let list = list.join(", ");
            let error = format!(
                "The DLQ topic '{queue}' may not be included in the list of topics ('topics=[{list}]') consumed by the connector"
            );
            add_error(values, "topics", Some(topics), error);
        }
    }
    if let Some(regex) = regex
        && whole(regex).is_ok_and(|pattern| pattern.is_match(queue))
    {
        let error = format!(
            "The DLQ topic '{queue}' may not be matched by the regex for the topics ('topics.regex={regex}') consumed by the connector"
        );
        add_error(values, "topics.regex", Some(regex), error);
    }
}
