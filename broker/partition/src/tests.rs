//! Tests of the whole state machine: single stories, and random commands against a simple reference.

mod model;
mod stories;
