//! The Connect worker: herder, tasks, converters, the three storage topics, and the REST API.
