//! An expression held against names, some letters at a time: in between whoever waits for it can be asked whether he still does, as a step
//! may take as long as the automaton is large, and names may be long.

use std::fmt;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input};

/// How many letters are looked at before it is asked again whether to go on.
pub(crate) const LETTERS_AT_A_TIME: usize = 64;
const NEVER_GIVES_UP: &str = "no byte ends a search early, and states are forgotten as often as need be";

/// An expression with what is remembered of the states that it has been in.
pub(crate) struct Matcher<'a> {
    automaton: &'a DFA,
    cache: Cache,
}

impl<'a> Matcher<'a> {
    /// Nothing is remembered yet.
    pub(super) fn new(automaton: &'a DFA) -> Self {
        Self {
            automaton,
            cache: automaton.create_cache(),
        }
    }

    /// Whether the whole of `name` matches; `None` if it may not go on.
    pub(crate) fn matches(&mut self, name: &str, may_go_on: &dyn Fn() -> bool) -> Option<bool> {
        let Self { automaton, cache } = self;
        let whole = Input::new(name).anchored(Anchored::Yes);
        let mut state = automaton
            .start_state_forward(cache, &whole)
            .expect(NEVER_GIVES_UP);
        for letters in name.as_bytes().chunks(LETTERS_AT_A_TIME) {
            if !may_go_on() {
                return None;
            }
            for letter in letters {
                state = automaton.next_state(cache, state, *letter).expect(NEVER_GIVES_UP);
            }
            if state.is_dead() {
                return Some(false);
            }
        }
        let end = automaton.next_eoi_state(cache, state).expect(NEVER_GIVES_UP);
        Some(end.is_match())
    }
}

impl fmt::Debug for Matcher<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Matcher").finish_non_exhaustive()
    }
}
