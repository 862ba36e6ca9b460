//! Ranges of versions, as Kafka writes them: `3-9`, `3+`, `3`, `none`.

use anyhow::Context as _;

/// The versions from `lowest` to `highest`, both included; none where `lowest` is above `highest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) lowest: i16,
    pub(super) highest: i16,
}

impl Versions {
    pub(super) const NONE: Self = Self {
        lowest: 0,
        highest: -1,
    };

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let number = |text: &str| {
            text.parse::<i16>()
                .with_context(|| format!("{text:?} is no version"))
        };
        if text == "none" {
            Ok(Self::NONE)
        } else if let Some(lowest) = text.strip_suffix('+') {
            Ok(Self {
                lowest: number(lowest)?,
                highest: i16::MAX,
            })
        } else if let Some((lowest, highest)) = text.split_once('-') {
            Ok(Self {
                lowest: number(lowest)?,
                highest: number(highest)?,
            })
        } else {
            Ok(Self {
                lowest: number(text)?,
                highest: number(text)?,
            })
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self.lowest > self.highest
    }

    pub(super) fn contains(self, version: i16) -> bool {
        (self.lowest..=self.highest).contains(&version)
    }

    pub(super) fn intersect(self, other: Self) -> Self {
        let both = Self {
            lowest: self.lowest.max(other.lowest),
            highest: self.highest.min(other.highest),
        };
        if both.is_empty() { Self::NONE } else { both }
    }

    /// What is left without `other`, which is empty or reaches from somewhere inside to the end.
    pub(super) fn without_tail(self, other: Self) -> Self {
        if other.is_empty() {
            self
        } else {
            Self {
                lowest: self.lowest,
                highest: self.highest.min(other.lowest - 1),
            }
            .intersect(self)
        }
    }

    /// When a `version` that is one of `possible` is one of these.
    pub(super) fn when(self, possible: Self) -> When {
        let both = self.intersect(possible);
        if both.is_empty() {
            When::Never
        } else if both == possible {
            When::Always
        } else if both.lowest == both.highest {
            When::If(format!("version == {}", both.lowest))
        } else if both.lowest == possible.lowest {
            When::If(format!("version <= {}", both.highest))
        } else if both.highest == possible.highest {
            When::If(format!("version >= {}", both.lowest))
        } else {
            When::If(format!("({}..={}).contains(&version)", both.lowest, both.highest))
        }
    }
}

/// A condition on `version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    Always,
    Never,
    /// A Rust expression.
    If(String),
}

impl When {
    /// `yes` where it holds, `no` where not.
    pub(super) fn choose(&self, yes: &str, no: &str) -> String {
        match self {
            Self::Always => yes.to_owned(),
            Self::Never => no.to_owned(),
            Self::If(condition) => format!("if {condition} {{ {yes} }} else {{ {no} }}"),
        }
    }

    /// As an expression.
    pub(super) fn expression(&self) -> String {
        match self {
            Self::Always => "true".to_owned(),
            Self::Never => "false".to_owned(),
            Self::If(condition) => condition.clone(),
        }
    }

    /// The statements `yes` where it holds.
    pub(super) fn then(&self, yes: &str) -> String {
        match self {
            Self::Always => yes.to_owned(),
            Self::Never => String::new(),
            Self::If(condition) => format!("if {condition} {{\n{yes}}}\n"),
        }
    }

    /// Where it does not hold.
    pub(super) fn negated(&self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::If(condition) => {
                for (operator, opposite) in [("<=", ">"), (">=", "<"), ("==", "!=")] {
                    if let Some(version) = condition.strip_prefix(&format!("version {operator} ")) {
                        return Self::If(format!("version {opposite} {version}"));
                    }
                }
                Self::If(format!("!{condition}"))
            }
        }
    }
}
