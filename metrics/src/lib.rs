//! What is counted, and how it is told: Prometheus' text form, and figures over the last half minute or so, as Kafka's own
//! metrics are.

mod sampled;
mod text;

pub use sampled::Sampled;
pub use text::{Kind, Text};
