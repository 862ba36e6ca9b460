"""Record batches of format 2, made right or wrong on purpose, and read back for printing."""
import struct

import compressed
from codec import Reader, Underflow, zigzag
from crc32c import crc32c

HEAD = struct.Struct(">qiibIhiqqqhii")
HEAD_BYTES = HEAD.size
LOG_OVERHEAD, BEFORE_CRC = 12, 21
NO_TIMESTAMP = -1
TIMESTAMP = 1_700_000_000_000  # of every record that says nothing else: long ago, so that it is no part of "now"
TRANSACTIONAL, CONTROL, LOG_APPEND_TIME = 0x10, 0x20, 0x08


def record(key=b"k", value=b"v", headers=(), offset=0, timestamp=0, attributes=0, length=None):
    """One record; `offset` and `timestamp` are distances from those of the batch; `length` lies about its own."""
    body = struct.pack(">b", attributes) + zigzag(timestamp) + zigzag(offset) + _bytes(key) + _bytes(value)
    body += zigzag(len(headers)) + b"".join(_bytes(name) + _bytes(content) for name, content in headers)
    return zigzag(len(body) if length is None else length) + body


def _bytes(value):
    if value is None:
        return zigzag(-1)
    value = value.encode() if isinstance(value, str) else value
    return zigzag(len(value)) + value


def batch(*values, compression="none", attributes=0, producer=(-1, -1, -1), timestamp=TIMESTAMP, base_offset=0, leader_epoch=-1,
          magic=2, crc=None, count=None, last_offset=None, max_timestamp=None, payload=None, length=None, keys=None, records=None):
    """A batch of records with these values (or of `records` as they are). Everything in the header can be something else."""
    if records is None:
        records = [record(b"k%d" % n if keys is None else keys[n], it, offset=n) for n, it in enumerate(values)]
    body = b"".join(records) if payload is None else payload
    if payload is None:
        body = compressed.compress(compression, body)
    attributes |= compressed.CODES[compression]
    producer_id, epoch, sequence = producer
    last = len(records) - 1 if last_offset is None else last_offset
    head = struct.pack(">hiqqqhii", attributes, last, timestamp, timestamp if max_timestamp is None else max_timestamp,
                       producer_id, epoch, sequence, len(records) if count is None else count)
    checksum = crc32c(head + body) if crc is None else crc
    size = HEAD_BYTES - LOG_OVERHEAD + len(body) if length is None else length
    return struct.pack(">qiibI", base_offset, size, leader_epoch, magic, checksum) + head + body


def message_set(value=b"v", magic=1, timestamp=TIMESTAMP, key=b"k"):
    """One message of the formats before: magic 0 or 1."""
    import zlib
    body = struct.pack(">bb", magic, 0) + (struct.pack(">q", timestamp) if magic else b"")
    for part in (key, value):
        body += struct.pack(">i", -1) if part is None else struct.pack(">i", len(part)) + part
    return struct.pack(">qiI", 0, len(body) + 4, zlib.crc32(body)) + body


def read(data):
    """What lies in the bytes, batch by batch, as dictionaries; a part of a batch at the end is left out, as clients do."""
    found, at = [], 0
    while len(data) - at >= LOG_OVERHEAD:
        length = struct.unpack_from(">i", data, at + 8)[0]
        if length < 0 or at + LOG_OVERHEAD + length > len(data):
            break
        found.append(_read_one(data[at:at + LOG_OVERHEAD + length]))
        at += LOG_OVERHEAD + length
    return found


def _read_one(data):
    if data[16] != 2 or len(data) < HEAD_BYTES:
        return {"magic": data[16], "hex": data.hex()}
    offset, _, epoch, _, crc, attributes, last, first_time, max_time, producer, producer_epoch, sequence, count = HEAD.unpack_from(data)
    found = {"base offset": offset, "last offset delta": last, "leader epoch": epoch, "count": count}
    found |= {"crc": "right" if crc32c(data[BEFORE_CRC:]) == crc else "wrong", "attributes": "0x%x" % attributes}
    found |= {"first timestamp": first_time, "max timestamp": max_time}
    if producer != -1:
        found |= {"ProducerId": producer, "ProducerEpoch": producer_epoch, "sequence": sequence}
    try:
        body = compressed.decompress(attributes & 7, data[HEAD_BYTES:])
        found["records"] = data[HEAD_BYTES:].hex() if body is None else _records(Reader(body), first_time)
    except (Underflow, ValueError) as error:
        found["records"] = "%s: %s" % (error, data[HEAD_BYTES:].hex())
    return found


def _records(reader, first_time):
    found = []
    while reader.at < len(reader.data):
        one = Reader(reader.take(reader.zigzag()))
        attributes, timestamp, offset = one.number("b"), one.zigzag(), one.zigzag()
        key, value = _read_bytes(one), _read_bytes(one)
        headers = ["%s=%s" % (_read_bytes(one), _read_bytes(one)) for _ in range(one.zigzag())]
        text = "+%d @%d %s=%s" % (offset, timestamp, key, value)
        found.append(text + "".join(" " + it for it in headers) + (" attributes %d" % attributes if attributes else ""))
    return found


def _read_bytes(reader):
    length = reader.zigzag()
    if length < 0:
        return None
    raw = reader.take(length)
    return raw.decode() if raw.isascii() and raw.decode().isprintable() else "0x" + raw.hex()
