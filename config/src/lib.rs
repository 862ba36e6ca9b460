//! Configuration definitions as Kafka has them (`ConfigDef`), and readers of TOML and `.properties`. One for all roles.
