//! The options of Kafka's tools, read as their parser (joptsimple) reads them: `--name value`, `--name=value`, `-name value`, each
//! as often as one likes; and answers for the options that old versions of Kafka had.

use std::process::ExitCode;
use std::str::FromStr;

/// Whether an option takes a value, and what kind the help calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    /// `--list`
    None,
    /// `--topic <topic>`
    Required(&'static str),
    /// `--state [states]`
    Optional(&'static str),
}

/// One option of a tool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    pub name: &'static str,
    pub argument: Argument,
    pub help: &'static str,
}

/// An option without a value.
pub(super) const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        argument: Argument::None,
        help,
    }
}

/// An option with a value.
pub(super) const fn valued(name: &'static str, kind: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        argument: Argument::Required(kind),
        help,
    }
}

/// What a tool is and which options it takes.
#[derive(Debug)]
pub(super) struct Tool {
    /// Its subcommand.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// In the order of the help.
    pub flags: &'static [Flag],
    /// Options that Kafka had once, and what to write instead.
    pub gone: &'static [(&'static str, &'static str)],
}

/// Why a tool ends before it has begun, or without doing what it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// `--help`
    Help,
    /// `--version`
    Version,
    /// No arguments at all.
    Nothing,
    /// The arguments make no sense.
    Usage(String),
    /// They do, but it cannot be done.
    Failed(String),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

impl From<forebay_client::Error> for Stop {
    fn from(error: forebay_client::Error) -> Self {
        Self::Failed(super::reason(&error))
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Stop {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Says so, and gives the exit code.
    pub(super) fn report(self, tool: &Tool) -> ExitCode {
        match self {
            Self::Help => {
                crate::cli::print(&tool.help());
                ExitCode::SUCCESS
            }
            Self::Version => {
                say!("{} (speaks Apache Kafka 4.3)", env!("CARGO_PKG_VERSION"));
                ExitCode::SUCCESS
            }
            Self::Nothing => {
                eprint!("{}", tool.help());
                ExitCode::FAILURE
            }
            Self::Usage(message) => {
                eprintln!("{message}");
                eprintln!("forebay {} --help shows all options", tool.name);
                ExitCode::FAILURE
            }
            Self::Failed(message) => {
                eprintln!("{message}");
                ExitCode::FAILURE
            }
        }
    }
}

const HELP: &str = "help";
const VERSION: &str = "version";

impl Tool {
    /// Reads arguments.
    pub(super) fn parse(&'static self, arguments: &[String]) -> Result<Options, Stop> {
        let mut given = Vec::new();
        let mut rest = arguments.iter().map(String::as_str).peekable();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                // What stands behind is no option, and no tool takes anything else; Kafka's ignore it, too.
                break;
            }
            let Some(name) = option_name(argument) else {
                return Err(Stop::usage(format!(
                    "Unexpected argument {argument:?}: options begin with --"
                )));
            };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            match name {
                HELP => return Err(Stop::Help),
                VERSION => return Err(Stop::Version),
                _ => {}
            }
            let flag = self.flag(name)?;
            let value = match (flag.argument, value) {
                (Argument::None, None) => None,
                (Argument::None, Some(_)) => {
                    return Err(Stop::usage(format!("Option {name} takes no argument")));
                }
                (Argument::Required(_) | Argument::Optional(_), Some(value)) => Some(value),
                (Argument::Required(_), None) => {
                    let missing = || Stop::usage(format!("Option {name} requires an argument"));
                    Some(rest.next().ok_or_else(missing)?.to_owned())
                }
                (Argument::Optional(_), None) => rest
                    .next_if(|next| option_name(next).is_none())
                    .map(ToOwned::to_owned),
            };
            given.push((flag.name, value));
        }
        if arguments.is_empty() {
            return Err(Stop::Nothing);
        }
        Ok(Options { given })
    }

    /// The option of this name.
    pub(super) fn find(&self, name: &str) -> Option<&'static Flag> {
        self.flags.iter().find(|flag| flag.name == name)
    }

    fn flag(&self, name: &str) -> Result<&'static Flag, Stop> {
        if let Some(flag) = self.find(name) {
            return Ok(flag);
        }
        let gone = self
            .gone
            .iter()
            .find(|(old, _)| *old == name)
            .map(|(_, instead)| (*instead).to_owned());
        let nearest = || {
            let names = self.flags.iter().map(|flag| flag.name);
            forebay_config::nearest(name, names).map(|near| format!("did you mean --{near}?"))
        };
        let hint = gone
            .or_else(nearest)
            .map_or_else(String::new, |hint| format!(": {hint}"));
        Err(Stop::usage(format!("{name} is not a recognized option{hint}")))
    }

    fn help(&self) -> String {
        let mut text = format!("{}\n\nUsage: forebay {} [options]\n\n", self.about, self.name);
        let own = [switch(HELP, "Print this."), switch(VERSION, "Print the version.")];
        let mut flags: Vec<&Flag> = self.flags.iter().chain(&own).collect();
        flags.sort_unstable_by_key(|flag| flag.name);
        for flag in flags {
            let argument = match flag.argument {
                Argument::None => String::new(),
                Argument::Required(kind) => format!(" <{kind}>"),
                Argument::Optional(kind) => format!(" [{kind}]"),
            };
            text.push_str(&format!("  --{}{argument}\n", flag.name));
            for line in wrap(flag.help, 88) {
                text.push_str(&format!("        {line}\n"));
            }
        }
        text
    }
}

/// `--name` or `-name`; a lone dash and a negative number are values.
fn option_name(argument: &str) -> Option<&str> {
    let name = argument
        .strip_prefix("--")
        .or_else(|| argument.strip_prefix('-'))?;
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        .then_some(name)
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// The options that were given.
#[derive(Debug)]
pub(super) struct Options {
    given: Vec<(&'static str, Option<String>)>,
}

impl Options {
    /// Whether an option was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// The value of an option that may be given once.
    pub(super) fn value(&self, name: &str) -> Result<Option<&str>, Stop> {
        match self.values(name).as_slice() {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(Stop::usage(format!(
                "Found multiple arguments for option {name}, but you asked for only one"
            ))),
        }
    }

    /// All values of an option, in order.
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        let of_name = self.given.iter().filter(|(given, _)| *given == name);
        of_name.filter_map(|(_, value)| value.as_deref()).collect()
    }

    /// The values of several options in the order in which they were given.
    pub(super) fn in_order(&self, names: &[&str]) -> impl Iterator<Item = Option<&str>> {
        let among = self.given.iter().filter(move |(given, _)| names.contains(given));
        among.map(|(_, value)| value.as_deref())
    }

    /// The value of an option that is a number.
    pub(super) fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, Stop> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| Stop::usage(format!("Cannot parse argument '{text}' of option {name}")))
        };
        self.value(name)?.map(parse).transpose()
    }

    /// The value of an option that must be given.
    pub(super) fn required(&self, name: &str) -> Result<&str, Stop> {
        let missing = || Stop::usage(format!("Missing required argument \"[{name}]\""));
        self.value(name)?.ok_or_else(missing)
    }

    /// Where `used` is given, none of `others` may be.
    pub(super) fn exclude(&self, used: &str, others: &[&str]) -> Result<(), Stop> {
        match others.iter().find(|other| self.has(used) && self.has(other)) {
            Some(other) => Err(Stop::usage(format!(
                "Option \"[{used}]\" can't be used with option \"[{other}]\""
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TOOL: Tool = Tool {
        name: "tool",
        about: "Does nothing.",
        flags: &[
            switch("list", "Lists."),
            valued("topic", "topic", "The topic."),
            valued("partitions", "count", "How many."),
            Flag {
                name: "state",
                argument: Argument::Optional("states"),
                help: "In which state.",
            },
        ],
        gone: &[("zookeeper", "use --topic")],
    };

    fn parse(arguments: &str) -> Result<Options, Stop> {
        let arguments: Vec<String> = arguments
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(Into::into)
            .collect();
        TOOL.parse(&arguments)
    }

    #[test]
    fn options_are_read_as_kafkas_tools_read_them() {
        for arguments in [
            "--list --topic a --partitions=3",
            "-partitions 3 -topic=a -list --",
            "--topic a --list --partitions 3 -- x",
        ] {
            let options = parse(arguments).expect(arguments);
            assert!(options.has("list") && !options.has("state"));
            assert_eq!(options.value("topic"), Ok(Some("a")));
            assert_eq!(options.number("partitions"), Ok(Some(3)), "{arguments}");
        }
        let options = parse("--topic -1 --topic a=b --state --list").expect("fine");
        assert_eq!(options.values("topic"), ["-1", "a=b"]);
        assert!(options.has("state") && options.values("state").is_empty());
        assert_eq!(
            parse("--state Empty,Stable").expect("fine").value("state"),
            Ok(Some("Empty,Stable"))
        );
    }

    #[test]
    fn mistakes_are_told_in_kafkas_words() {
        let usage = |message: &str| Some(Stop::usage(message));
        assert_eq!(parse("").err(), Some(Stop::Nothing));
        assert_eq!(parse("--topic a --help").err(), Some(Stop::Help));
        assert_eq!(parse("--version").err(), Some(Stop::Version));
        assert_eq!(parse("--topic").err(), usage("Option topic requires an argument"));
        assert_eq!(
            parse("--zookeeper x").err(),
            usage("zookeeper is not a recognized option: use --topic")
        );
        assert_eq!(
            parse("--topik x").err(),
            usage("topik is not a recognized option: did you mean --topic?")
        );
        assert_eq!(parse("--xyzzy").err(), usage("xyzzy is not a recognized option"));
        assert_eq!(
            parse("a").err(),
            usage("Unexpected argument \"a\": options begin with --")
        );
        let options = parse("--topic a --topic b --partitions x --list").expect("fine");
        assert_eq!(
            options.value("topic"),
            Err(Stop::usage(
                "Found multiple arguments for option topic, but you asked for only one"
            ))
        );
        assert_eq!(
            options.number::<i32>("partitions"),
            Err(Stop::usage("Cannot parse argument 'x' of option partitions"))
        );
        assert_eq!(
            options.required("state"),
            Err(Stop::usage("Missing required argument \"[state]\""))
        );
        assert_eq!(
            options.exclude("partitions", &["state", "list"]),
            Err(Stop::usage(
                "Option \"[partitions]\" can't be used with option \"[list]\""
            ))
        );
    }

    #[test]
    fn the_help_names_every_option() {
        let help = TOOL.help();
        for line in [
            "  --list\n",
            "  --topic <topic>\n",
            "  --state [states]\n",
            "  --help\n",
        ] {
            assert!(help.contains(line), "{help}");
        }
    }
}
