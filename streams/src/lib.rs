//! Micro-batch queries: a bounded offset range folded into keyed state, epoch by epoch.
