//! What a connector author sees: connectors, tasks, records, schemas, configuration definitions.
