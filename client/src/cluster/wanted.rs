//! The topics whose metadata is asked for, and which of them the broker may create on the way (`auto.create.topics.enable`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use forebay_protocol::Utf8Bytes;

use super::{Cluster, lock};

/// Which topics a client has the broker create when it asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creates {
    /// None.
    Nothing,
    /// All that are asked for by name, as a consumer with `allow.auto.create.topics`.
    Wanted,
    /// Those that somebody waits for. A producer knows many more, and one of them that was deleted must not come back because
    /// of what is sent to another.
    Awaited,
}

/// The topics.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    all: bool,
    names: BTreeSet<Utf8Bytes>,
    /// With how many wait for each.
    awaited: BTreeMap<Utf8Bytes, usize>,
}

/// What a broker is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// `None`: all there are.
    pub(super) topics: Option<Vec<Utf8Bytes>>,
    /// Whether those that are not there are to be created.
    pub(super) creates: bool,
}

/// Topics that somebody waits for; until this is dropped they are asked for.
#[derive(Debug)]
pub(crate) struct Awaited {
    cluster: Cluster,
    names: Vec<Utf8Bytes>,
}

impl Wanted {
    pub(super) fn keeps(&self, name: &str) -> bool {
        self.all || self.names.contains(name) || self.awaited.contains_key(name)
    }

    /// What to ask for everything that is wanted; those that may be created apart from those that may not.
    pub(super) fn questions(&self, creates: Creates) -> Vec<Question> {
        let awaited: Vec<Utf8Bytes> = self.awaited.keys().cloned().collect();
        let others = self.names.iter().filter(|name| !self.awaited.contains_key(*name));
        let mut others: Vec<Utf8Bytes> = others.cloned().collect();
        if self.all {
            return vec![Question {
                topics: None,
                creates: creates == Creates::Wanted,
            }];
        }
        if creates != Creates::Awaited {
            others.extend(awaited);
            return vec![Question {
                topics: Some(others),
                creates: creates == Creates::Wanted,
            }];
        }
        let mut questions = Vec::new();
        if !awaited.is_empty() {
            questions.push(Question {
                topics: Some(awaited),
                creates: true,
            });
        }
        // Also if there are none at all: then the brokers are asked for.
        if !others.is_empty() || questions.is_empty() {
            questions.push(Question {
                topics: Some(others),
                creates: false,
            });
        }
        questions
    }
}

impl Cluster {
    /// Asks for these topics too from now on. Says whether one of them is new.
    pub(crate) fn want<'a>(&self, topics: impl IntoIterator<Item = &'a str>) -> bool {
        let mut wanted = lock(&self.0.wanted);
        let mut new = false;
        for topic in topics {
            if !wanted.names.contains(topic) {
                new |= wanted.names.insert(topic.into());
            }
        }
        new
    }

    /// Asks for these topics only, or for all, from now on.
    pub(crate) fn want_only(&self, topics: Option<BTreeSet<Utf8Bytes>>) {
        let mut wanted = lock(&self.0.wanted);
        wanted.all = topics.is_none();
        wanted.names = topics.unwrap_or_default();
    }

    /// Asks for these topics too as long as somebody waits for them.
    pub(crate) fn await_topics(&self, names: Vec<Utf8Bytes>) -> Awaited {
        let mut wanted = lock(&self.0.wanted);
        for name in &names {
            *wanted.awaited.entry(name.clone()).or_default() += 1;
        }
        Awaited {
            cluster: self.clone(),
            names,
        }
    }

    /// Asks for these topics no more, and forgets what is known of them.
    pub(crate) fn forget(&self, names: &[Utf8Bytes]) {
        let mut wanted = lock(&self.0.wanted);
        for name in names {
            wanted.names.remove(name);
        }
        self.drop_unwanted(&wanted, names);
    }

    fn drop_unwanted(&self, wanted: &Wanted, names: &[Utf8Bytes]) {
        let mut snapshot = lock(&self.0.snapshot);
        let is_over = |name: &&Utf8Bytes| !wanted.keeps(name) && snapshot.topics.contains_key(*name);
        let over: Vec<&Utf8Bytes> = names.iter().filter(is_over).collect();
        if !over.is_empty() {
            *snapshot =
                Arc::new(snapshot.changed(|topics, _| topics.retain(|name, _| !over.contains(&name))));
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let mut wanted = lock(&self.cluster.0.wanted);
        for name in &self.names {
            if let Some(count) = wanted.awaited.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    wanted.awaited.remove(name);
                }
            }
        }
        self.cluster.drop_unwanted(&wanted, &self.names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_awaited_may_be_created() {
        let name = |name: &str| Utf8Bytes::from(name);
        let question = |topics: &[&str], creates| Question {
            topics: Some(topics.iter().map(|topic| name(topic)).collect()),
            creates,
        };
        let mut wanted = Wanted::default();
        assert_eq!(wanted.questions(Creates::Awaited), [question(&[], false)]);
        wanted.names = ["a", "b"].map(name).into();
        assert_eq!(wanted.questions(Creates::Awaited), [question(&["a", "b"], false)]);
        assert_eq!(wanted.questions(Creates::Wanted), [question(&["a", "b"], true)]);
        wanted.awaited = [(name("b"), 1), (name("c"), 2)].into();
        let both = [question(&["b", "c"], true), question(&["a"], false)];
        assert_eq!(wanted.questions(Creates::Awaited), both);
        assert_eq!(
            wanted.questions(Creates::Nothing),
            [question(&["a", "b", "c"], false)]
        );
        wanted.names = BTreeSet::new();
        assert_eq!(wanted.questions(Creates::Awaited), [question(&["b", "c"], true)]);
    }
}
