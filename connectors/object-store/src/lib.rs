//! The object-store sink: Parquet and JSON lines to file:// and s3://, exactly once by name.
