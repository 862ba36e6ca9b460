//! Chance as a parameter: every choice of one command is derived from the bits that came in with it, so that a seed gives
//! the same run again. The generator is xoroshiro128++ (Blackman, Vigna 2019).

use forebay_protocol::Uuid;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: [u64; 2],
}

impl Random {
    /// The stream that these bits give.
    pub(crate) fn new(seed: u128) -> Self {
        let bytes = seed.to_le_bytes();
        let half = |range: std::ops::Range<usize>| {
            // SplitMix64's finish, so that seeds that differ in one bit give different streams from the first number on.
            let mut word = u64::from_le_bytes(bytes[range].try_into().expect("eight bytes"));
            word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        };
        let state = [half(0..8), half(8..16)];
        // Nothing but zeros would stay nothing but zeros.
        Self {
            state: if state == [0, 0] { [1, 0] } else { state },
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [first, mut second] = self.state;
        let result = first.wrapping_add(second).rotate_left(17).wrapping_add(first);
        second ^= first;
        self.state = [
            first.rotate_left(49) ^ second ^ (second << 21),
            second.rotate_left(28),
        ];
        result
    }

    /// A number below `bound`, which is not zero. The bias of the remainder is below one in 2^32 for every bound used here.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Puts a list in random order (Fisher, Yates).
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for index in (1..list.len()).rev() {
            list.swap(index, self.below(index + 1));
        }
    }

    /// An id that Kafka could have given out.
    pub(crate) fn uuid(&mut self) -> Uuid {
        loop {
            let bytes = (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes();
            if let Some(id) = Uuid::random_from(bytes) {
                return id;
            }
        }
    }
}
