//! One partition's log: segments, indexes, recovery, retention, producer state, leader epochs. Knows no protocol and no runtime.
