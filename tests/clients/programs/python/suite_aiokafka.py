"""The suite of aiokafka: BOOTSTRAP PREFIX [TEST]..."""
import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from scripted import PATIENCE_S, equal, run

BOOTSTRAP, PREFIX = sys.argv[1:3]


async def eventually(what, condition):
    for _ in range(PATIENCE_S * 20):
        found = await condition()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("waited in vain for " + what)


class Open:
    """Something that is started, and stopped whatever happens."""

    def __init__(self, it):
        self.it = it

    async def __aenter__(self):
        await self.it.start()
        return self.it

    async def __aexit__(self, *_):
        await (self.it.close() if hasattr(self.it, "close") else self.it.stop())


def producer(**config):
    return Open(AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, **config))


def consumer(*topics, group=None, **config):
    config = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "isolation_level": "read_committed"} | config
    return Open(AIOKafkaConsumer(*topics, bootstrap_servers=BOOTSTRAP, group_id=group and "%s-%s" % (PREFIX, group), **config))


def admin():
    return Open(AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP))


async def topic(name, partitions=1):
    name = "%s-%s" % (PREFIX, name)
    async with admin() as it:
        await it.create_topics([NewTopic(name, partitions, 1)])

        async def there():
            return name in await it.list_topics()
        await eventually("the topic", there)
    return name


async def send(out, name, values, **more):
    sent = [await out.send(name, value, **more) for value in values]
    return [await it for it in sent]


async def read(name, partitions=1, **config):
    """The records up to the ends."""
    found, wanted = [], [TopicPartition(name, n) for n in range(partitions)]
    async with consumer(**config) as reader:
        reader.assign(wanted)
        await reader.seek_to_beginning()
        ends = await reader.end_offsets(wanted)
        for _ in range(PATIENCE_S * 5):
            if all([await reader.position(it) >= ends[it] for it in wanted]):
                return found
            for records in (await reader.getmany(timeout_ms=200)).values():
                found += records
    raise AssertionError("the ends were not reached, with %d records" % len(found))


async def settled(name, end):
    """Waits until the markers of all transactions are there: the answer to the end of one does not."""
    it = TopicPartition(name, 0)
    async with consumer() as reader:
        async def there():
            return (await reader.end_offsets([it]))[it] == end
        await eventually("the last stable offset", there)


def test(function):
    """An asynchronous test as `run` wants it."""
    def ordinary():
        return asyncio.run(asyncio.wait_for(function(), 3 * PATIENCE_S))
    ordinary.__name__ = function.__name__
    return ordinary


@test
async def plain():
    name, written = await topic("plain"), []
    for compression in (None, "gzip"):
        for acks in (0, 1, "all"):
            batch = ["%s %s %d naïve 北京" % (compression, acks, n) for n in range(50)]
            async with producer(acks=acks, compression_type=compression) as out:
                await send(out, name, [it.encode() for it in batch], key=b"k", headers=[("h", b"\xff")], timestamp_ms=1_700_000_000_000)
            written += batch
    found = await read(name)
    equal([it.value.decode() for it in found], written, "values")
    equal((found[7].key, list(found[7].headers), found[7].timestamp), (b"k", [("h", b"\xff")], 1_700_000_000_000), "the rest")
    return "%d records" % len(written)


@test
async def positions():
    name = await topic("positions")
    it = TopicPartition(name, 0)
    async with producer() as out:
        for n in range(50):
            await out.send_and_wait(name, b"%d" % n, timestamp_ms=1_700_000_000_000 + n * 1000)
    async with consumer(group="positions") as reader:
        reader.assign([it])
        equal(((await reader.beginning_offsets([it]))[it], (await reader.end_offsets([it]))[it]), (0, 50), "the ends")
        equal((await reader.offsets_for_times({it: 1_700_000_020_500}))[it].offset, 21, "by time")
        reader.seek(it, 40)
        equal((await reader.getone()).value, b"40", "from 40")
        await reader.commit({it: OffsetAndMetadata(41, "why")})
        equal(await reader.committed(it), 41, "committed")


@test
async def idempotent():
    name = await topic("idempotent", 3)
    async with producer(enable_idempotence=True, max_batch_size=300) as out:
        sent = [await out.send(name, b"%d" % n, partition=n % 3) for n in range(2000)]
        for it in sent:
            await it
    found = await read(name, 3)
    for partition in range(3):
        equal([int(it.value) for it in found if it.partition == partition], list(range(partition, 2000, 3)), "partition %d" % partition)


@test
async def transactional():
    name = await topic("transactional")
    async with producer(transactional_id=PREFIX + "-aio") as out:
        for n, commit in enumerate((True, False, True)):
            await out.begin_transaction()
            await send(out, name, [b"%d-%d" % (n, k) for k in range(20)])
            await (out.commit_transaction() if commit else out.abort_transaction())
    await settled(name, 63)
    equal([it.value.decode() for it in await read(name)], ["%d-%d" % (n, k) for n in (0, 2) for k in range(20)], "committed")
    equal(len(await read(name, isolation_level="read_uncommitted")), 60, "all")


@test
async def transactional_fenced():
    name = await topic("fenced")
    first = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=PREFIX + "-aio-fenced")
    await first.start()
    await first.begin_transaction()
    await send(first, name, [b"zombie"])
    async with producer(transactional_id=PREFIX + "-aio-fenced") as second:
        try:
            await send(first, name, [b"late"])
            await first.commit_transaction()
            raise AssertionError("the first was not fenced")
        except KafkaError:
            pass
        async with second.transaction():
            await send(second, name, [b"alive"])
    try:
        await first.stop()
    except KafkaError:
        pass
    await settled(name, 4)
    equal([it.value for it in await read(name)], [b"alive"], "committed")


@test
async def transactional_offsets():
    source, sink = await topic("tx-source"), await topic("tx-sink")
    it, group = TopicPartition(source, 0), PREFIX + "-aio-offsets"
    async with producer() as out:
        await send(out, source, [b"%d" % n for n in range(20)])
    taken = await read(source)
    async with producer(transactional_id=PREFIX + "-aio-offsets") as out, consumer(group="aio-offsets") as reader:
        for end, commit in ((10, False), (10, True), (20, True)):
            await out.begin_transaction()
            await send(out, sink, [one.value for one in taken[end - 10:end]])
            await out.send_offsets_to_transaction({it: end}, group)
            await (out.commit_transaction() if commit else out.abort_transaction())
            wanted = end if commit else None

            async def there():
                return await reader.committed(it) == wanted
            await eventually("the offset", there)
    await settled(sink, 33)
    equal([one.value for one in await read(sink)], [b"%d" % n for n in range(20)], "the sink")


@test
async def grouped():
    """Two members share four partitions, one leaves, the other has all."""
    name, seen = await topic("grouped", 4), []
    async with producer() as out:
        for n in range(400):
            await out.send(name, b"%d" % n, partition=n % 4)

    async def poll(*members):
        for member in members:
            for records in (await member.getmany(timeout_ms=100, max_records=50)).values():
                seen.extend((it.partition, it.offset) for it in records)
                await member.commit()
        return [len(member.assignment()) for member in members]
    how = {"group": "grouped", "partition_assignment_strategy": [RoundRobinPartitionAssignor]}
    async with consumer(name, **how) as one:
        async with consumer(name, **how) as other:
            async def shared():
                return await poll(one, other) == [2, 2] and len(set(seen)) == 400
            await eventually("fair shares and every record", shared)

        async def everything():
            return await poll(one) == [4]
        await eventually("everything for one", everything)
        equal([await one.committed(TopicPartition(name, n)) for n in range(4)], [100] * 4, "committed")


@test
async def grouped_static():
    """A member with an instance id that comes back takes its partitions without a rebalance of the other."""
    name, revoked = await topic("static", 4), []
    how = {"group": "static", "partition_assignment_strategy": [RoundRobinPartitionAssignor]}

    class Counting(ConsumerRebalanceListener):
        async def on_partitions_revoked(self, partitions):
            revoked.append(partitions)

        async def on_partitions_assigned(self, partitions):
            pass

    def shared(*members):
        async def fairly():
            return [len(it.assignment()) for it in members] == [2, 2]
        return fairly
    async with consumer(group_instance_id="one", **how) as stays:
        stays.subscribe([name], listener=Counting())
        async with consumer(name, group_instance_id="other", **how) as goes:
            await eventually("fair shares", shared(stays, goes))
            share = goes.assignment()
        del revoked[:]
        async with consumer(name, group_instance_id="other", **how) as again:
            await eventually("its share", shared(stays, again))
            equal(again.assignment(), share, "the share")
        equal(revoked, [], "what the other was told to give up")


@test
async def administrative():
    name = await topic("admin")
    async with producer() as out:
        await send(out, name, [b"%d" % n for n in range(10)])
    async with admin() as it:
        assert await it.describe_cluster()
        assert await it.describe_topics([name])
        resource = ConfigResource(ConfigResourceType.TOPIC, name)
        assert await it.describe_configs([resource])
        await it.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "12345"})])

        async def changed():
            return "12345" in str(await it.describe_configs([resource]))
        await eventually("the change", changed)
        await it.create_partitions({name: NewPartitions(2)})
        equal((await it.delete_records({TopicPartition(name, 0): RecordsToDelete(before_offset=4)}))[TopicPartition(name, 0)], 4, "low watermark")
        await it.list_consumer_groups()
        await it.delete_topics([name])


run([plain, positions, idempotent, transactional, transactional_fenced, transactional_offsets, grouped, grouped_static, administrative])
