//! The schema registry: subjects, versions and identifiers over the `_schemas` topic, served as Confluent's REST.
