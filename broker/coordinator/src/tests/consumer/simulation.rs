//! Members at random.
