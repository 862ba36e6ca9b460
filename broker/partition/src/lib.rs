//! One replica as a pure state machine: epochs, in-sync replicas, high watermark, last stable offset, and who waits for what.
