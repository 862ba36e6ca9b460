//! The names of Kafka's scripts: what the binary does when it is called by one of them (`kafka-topics.sh`, by a symbolic link), and
//! `forebay link-tools DIR`, which makes such links.

use std::io;
use std::path::Path;

use super::{Entry, TOOLS};

/// A script of Kafka's that stands for a command of ours which is no tool, and what is written for it.
const COMMANDS: [(&str, &[&str]); 3] = [
    ("kafka-server-start", &["broker"]),
    ("connect-distributed", &["connect"]),
    ("connect-standalone", &["connect-standalone"]),
];

/// What the program does, by the name it was called by.
#[derive(Debug)]
pub(crate) enum Called {
    /// As itself.
    Forebay,
    /// As one of Kafka's tools.
    Tool(&'static Entry),
    /// As another script of Kafka's: these words, and then its arguments.
    Command(&'static [&'static str]),
}

/// What the program was called as.
pub(crate) fn called_as(program: &str) -> Called {
    let file = Path::new(program)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let script = file.strip_suffix(".sh").unwrap_or(file);
    if let Some(tool) = TOOLS.iter().find(|tool| tool.script == script) {
        return Called::Tool(tool);
    }
    match COMMANDS.iter().find(|(name, _)| *name == script) {
        Some((_, words)) => Called::Command(words),
        None => Called::Forebay,
    }
}

/// `kafka-server-start.sh [-daemon] server.properties [--override …]` as our command takes it: there is no daemon mode, whoever
/// wants one has a service manager.
pub(crate) fn arguments_of_script(arguments: &[String]) -> Result<Vec<String>, String> {
    if arguments.iter().any(|argument| argument == "-daemon") {
        return Err(
            "-daemon is not supported: run it under a service manager, or with nohup and &".to_owned(),
        );
    }
    let plain = |argument: &String| {
        if argument == "-help" {
            "--help".to_owned()
        } else {
            argument.clone()
        }
    };
    Ok(arguments.iter().map(plain).collect())
}

/// The names of all links, each script with and without `.sh`.
fn names() -> impl Iterator<Item = String> {
    let scripts = TOOLS
        .iter()
        .map(|tool| tool.script)
        .chain(COMMANDS.iter().map(|(name, _)| *name));
    scripts.flat_map(|script| [script.to_owned(), format!("{script}.sh")])
}

/// `forebay link-tools DIR`; false if something is in the way of a link.
pub(crate) fn link_tools(directory: &Path) -> anyhow::Result<bool> {
    use anyhow::Context as _;
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let mut made = 0;
    let mut left = Vec::new();
    for name in names() {
        let link = directory.join(&name);
        match replace(&link, &program) {
            Ok(true) => made += 1,
            Ok(false) => left.push(name),
            Err(error) => return Err(error).with_context(|| format!("cannot link {}", link.display())),
        }
    }
    say!("{made} links to {} in {}", program.display(), directory.display());
    if !left.is_empty() {
        eprintln!(
            "left as they are, because they are no links to {}: {}",
            file_name(&program),
            left.join(", ")
        );
    }
    Ok(left.is_empty())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Makes a link, in the place of an older one of ours if there is one; false if something else is there, be it a link to Kafka's
/// own scripts.
fn replace(link: &Path, program: &Path) -> io::Result<bool> {
    match link.symlink_metadata() {
        Ok(found) if !found.file_type().is_symlink() => return Ok(false),
        Ok(_) if file_name(&std::fs::read_link(link)?) != file_name(program) => return Ok(false),
        Ok(_) => std::fs::remove_file(link)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::os::unix::fs::symlink(program, link)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_scripts_are_known_by_their_names() {
        let cases = [
            ("/usr/bin/kafka-topics.sh", "topics"),
            ("kafka-topics", "topics"),
            ("./kafka-console-consumer.sh", "console-consumer"),
            ("kafka-dump-log", "dump-log"),
            ("kafka-server-start.sh", "broker"),
            ("bin/connect-distributed.sh", "connect"),
            ("connect-standalone.sh", "connect-standalone"),
            ("/opt/forebay", ""),
            ("zookeeper-shell.sh", ""),
            ("topics", ""),
            ("", ""),
        ];
        for (program, expected) in cases {
            let name = match called_as(program) {
                Called::Forebay => "",
                Called::Tool(tool) => tool.name,
                Called::Command(words) => words[0],
            };
            assert_eq!(name, expected, "{program}");
        }
        let words = |text: &str| -> Vec<String> { text.split(' ').map(ToOwned::to_owned).collect() };
        let arguments = words("server.properties --override a=b");
        assert_eq!(arguments_of_script(&arguments), Ok(arguments.clone()));
        assert!(arguments_of_script(&words("-daemon server.properties")).is_err());
    }

    #[test]
    fn links_take_the_place_of_our_links_and_of_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = directory.path().join("bin");
        assert!(link_tools(&folder).expect("made"));
        let link = folder.join("kafka-topics.sh");
        let program = std::env::current_exe().expect("this test");
        assert_eq!(std::fs::read_link(&link).expect("a link"), program);
        assert_eq!(
            std::fs::read_dir(&folder).expect("there").count(),
            names().count()
        );
        std::fs::remove_file(&link).expect("removed");
        std::fs::write(&link, "mine").expect("written");
        assert!(!link_tools(&folder).expect("the others"));
        assert_eq!(std::fs::read_to_string(&link).expect("still there"), "mine");
        std::fs::remove_file(&link).expect("removed");
        let kafkas = Path::new("/opt/kafka/bin/kafka-topics.sh");
        std::os::unix::fs::symlink(kafkas, &link).expect("linked");
        assert!(!link_tools(&folder).expect("the others"));
        assert_eq!(std::fs::read_link(&link).expect("a link"), kafkas);
    }
}
