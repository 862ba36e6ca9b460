"""Metadata and its newer kin: names, ids, unknown ones, topics made by asking."""
import uuid

from arrange import ready, topic, topic_id, version_range
from cases import case, cases

UNKNOWN_ID = str(uuid.UUID(int=0x1234567812345678))
BAD_NAMES = {"empty": "", "dot": ".", "dots": "..", "slash": "a/b", "up": "a/../b", "space": "a b", "unicode": "größe", "nul": "a\0b",
             "249": "a" * 249, "250": "a" * 250, "colon": "a:b", "comma": "a,b", "newline": "a\n"}


@cases({version: version for version in version_range("Metadata")})
def one_topic(broker, version):
    name = topic(broker, partitions=2)
    broker.ask("Metadata", version, Topics=[{"Name": name}], AllowAutoTopicCreation=False,
               IncludeTopicAuthorizedOperations=True, IncludeClusterAuthorizedOperations=True)


@cases({version: version for version in version_range("Metadata")})
def no_topics(broker, version):
    """An empty list: all topics in version 0, none later."""
    def kept(found):
        return {key: value for key, value in found.items() if key != "Topics" or version}
    broker.ask("Metadata", version, Topics=[], keep=kept)


@cases({version: version for version in version_range("Metadata", 1)})
def all_topics(broker, version):
    name = topic(broker)

    def kept(found):
        return [it for it in found.Topics if it.Name == name]
    broker.ask("Metadata", version, Topics=None, keep=kept)


@cases({version: version for version in version_range("Metadata", 4)})
def unknown_topic(broker, version):
    broker.ask("Metadata", version, Topics=[{"Name": broker.case.topic}], AllowAutoTopicCreation=False)


@cases(BAD_NAMES)
def bad_name(broker, name):
    broker.ask("Metadata", 12, Topics=[{"Name": name}], AllowAutoTopicCreation=False)
    broker.ask("Metadata", 8, Topics=[{"Name": name}], AllowAutoTopicCreation=False)


@cases({key: name for key, name in BAD_NAMES.items() if key != "249"})
def bad_name_is_not_created(broker, name):
    broker.ask("Metadata", 12, Topics=[{"Name": name}], AllowAutoTopicCreation=True)


@cases({version: version for version in (10, 11, 12, 13)})
def by_id(broker, version):
    name = topic(broker)
    broker.ask("Metadata", 12, Topics=[{"Name": name}])
    broker.ask("Metadata", version, Topics=[{"TopicId": topic_id(broker, name), "Name": None}])
    broker.ask("Metadata", version, Topics=[{"TopicId": UNKNOWN_ID, "Name": None}])


@cases({version: version for version in (10, 11, 12, 13)})
def name_and_id(broker, version):
    """Both at once, neither, and some of each."""
    name = topic(broker)
    known = topic_id(broker, name)
    broker.ask("Metadata", version, Topics=[{"TopicId": known, "Name": name}])
    broker.ask("Metadata", version, Topics=[{"TopicId": UNKNOWN_ID, "Name": name}])
    broker.ask("Metadata", version, Topics=[{"Name": None}])
    broker.ask("Metadata", version, Topics=[{"TopicId": known, "Name": None}, {"Name": name}], AllowAutoTopicCreation=False)


@case
def twice_the_same(broker):
    name = topic(broker)
    broker.ask("Metadata", 12, Topics=[{"Name": name}, {"Name": name}], AllowAutoTopicCreation=False)
    broker.ask("Metadata", 12, Topics=[{"Name": "no-such"}, {"Name": "no-such"}], AllowAutoTopicCreation=False)


@cases({version: version for version in version_range("Metadata")})
def made_by_asking(broker, version):
    """The first answer may have an error that clients try again on, for as long as the work takes; later ones have the topic."""
    name = broker.case.topic
    first = broker.quiet("Metadata", version, Topics=[{"Name": name}], AllowAutoTopicCreation=True)
    broker.note("the first answer is possible", first.Topics[0].ErrorCode in (0, 3))
    broker.until("the topic", lambda: broker.quiet("Metadata", 12, Topics=[{"Name": name}],
                                                   AllowAutoTopicCreation=False).Topics[0].ErrorCode == 0)
    ready(broker, name)
    broker.ask("Metadata", version, Topics=[{"Name": name}], AllowAutoTopicCreation=True)


@case
def internal_topics(broker):
    def kept(found):
        return [(it.Name, it.IsInternal, len(it.Partitions)) for it in found.Topics]
    broker.ask("Metadata", 12, Topics=[{"Name": "__consumer_offsets"}, {"Name": "__transaction_state"}], keep=kept)
    broker.ask("Metadata", 12, Topics=[{"Name": "__cluster_metadata"}], AllowAutoTopicCreation=True, keep=kept)


@cases({version: version for version in version_range("DescribeCluster")})
def describe_cluster(broker, version):
    broker.ask("DescribeCluster", version, IncludeClusterAuthorizedOperations=True)
    broker.ask("DescribeCluster", version, EndpointType=1)
    broker.ask("DescribeCluster", version, EndpointType=2)
    broker.ask("DescribeCluster", version, EndpointType=3)
    broker.ask("DescribeCluster", version, IncludeFencedBrokers=True)


@case
def topic_partitions(broker):
    name = topic(broker, partitions=3)
    ask = lambda **fields: broker.ask("DescribeTopicPartitions", 0, **fields)
    ask(Topics=[{"Name": name}])
    ask(Topics=[{"Name": name}], ResponsePartitionLimit=2)
    ask(Topics=[{"Name": name}], ResponsePartitionLimit=2, Cursor={"TopicName": name, "PartitionIndex": 2})
    ask(Topics=[{"Name": name}], Cursor={"TopicName": name, "PartitionIndex": 3})
    ask(Topics=[{"Name": name}], Cursor={"TopicName": name, "PartitionIndex": -1})
    ask(Topics=[{"Name": name}], Cursor={"TopicName": "a", "PartitionIndex": 0})
    ask(Topics=[{"Name": name}], ResponsePartitionLimit=0)
    ask(Topics=[{"Name": name}], ResponsePartitionLimit=-1)


@cases(BAD_NAMES)
def topic_partitions_of_none(broker, name):
    broker.ask("DescribeTopicPartitions", 0, Topics=[{"Name": name}])
    broker.ask("DescribeTopicPartitions", 0, Topics=[{"Name": "no-such"}, {"Name": name}], ResponsePartitionLimit=1)
