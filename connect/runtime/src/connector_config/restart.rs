//! Whether and how a connector or task that has failed is started again by itself (`errors.restart.*`). Kafka's workers leave it FAILED
//! until somebody restarts it.

use std::time::Duration;

use forebay_config::{ConfigDef, ConfigKey, ConfigType, Importance, Properties, Validator, Width};

use super::def::ERRORS;

const ATTEMPTS: &str = "errors.restart.max.attempts";
const DELAY: &str = "errors.restart.delay.ms";
const DELAY_MAX: &str = "errors.restart.delay.max.ms";
const RESET: &str = "errors.restart.reset.ms";

/// How what has failed is started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RestartPolicy {
    /// How often in a row; `None`: always.
    attempts_max: Option<u32>,
    delay: Duration,
    delay_max: Duration,
    /// After having run for so long, the next failure is the first again.
    reset: Duration,
}

/// What becomes of something that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is started again after this time, for this time in a row.
    Again(Duration, u32),
    /// It has been started again so often, and stays as it is.
    Enough(u32),
    /// It was not to be started again.
    Never,
}

impl RestartPolicy {
    /// That of a connector, whose configuration is good.
    pub(crate) fn new(connector: &Properties) -> Self {
        let own: Properties = KEYS
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), connector.get(key)?.clone())))
            .collect();
        let parsed = restart_keys(ConfigDef::new()).parse(&own);
        // What cannot be read is why the connector does not start at all.
        let Ok(parsed) = parsed.or_else(|_| restart_keys(ConfigDef::new()).parse(&Properties::new())) else {
            unreachable!("every key has a default");
        };
        let milliseconds = |key| Duration::from_millis(parsed.get_long(key).unsigned_abs());
        Self {
            attempts_max: u32::try_from(parsed.get_int(ATTEMPTS)).ok(),
            delay: milliseconds(DELAY),
            delay_max: milliseconds(DELAY_MAX),
            reset: milliseconds(RESET),
        }
    }

    /// What becomes of something that ran for so long, and had been started again so many times in a row before that.
    pub(crate) fn judge(&self, attempts: u32, ran: Duration) -> Verdict {
        let attempts = if ran >= self.reset { 0 } else { attempts };
        match self.attempts_max {
            Some(0) => Verdict::Never,
            Some(max) if attempts >= max => Verdict::Enough(attempts),
            _ => {
                let doubled = self
                    .delay
                    .saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX));
                Verdict::Again(
                    doubled.min(self.delay_max.max(self.delay)),
                    attempts.saturating_add(1),
                )
            }
        }
    }
}

impl Verdict {
    /// What a status says of it behind the reason of the failure.
    pub(crate) fn note(self) -> String {
        match self {
            Self::Again(delay, attempt) => {
                let seconds = delay.as_secs_f64();
                format!(
                    "\nIt is started again after {seconds} s, for the {attempt}. time in a row ({ATTEMPTS})."
                )
            }
            Self::Enough(attempts) => {
                format!(
                    "\nIt has been started again {attempts} times in a row ({ATTEMPTS}) and is left as it is."
                )
            }
            Self::Never => String::new(),
        }
    }
}

const KEYS: [&str; 4] = [ATTEMPTS, DELAY, DELAY_MAX, RESET];

/// Adds the keys, which Kafka does not have.
pub(super) fn restart_keys(def: ConfigDef) -> ConfigDef {
    let key = |name: &str, config_type, order, display_name: &str| {
        ConfigKey::new(name, config_type)
            .group(ERRORS, order)
            .width(Width::Medium)
            .display_name(display_name)
            .importance(Importance::Medium)
    };
    def.define(
        key(ATTEMPTS, ConfigType::Int, 20, "Restarts of what has failed")
            .default(0)
            .validator(Validator::at_least(-1))
            .documentation(
                "How often in a row a connector or task that has failed is started again by itself. The default is 0: it stays FAILED until it \
                 is restarted over the REST API, as in Apache Kafka. Use -1 for no limit.",
            ),
    )
    .define(
        key(DELAY, ConfigType::Long, 21, "Delay before the first restart")
            .default(1_000)
            .validator(Validator::at_least(1))
            .documentation("How many milliseconds after a failure the first restart comes; before each further one in a row the delay is doubled."),
    )
    .define(
        key(DELAY_MAX, ConfigType::Long, 22, "Longest delay before a restart")
            .default(300_000)
            .validator(Validator::at_least(1))
            .documentation("To how many milliseconds the delay before a restart grows."),
    )
    .define(
        key(RESET, ConfigType::Long, 23, "Time without failure after which restarts count anew")
            .default(600_000)
            .validator(Validator::at_least(0))
            .documentation("After how many milliseconds without a failure the count of restarts in a row, and the delay, begin anew."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(pairs: &[(&str, &str)]) -> RestartPolicy {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        RestartPolicy::new(&pairs.collect())
    }

    #[test]
    fn restarts_come_later_and_later_until_they_are_enough() {
        let second = Duration::from_secs(1);
        assert_eq!(policy(&[]).judge(0, second), Verdict::Never);
        assert_eq!(policy(&[(ATTEMPTS, "many")]).judge(0, second), Verdict::Never);
        let three = policy(&[(ATTEMPTS, "3"), (DELAY_MAX, "3000"), (RESET, "60000")]);
        let verdicts: Vec<Verdict> = (0..4).map(|attempts| three.judge(attempts, second)).collect();
        let again = |seconds, attempt| Verdict::Again(second * seconds, attempt);
        assert_eq!(
            verdicts,
            [again(1, 1), again(2, 2), again(3, 3), Verdict::Enough(3)]
        );
        assert_eq!(three.judge(3, second * 60), again(1, 1), "it ran long enough");
        assert_eq!(three.judge(3, second * 59), Verdict::Enough(3));
        let always = policy(&[(ATTEMPTS, "-1")]);
        assert_eq!(always.judge(u32::MAX, second), again(300, u32::MAX));
    }
}
