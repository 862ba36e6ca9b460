"""Reads the files of a directory with pyarrow, fastavro and Python's own readers, and holds them against what was written."""

import csv, datetime, decimal, gzip, json, os, sys

import fastavro
import pyarrow.parquet


def rows(path):
    if path.endswith(".parquet"):
        return pyarrow.parquet.read_table(path).to_pylist()
    if path.endswith(".avro"):
        with open(path, "rb") as file:
            return list(fastavro.reader(file))
    with gzip.open(path, "rt", newline="") as file:
        if path.endswith(".csv.gz"):
            return list(csv.DictReader(file))
        return [json.loads(line) for line in file]


def check_order(path, full, sparse):
    assert str(full["id"]) == "7" and str(sparse["id"]) == "8", path
    assert full["state"] == "sent" and sparse["state"] == "new", path
    if path.endswith(".json.gz"):
        assert full["price"] == "+DE=" and full["tags"] == ["a", "b"], path
        return
    if path.endswith(".csv.gz"):
        assert full["price"] == "-19.99" and full["day"] == "2024-10-04", path
        assert full["at"] == "2023-11-14T22:13:20.123Z" and json.loads(full["tags"]) == ["a", "b"], path
        assert sparse["price"] == "" and sparse["tags"] == "", path
        return
    assert full["price"] == decimal.Decimal("-19.99") and full["day"] == datetime.date(2024, 10, 4), path
    at = datetime.datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=datetime.timezone.utc)
    assert full["at"] == at and full["tags"] == ["a", "b"] and full["place"] == {"zip": "8000"}, path
    assert dict(full["counts"]) == {"x": 1, "y": None}, path
    for name in ["price", "day", "at", "tags", "counts", "place"]:
        assert sparse[name] is None, (path, name)


def check_grown(path, found):
    # Lines of JSON need no common schema.
    if path.endswith(".json.gz"):
        assert found == [{"a": 1, "b": "x"}, {"c": "y", "a": 2, "s": "old"}, {"a": 2.5, "b": "z"}], (path, found)
        return
    absent = "" if path.endswith(".csv.gz") else None
    expected = [(1.0, "x", absent, "new"), (2.0, absent, "y", "old"), (2.5, "z", absent, "new")]
    assert [(float(row["a"]), row["b"], row["c"], row["s"]) for row in found] == expected, (path, found)


names = sorted(os.listdir(sys.argv[1]))
for name in names:
    path = os.path.join(sys.argv[1], name)
    if name.startswith("orders"):
        check_order(path, *rows(path))
    else:
        check_grown(path, rows(path))
print(len(names), "files")
