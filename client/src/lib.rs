//! The Kafka client that every service above the broker uses: transports, metadata, producer, consumer, admin.
