//! Parquet.

use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt8Array,
};
use parquet::arrow::ArrowWriter;

use std::time::{Duration, SystemTime};

use super::*;

fn batch() -> RecordBatch {
    let list = ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>(
        (0..100).map(|number| (number != 1).then(|| vec![Some(number), None])),
    );
    let columns: [(&str, ArrayRef); 7] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..100))),
        (
            "name",
            Arc::new(StringArray::from_iter(
                (0..100).map(|number| (number != 1).then(|| format!("n{number}"))),
            )),
        ),
        (
            "small",
            Arc::new(UInt8Array::from_iter_values(
                (0..100).map(|number| 200 + number % 50),
            )),
        ),
        ("day", Arc::new(Date32Array::from_iter_values(0..100))),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                (0..100).map(|number| number * 1500),
            )),
        ),
        (
            "price",
            Arc::new(
                Decimal128Array::from_iter_values(0..100)
                    .with_precision_and_scale(10, 2)
                    .expect("it fits"),
            ),
        ),
        ("list", Arc::new(list)),
    ];
    RecordBatch::try_from_iter(columns).expect("equal lengths")
}

fn file() -> Vec<u8> {
    let batch = batch();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("written")
}

#[tokio::test(start_paused = true)]
async fn rows_of_parquet_and_the_contract() {
    let place = Place::new();
    place.write("a.parquet", file());
    let keys = [("file.format", "parquet"), ("batch.size", "7")];
    let expected = place.start(&keys).await.values(100).await;
    assert_eq!(
        expected[..2],
        [
            "Struct{id=0,name=n0,small=200,day=Thu Jan 01 00:00:00 UTC 1970,at=Thu Jan 01 00:00:00 UTC 1970,price=0.00,list=[0, null]}",
            "Struct{id=1,small=201,day=Fri Jan 02 00:00:00 UTC 1970,at=Thu Jan 01 00:00:00 UTC 1970,price=0.01}",
        ]
    );
    for seed in 0..6 {
        let connector = DirectorySourceConnector::default();
        let subject = SourceSubject {
            task: &|| connector.task(),
            properties: place.properties(&keys),
            expected: expected.clone(),
            disturb: &|_| {},
        };
        check_source(&subject, seed).await.expect("it keeps the contract");
    }
    let records = place.start(&keys).await.poll().await.expect("rows");
    records[1].value.validate().expect("as its schema says");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_cut_off_is_named_and_a_new_one_waited_for() {
    let place = Place::new();
    let whole = file();
    let path = place.write("a.parquet", &whole[..whole.len() / 2]);
    let mut running = place.start(&[("file.format", "parquet")]).await;
    let polled = tokio::time::timeout(Duration::from_secs(5), running.poll()).await;
    assert!(polled.is_err(), "it may still be being written");
    let past = SystemTime::now() - Duration::from_secs(60);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("opened")
        .set_modified(past)
        .expect("old");
    let error = running.error().await;
    assert!(error.contains("is no whole Parquet file"), "{error}");
}
