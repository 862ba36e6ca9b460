//! The keys that say what becomes of answers and failures, and what requests are made of records.

use forebay_connect_api::config::{Configuration, Setting};

/// Beyond where and how to send.
#[derive(Configuration)]
#[config(group = "Delivery")]
pub(super) struct Delivery {
    /// The body of a request, or of a record's part of it, with variables as in http.url. They are escaped as the Content-Type
    /// asks for (application/json unless it is set): inside JSON put them between quotes, or take ${json:value} and ${json:/field}.
    /// By default the record's value.
    #[config(name = "http.request.body")]
    pub(super) body: Option<String>,
    /// A header that names what a request has, so that a server can tell one that comes again: topic-partition-offset, and
    /// topic-partition-first-last of several records. Which records are in a request together may change when they come again.
    #[config(name = "http.idempotency.header")]
    pub(super) idempotency_header: Option<String>,
    /// What becomes of a record whose request failed for good. fail: the task fails, but a record that itself was refused goes to the
    /// dead letter queue if errors.tolerance=all. ignore and log: it is left out, without or with a warning. report: it goes to the
    /// dead letter queue, whatever the reason. retry: as fail, but what may pass is tried again for ever.
    #[config(name = "behavior.on.error", default = "fail", importance = Medium)]
    pub(super) on_error: OnError,
    /// The statuses after which a request is sent again, and ranges of them: 429,500-599 or 400-.
    #[config(name = "retry.on.status.codes", default = "408,429,500-")]
    pub(super) retry_on: String,
    /// The most requests per second and task, retries included. By default they are not limited.
    #[config(name = "http.requests.per.second", validator = Validator::NullOr(Box::new(Validator::between(0.000_1, 1_000_000))))]
    pub(super) rate: Option<f64>,
    /// The topic for answers: the beginning of each 2xx's body, with headers that name the records (input_record_topic and so on). By
    /// default there is none.
    #[config(name = "reporter.result.topic.name")]
    pub(super) result_topic: Option<String>,
    /// The topic for the errors of records that are left out or reported, with the same headers. By default there is none.
    #[config(name = "reporter.error.topic.name")]
    pub(super) error_topic: Option<String>,
    /// Whether only the status of an answer goes to the topic for answers.
    #[config(name = "report.only.status.code.to.success.topic", default = false)]
    pub(super) only_status: bool,
}

/// What becomes of a record whose request failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Setting)]
#[config(ignore_case)]
pub(in crate::sink) enum OnError {
    /// The task fails, unless the record is at fault and reported.
    Fail,
    /// It is left out.
    Ignore,
    /// It is left out, and a warning says so.
    Log,
    /// It is reported.
    Report,
    /// What may pass is handed back to the worker, which delivers it again.
    Retry,
}
