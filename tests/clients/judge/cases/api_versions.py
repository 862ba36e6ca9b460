"""ApiVersions: the table, at every version, and where even the question is wrong."""
import schema
from arrange import frame
from cases import case, cases


def versions(found, key):
    return {"ErrorCode": found.ErrorCode, "versions": next(("%d-%d" % (it.MinVersion, it.MaxVersion) for it in found.ApiKeys if it.ApiKey == key), "none")}


@cases({name: table.api_key for name, table in schema.apis().items() if "broker" in table.listeners})
def of(broker, key):
    """The line of one API, in each version of the question. What has no table here (tokens, share and streams groups) is not asked for."""
    for version in range(5):
        broker.ask("ApiVersions", version, ClientSoftwareName="judge", ClientSoftwareVersion="1.0", keep=lambda found: versions(found, key))


@cases({version: version for version in (3, 4)})
def features(broker, version):
    def kept(found):
        return {key: value for key, value in found.items() if key != "ApiKeys"}
    broker.ask("ApiVersions", version, ClientSoftwareName="judge", ClientSoftwareVersion="1.0", keep=kept)


@cases({"empty-name": ("", "1"), "empty-version": ("judge", ""), "bad-name": ("-judge", "1"), "bad-version": ("judge", "1 0"),
        "good": ("apache-kafka-java", "4.3.1"), "dot-at-the-end": ("judge.", "1"), "unicode": ("größe", "1")})
def software(broker, name, version):
    broker.ask("ApiVersions", 3, ClientSoftwareName=name, ClientSoftwareVersion=version, keep=lambda it: {"ErrorCode": it.ErrorCode})


@cases({"next": 5, "far": 32767, "negative": -1})
def unknown_version(broker, version):
    """Is answered with version 0, the error, and the one line that helps."""
    connection = broker.connection()
    connection.write_frame(frame(18, version, b"\0\0\0", flexible=True))
    try:
        broker.note("the answer", connection.read_frame().hex())
    except Exception as error:  # noqa: BLE001 - how it ends is the answer
        broker.note("the answer", str(error))


@case
def twice_on_one_connection(broker):
    for _ in range(2):
        broker.ask("ApiVersions", 0, keep=lambda it: {"ErrorCode": it.ErrorCode})
