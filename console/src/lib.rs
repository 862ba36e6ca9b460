//! The web console: topics, groups, connectors and subjects, from the services' own APIs.
