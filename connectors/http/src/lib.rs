//! HTTP source (polls a JSON endpoint) and HTTP sink.
