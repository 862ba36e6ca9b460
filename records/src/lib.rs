//! Record batches, version 2 (Kafka's `DefaultRecordBatch`): zero-copy reader, builder, checksums, bounded compression. Pure.
