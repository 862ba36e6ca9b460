//! How large a file's schema may be.

use super::*;

fn target(remembered: &Remembered) -> Target {
    let rules = Rules {
        compatibility: Compatibility::None,
        inference: true,
    };
    Target::new(rules, remembered.clone())
}

/// An object whose members are named like this.
fn object(prefix: &str, members: usize) -> SchemaAndValue {
    let members = (0..members).map(|index| (format!("{prefix}{index}").into(), 1_i64.into()));
    SchemaAndValue::schemaless(Value::Map(members.collect()))
}

/// The same with a schema.
fn structure(prefix: &str, fields: usize) -> SchemaAndValue {
    let object = object(prefix, fields);
    let long = || Schema::primitive(Type::Int64, true).expect("primitive");
    let names = (0..fields).map(|index| format!("{prefix}{index}"));
    let schema = names.fold(Schema::structure(), |builder, name| builder.field(name, long()));
    let schema = schema.build().expect("sound");
    let value = conform(&schema, &object.value).expect("it fits");
    SchemaAndValue::new(schema, value)
}

fn begin(remembered: &Remembered, value: &SchemaAndValue) -> usize {
    let mut target = target(remembered);
    match target.fit(value).expect("a file can begin with it") {
        Fit::With(schema) => {
            let fields = schema.schema.fields().len();
            target.settle(schema, value);
            fields
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_remembered_schema_does_not_make_the_next_file_too_wide() {
    for make in [object, structure] {
        let remembered = Remembered::default();
        assert_eq!(
            begin(&remembered, &make("a", FIELDS_MAX - 1000)),
            FIELDS_MAX - 1000
        );
        assert_eq!(begin(&remembered, &make("b", 1000)), FIELDS_MAX);
        // One of those before still takes it.
        assert_eq!(begin(&remembered, &make("c", 1)), FIELDS_MAX - 1000 + 1);
        assert_eq!(begin(&remembered, &make("d", FIELDS_MAX - 10)), FIELDS_MAX - 10);
    }
}

#[test]
fn versions_that_are_too_wide_together_belong_into_different_files() {
    let remembered = Remembered::default();
    let mut target = target(&remembered);
    let first = structure("a", FIELDS_MAX);
    let Ok(Fit::With(schema)) = target.fit(&first) else {
        panic!("a file can begin with it");
    };
    target.settle(schema, &first);
    assert!(matches!(target.fit(&structure("b", 1)), Ok(Fit::Other)));
    assert!(matches!(target.fit(&object("b", 1)), Ok(Fit::Other)));
    let refused = target.fit(&structure("b", FIELDS_MAX + 1));
    assert!(matches!(refused, Err(Refused::All(_))), "{refused:?}");
}
