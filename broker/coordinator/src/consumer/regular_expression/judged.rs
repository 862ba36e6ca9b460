//! Whether what a heartbeat subscribes to is a regular expression: found out before the coordinator is asked, as it takes milliseconds, in
//! which all groups of its partition would wait.

use forebay_protocol::messages::ConsumerGroupHeartbeatRequest;

use super::RegularExpression;

/// The verdict on the expression of a heartbeat, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedExpression(Result<(), String>);

impl JudgedExpression {
    /// Judges the expression of a request, which takes time.
    #[must_use]
    pub fn of(request: &ConsumerGroupHeartbeatRequest) -> Self {
        let text = request.subscribed_topic_regex.as_deref().unwrap_or_default();
        if text.is_empty() {
            return Self(Ok(()));
        }
        Self(RegularExpression::parse(text).map(drop))
    }

    /// What is wrong with it, in one line.
    pub(crate) fn error(&self) -> Option<&str> {
        self.0.as_ref().err().map(String::as_str)
    }
}

#[cfg(test)]
thread_local! {
    static PARSED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
pub(super) fn count_parsed() {
    PARSED.set(PARSED.get() + 1);
}

/// How many expressions this thread has come to translate.
#[cfg(test)]
pub(crate) fn parsed_in_this_thread() -> usize {
    PARSED.get()
}
