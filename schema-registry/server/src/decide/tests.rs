//! Requests against a state that is built from their own records, as the topic's reader builds it.

use super::*;
use crate::state::Skipped;

const INT: &str = r#"{ "type": "int" }"#;
const A: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
const AB: &str =
    r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}"#;

fn submitted(schema: &str) -> Submitted {
    Submitted {
        schema: schema.to_owned(),
        schema_type: None,
        references: Vec::new(),
    }
}

/// A subject and its versions: number, identifier, whether deleted.
type Summary = (String, Vec<(i32, i32, bool)>);

/// A registry that also keeps its topic.
#[derive(Default)]
struct Model {
    state: State,
    topic: Vec<Record>,
}

impl Model {
    fn apply(&mut self, records: Vec<Record>) {
        for record in &records {
            self.state.replay(&record.key, record.value.as_deref()).unwrap();
        }
        self.topic.extend(records);
    }

    fn register(&mut self, subject: &str, schema: &str) -> Result<(i32, i32), Error> {
        let registration = self.state.register(subject, &submitted(schema))?;
        self.apply(registration.records);
        Ok((registration.id, registration.version))
    }

    fn delete(&mut self, subject: &str, version: Option<i32>, permanent: bool) -> Result<(), Error> {
        let records = match version {
            Some(version) => {
                self.state
                    .delete_version(subject, VersionId::Number(version), permanent)?
                    .1
            }
            None => self.state.delete_subject(subject, permanent)?.1,
        };
        self.apply(records);
        Ok(())
    }

    /// What a registry finds that reads the topic after compaction: the last record of each key.
    fn restarted(&self) -> Self {
        let mut restarted = Self::default();
        for (index, record) in self.topic.iter().enumerate() {
            if self.topic[index + 1..]
                .iter()
                .all(|later| later.key != record.key)
            {
                restarted.apply(vec![record.clone()]);
            }
        }
        restarted
    }

    fn summary(&self) -> Vec<Summary> {
        let versions = |subject: &Subject| {
            subject
                .versions
                .iter()
                .map(|(number, it)| (*number, it.content.id, it.deleted))
                .collect()
        };
        self.state
            .subjects
            .iter()
            .map(|(name, subject)| (name.clone(), versions(subject)))
            .collect()
    }
}

#[test]
fn one_schema_has_one_identifier_and_registering_twice_writes_nothing() {
    let mut model = Model::default();
    assert_eq!(model.register("s", INT).unwrap(), (1, 1));
    assert_eq!(
        model.register("s", r#""int""#).unwrap(),
        (1, 1),
        "the canonical text is the same"
    );
    assert_eq!(model.topic.len(), 1);
    assert_eq!(model.register("t", INT).unwrap(), (1, 1));
    assert_eq!(model.register("u", A).unwrap(), (2, 1));
    assert!(matches!(model.register("u", AB), Err(Error::Incompatible { .. })));
    assert!(matches!(
        model.register("u", "{"),
        Err(Error::InvalidSchema { .. })
    ));
    let json = Submitted {
        schema_type: Some("JSON".to_owned()),
        ..submitted("{}")
    };
    assert!(matches!(
        model.state.register("u", &json),
        Err(Error::InvalidSchema { .. })
    ));
    for subject in ["", "__GLOBAL", "a\nb", ":.ctx:s"] {
        assert!(
            matches!(model.register(subject, INT), Err(Error::InvalidSubject { .. })),
            "{subject:?}"
        );
    }
}

#[test]
fn deleted_versions_keep_their_numbers_and_identifiers_are_never_given_twice() {
    let mut model = Model::default();
    model.register("s", INT).unwrap();
    assert!(matches!(
        model.delete("s", Some(1), true),
        Err(Error::VersionNotSoftDeleted(..))
    ));
    model.delete("s", Some(1), false).unwrap();
    assert!(matches!(
        model.delete("s", Some(1), false),
        Err(Error::VersionSoftDeleted(..))
    ));
    assert!(matches!(
        model.state.version("s", VersionId::Latest, false),
        Err(Error::SubjectNotFound(_))
    ));
    assert!(
        model.state.content(1).is_some(),
        "a softly deleted schema can still be read by its identifier"
    );
    assert_eq!(
        model.register("s", INT).unwrap(),
        (1, 2),
        "the same identifier, a new version"
    );
    model.delete("s", None, false).unwrap();
    assert!(matches!(
        model.delete("s", None, false),
        Err(Error::SubjectSoftDeleted(_))
    ));
    model.delete("s", None, true).unwrap();
    assert!(model.state.content(1).is_none());
    assert_eq!(
        model.register("s", INT).unwrap(),
        (2, 1),
        "after deletion for good: a new identifier"
    );
    assert!(matches!(
        model.delete("nobody", None, false),
        Err(Error::SubjectNotFound(_))
    ));
}

#[test]
fn what_others_refer_to_cannot_be_deleted() {
    let mut model = Model::default();
    model
        .register("a", r#"{"type":"record","name":"n.A","fields":[]}"#)
        .unwrap();
    let reference = Reference {
        name: "n.A".to_owned(),
        subject: "a".to_owned(),
        version: 1,
    };
    let user = Submitted {
        references: vec![reference],
        ..submitted(r#"{"type":"array","items":"n.A"}"#)
    };
    let registration = model.state.register("b", &user).unwrap();
    model.apply(registration.records);
    assert_eq!(model.state.referenced_by("a", 1), [2]);
    assert!(matches!(
        model.delete("a", Some(1), false),
        Err(Error::ReferenceExists { .. })
    ));
    assert!(matches!(
        model.delete("a", None, false),
        Err(Error::ReferenceExists { .. })
    ));
    assert_eq!(model.restarted().summary(), model.summary());
    model.delete("b", None, false).unwrap();
    model.delete("a", None, false).unwrap();
}

#[test]
fn compatibility_is_checked_against_live_versions_at_the_level_that_counts() {
    let mut model = Model::default();
    model.register("s", A).unwrap();
    let check = |model: &Model, version| {
        model
            .state
            .check("s", version, &submitted(AB))
            .unwrap()
            .is_empty()
    };
    assert!(!check(&model, Some(VersionId::Latest)) && !check(&model, None));
    model.apply(vec![Record::config(None, CompatibilityLevel::Forward)]);
    assert!(check(&model, Some(VersionId::Latest)));
    model.apply(vec![Record::config(Some("s"), CompatibilityLevel::Backward)]);
    assert!(!check(&model, None));
    model.apply(vec![Record::tombstone(&Key::Config {
        subject: Some("s".to_owned()),
    })]);
    assert!(check(&model, None));
    assert!(
        model
            .state
            .check("new", Some(VersionId::Latest), &submitted(AB))
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        model.state.check("s", Some(VersionId::Number(7)), &submitted(AB)),
        Err(Error::VersionNotFound(7))
    ));
}

#[test]
fn a_restart_finds_the_same_also_after_compaction() {
    let mut model = Model::default();
    model.register("s", INT).unwrap();
    model.register("t", A).unwrap();
    model.register("u", INT).unwrap();
    model.delete("s", None, false).unwrap();
    model.delete("t", Some(1), false).unwrap();
    model.apply(vec![Record::config(Some("u"), CompatibilityLevel::None)]);
    model.register("u", A).unwrap();
    let restarted = model.restarted();
    assert_eq!(restarted.summary(), model.summary());
    assert_eq!(restarted.state.effective_level("u"), CompatibilityLevel::None);
}

#[test]
fn a_damaged_topic_takes_no_other_schema_away() {
    let mut model = Model::default();
    model.register("s", INT).unwrap();
    let before = model.summary();
    let taken = SchemaValue {
        subject: "t".to_owned(),
        version: 1,
        id: 1,
        schema_type: None,
        references: Vec::new(),
        schema: r#""long""#.to_owned(),
        deleted: false,
    };
    let taken = Record::schema(&taken);
    assert!(model.state.replay(&taken.key, taken.value.as_deref()).is_err());
    assert!(model.state.replay(b"junk", None).is_err());
    assert!(model.state.replay(&taken.key, Some(b"{")).is_err());
    assert!(
        model
            .state
            .replay(br#"{"keytype":"NOOP","magic":0}"#, None)
            .is_ok()
    );
    assert_eq!(model.summary(), before);
    // A schema of another type, written by another registry, is kept and holds its identifier.
    let other = SchemaValue {
        id: 9,
        schema_type: Some("PROTOBUF".to_owned()),
        schema: "x".to_owned(),
        ..SchemaValue {
            subject: "p".to_owned(),
            version: 3,
            id: 0,
            schema_type: None,
            references: Vec::new(),
            schema: String::new(),
            deleted: false,
        }
    };
    let other = Record::schema(&other);
    model.state.replay(&other.key, other.value.as_deref()).unwrap();
    assert_eq!(model.register("v", A).unwrap(), (10, 1));
}

fn value(subject: &str, version: i32, id: i32, schema: &str) -> SchemaValue {
    SchemaValue {
        subject: subject.to_owned(),
        version,
        id,
        schema_type: None,
        references: Vec::new(),
        schema: schema.to_owned(),
        deleted: false,
    }
}

#[test]
fn a_schema_with_two_identifiers_keeps_the_one_that_is_left() {
    for (deleted, left) in [("a", 2), ("b", 1)] {
        let mut model = Model::default();
        // As an import from two registries makes them.
        for (subject, id) in [("a", 1), ("b", 2)] {
            model.apply(vec![Record::schema(&value(subject, 1, id, r#""int""#))]);
        }
        model.delete(deleted, None, false).unwrap();
        model.delete(deleted, None, true).unwrap();
        assert_eq!(
            model.register("c", INT).unwrap(),
            (left, 1),
            "{deleted} was deleted"
        );
    }
}

#[test]
fn numbers_at_their_end_are_refused_and_do_not_wrap() {
    let mut model = Model::default();
    for (version, id) in [(1, -5), (0, 3), (-1, 3)] {
        let record = Record::schema(&value("s", version, id, r#""int""#));
        let skipped = model.state.replay(&record.key, record.value.as_deref());
        assert!(
            matches!(skipped, Err(Skipped::Value(_))),
            "version {version}, id {id}"
        );
    }
    model.apply(vec![Record::schema(&value("s", i32::MAX, 4, r#""int""#))]);
    assert!(matches!(
        model.register("s", r#""long""#),
        Err(Error::NoVersionLeft(_))
    ));
    assert_eq!(model.register("t", r#""bytes""#).unwrap(), (5, 1));
    model.apply(vec![Record::schema(&value("u", 1, i32::MAX - 1, r#""long""#))]);
    assert_eq!(
        model.register("v", r#""string""#).unwrap(),
        (i32::MAX, 1),
        "the last one"
    );
    assert!(matches!(model.register("w", A), Err(Error::NoIdLeft)));
    assert_eq!(
        model.register("w", INT).unwrap(),
        (4, 1),
        "a known schema needs none"
    );
}

#[test]
fn what_cannot_be_read_keeps_its_identifier_and_its_version() {
    for (text, id) in [
        (r#"{"subject":"s","version":1,"id":7}"#, 8),
        (r#"{"id":7,"schema":5}"#, 8),
        // Cut off.
        (r#"{"subject":"s","version":1,"id" : 7,"schema":"{\"type\""#, 8),
        (r#"{"subject":"s","version":1,"id":2147483647,"sch"#, 0),
        // None that can be read.
        (r#"{"schema":"{\"id\":7}","#, 1),
        (r#"{"id":"7"}"#, 1),
        (r#"{"id":2147483648}"#, 1),
        (r#"{"id":-7}"#, 1),
        (r#"{"id"#, 1),
        ("", 1),
    ] {
        let mut model = Model::default();
        let key = Record::schema(&value("s", 3, 1, "")).key;
        let skipped = model.state.replay(&key, Some(text.as_bytes()));
        assert!(matches!(skipped, Err(Skipped::Value(_))), "{text}");
        match id {
            0 => assert!(matches!(model.register("s", INT), Err(Error::NoIdLeft)), "{text}"),
            id => assert_eq!(model.register("s", INT).unwrap(), (id, 4), "{text}"),
        }
        model.state.replay(&key, None).unwrap();
    }
}
