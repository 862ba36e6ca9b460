//! The files as pyarrow, fastavro and Python's own readers have them (`read_back.py`), where they are installed.

use std::process::Command;

use super::{files::write_all, *};

/// Where Python has pyarrow and fastavro, they read what was written, too.
#[test]
#[expect(
    clippy::print_stderr,
    reason = "who runs it should know that nothing was read"
)]
fn python_reads_them_where_it_is() {
    let can_read = Command::new("python3")
        .args(["-c", "import pyarrow.parquet, fastavro"])
        .output();
    if !can_read.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 has no pyarrow or no fastavro");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let schema = order();
    let sparse = Struct::new(Arc::clone(&schema))
        .expect("a struct")
        .with("id", 8_i64)
        .expect("fits");
    let orders = [full(&schema), sparse].map(|row| SchemaAndValue::new(Arc::clone(&schema), row));
    let grown = versions();
    let options = CsvOptions {
        header: true,
        delimiter: b',',
    };
    let parquet = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(parquet::basic::GzipLevel::default()),
        Compression::ZSTD(parquet::basic::ZstdLevel::default()),
    ];
    let avro = [AvroCodec::Null, AvroCodec::Deflate, AvroCodec::Snappy];
    let encodings = parquet
        .map(Encoding::Parquet)
        .into_iter()
        .chain(avro.map(Encoding::Avro));
    let lines = [
        Encoding::Csv {
            options,
            gzip: Some(GzipLevel::default()),
        },
        Encoding::Json {
            gzip: Some(GzipLevel::default()),
        },
    ];
    for (number, encoding) in encodings.chain(lines).enumerate() {
        let format = Format {
            encoding,
            rules: RULES,
        };
        for (name, values) in [("orders", &orders[..]), ("grown", &grown[..])] {
            let mut file = format.files().writer();
            write_all(&mut *file, values);
            let path = directory
                .path()
                .join(format!("{name}-{number}.{}", format.extension()));
            std::fs::write(path, file.finish().expect("whole")).expect("written");
        }
    }
    let script = Command::new("python3")
        .arg("-c")
        .arg(include_str!("read_back.py"))
        .arg(directory.path())
        .output()
        .expect("it runs");
    let (said, complained) = (
        String::from_utf8_lossy(&script.stdout),
        String::from_utf8_lossy(&script.stderr),
    );
    assert!(script.status.success(), "{said}{complained}");
    assert_eq!(said.trim(), "18 files");
}
