//! What files hold: where their records end, and what values they become.

pub(super) mod csv;
pub(super) mod json;
pub(super) mod lines;
pub(super) mod schema;
