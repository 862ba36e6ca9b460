//! What the derived code makes of attributes and types.

use super::{ConfigType, Duration, Password, PathBuf, Properties};
use crate::{ConfigValue, Configuration, Importance, Setting, Width};

/// Everything that a field can say.
#[derive(Debug, PartialEq, Configuration)]
#[config(crate = crate, group = "Reading")]
struct Everything {
    /// Where to read.
    ///
    /// A directory.
    #[config(importance = High, width = Long, display = "Input", dependents = ["finished.path"], alias = "dir", alias = "folder")]
    path: PathBuf,
    /// How many at once.
    #[config(default = 2000, validator = Validator::between(1, 5000))]
    batch_size: usize,
    /// How long to wait.
    #[config(name = "empty.poll.wait.ms", default = 250, group = "Waiting")]
    wait: Duration,
    /// Where files go.
    finished_path: Option<String>,
    /// How many retries.
    #[config(group = "Waiting", validator = Validator::at_least(1))]
    retries: Option<u32>,
    /// What becomes of them.
    #[config(default = "move_by_date")]
    cleanup: Cleanup,
    /// Who reads.
    #[config(class, default = "org.example.Reader")]
    reader: String,
    /// What may not be seen.
    #[config(guards)]
    secret: Option<Password>,
    /// Columns.
    #[config(default = "a,b")]
    columns: Vec<String>,
    #[config(flatten)]
    nested: Nested,
}

/// Keys that several connectors share.
#[derive(Debug, PartialEq, Configuration)]
#[config(crate = crate)]
struct Nested {
    /// The port.
    #[config(default = 80, internal)]
    port: u16,
}

#[derive(Debug, PartialEq, Setting)]
#[config(crate = crate, ignore_case)]
enum Cleanup {
    None,
    MoveByDate,
    #[config(name = "rm -rf")]
    Delete,
}

fn properties<const N: usize>(given: [(&str, &str); N]) -> Properties {
    given
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[test]
fn fields_are_read_with_their_types() {
    let everything = Everything::parse(&properties([
        ("folder", "/in"),
        ("cleanup", "RM -rf"),
        ("retries", "3"),
        ("empty.poll.wait.ms", "7"),
        ("secret", "s"),
        ("port", "65535"),
    ]));
    let expected = Everything {
        path: "/in".into(),
        batch_size: 2000,
        wait: Duration::from_millis(7),
        finished_path: None,
        retries: Some(3),
        cleanup: Cleanup::Delete,
        reader: "org.example.Reader".to_owned(),
        secret: Some(Password::new("s")),
        columns: vec!["a".to_owned(), "b".to_owned()],
        nested: Nested { port: 65535 },
    };
    assert_eq!(everything.expect("all is right"), expected);
}

#[test]
fn a_definition_says_what_attributes_and_types_say() {
    let definition = Everything::definition();
    let key = |name: &str| definition.key(name).expect("it is defined");
    let path = key("path");
    assert_eq!(path.documentation, "Where to read. A directory.");
    assert!(path.is_required() && path.importance == Importance::High && path.width == Width::Long);
    assert_eq!(
        (path.display_name.as_str(), &path.dependents[..]),
        ("Input", &["finished.path".to_owned()][..])
    );
    let places = ["path", "batch.size", "empty.poll.wait.ms", "retries", "cleanup"].map(|name| {
        let key = key(name);
        (key.group.as_deref().expect("it has one"), key.order_in_group)
    });
    let expected = [
        ("Reading", 1),
        ("Reading", 2),
        ("Waiting", 1),
        ("Waiting", 2),
        ("Reading", 4),
    ];
    assert_eq!(places, expected);
    assert_eq!(key("reader").config_type, ConfigType::Class);
    assert_eq!(key("secret").default, Some(None));
    assert!(key("secret").guards && key("port").internal);
    assert_eq!(
        key("batch.size")
            .validator
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("[1,...,5000]")
    );
}

#[test]
fn every_bound_of_a_type_and_of_an_attribute_holds() {
    let right = [
        ("batch.size", "1"),
        ("batch.size", "5000"),
        ("empty.poll.wait.ms", "0"),
        ("retries", "1"),
        ("cleanup", "NONE"),
        ("port", "0"),
    ];
    let wrong = [
        ("batch.size", "0", "Value must be at least 1"),
        ("batch.size", "5001", "Value must be no more than 5000"),
        ("batch.size", "-1", "Value must be at least 1"),
        ("empty.poll.wait.ms", "-1", "Value must be at least 0"),
        ("retries", "0", "Value must be at least 1"),
        (
            "cleanup",
            "delete",
            "String must be one of (case insensitive): none, move_by_date, rm -rf",
        ),
        ("port", "65536", "Value must be no more than 65535"),
    ];
    for (key, value) in right {
        let parsed = Everything::parse(&properties([("path", "/in"), (key, value)]));
        assert!(parsed.is_ok(), "{key}={value}: {parsed:?}");
    }
    for (key, value, reason) in wrong {
        let error =
            Everything::parse(&properties([("path", "/in"), (key, value)])).expect_err("out of bounds");
        assert_eq!(
            error.to_string(),
            format!("Invalid value {value} for configuration {key}: {reason}")
        );
    }
    let missing: Vec<ConfigValue> = Everything::definition().validate(&Properties::new());
    assert_eq!(
        missing[0].errors,
        ["Missing required configuration \"path\" which has no default value."]
    );
}

#[test]
fn a_reference_page_has_all_that_a_user_needs() {
    let page = Everything::definition().to_markdown(3);
    let expected = "- **`batch.size`** How many at once.  \n  *int; default: `2000`; valid values: [1,...,5000]; importance: low*\n";
    assert!(page.contains(expected), "{page}");
    assert!(
        page.contains("### Waiting\n\n- **`empty.poll.wait.ms`**"),
        "{page}"
    );
    assert!(
        page.contains("*string; required; importance: high; also: `dir`, `folder`*"),
        "{page}"
    );
    assert!(!page.contains("`port`"), "{page}");
}
