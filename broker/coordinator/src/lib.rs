//! Group coordinator as a pure state machine: it decides, the server persists and answers.
