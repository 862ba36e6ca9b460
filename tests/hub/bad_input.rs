//! Bad input of every kind: one clear line that names cause and cure, nothing lost, nobody else disturbed
//! (B15, B18, B26 to B29). What the broker's own tests ask of its router is asked here of the binary, over sockets.

mod announced;
mod batches;
mod command_line;
mod frames;
mod names;
mod ranges;
mod torn_tail;
