//! Names that are too long for a store: the record of which they are is at fault, and nothing else.

use std::sync::Arc;

use forebay_connect_api::{Access, Value};
use object_store::memory::InMemory;

use super::bench::{Bench, Flaw, TestStore, batch, reporting};
use crate::store::{LocalStore, RemoteStore, Store};

fn remote(prefix: &str) -> Arc<dyn Store> {
    let objects = Arc::new(InMemory::new());
    Arc::new(RemoteStore::new(objects, prefix, "s3://b".to_owned()))
}

#[tokio::test]
async fn each_store_says_how_long_names_may_be() {
    let root = tempfile::tempdir().expect("a directory");
    let local = LocalStore::open(root.path().to_owned(), Access::unrestricted()).await;
    let local: Arc<dyn Store> = Arc::new(local.expect("opened"));
    let of = |bytes: usize| "x".repeat(bytes);
    let cases = [
        (&local, format!("a/{}/b", of(255)), true),
        (&local, format!("a/{}/b", of(256)), false),
        (&local, format!("a/{}", of(211)), true),
        (&local, format!("a/{}", of(212)), false),
        (&local, format!("{}b", format!("{}/", of(200)).repeat(21)), false),
        (&remote(""), of(1024), true),
        (&remote(""), of(1025), false),
        (&remote("in/side"), of(1024 - 8), true),
        (&remote("in/side"), of(1024 - 7), false),
    ];
    for (store, name, fits) in cases {
        let checked = store.check_name(&name);
        assert_eq!(checked.is_ok(), fits, "{} bytes: {checked:?}", name.len());
        if fits && store.describe().starts_with("file") {
            let created = store.create(&name, "x".into(), None).await;
            created.expect("it says that it takes it");
        }
    }
}

#[tokio::test]
async fn a_value_that_makes_too_long_a_name_is_at_fault_alone() {
    let root = tempfile::tempdir().expect("a directory");
    let local = LocalStore::open(root.path().to_owned(), Access::unrestricted()).await;
    let stores: [(Arc<dyn Store>, [usize; 2]); 2] = [
        (Arc::new(local.expect("opened")), [249, 250]),
        (remote(&"p".repeat(300)), [600, 700]),
    ];
    for (store, [fits, too_long]) in stores {
        let bench = Bench {
            store: TestStore::new(Arc::clone(&store), Flaw::None),
            ..Bench::in_memory(Flaw::None)
        };
        let context = reporting();
        let keys = [
            ("partitioner.class", "FieldPartitioner"),
            ("partition.field.name", "value"),
            ("flush.size", "1"),
        ];
        let mut task = bench.task(&context, &keys).await;
        let value = |bytes: usize| Value::Map(vec![("value".into(), "x".repeat(bytes).into())]);
        let records = [fits, too_long, fits].map(value);
        let records = (0..).zip(records).map(|(offset, value)| (offset, 0, value));
        task.put(&batch(records.collect(), 3)).await.expect("taken");
        let reported = context.reported();
        let (offset, error) = &reported[0];
        assert_eq!((reported.len(), offset.value()), (1, 1), "{reported:?}");
        assert!(error.contains("is the most in"), "{error}");
        let stored = store.list_below("topics").await.expect("listed");
        assert_eq!(stored.len(), 2, "{stored:?}");
    }
}
