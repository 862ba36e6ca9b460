//! What the coordinator answers and writes, API by API; then everything at random.

mod cluster;
mod consumer;
mod driver;
mod expiry;
mod golden;
mod join;
mod leave;
mod model;
mod offset_delete;
mod offsets;
mod persistence;
mod reads;
mod simulation;
mod static_members;
mod sync;
mod transactions;

use driver::Driver;
