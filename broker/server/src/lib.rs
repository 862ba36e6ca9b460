//! The broker's listeners, router, handlers and timers: moves bytes, decides nothing.
