//! One file per API: from Kafka's request to the rooms that decide, and from their decision to Kafka's response. Which
//! handler serves which API stands in the table of `router.rs`.

pub(crate) mod api_versions;
