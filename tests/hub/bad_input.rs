//! Bad input of every kind: one clear line that names cause and cure, nothing lost, nobody else disturbed
//! (B15, B18 and B26's inputs; bad batches are the broker's own tests).

mod command_line;
mod frames;
mod torn_tail;
