//! Tools with commands, which Kafka reads with argparse4j: `cluster cluster-id --bootstrap-server …`. A command takes its own
//! options and those that every command takes; in which order they stand does not matter here.

use std::future::Future;
use std::process::ExitCode;

use super::options::{Argument, Options, Stop, Tool};

/// A command of a tool.
#[derive(Debug)]
pub(super) struct Command {
    pub name: &'static str,
    /// The options that only some commands take, this one among them.
    pub flags: &'static [&'static str],
    /// What it cannot do without.
    pub required: &'static [&'static str],
}

/// A tool and its commands.
#[derive(Debug)]
pub(super) struct Commands {
    pub tool: &'static Tool,
    pub commands: &'static [Command],
    /// `-b` for `--bootstrap-server`.
    pub short: &'static [(&'static str, &'static str)],
}

impl Commands {
    /// Runs `body` with the command that is named and its options.
    pub(super) fn run<F>(
        &'static self,
        arguments: &[String],
        body: impl FnOnce(&'static Command, Options) -> F,
    ) -> ExitCode
    where
        F: Future<Output = Result<ExitCode, Stop>>,
    {
        let (name, rest) = self.split(arguments);
        super::run_tool(self.tool, &rest, |options| {
            let checked = self.check(name.as_deref(), &options);
            let body = checked.map(|command| body(command, options));
            async move { body?.await }
        })
    }

    /// The name of the command, and the options with their long names.
    fn split(&self, arguments: &[String]) -> (Option<String>, Vec<String>) {
        let mut name = None;
        let mut rest = Vec::new();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let long = self.short.iter().find(|(short, _)| short == argument);
            let argument = long.map_or(argument.as_str(), |(_, long)| *long);
            rest.push(argument.to_owned());
            let takes_value = argument
                .trim_start_matches('-')
                .split_once('=')
                .is_none()
                .then(|| self.tool.find(argument.trim_start_matches('-')))
                .flatten()
                .is_some_and(|flag| matches!(flag.argument, Argument::Required(_)));
            if argument.starts_with('-') {
                if takes_value {
                    rest.extend(arguments.next().cloned());
                }
            } else if name.is_none() {
                name = rest.pop();
            }
        }
        if name.is_some() && rest.is_empty() {
            // Not "no arguments at all", which shows the help.
            rest.push("--".to_owned());
        }
        (name, rest)
    }

    fn check(&'static self, name: Option<&str>, options: &Options) -> Result<&'static Command, Stop> {
        let name =
            name.ok_or_else(|| Stop::usage(format!("too few arguments; one of {} is needed", self.names())))?;
        let command = self.commands.iter().find(|command| command.name == name);
        let command = command
            .ok_or_else(|| Stop::usage(format!("invalid choice: '{name}' (choose from {})", self.names())))?;
        let others = self.commands.iter().flat_map(|command| command.flags);
        for flag in others.filter(|flag| !command.flags.contains(flag)) {
            if options.has(flag) {
                return Err(Stop::usage(format!("unrecognized arguments: '--{flag}'")));
            }
        }
        for flag in command.required {
            if !options.has(flag) {
                return Err(Stop::usage(format!("argument --{flag} is required")));
            }
        }
        Ok(command)
    }

    fn names(&self) -> String {
        let names: Vec<String> = self
            .commands
            .iter()
            .map(|command| format!("'{}'", command.name))
            .collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::{switch, valued};
    use super::*;

    static TOOL: Tool = Tool {
        name: "tool",
        about: "Does nothing.",
        flags: &[
            valued("bootstrap-server", "host:port", "Whom to ask."),
            valued("id", "id", "Which."),
            switch("dry-run", "Do nothing."),
        ],
        gone: &[],
    };
    static COMMANDS: Commands = Commands {
        tool: &TOOL,
        commands: &[
            Command {
                name: "show",
                flags: &["dry-run"],
                required: &[],
            },
            Command {
                name: "remove",
                flags: &["id"],
                required: &["id"],
            },
        ],
        short: &[("-b", "--bootstrap-server")],
    };

    fn checked(arguments: &str) -> Result<&'static str, Stop> {
        let arguments: Vec<String> = arguments.split_whitespace().map(Into::into).collect();
        let (name, rest) = COMMANDS.split(&arguments);
        let options = TOOL.parse(&rest)?;
        COMMANDS
            .check(name.as_deref(), &options)
            .map(|command| command.name)
    }

    #[test]
    fn commands_stand_anywhere_and_take_their_own_options() {
        for arguments in [
            "show -b show --dry-run",
            "--bootstrap-server=x show",
            "--dry-run show",
            "show",
        ] {
            assert_eq!(checked(arguments), Ok("show"), "{arguments}");
        }
        let cases = [
            ("remove", "argument --id is required"),
            ("show --id 3", "unrecognized arguments: '--id'"),
            ("shown", "invalid choice: 'shown' (choose from 'show', 'remove')"),
            (
                "--dry-run",
                "too few arguments; one of 'show', 'remove' is needed",
            ),
            (
                "show again",
                "Unexpected argument \"again\": options begin with --",
            ),
        ];
        for (arguments, message) in cases {
            assert_eq!(checked(arguments), Err(Stop::usage(message)), "{arguments}");
        }
        assert_eq!(checked(""), Err(Stop::Nothing));
    }
}
