"""Reads flat Parquet files: a reader of its own, so that the files are judged by someone else than the library that wrote them.

Columns are BOOLEAN, INT32, INT64, FLOAT, DOUBLE or BYTE_ARRAY, required or optional; data pages of version 1; encodings PLAIN and
dictionary; codecs none, snappy and gzip. Anything else is an error.
"""
import struct
import zlib

MAGIC = b"PAR1"
FIXED = {1: ("<i", 4), 2: ("<q", 8), 4: ("<f", 4), 5: ("<d", 8)}  # INT32, INT64, FLOAT, DOUBLE
BOOLEAN, BYTE_ARRAY, UTF8 = 0, 6, 0
DATA_PAGE, DICTIONARY_PAGE = 0, 2
PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY = 0, 2, 8


def rows(path):
    """Every row of a file, as a dictionary by column; text is `str`."""
    with open(path, "rb") as f:
        data = f.read()
    if len(data) < 12 or data[:4] != MAGIC or data[-4:] != MAGIC:
        raise ValueError("%s is no Parquet file" % path)
    footer = len(data) - 8 - struct.unpack("<I", data[-8:-4])[0]
    meta = Thrift(data, footer).struct()
    fields = meta[2][1:]
    if any(5 in field for field in fields):
        raise ValueError("%s has nested columns" % path)
    found = []
    for group in meta[4]:
        columns = [column(data, field, chunk[3]) for field, chunk in zip(fields, group[1], strict=True)]
        names = [field[4].decode() for field in fields]
        found.extend(dict(zip(names, row)) for row in zip(*columns, strict=True))
    if len(found) != meta[3]:
        raise ValueError("%s says %d rows and has %d" % (path, meta[3], len(found)))
    return found


def column(data, field, chunk):
    """The values of one column in one row group."""
    kind, codec, count = chunk[1], chunk[4], chunk[5]
    is_text = field.get(6) == UTF8
    at = min(chunk[9], chunk.get(11) or chunk[9])
    dictionary, values = None, []
    while len(values) < count:
        thrift = Thrift(data, at)
        header = thrift.struct()
        at = thrift.at + header[3]
        page = decompress(codec, data[thrift.at:at], header[2])
        if header[1] == DICTIONARY_PAGE:
            dictionary = plain(kind, is_text, page, header[7][1])
        elif header[1] == DATA_PAGE:
            values.extend(data_page(field, kind, is_text, page, header[5], dictionary))
        else:
            raise ValueError("a page of kind %d" % header[1])
    return values


def data_page(field, kind, is_text, page, header, dictionary):
    count, encoding = header[1], header[2]
    present = [1] * count
    if field[3] == 1:  # OPTIONAL
        size = struct.unpack_from("<I", page)[0]
        present = hybrid(page[4:4 + size], 1, count)
        page = page[4 + size:]
    there = sum(present)
    if encoding == PLAIN:
        values = plain(kind, is_text, page, there)
    elif encoding in (PLAIN_DICTIONARY, RLE_DICTIONARY):
        values = [dictionary[index] for index in hybrid(page[1:], page[0], there)] if there else []
    else:
        raise ValueError("encoding %d" % encoding)
    values = iter(values)
    return [next(values) if is_there else None for is_there in present]


def plain(kind, is_text, page, count):
    if kind == BOOLEAN:
        return [bool(page[n >> 3] >> (n & 7) & 1) for n in range(count)]
    if kind in FIXED:
        form, size = FIXED[kind]
        return [struct.unpack_from(form, page, n * size)[0] for n in range(count)]
    if kind != BYTE_ARRAY:
        raise ValueError("physical type %d" % kind)
    values, at = [], 0
    for _ in range(count):
        size = struct.unpack_from("<I", page, at)[0]
        value = page[at + 4:at + 4 + size]
        values.append(value.decode() if is_text else value)
        at += 4 + size
    return values


def hybrid(page, width, count):
    """The hybrid of run lengths and packed bits."""
    values, at = [], 0
    while len(values) < count:
        header, at = varint(page, at)
        if header & 1:
            size = (header >> 1) * width
            bits = int.from_bytes(page[at:at + size], "little")
            values.extend(bits >> n * width & (1 << width) - 1 for n in range((header >> 1) * 8))
            at += size
        else:
            size = (width + 7) // 8
            values.extend([int.from_bytes(page[at:at + size], "little")] * (header >> 1))
            at += size
    return values[:count]


def decompress(codec, page, size):
    if codec == 0:
        return page
    page = {1: snappy, 2: lambda it: zlib.decompress(it, 31)}[codec](page)
    if len(page) != size:
        raise ValueError("a page has %d bytes instead of %d" % (len(page), size))
    return page


def snappy(page):
    out = bytearray()
    _, at = varint(page, 0)
    while at < len(page):
        tag = page[at]
        at += 1
        if tag & 3 == 0:
            size = tag >> 2
            if size >= 60:
                more = size - 59
                size = int.from_bytes(page[at:at + more], "little")
                at += more
            out += page[at:at + size + 1]
            at += size + 1
            continue
        if tag & 3 == 1:
            size, back = (tag >> 2 & 7) + 4, tag >> 5 << 8 | page[at]
            at += 1
        else:
            more = 2 if tag & 3 == 2 else 4
            size, back = (tag >> 2) + 1, int.from_bytes(page[at:at + more], "little")
            at += more
        for _ in range(size):
            out.append(out[-back])
    return bytes(out)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


class Thrift:
    """The compact protocol: a struct is a dictionary by field number."""

    def __init__(self, data, at):
        self.data, self.at = data, at

    def struct(self):
        fields, number = {}, 0
        while True:
            head = self.byte()
            if head == 0:
                return fields
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            fields[number] = {1: True, 2: False}[head & 15] if head & 15 < 3 else self.value(head & 15)

    def value(self, kind):
        if kind < 3:  # in a list
            return self.byte() == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 7:
            self.at += 8
            return struct.unpack_from("<d", self.data, self.at - 8)[0]
        if kind == 8:
            size = self.varint()
            self.at += size
            return self.data[self.at - size:self.at]
        if kind in (9, 10):
            head = self.byte()
            size = self.varint() if head >> 4 == 15 else head >> 4
            return [self.value(head & 15) for _ in range(size)]
        if kind == 12:
            return self.struct()
        raise ValueError("Thrift type %d" % kind)

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value, self.at = varint(self.data, self.at)
        return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)
