//! The REST proxy: produce and consume over HTTP as Confluent's version 2 does.
