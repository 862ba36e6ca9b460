"""Messages as bytes and back, by the tables: a message is a dictionary with the fields' names from the table. What a version does not
have is left out when written, as Kafka does with ignorable fields; what is not given has its default."""
import struct
import uuid

import schema

NUMBERS = {"bool": "?", "int8": "b", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "float64": "d"}
NO_UUID = "00000000-0000-0000-0000-000000000000"


class Underflow(Exception):
    """The bytes end before the message does, or go on behind it."""


class Fields(dict):
    """A decoded structure: its fields as attributes too."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError("no field %s in %s" % (name, dict(self))) from error


def varint(number):
    """Unsigned."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number):
    """Signed, of 64 bits."""
    return varint((number << 1) ^ (number >> 63))


# -- writing


def encode(name, version, values):
    """The bytes of a message without its header."""
    table = schema.message(name)
    return _structure(table, table.fields, version, values)


def _structure(table, fields, version, values):
    unknown = set(values) - {field.name for field in fields}
    if unknown:
        raise ValueError("%s has no %s" % (table.name, ", ".join(sorted(unknown))))
    out, tagged = [], {}
    for field in fields:
        if not schema.within(version, field.versions):
            continue
        if schema.within(version, field.tagged):
            if field.name in values:
                tagged[field.tag] = _value(table, field, version, values[field.name])
        else:
            out.append(_value(table, field, version, values.get(field.name, default(table, field, version))))
    if schema.within(version, table.flexible):
        out.append(varint(len(tagged)))
        for tag in sorted(tagged):
            out += [varint(tag), varint(len(tagged[tag])), tagged[tag]]
    return b"".join(out)


def default(table, field, version):
    if field.default == "null" or field.kind == "records" or (field.is_array and field.default == "null"):
        return None
    if field.is_array:
        return []
    if field.kind in NUMBERS:
        if field.kind == "bool":
            return field.default == "true"
        return (float if field.kind == "float64" else lambda text: int(text, 0))(field.default or "0")
    if field.kind == "uuid":
        return NO_UUID
    if field.kind == "bytes":
        return b""
    return field.default or "" if field.kind == "string" else {}


def _value(table, field, version, value):
    flexible = schema.within(version, field.flexible or table.flexible)
    nullable = schema.within(version, field.nullable)
    if field.is_array:
        if value is None:
            return _null(flexible, "i")
        one = schema.Field.__new__(schema.Field)
        one.__dict__.update(field.__dict__, is_array=False, nullable=schema.NEVER)
        length = varint(len(value) + 1) if flexible else struct.pack(">i", len(value))
        return length + b"".join(_value(table, one, version, element) for element in value)
    if field.kind in NUMBERS:
        return struct.pack(">" + NUMBERS[field.kind], value)
    if field.kind == "uuid":
        return uuid.UUID(value).bytes
    if field.kind in ("string", "bytes", "records"):
        short = field.kind == "string"
        if value is None:
            return _null(flexible, "h" if short else "i")
        raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)
        return (varint(len(raw) + 1) if flexible else struct.pack(">h" if short else ">i", len(raw))) + raw
    if nullable or value is None:
        if value is None:
            return b"\xff"
        return b"\x01" + _structure(table, table.structures[field.kind], version, value)
    return _structure(table, table.structures[field.kind], version, value)


def _null(flexible, length):
    return b"\0" if flexible else struct.pack(">" + length, -1)


# -- reading


class Reader:
    """Takes values off the front of some bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise Underflow("%d bytes at %d of %d" % (count, self.at, len(self.data)))
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, kind):
        return struct.unpack(">" + kind, self.take(struct.calcsize(">" + kind)))[0]

    def varint(self):
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7f) << shift
            if byte < 0x80:
                return number
            shift += 7
            if shift > 63:
                raise Underflow("a varint of more than ten bytes")

    def zigzag(self):
        number = self.varint()
        return (number >> 1) ^ -(number & 1)


def decode(name, version, data):
    """The fields of a message; every byte has to be used."""
    table, reader = schema.message(name), Reader(data)
    found = _read_structure(table, table.fields, version, reader)
    if reader.at != len(data):
        raise Underflow("%d bytes are left behind %s %d" % (len(data) - reader.at, name, version))
    return found


def _read_structure(table, fields, version, reader):
    found = Fields()
    for field in fields:
        if schema.within(version, field.versions) and not schema.within(version, field.tagged):
            found[field.name] = _read(table, field, version, reader)
    if schema.within(version, table.flexible):
        by_tag = {field.tag: field for field in fields if schema.within(version, field.tagged)}
        for _ in range(reader.varint()):
            tag = reader.varint()
            raw = Reader(reader.take(reader.varint()))
            if tag in by_tag:
                found[by_tag[tag].name] = _read(table, by_tag[tag], version, raw)
            else:
                found["tag %d" % tag] = raw.data.hex()
    return found


def _read(table, field, version, reader):
    flexible = schema.within(version, field.flexible or table.flexible)
    if field.is_array:
        count = reader.varint() - 1 if flexible else reader.number("i")
        if count < 0:
            return None
        one = schema.Field.__new__(schema.Field)
        one.__dict__.update(field.__dict__, is_array=False, nullable=schema.NEVER)
        return [_read(table, one, version, reader) for _ in range(count)]
    if field.kind in NUMBERS:
        return reader.number(NUMBERS[field.kind])
    if field.kind == "uuid":
        return str(uuid.UUID(bytes=bytes(reader.take(16))))
    if field.kind in ("string", "bytes", "records"):
        count = reader.varint() - 1 if flexible else reader.number("h" if field.kind == "string" else "i")
        if count < 0:
            return None
        raw = bytes(reader.take(count))
        return raw.decode("utf-8", "surrogateescape") if field.kind == "string" else raw
    if schema.within(version, field.nullable) and reader.number("b") < 0:
        return None
    return _read_structure(table, table.structures[field.kind], version, reader)
