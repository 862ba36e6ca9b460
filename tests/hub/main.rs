//! The hub as its users meet it: the `forebay` binary in processes of its own, spoken to by librdkafka, by HTTP and by raw
//! sockets, stopped and killed. What each file is for: `tests/README.md`.

mod bad_input;
mod connect;
mod crash;
mod librdkafka;
mod line;
mod log_lines;
mod process;
mod rest;
mod tools;
mod wire;
