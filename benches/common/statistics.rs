//! Medians and percentiles.

/// The two percentiles that the report prints, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percentiles {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Percentiles {
    /// # Panics
    /// Where there is no sample: a measurement without one must not print a figure.
    pub(crate) fn of(mut samples_ms: Vec<f64>) -> Self {
        assert!(!samples_ms.is_empty(), "no sample was taken");
        samples_ms.sort_by(f64::total_cmp);
        let at = |share: f64| samples_ms[((samples_ms.len() - 1) as f64 * share).round() as usize];
        Self {
            p50_ms: at(0.5),
            p99_ms: at(0.99),
        }
    }
}

/// The middle of `values` (the lower one of two).
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) / 2]
}
