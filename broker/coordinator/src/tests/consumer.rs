//! Consumer groups (KIP-848): what their members are told, rule by rule, and what is written.

mod classic_client;
mod classic_members;
mod client;
mod costs;
mod expression_syntax;
mod golden;
mod membership;
mod migration;
mod offsets;
mod reads;
mod reconciliation;
mod regular_expressions;
mod simulation;
mod static_members;
mod topics;
