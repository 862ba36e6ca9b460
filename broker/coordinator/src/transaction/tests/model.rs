//! Everything at random.
