//! What the transaction coordinator answers and writes.
